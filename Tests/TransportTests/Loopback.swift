import Bytes
import Testing
import Transport

/// A datagram as it arrived.
struct Datagram: Equatable {
    let source: TransportAddress
    let bytes: [UInt8]
}

/// The loopback address of either family, with a port that the kernel chooses.
let anyLoopback = [
    TransportAddress(ipv4: 0x7F00_0001, port: 0), TransportAddress(high: 0, low: 1, port: 0),
]

func copy(_ span: Span<UInt8>, _ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for index in 0..<count { bytes.append(span[index]) }
    return bytes
}

/// Waits for datagrams until there are `expected`, or for two seconds.
func collect(
    _ expected: Int, from fd: Int32, into batch: inout ReceiveBatch
) throws -> [Datagram] {
    var poll = try EventPoll()
    try poll.add(fd, tag: 0)
    var found: [Datagram] = []
    while found.count < expected, try poll.wait(timeoutMs: 2_000) > 0 {
        for index in 0..<(try batch.fill(from: fd)) {
            let bytes = copy(batch.bytes(of: index), batch.count(of: index))
            found.append(Datagram(source: batch.source(of: index), bytes: bytes))
        }
    }
    return found
}

/// Sends messages in one go.
@discardableResult
func send(
    _ messages: [(bytes: [UInt8], to: TransportAddress)], from fd: Int32, segments: Bool = false
) -> SendBatch.Result {
    var outbox = Outbox(bytesMax: 1 << 20, messagesMax: 1_024)
    for message in messages {
        outbox.begin()
        outbox.write(message.bytes.span)
        outbox.end(to: message.to, from: 0)
    }
    var batch = SendBatch(segments: segments)
    let sockets = [fd]
    return batch.send(outbox, sockets: sockets.span)
}
