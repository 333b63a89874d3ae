internal import Bytes
internal import Transport

/// What `midreg demo` shows: a toy main registrar, midreg before it, and phones before midreg, all
/// over real loopback sockets, and then one line of what was measured.
package enum Demo {
    /// Runs it from start to end.
    ///
    /// - Parameters:
    ///   - startMidreg: starts midreg as the plan says; it has to be ready when this returns.
    ///   - isInterrupted: asked ten times a second; the demonstration ends early if it says so.
    ///   - output: takes one line at a time.
    /// - Returns: the exit code: 0, or 1 if anything went wrong, which a line says.
    package static func run(
        _ options: DemoOptions = DemoOptions(),
        startMidreg: (DemoPlan) throws -> any RunningMidreg,
        isInterrupted: () -> Bool = { false }, output: (String) -> Void
    ) -> Int32 {
        guard options.phones > 0, options.durationSeconds > 0, options.refreshMs > 0 else {
            output("demo: there must be phones, a duration and a refresh interval above 0")
            return 1
        }
        do {
            let folder = try TemporaryFolder(prefix: "midreg-demo")
            // Until midreg has stopped, which a later `defer` does and so an earlier moment.
            defer { withExtendedLifetime(folder) {} }
            let session = try DemoSession(options)
            defer { session.stop() }
            let plan = try plan(stateFolder: folder.path, main: session.registrar.localAddress)
            try session.startRegistrar(trusted: plan.own)
            let midreg = try startMidreg(plan)
            defer { midreg.stop() }
            try session.startPhones(towards: plan.listen)
            var course = Course(options, session, midreg, plan)
            return try course.run(isInterrupted, output)
        } catch {
            output("demo: \(error)")
            return 1
        }
    }

    /// Ports that are free now, given back so that midreg can open them.
    private static func plan(
        stateFolder: String, main: TransportAddress
    ) throws(TransportError) -> DemoPlan {
        let loopback = TransportAddress(ipv4: 0x7F00_0001, port: 0)
        let ports = try FreePorts.Reservation(
            on: loopback, singles: 2, rowCount: min(64, Host.processors))
        defer { ports.release() }
        return DemoPlan(
            listen: ports.single[0], main: main, mainPorts: ports.row, own: ports.single[1],
            counters: try FreePorts.tcpOnLoopback(), stateFolder: stateFolder,
            phoneExpirySeconds: DemoOptions.phoneExpirySeconds,
            mainExpirySeconds: DemoOptions.mainExpirySeconds)
    }
}

/// One demonstration from the first REGISTER to the last line.
private struct Course {
    private let options: DemoOptions
    private let session: DemoSession
    private let midreg: any RunningMidreg
    private let plan: DemoPlan
    private let startNs = Clock.monotonicNanoseconds()
    private var samples: [DemoSample] = []
    private var measuredFrom: Reading?

    /// All counters at one time.
    private struct Reading {
        let atNs: UInt64
        let midreg: DemoCounters
        /// REGISTERs that the toy registrar saw, and those that the phones sent.
        let main: UInt64
        let sent: UInt64
        let returns: Int
    }

    /// Answers that take longer than this, in milliseconds, are missing.
    private static let settleMs: UInt64 = 3_000

    init(
        _ options: DemoOptions, _ session: DemoSession, _ midreg: any RunningMidreg,
        _ plan: DemoPlan
    ) {
        self.options = options
        self.session = session
        self.midreg = midreg
        self.plan = plan
    }

    mutating func run(_ isInterrupted: () -> Bool, _ output: (String) -> Void) throws -> Int32 {
        output(
            "\(phones) phones → midreg at udp:\(plan.listen.text)"
                + " → main registrar at udp:\(plan.main.text); counters meanwhile:"
                + " curl http://\(plan.counters.text)/metrics")
        guard try observe(isInterrupted, output) else {
            output("interrupted: nothing was measured")
            return 1
        }
        let end = read()
        session.measure(to: end.atNs)
        session.pause(true)
        try settle()
        let problems = problems()
        for problem in problems { output("FAILED: " + problem) }
        if let start = measuredFrom {
            for line in result(from: start, to: end) { output(line) }
        }
        if let path = options.figurePath {
            try Files.write(Array(Demo.figure(samples).utf8), to: path, mode: 0o644)
            output("figure: \(path)")
        }
        if problems.isEmpty, options.keepSeconds > 0 { try keep(isInterrupted, output) }
        return problems.isEmpty ? 0 : 1
    }

    private var phones: String { Numbers.grouped(UInt64(options.phones)) }

    private func read() -> Reading {
        let fleet = session.phones
        return Reading(
            atNs: Clock.monotonicNanoseconds(), midreg: midreg.counters(),
            main: session.mainRegisters, sent: fleet.sent, returns: fleet.returns)
    }

    /// Watches until the time is over, with a line every two seconds; `false` if interrupted.
    private mutating func observe(
        _ isInterrupted: () -> Bool, _ output: (String) -> Void
    ) throws -> Bool {
        var poll = try EventPoll()
        let endNs = startNs + UInt64(options.durationSeconds) * 1_000_000_000
        let steadyNs = startNs + options.rampMs * 1_000_000
        var last = read()
        var printed = last
        while Clock.monotonicNanoseconds() < endNs, session.error == nil {
            _ = try poll.wait(timeoutMs: 100)
            if isInterrupted() { return false }
            let now = read()
            if measuredFrom == nil, now.atNs >= steadyNs,
                session.phones.everRegistered == options.phones
            {
                session.measure(from: now.atNs)
                measuredFrom = now
            }
            if now.atNs - last.atNs >= 1_000_000_000 {
                samples.append(sample(from: last, to: now))
                last = now
            }
            if now.atNs - printed.atNs >= 2_000_000_000 {
                output(progress(sample(from: printed, to: now), now))
                printed = now
            }
        }
        return true
    }

    private func sample(from: Reading, to: Reading) -> DemoSample {
        let seconds = Double(to.atNs - from.atNs) / 1e9
        return DemoSample(
            seconds: Double(to.atNs - startNs) / 1e9,
            registersIn: Double(to.midreg.registersIn - from.midreg.registersIn) / seconds,
            toMain: Double(to.main - from.main) / seconds,
            absorbed: Double(to.midreg.absorbed - from.midreg.absorbed) / seconds)
    }

    private func progress(_ sample: DemoSample, _ now: Reading) -> String {
        let seconds = Numbers.decimal(sample.seconds, 0)
        let pad = String(repeating: " ", count: max(0, 3 - seconds.count))
        return "\(pad)\(seconds) s: \(Numbers.decimal(sample.registersIn, 0)) REGISTER/s in,"
            + " \(Numbers.decimal(sample.toMain, 0))/s to the main registrar,"
            + " \(Numbers.percent(now.midreg.absorbed, of: now.midreg.registersIn))"
            + " absorbed so far"
    }

    /// Lets what is under way end.
    private func settle() throws {
        var poll = try EventPoll()
        let endNs = Clock.monotonicNanoseconds() + Self.settleMs * 1_000_000
        // Twice the time after which reports are renewed, so that they tell of the pause.
        repeat {
            _ = try poll.wait(timeoutMs: 120)
        } while session.phones.waiting > 0
            && Clock.monotonicNanoseconds() < endNs
        _ = try poll.wait(timeoutMs: 120)
    }

    /// Everything that contradicts a working midreg, in words.
    private func problems() -> [String] {
        let fleet = session.phones
        let main = session.main
        var found: [String] = []
        if let error = session.error { found.append(error) }
        if fleet.everRegistered < options.phones {
            found.append(
                "only \(Numbers.grouped(UInt64(fleet.everRegistered))) of \(phones) phones"
                    + " could register")
        }
        for (what, count) in fleet.complaints.sorted(by: { $0.key < $1.key }) {
            found.append("\(Numbers.grouped(UInt64(count))) times \(what)")
        }
        let silent = fleet.unanswered + fleet.waiting
        if silent > 0 {
            found.append("\(Numbers.grouped(UInt64(silent))) requests without an answer")
        }
        if main.users != fleet.registered {
            found.append(
                "the main registrar has \(main.users) of the \(fleet.registered) registered phones")
        }
        if main.malformed > 0 {
            found.append("the main registrar could not read \(main.malformed) messages")
        }
        if measuredFrom == nil, found.isEmpty {
            found.append("registering took the whole time; nothing was measured")
        }
        return found
    }

    /// The measured line, and what it is about.
    private func result(from start: Reading, to end: Reading) -> [String] {
        let seconds = Double(end.atNs - start.atNs) / 1e9
        let registersIn = end.midreg.registersIn - start.midreg.registersIn
        let absorbed = end.midreg.absorbed - start.midreg.absorbed
        let fleet = session.phones
        let every = Double(options.refreshMs) / 1_000
        let everyText = Numbers.decimal(every, options.refreshMs % 1_000 == 0 ? 0 : 1)
        let inRate = Numbers.decimal(Double(registersIn) / seconds, 1)
        let mainRate = Numbers.decimal(Double(end.main - start.main) / seconds, 1)
        let visits = end.returns - start.returns
        let all = end.midreg
        var lines = [
            "\(phones) phones refreshing every \(everyText) s: \(inRate) REGISTER/s in,"
                + " \(mainRate)/s to the main registrar"
                + " (\(Numbers.percent(absorbed, of: registersIn)) absorbed),"
                + " p50 \(Numbers.milliseconds(fleet.latencies.quantile(0.5))),"
                + " p99 \(Numbers.milliseconds(fleet.latencies.quantile(0.99)))",
            "Measured over the last \(Numbers.decimal(seconds, 1)) s, when all phones had"
                + " registered. Meanwhile phones left and came back \(visits) times; each time is"
                + " a removal, a registration and, after its 401, the registration again.",
            "From the first REGISTER on: \(Numbers.grouped(all.registersIn)) in,"
                + " \(Numbers.grouped(all.absorbed)) absorbed"
                + " (\(Numbers.percent(all.absorbed, of: all.registersIn))),"
                + " \(Numbers.grouped(all.relayed)) relayed,"
                + " \(Numbers.grouped(all.rejected)) rejected; the main registrar counted"
                + " \(Numbers.grouped(end.main)).",
        ]
        if fleet.copies > 0 {
            lines.append("The phones sent \(Numbers.grouped(fleet.copies)) copies after T1.")
        }
        if options.keepSeconds == 0 {
            lines.append(
                "The counters were at http://\(plan.counters.text)/metrics; with --keep SECONDS"
                    + " they stay there for as long.")
        }
        return lines
    }

    /// Goes on without measuring, for somebody to look at the counters.
    private func keep(_ isInterrupted: () -> Bool, _ output: (String) -> Void) throws {
        output(
            "Going on for \(options.keepSeconds) s: curl http://\(plan.counters.text)/metrics")
        session.pause(false)
        var poll = try EventPoll()
        let endNs = Clock.monotonicNanoseconds() + UInt64(options.keepSeconds) * 1_000_000_000
        while Clock.monotonicNanoseconds() < endNs, !isInterrupted() {
            _ = try poll.wait(timeoutMs: 100)
        }
    }
}
