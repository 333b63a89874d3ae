import Bytes
import Demonstration
import Synchronization
import Transport

/// Stands for midreg: passes datagrams between phones and main registrar through one socket for each
/// source, and absorbs nothing.
final class Forwarder: RunningMidreg, Sendable {
    /// What becomes of a request.
    enum Manner: Sendable {
        case forward
        /// Nobody answers.
        case swallow
        /// Answered 403 by itself.
        case forbid
        /// The answers of the main registrar reach the phone without their Contact.
        case loseContacts
        /// One digit of what proves the password reaches the main registrar changed.
        case spoilProof
    }

    private let manner: Manner
    private let plan: DemoPlan
    private let listener: UDPSocket
    private let requests = Atomic<UInt64>(0)
    private let answers = Atomic<UInt64>(0)
    private let isStopping = Atomic<Bool>(false)
    private let thread = Mutex<WorkerThread?>(nil)

    init(_ plan: DemoPlan, _ manner: Manner = .forward) throws {
        self.plan = plan
        self.manner = manner
        listener = try UDPSocket.open(bind: plan.listen, reusePort: false)
        let started = try WorkerThread(name: "forwarder") { try? self.work() }
        thread.withLock { $0 = started }
    }

    deinit { listener.close() }

    func counters() -> DemoCounters {
        let count = requests.load(ordering: .relaxed)
        return DemoCounters(
            registersIn: count, relayed: count, mainAnswers: answers.load(ordering: .relaxed))
    }

    func stop() {
        isStopping.store(true, ordering: .releasing)
        thread.withLock { $0 }?.join()
    }

    private func work() throws {
        var poll = try EventPoll()
        try poll.add(listener.fd, tag: 0)
        var flows: [(source: TransportAddress, socket: UDPSocket)] = []
        defer { for flow in flows { flow.socket.close() } }
        var batch = ReceiveBatch()
        var outbox = Outbox(bytesMax: 1 << 17, messagesMax: 64)
        var sender = SendBatch()
        while !isStopping.load(ordering: .acquiring) {
            for event in 0..<(try poll.wait(timeoutMs: 20)) {
                let tag = Int(poll.tag(of: event))
                let fd = tag == 0 ? listener.fd : flows[tag - 1].socket.fd
                while try batch.fill(from: fd) > 0 {
                    for index in 0..<batch.count {
                        let bytes = batch.bytes(of: index).extracting(0..<batch.count(of: index))
                        if tag > 0 {
                            answers.add(1, ordering: .relaxed)
                            write(bytes, &outbox)
                            outbox.end(to: flows[tag - 1].source, from: 0)
                            send(&outbox, listener.fd, &sender)
                            continue
                        }
                        requests.add(1, ordering: .relaxed)
                        let source = batch.source(of: index)
                        if manner == .swallow { continue }
                        if manner == .forbid {
                            writeForbidden(bytes, &outbox)
                            outbox.end(to: source, from: 0)
                            send(&outbox, listener.fd, &sender)
                            continue
                        }
                        if !flows.contains(where: { $0.source == source }) {
                            let socket = try UDPSocket.open(
                                bind: plan.main.withPort(0), reusePort: false)
                            flows.append((source, socket))
                            try poll.add(socket.fd, tag: UInt32(flows.count))
                        }
                        guard let flow = flows.first(where: { $0.source == source }) else {
                            continue
                        }
                        outbox.begin()
                        if manner == .spoilProof {
                            writeSpoilt(bytes, &outbox)
                        } else {
                            outbox.write(bytes)
                        }
                        outbox.end(to: plan.main, from: 0)
                        send(&outbox, flow.socket.fd, &sender)
                    }
                }
            }
        }
    }

    private func write(_ bytes: Span<UInt8>, _ outbox: inout Outbox) {
        outbox.begin()
        guard manner == .loseContacts else {
            outbox.write(bytes)
            return
        }
        var copy: [UInt8] = []
        for index in bytes.indices { copy.append(bytes[index]) }
        let lines = String(decoding: copy, as: UTF8.self).split(
            separator: "\r\n", omittingEmptySubsequences: false)
        outbox.write(
            string: lines.filter { !$0.hasPrefix("Contact:") }.joined(separator: "\r\n"))
    }

    private func writeSpoilt(_ bytes: Span<UInt8>, _ outbox: inout Outbox) {
        let before = Array("response=\"".utf8)
        var at = 0
        for index in bytes.indices {
            let isDigit = at == before.count
            outbox.write(isDigit ? (bytes[index] == 0x30 ? 0x31 : 0x30) : bytes[index])
            at = !isDigit && bytes[index] == before[at] ? at + 1 : 0
        }
    }

    private func writeForbidden(_ bytes: Span<UInt8>, _ outbox: inout Outbox) {
        var copy: [UInt8] = []
        for index in bytes.indices { copy.append(bytes[index]) }
        let kept = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"]
        let lines = String(decoding: copy, as: UTF8.self).split(separator: "\r\n")
            .filter { line in kept.contains { line.hasPrefix($0) } }
        outbox.begin()
        outbox.write(
            string: (["SIP/2.0 403 Forbidden"] + lines.map(String.init) + ["", ""])
                .joined(separator: "\r\n"))
    }

    private func send(_ outbox: inout Outbox, _ fd: Int32, _ sender: inout SendBatch) {
        let sockets = [fd]
        _ = sender.send(outbox, sockets: sockets.span)
        outbox.clear()
    }
}

/// Phones that send straight to the main registrar.
struct Nothing: RunningMidreg {
    func counters() -> DemoCounters { DemoCounters() }
    func stop() {}
}
