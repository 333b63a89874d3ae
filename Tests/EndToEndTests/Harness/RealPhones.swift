import Foundation

/// linphone on loopback: registers as alice by itself, takes commands from a fifo, and answers calls.
final class Linphone {
    private let folder: Folder
    private let child: Child
    private static let home = "linphone"

    /// - Parameter answers: whether it answers calls by itself; else it rings until it is told to.
    init(registrar: Endpoint, answers: Bool = true, in folder: Folder) throws {
        self.folder = folder
        for name in ["home/.local/share/linphone", "home/.config/linphone"] {
            try folder.makeFolder("\(Self.home)/\(name)")
        }
        let configuration = try Peers.filled(
            "linphonerc.in",
            [
                "PORT": "\(try Ports.take())", "MEDIA": "\(try Ports.take(2))",
                "REGISTRAR": "\(registrar)",
            ])
        try folder.write("\(Self.home)/linphonerc", configuration)
        let home = folder(Self.home)
        guard mkfifo("\(home)/in", 0o600) == 0 else { throw HarnessError("no fifo \(home)/in") }
        child = try Child(
            ["linphonec"] + (answers ? ["-a"] : []) + [
                "-d", "6", "-l", "\(home)/linphone.log", "-c", "\(home)/linphonerc",
            ],
            log: "\(home)/out", input: "\(home)/in",
            environment: ["HOME": "\(home)/home", "XDG_DATA_HOME": nil, "XDG_CONFIG_HOME": nil])
    }

    /// Every SIP message it saw, among other things.
    var log: String { folder.read("\(Self.home)/linphone.log") }

    /// How many of its REGISTERs were answered 200.
    var registrations: Int { log.components(separatedBy: "Register refresher [200]").count - 1 }

    func command(_ line: String) throws {
        guard let pipe = FileHandle(forUpdatingAtPath: folder("\(Self.home)/in")) else {
            throw HarnessError("no fifo to linphone")
        }
        try pipe.write(contentsOf: Data("\(line)\n".utf8))
        try pipe.close()
    }

    /// Removes its binding and ends.
    func quit() async throws -> Ending {
        try command("quit")
        return try await child.end(within: .seconds(15))
    }
}

/// A network namespace with a veth pair inside: 192.0.2.1 for the servers, 192.0.2.2 for a phone that
/// refuses loopback. No route leads out of it.
final class NetworkNamespace {
    static let server = "192.0.2.1"
    static let phone = "192.0.2.2"
    let name = "midreg-\(getpid())-\(UUID().uuidString.prefix(4))"
    var prefix: [String] { ["ip", "netns", "exec", name] }

    /// Whether this machine lets us make one.
    static func isAvailable() async -> Bool {
        guard geteuid() == 0, findProgram("ip") != nil else { return false }
        let name = "midreg-try-\(getpid())"
        guard let made = try? await run(["ip", "netns", "add", name]), made.succeeded else {
            return false
        }
        let pair = try? await run(
            ["ip", "-n", name, "link", "add", "p0", "type", "veth", "peer", "name", "p1"])
        _ = try? await run(["ip", "netns", "del", name])
        return pair?.succeeded ?? false
    }

    init() async throws {
        let commands = [
            "netns add \(name)", "-n \(name) link set lo up",
            "-n \(name) link add p0 type veth peer name p1",
            "-n \(name) addr add \(Self.server)/24 dev p0",
            "-n \(name) addr add \(Self.phone)/24 dev p1",
            "-n \(name) link set p0 up", "-n \(name) link set p1 up",
        ]
        for command in commands {
            let outcome = try await run(["ip"] + command.split(separator: " ").map(String.init))
            guard outcome.succeeded else { throw HarnessError("ip \(command): \(outcome.output)") }
        }
    }

    /// Takes it away, also when a test fails; what still runs in it keeps it alive unseen.
    deinit {
        let removal = try? Child(["ip", "netns", "del", name], log: "/dev/null")
        for _ in 0..<200 where !(removal?.hasEnded ?? true) { usleep(10_000) }
    }
}

/// baresip in a namespace: registers as carol by itself and answers calls.
final class Baresip {
    private let child: Child

    /// - Parameter outbound: whether it registers by flow, with `reg-id` (RFC 5626).
    init(
        registrar: Endpoint, outbound: Bool = false, prefix: [String], in folder: Folder
    ) throws {
        try folder.makeFolder("baresip")
        try folder.write("baresip/config", Peers.filled("baresip.config", [:]))
        try folder.write(
            "baresip/accounts",
            Peers.filled(
                "baresip.accounts.in",
                ["REGISTRAR": "\(registrar)", "MORE": outbound ? "sipnat=outbound;" : ""]))
        child = try Child(
            prefix + ["baresip", "-4", "-s", "-f", folder("baresip")],
            log: folder("baresip/out"))
    }

    /// Every SIP message it saw.
    var log: String { child.log }

    /// Removes its binding, if the registrar still answers, and ends.
    func quit() async -> Ending? { await child.stop(within: .seconds(15)) }
}
