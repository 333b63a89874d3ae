import Bytes
import CMallocCount
import Glibc
import Testing
import Transport

@Suite("A UDP socket")
struct UDPSocketTests {
    @Test(arguments: anyLoopback)
    func `tells the port that the kernel chose`(loopback: TransportAddress) throws {
        let socket = try UDPSocket.open(bind: loopback, reusePort: false)
        defer { socket.close() }
        #expect(socket.localAddress.sameHost(as: loopback))
        #expect(socket.localAddress.port > 0)
        #expect(socket.receiveBufferBytes > 0)
    }

    @Test(arguments: anyLoopback)
    func `names address and reason when the port is taken`(loopback: TransportAddress) throws {
        let first = try UDPSocket.open(bind: loopback, reusePort: false)
        defer { first.close() }
        let error = #expect(throws: TransportError.self) {
            try UDPSocket.open(bind: first.localAddress, reusePort: false)
        }
        #expect(error == .cannotListen(first.localAddress, errno: EADDRINUSE))
        let text = error?.description ?? ""
        #expect(text.hasPrefix("cannot listen on udp:\(first.localAddress.text): Address already"))
        #expect(text.contains("sport = :\(first.localAddress.port)"))
    }

    @Test func `says that no interface has the address`() throws {
        let foreign = TransportAddress(ipv4: 0xC000_0201, port: 0)  // 192.0.2.1, RFC 5737
        let error = #expect(throws: TransportError.self) {
            try UDPSocket.open(bind: foreign, reusePort: false)
        }
        #expect(error == .cannotListen(foreign, errno: EADDRNOTAVAIL))
        #expect(error?.description.contains("`ip address`") == true)
    }

    @Test func `leaves the same port of the other family free`() throws {
        let six = try UDPSocket.open(
            bind: TransportAddress(high: 0, low: 0, port: 0), reusePort: false)
        defer { six.close() }
        let four = try UDPSocket.open(
            bind: TransportAddress(ipv4: 0, port: six.localAddress.port), reusePort: false)
        four.close()
    }

    @Test func `shares its port among sockets that agree, each getting some peers`() throws {
        let first = try UDPSocket.open(bind: anyLoopback[0], reusePort: true)
        defer { first.close() }
        let second = try UDPSocket.open(bind: first.localAddress, reusePort: true)
        defer { second.close() }
        #expect(throws: TransportError.cannotListen(first.localAddress, errno: EADDRINUSE)) {
            try UDPSocket.exclusivelyFree(first.localAddress)
        }

        for _ in 0..<64 {
            let peer = try UDPSocket.open(bind: anyLoopback[0], reusePort: false)
            send([(bytes: [1], to: first.localAddress)], from: peer.fd)
            peer.close()
        }
        var poll = try EventPoll()
        try poll.add(first.fd, tag: 7)
        try poll.add(second.fd, tag: 8)
        var batch = ReceiveBatch()
        var got: [UInt32: Int] = [:]
        while got.values.reduce(0, +) < 64 {
            let events = try poll.wait(timeoutMs: 2_000)
            guard events > 0 else { break }
            for event in 0..<events {
                let tag = poll.tag(of: event)
                got[tag, default: 0] += try batch.fill(from: tag == 7 ? first.fd : second.fd)
            }
        }
        #expect(got[7, default: 0] + got[8, default: 0] == 64)
        #expect(got[7, default: 0] > 0 && got[8, default: 0] > 0)
    }

    @Test func `is free for one owner once all have closed it`() throws {
        let socket = try UDPSocket.open(bind: anyLoopback[0], reusePort: true)
        socket.close()
        try UDPSocket.exclusivelyFree(socket.localAddress)
    }
}

@Suite("A batch of datagrams that is received")
struct ReceiveBatchTests {
    @Test(arguments: anyLoopback)
    func `comes whole, in order, with its source, and can be answered`(
        loopback: TransportAddress
    ) throws {
        let server = try UDPSocket.open(bind: loopback, reusePort: false)
        let phone = try UDPSocket.open(bind: loopback, reusePort: false)
        defer {
            server.close()
            phone.close()
        }
        // 0 bytes is a datagram too; 65,507 is the most that IPv4 can carry.
        let sizes = [1, 0, 550, 4_096, 65_507]
        let sent = sizes.map { size in
            [UInt8]((0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) })
        }
        let result = send(sent.map { (bytes: $0, to: server.localAddress) }, from: phone.fd)
        #expect(result == SendBatch.Result(sent: 5))
        var batch = ReceiveBatch()
        let asked = try collect(5, from: server.fd, into: &batch)
        #expect(asked == sent.map { Datagram(source: phone.localAddress, bytes: $0) })

        send(asked.map { (bytes: $0.bytes, to: $0.source) }, from: server.fd)
        let answered = try collect(5, from: phone.fd, into: &batch)
        #expect(answered == sent.map { Datagram(source: server.localAddress, bytes: $0) })
    }

    @Test func `may be larger than its slots`() throws {
        let server = try UDPSocket.open(bind: anyLoopback[0], reusePort: false)
        defer { server.close() }
        let sent = (0..<21).map { (bytes: [UInt8($0)], to: server.localAddress) }
        send(sent, from: server.fd)
        var batch = ReceiveBatch(slots: 8)
        let got = try collect(21, from: server.fd, into: &batch)
        #expect(got.map(\.bytes) == (0..<21).map { [UInt8($0)] })
        #expect(try batch.fill(from: server.fd) == 0)
        #expect(batch.count == 0)
    }

    @Test func `has readable padding behind each datagram, the largest too`() throws {
        let server = try UDPSocket.open(
            bind: TransportAddress(high: 0, low: 1, port: 0), reusePort: false)
        defer { server.close() }
        // 65,527 bytes is the most that IPv6 can carry without jumbograms.
        let sizes = [65_527, 0, 3]
        send(
            sizes.map { (bytes: [UInt8](repeating: 9, count: $0), to: server.localAddress) },
            from: server.fd)
        var poll = try EventPoll()
        try poll.add(server.fd, tag: 0)
        var batch = ReceiveBatch()
        var seen = 0
        while seen < sizes.count, try poll.wait(timeoutMs: 2_000) > 0 {
            for index in 0..<(try batch.fill(from: server.fd)) {
                let bytes = batch.bytes(of: index)
                #expect(batch.count(of: index) == sizes[seen])
                #expect(bytes.count == sizes[seen] + 64)
                var sum = 0
                for at in bytes.indices { sum += Int(bytes[at]) }
                #expect(sum == 9 * sizes[seen])
                seen += 1
            }
        }
        #expect(seen == sizes.count)
    }

    @Test func `passes over what the network said about an earlier datagram`() throws {
        let socket = try UDPSocket.open(bind: anyLoopback[0], reusePort: false)
        defer { socket.close() }
        let closed = try UDPSocket.open(bind: anyLoopback[0], reusePort: false)
        closed.close()
        // Only a connected socket is told that nobody listens (ICMP port unreachable).
        try connect(socket.fd, to: closed.localAddress)
        #expect(send([(bytes: [1], to: closed.localAddress)], from: socket.fd).sent == 1)
        var batch = ReceiveBatch()
        #expect(try batch.fill(from: socket.fd) == 0)

        // The same news in the way of another datagram does not keep it from leaving.
        send([(bytes: [2], to: closed.localAddress)], from: socket.fd)
        let again = send([(bytes: [3], to: closed.localAddress)], from: socket.fd)
        #expect(again == SendBatch.Result(sent: 1))
    }

    @Test func `fails on a descriptor that is no socket`() throws {
        let wakeup = try Wakeup()
        var batch = ReceiveBatch()
        #expect(throws: TransportError.receiveFailed(errno: ENOTSOCK)) {
            try batch.fill(from: wakeup.fd)
        }
        #expect(throws: TransportError.receiveFailed(errno: EBADF)) { try batch.fill(from: -1) }
    }

    @Test func `tells how many the kernel dropped before it`() throws {
        let server = try UDPSocket.open(
            bind: anyLoopback[0], reusePort: false, receiveBufferBytes: 4_096)
        let phone = try UDPSocket.open(bind: anyLoopback[0], reusePort: false)
        defer {
            server.close()
            phone.close()
        }
        let message = (bytes: [UInt8](repeating: 1, count: 550), to: server.localAddress)
        var drops = KernelDrops()
        var batch = ReceiveBatch()
        for _ in 0..<2 {
            // More than fit; the drop counter travels with the next that does.
            send(Array(repeating: message, count: 200), from: phone.fd)
            var kept = 0
            var growth: UInt64 = 0
            var poll = try EventPoll()
            try poll.add(server.fd, tag: 0)
            while try poll.wait(timeoutMs: 0) > 0 {
                kept += try batch.fill(from: server.fd)
                growth += drops.growth(to: batch.kernelDrops)
            }
            #expect(kept > 0 && kept < 200)
            send([message], from: phone.fd)
            #expect(try poll.wait(timeoutMs: 2_000) == 1)
            #expect(try batch.fill(from: server.fd) == 1)
            growth += drops.growth(to: batch.kernelDrops)
            #expect(kept + Int(growth) == 200)
        }
    }

    @Test func `counts drops by their growth, also past 2³²`() {
        var drops = KernelDrops()
        #expect(drops.growth(to: nil) == 0)
        #expect(drops.growth(to: 5) == 5)
        #expect(drops.growth(to: nil) == 0)
        #expect(drops.growth(to: 5) == 0)
        #expect(drops.growth(to: .max) == UInt64(UInt32.max) - 5)
        #expect(drops.growth(to: 2) == 3)
    }
}

@Suite("An outbox that is sent")
struct SendBatchTests {
    @Test func `loses only the messages that cannot go`() throws {
        let server = try UDPSocket.open(bind: anyLoopback[0], reusePort: false)
        defer { server.close() }
        let good = server.localAddress
        let result = send(
            [
                (bytes: [1], to: good),
                (bytes: [2], to: good.withPort(0)),  // EINVAL
                (bytes: [3], to: good),
                (bytes: [4], to: TransportAddress(high: 0, low: 1, port: 5060)),  // EAFNOSUPPORT
                (bytes: [UInt8](repeating: 5, count: 65_508), to: good),  // EMSGSIZE
                (bytes: [6], to: TransportAddress(ipv4: 0xFFFF_FFFF, port: 5060)),  // EACCES
                (bytes: [7], to: good),
                (bytes: [8], to: good.withPort(0)),
            ], from: server.fd)
        #expect(result == SendBatch.Result(sent: 3, failed: 5, lastErrno: EINVAL))
        var batch = ReceiveBatch()
        let got = try collect(3, from: server.fd, into: &batch)
        #expect(got.map(\.bytes) == [[1], [3], [7]])
    }

    @Test func `counts everything as failed on a socket that is gone`() throws {
        let result = send(
            Array(repeating: (bytes: [1], to: anyLoopback[0].withPort(9)), count: 70), from: -1)
        #expect(result == SendBatch.Result(sent: 0, failed: 70, lastErrno: EBADF))
    }

    @Test func `leaves each message by its own socket, in order`() throws {
        let sockets = try anyLoopback.map { try UDPSocket.open(bind: $0, reusePort: false) }
        defer { for socket in sockets { socket.close() } }
        var outbox = Outbox(bytesMax: 1 << 16, messagesMax: 512)
        var expected: [[[UInt8]]] = [[], []]
        for number in 0..<200 {
            // Runs of one and of more than one sendmmsg holds.
            let socket = number < 10 ? number % 2 : (number < 90 ? 0 : 1)
            expected[socket].append([UInt8(number)])
            outbox.begin()
            outbox.write(UInt8(number))
            outbox.end(to: sockets[socket].localAddress, from: UInt16(socket))
        }
        var send = SendBatch()
        let descriptors = sockets.map(\.fd)
        #expect(send.send(outbox, sockets: descriptors.span) == SendBatch.Result(sent: 200))

        var batch = ReceiveBatch()
        for (socket, expected) in zip(sockets, expected) {
            let got = try collect(expected.count, from: socket.fd, into: &batch)
            #expect(got.map(\.bytes) == expected)
            #expect(got.allSatisfy { $0.source == socket.localAddress })
        }
    }

    @Test(arguments: anyLoopback)
    func `arrives the same when the kernel cuts runs of equal length`(
        loopback: TransportAddress
    ) throws {
        let server = try UDPSocket.open(bind: loopback, reusePort: false)
        let other = try UDPSocket.open(bind: loopback, reusePort: false)
        defer {
            server.close()
            other.close()
        }
        // 3 are too few, 4 are a run, 70 are more than one entry, a stranger parts two runs, and
        // what is too long for a path, or empty, goes by itself.
        var messages: [(bytes: [UInt8], to: TransportAddress)] = []
        for (length, count) in [(550, 3), (400, 4), (120, 70), (1_452, 50), (1_453, 5), (0, 5)] {
            for number in 0..<count {
                let bytes = [UInt8](repeating: UInt8(messages.count % 251), count: length)
                let stranger = length == 1_452 && number == 10
                messages.append(
                    (bytes: bytes, to: stranger ? other.localAddress : server.localAddress))
            }
        }
        let result = send(messages, from: other.fd, segments: true)
        #expect(result == SendBatch.Result(sent: messages.count))
        var batch = ReceiveBatch()
        let got = try collect(messages.count - 1, from: server.fd, into: &batch)
        let expected = messages.filter { $0.to == server.localAddress }.map(\.bytes)
        #expect(got.map(\.bytes) == expected)
    }

    @Test func `loses a run that cannot go, and no other`() throws {
        let server = try UDPSocket.open(bind: anyLoopback[0], reusePort: false)
        defer { server.close() }
        let good = server.localAddress
        let run = { (to: TransportAddress) in
            (0..<6).map { (bytes: [UInt8]([UInt8($0), 0]), to: to) }
        }
        let result = send(
            run(good) + run(good.withPort(0)) + run(good), from: server.fd, segments: true)
        #expect(result == SendBatch.Result(sent: 12, failed: 6, lastErrno: EINVAL))
        var batch = ReceiveBatch()
        #expect(try collect(12, from: server.fd, into: &batch).count == 12)
    }

    @Test(arguments: [false, true])
    func `asks the heap for nothing, nor does receiving`(segments: Bool) throws {
        let server = try UDPSocket.open(bind: anyLoopback[0], reusePort: false)
        defer { server.close() }
        let wakeup = try Wakeup()
        let mailbox = Mailbox(wakeup: wakeup)
        var poll = try EventPoll()
        try poll.add(server.fd, tag: 1)
        try poll.add(wakeup.fd, tag: 2)
        var receive = ReceiveBatch()
        var send = SendBatch(segments: segments)
        var outbox = Outbox(bytesMax: 1 << 16, messagesMax: 64)
        let sockets = [server.fd]
        let hello: [UInt8] = Array(repeating: 0x20, count: 500)
        var mallocs: UInt64 = 0
        var echoed = 0
        for round in 0..<20 {
            // The first rounds may set up what the runtime sets up once.
            if round == 2 { mallocs = midreg_mallocs_of_thread() }
            outbox.clear()
            for _ in 0..<12 {
                outbox.begin()
                outbox.write(hello.span)
                outbox.end(to: server.localAddress, from: 0)
            }
            let result = send.send(outbox, sockets: sockets.span)
            precondition(result.sent == 12)
            outbox.clear()
            _ = try poll.wait(timeoutMs: 1_000)
            let count = try receive.fill(from: server.fd)
            for index in 0..<count {
                let pushed = mailbox.push(
                    kind: 1, socket: 0, peer: receive.source(of: index),
                    arrivalNs: Clock.bootNanoseconds(), bytes: receive.bytes(of: index),
                    count: receive.count(of: index))
                precondition(pushed)
            }
            mailbox.flush()
            _ = try poll.wait(timeoutMs: 1_000)
            wakeup.drain()
            while mailbox.withNext({ mail, bytes in
                outbox.begin()
                outbox.write(bytes, ByteRange(0, mail.count))
                outbox.end(to: mail.peer, from: mail.socket)
                echoed += 1
            }) {}
        }
        #expect(midreg_mallocs_of_thread() - mallocs == 0)
        #expect(echoed == 240)
    }
}

/// Connects an IPv4 socket, which Transport itself never does.
private func connect(_ fd: Int32, to address: TransportAddress) throws {
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = address.port.bigEndian
    name.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.low).bigEndian
    let result = withUnsafePointer(to: &name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            Glibc.connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    try #require(result == 0)
}
