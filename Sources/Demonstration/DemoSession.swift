internal import Bytes
internal import DigestAuth
internal import Synchronization
internal import Transport

/// The toy registrar and the phones at work, each on a thread and sockets of its own; what they have
/// seen can be read at any time.
final class DemoSession: Sendable {
    /// What the toy registrar saw.
    struct RegistrarReport: Sendable {
        var challenges: UInt64 = 0
        var malformed: UInt64 = 0
        var users = 0
    }

    /// What the phones are told.
    private struct Orders: Sendable {
        var isPaused = false
        var measuredFromNs = UInt64.max
        var measuredToNs = UInt64.max
    }

    let registrar: UDPSocket
    private let flows: [UDPSocket]
    private let options: DemoOptions
    private let orders = Mutex(Orders())
    private let isStopping = Atomic<Bool>(false)
    private let registers = Atomic<UInt64>(0)
    private let registrarReport = Mutex(RegistrarReport())
    private let fleetReport = Mutex(FleetReport())
    private let failure = Mutex<String?>(nil)
    private let threads = Mutex<[WorkerThread]>([])

    /// Threads look at their orders this often at least, in milliseconds.
    private static let waitMsMax = 50
    /// How often reports are renewed, in nanoseconds.
    private static let reportEveryNs: UInt64 = 20_000_000

    /// Opens the sockets; nothing moves yet.
    ///
    /// - Throws: `TransportError.cannotListen`.
    init(_ options: DemoOptions) throws(TransportError) {
        self.options = options
        let any = TransportAddress(ipv4: 0x7F00_0001, port: 0)
        let count = max(1, options.phones / DemoOptions.phonesPerFlow)
        var opened = [try UDPSocket.open(bind: any, reusePort: false)]
        do throws(TransportError) {
            while opened.count <= count {
                opened.append(
                    try UDPSocket.open(bind: any, reusePort: false, receiveBufferBytes: 1 << 18))
            }
        } catch {
            for socket in opened { socket.close() }
            throw error
        }
        registrar = opened.removeFirst()
        flows = opened
    }

    /// The threads hold the session until ``stop()``.
    deinit {
        registrar.close()
        for flow in flows { flow.close() }
    }

    // MARK: Orders and reports

    /// Starts the toy registrar.
    ///
    /// - Parameter trusted: who may remove bindings without a password.
    /// - Throws: `TransportError.cannotStartThread`.
    func startRegistrar(trusted: TransportAddress) throws(TransportError) {
        try start("demo-registrar") { session in
            try session.runRegistrar(trusted: trusted)
        }
    }

    /// Starts the phones, the first of them at once.
    ///
    /// - Throws: `TransportError.cannotStartThread`.
    func startPhones(towards target: TransportAddress) throws(TransportError) {
        try start("demo-phones") { session in
            try session.runPhones(towards: target)
        }
    }

    /// Ends both threads and waits for them.
    func stop() {
        isStopping.store(true, ordering: .releasing)
        let threads = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in threads { thread.join() }
    }

    /// Phones start nothing new, or go on.
    func pause(_ isPaused: Bool) { orders.withLock { $0.isPaused = isPaused } }

    func measure(from startNs: UInt64) { orders.withLock { $0.measuredFromNs = startNs } }

    func measure(to endNs: UInt64) { orders.withLock { $0.measuredToNs = endNs } }

    var phones: FleetReport { fleetReport.withLock { $0 } }

    /// REGISTERs that have reached the toy registrar, to the moment.
    var mainRegisters: UInt64 { registers.load(ordering: .relaxed) }

    var main: RegistrarReport { registrarReport.withLock { $0 } }

    /// Why a thread ended that should not have; `nil` if none has.
    var error: String? { failure.withLock { $0 } }

    // MARK: Threads

    private func start(
        _ name: String, _ body: @escaping @Sendable (DemoSession) throws -> Void
    ) throws(TransportError) {
        let thread = try WorkerThread(name: name) {
            do { try body(self) } catch {
                self.failure.withLock { $0 = $0 ?? "\(name) ended: \(error)" }
            }
        }
        threads.withLock { $0.append(thread) }
    }

    private func runRegistrar(trusted: TransportAddress) throws {
        var toy = try ToyRegistrar(trusted: trusted)
        var poll = try EventPoll()
        try poll.add(registrar.fd, tag: 0)
        var batch = ReceiveBatch()
        var outbox = Outbox(bytesMax: 1 << 18, messagesMax: ReceiveBatch.slotsDefault)
        var sender = SendBatch()
        let sockets = [registrar.fd]
        var reportNs: UInt64 = 0
        while !isStopping.load(ordering: .acquiring) {
            _ = try poll.wait(timeoutMs: Self.waitMsMax)
            let nowMs = Clock.bootMilliseconds()
            while try batch.fill(from: registrar.fd) > 0 {
                for number in 0..<batch.count {
                    toy.receive(
                        batch.bytes(of: number), length: batch.count(of: number),
                        from: batch.source(of: number), nowMs: nowMs, &outbox)
                }
                _ = sender.send(outbox, sockets: sockets.span)
                outbox.clear()
                registers.store(toy.registers, ordering: .relaxed)
            }
            let nowNs = Clock.monotonicNanoseconds()
            guard nowNs >= reportNs else { continue }
            reportNs = nowNs + Self.reportEveryNs
            let report = RegistrarReport(
                challenges: toy.challenges, malformed: toy.malformed,
                users: toy.registered(nowMs: nowMs).users)
            registrarReport.withLock { $0 = report }
        }
    }

    private func runPhones(towards target: TransportAddress) throws {
        var fleet = try PhoneFleet(
            options, target: target, flows: flows.map(\.localAddress),
            startNs: Clock.monotonicNanoseconds())
        var poll = try EventPoll()
        for (number, flow) in flows.enumerated() { try poll.add(flow.fd, tag: UInt32(number)) }
        var batch = ReceiveBatch()
        var outbox = Outbox(bytesMax: 1 << 20, messagesMax: 1_024)
        var sender = SendBatch()
        let sockets = flows.map(\.fd)
        var reportNs: UInt64 = 0
        var dueNs: UInt64 = 0
        while !isStopping.load(ordering: .acquiring) {
            let beforeNs = Clock.monotonicNanoseconds()
            let untilDueMs = dueNs > beforeNs ? (dueNs - beforeNs + 999_999) / 1_000_000 : 0
            let events = try poll.wait(timeoutMs: Int(min(untilDueMs, UInt64(Self.waitMsMax))))
            let orders = orders.withLock { $0 }
            fleet.isPaused = orders.isPaused
            fleet.measuredFromNs = orders.measuredFromNs
            fleet.measuredToNs = orders.measuredToNs
            for event in 0..<events {
                let flow = Int(poll.tag(of: event))
                while try batch.fill(from: sockets[flow]) > 0 {
                    let nowNs = Clock.monotonicNanoseconds()
                    for number in 0..<batch.count {
                        fleet.receive(
                            batch.bytes(of: number), length: batch.count(of: number), flow: flow,
                            nowNs: nowNs, &outbox)
                    }
                }
            }
            let nowNs = Clock.monotonicNanoseconds()
            dueNs = fleet.fire(nowNs: nowNs, &outbox)
            if outbox.count > 0 {
                _ = sender.send(outbox, sockets: sockets.span)
                outbox.clear()
            }
            guard nowNs >= reportNs else { continue }
            reportNs = nowNs + Self.reportEveryNs
            let report = fleet.report
            fleetReport.withLock { $0 = report }
        }
    }
}
