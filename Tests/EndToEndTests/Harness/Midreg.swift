import Foundation

/// The binary under test, with its own state folder and ports; stopped and started as a test wants.
final class Midreg {
    /// `MIDREG_BINARY`, else what the last build left.
    static func binary() throws -> String {
        let named = ProcessInfo.processInfo.environment["MIDREG_BINARY"]
        if let named {
            guard access(named, X_OK) == 0 else {
                throw HarnessError("MIDREG_BINARY names \(named), which cannot be run")
            }
            return named
        }
        let places = ["release", "debug"].map { "\(Repository.root)/.build/\($0)/midreg" }
        guard let found = places.first(where: { access($0, X_OK) == 0 }) else {
            throw HarnessError(
                "no midreg to test: run `swift build -c release --product midreg`, or name a binary "
                    + "in MIDREG_BINARY")
        }
        return found
    }

    let listeners: [Endpoint]
    let counters: Endpoint
    let own: Endpoint
    let statePath: String
    private let main: Endpoint
    private let mainPorts: UInt16
    private let prefix: [String]
    private let configuration: String?
    private let arguments: [String]
    private let folder: Folder
    private var child: Child?
    private var starts = 0

    /// Configuration for a main registrar that a test plays and that gets nothing unasked.
    static let unprobed = "[main]\nprobe = \"0s\"\n"

    /// Where phones reach it.
    var endpoint: Endpoint { listeners[0] }
    static let mainPortCount: UInt16 = 4

    /// - Parameters:
    ///   - main: the main registrar.
    ///   - configuration: TOML for what no flag says.
    ///   - arguments: more flags of `midreg run`.
    ///   - prefix: puts it into a network namespace.
    init(
        main: Endpoint, hosts: [String] = ["127.0.0.1"], own: Endpoint? = nil,
        configuration: String? = nil, arguments: [String] = [], prefix: [String] = [],
        in folder: Folder
    ) throws {
        listeners = try hosts.map { Endpoint($0, try Ports.take()) }
        counters = Endpoint("127.0.0.1", try Ports.take())
        self.own = try own ?? Endpoint(main.isIPv6 ? "::1" : hosts[0], Ports.take())
        mainPorts = try Ports.take(Self.mainPortCount)
        self.main = main
        self.prefix = prefix
        self.configuration = configuration
        self.arguments = arguments
        self.folder = folder
        statePath = folder("state")
        try folder.makeFolder("state")
    }

    /// Starts it and waits until it says that it serves.
    func start(workers: Int? = nil) async throws {
        starts += 1
        var command = prefix + [try Self.binary(), "run"]
        if let configuration {
            command += ["--config", try folder.write("midreg.toml", configuration)]
        }
        for listener in listeners { command += ["--listen", "udp:\(listener)"] }
        command += [
            "--main", "sip:\(main)", "--state", statePath, "--counters", "\(counters)",
            "--own", "udp:\(own)", "--main-ports",
            "\(mainPorts)-\(mainPorts + Self.mainPortCount - 1)",
        ]
        command += arguments
        if let workers { command += ["--workers", "\(workers)"] }
        let child = try Child(command, log: folder("midreg-\(endpoint.port)-\(starts).log"))
        self.child = child
        do {
            try await until("midreg says event=started") {
                if child.hasEnded {
                    throw HarnessError("midreg ended with \(child.ending.map(\.description) ?? "")")
                }
                return child.log.contains("event=started")
            }
        } catch { throw HarnessError("\(error); its log:\n\(child.log.suffix(3_000))") }
    }

    var isRunning: Bool { child.map { !$0.hasEnded } ?? false }
    /// What it has logged since it was last started.
    var log: String { child?.log ?? "" }

    /// Asks it to stop; returns how it ended and how long that took.
    @discardableResult
    func stop() async throws -> (ending: Ending?, took: Duration) {
        let begin = ContinuousClock.now
        let ending = await child?.stop()
        return (ending, ContinuousClock.now - begin)
    }

    /// kill -9.
    func crash() async throws {
        child?.signal(SIGKILL)
        _ = try await child?.end()
    }

    /// The counters as an operator's collector reads them.
    func metrics() async throws -> Metrics {
        // bash's own sockets, since this must also work inside a network namespace.
        let script = """
            exec 3<>/dev/tcp/\(counters.host)/\(counters.port)
            printf 'GET /metrics HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3
            cat <&3
            """
        let outcome = try await run(prefix + ["bash", "-c", script], within: .seconds(10))
        guard outcome.succeeded, outcome.output.contains(" 200 ") else {
            throw HarnessError("no counters at \(counters): \(outcome.output)")
        }
        return Metrics(outcome.output)
    }

    /// What `midreg diagnose` prints.
    func diagnosis(_ flags: [String] = []) async throws -> String {
        let outcome = try await run(
            [try Self.binary(), "diagnose", "--counters", "\(counters)"] + flags,
            within: .seconds(20))
        guard outcome.succeeded else {
            throw HarnessError("midreg diagnose: \(outcome.ending): \(outcome.output)")
        }
        return outcome.output
    }

    /// The bindings as `midreg contacts` lists them from the store, one a line.
    func contacts(of user: String? = nil) async throws -> [String] {
        let filter = user.map { ["sip:\($0)@example.test"] } ?? []
        let outcome = try await run(
            [try Self.binary(), "contacts"] + filter + ["--state", statePath], within: .seconds(60))
        guard outcome.succeeded else {
            throw HarnessError("midreg contacts: \(outcome.ending): \(outcome.output)")
        }
        return outcome.output.split(separator: "\n").map(String.init)
            .filter { $0.contains("sip:") }.sorted()
    }
}
