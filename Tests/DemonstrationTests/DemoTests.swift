import Bytes
import Demonstration
import Glibc
import Testing
import Transport

/// What a run said, and its exit code.
struct Outcome {
    var code: Int32
    var lines: [String]
    var plan: DemoPlan?

    func line(_ part: String) -> String? { lines.first { $0.contains(part) } }
}

/// Runs a small demonstration.
func run(
    _ options: DemoOptions, isInterrupted: () -> Bool = { false },
    _ start: (DemoPlan) throws -> any RunningMidreg
) -> Outcome {
    var outcome = Outcome(code: -1, lines: [])
    outcome.code = Demo.run(
        options,
        startMidreg: { plan in
            outcome.plan = plan
            return try start(plan)
        }, isInterrupted: isInterrupted, output: { outcome.lines.append($0) })
    return outcome
}

/// 200 phones, two of which come and go, in three seconds.
var small: DemoOptions {
    var options = DemoOptions()
    options.phones = 200
    options.durationSeconds = 3
    options.refreshMs = 500
    return options
}

@Suite("The demonstration", .serialized)
struct DemoTests {
    @Test func `registers and refreshes all phones through what it was given`() throws {
        let outcome = run(small) { plan in try Forwarder(plan) }
        #expect(outcome.code == 0, "\(outcome.lines)")
        let line = try #require(outcome.line("200 phones refreshing every 0.5 s: "))
        #expect(line.contains(" REGISTER/s in, "))
        #expect(line.contains("/s to the main registrar (0.0 % absorbed), p50 "))
        #expect(line.hasSuffix(" ms"))
        // 200 phones twice a second, and the visitors' challenges; a busy host may stretch it.
        let rate = try #require(Double(line.split(separator: " ")[6]))
        #expect(rate > 300 && rate < 500, "\(line)")
        let visits = try #require(outcome.line("left and came back "))
        #expect(!visits.contains("came back 0 times"))
    }

    @Test func `leaves no file`() throws {
        var options = small
        options.durationSeconds = 1
        let outcome = run(options) { plan in
            try Files.write([1], to: plan.stateFolder + "/a", mode: 0o400)
            try Files.createFolders(plan.stateFolder + "/b/c")
            try Files.write([1], to: plan.stateFolder + "/b/c/d", mode: 0o400)
            return Nothing()
        }
        let folder = try #require(outcome.plan?.stateFolder)
        #expect(try !Files.exists(folder))
        #expect(outcome.code == 1)
    }

    @Test func `names ports that midreg can open`() throws {
        var ports: Set<UInt16> = []
        let outcome = run(small) { plan in
            for address in [plan.listen, plan.own] + plan.mainPorts.map(plan.own.withPort) {
                try UDPSocket.open(bind: address, reusePort: false).close()
                #expect(ports.insert(address.port).inserted)
            }
            #expect(!ports.contains(plan.main.port))
            #expect(plan.counters.port > 0)
            return try Forwarder(plan)
        }
        #expect(outcome.code == 0, "\(outcome.lines)")
    }

    @Test(
        arguments: [
            (.swallow, "only 0 of 200 phones could register"),
            (.swallow, "requests without an answer"),
            (.forbid, "403 to a registration"),
            (.spoilProof, "401 to a registration"),
            (.loseContacts, "200 to a registration without its contact"),
        ] as [(Forwarder.Manner, String)]
    )
    func `says plainly what went wrong`(manner: Forwarder.Manner, words: String) {
        var options = small
        options.durationSeconds = 1
        let outcome = run(options) { plan in try Forwarder(plan, manner) }
        #expect(outcome.code == 1)
        #expect(outcome.line("FAILED: ") != nil)
        #expect(outcome.line(words) != nil, "\(outcome.lines)")
        #expect(outcome.line(" absorbed), p50 ") == nil)
    }

    @Test func `says why midreg did not start`() {
        let outcome = run(small) { _ in throw TransportError.pollFailed(errno: EMFILE) }
        #expect(outcome.code == 1)
        #expect(outcome.lines.count == 1)
        #expect(outcome.line("demo: cannot wait for sockets: ") != nil)
    }

    @Test func `ends when it is interrupted`() {
        let outcome = run(small, isInterrupted: { true }) { plan in try Forwarder(plan) }
        #expect(outcome.code == 1)
        #expect(outcome.line("interrupted") != nil)
    }

    @Test func `writes the figure where it is asked to`() throws {
        let folder = try TemporaryFolder(prefix: "midreg-test")
        var options = small
        options.figurePath = folder.path + "/figure.svg"
        let outcome = run(options) { plan in try Forwarder(plan) }
        #expect(outcome.code == 0, "\(outcome.lines)")
        let svg = String(decoding: try Files.read(folder.path + "/figure.svg"), as: UTF8.self)
        #expect(svg.hasPrefix("<svg "))
        #expect(svg.hasSuffix("</svg>\n"))
        withExtendedLifetime(folder) {}
    }
}

@Suite("The figure of a demonstration")
struct FigureTests {
    private let samples = [
        DemoSample(seconds: 1, registersIn: 660, toMain: 660, absorbed: 0),
        DemoSample(seconds: 2, registersIn: 400, toMain: 4, absorbed: 396),
    ]

    @Test func `has both curves, what they are, and the share between them`() {
        let svg = Demo.figure(samples)
        #expect(svg.contains("from the phones"))
        #expect(svg.contains("to the main registrar"))
        #expect(svg.contains("seconds after the first REGISTER"))
        #expect(svg.contains("absorbed: 99.0 % in the second half, 37.3 % in all"))
        // 660 of 800 is 239.25 of 290 above the axis; the last second lies at the right edge.
        #expect(svg.contains("points=\"400.0,100.8 730.0,195.0\""))
        #expect(svg.contains("points=\"400.0,100.8 730.0,338.6\""))
    }

    @Test(arguments: [0, 1, 40])
    func `is whole for any number of samples`(count: Int) {
        let svg = Demo.figure(
            (0..<count).map {
                DemoSample(seconds: Double($0 + 1), registersIn: 0, toMain: 0, absorbed: 0)
            })
        #expect(svg.hasSuffix("</svg>\n"))
        #expect(!svg.contains("nan"))
        #expect(svg.count < 10_000)
    }
}
