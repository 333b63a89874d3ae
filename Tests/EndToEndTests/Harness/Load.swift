import Foundation

/// The load generator and the obliging main registrar of `perf/`.
enum Load {
    fileprivate static func program(_ name: String) throws -> String {
        let path = "\(Repository.root)/.build-perf/\(name)"
        guard access(path, X_OK) == 0 else {
            throw HarnessError("no \(path): perf/build makes it")
        }
        return path
    }

    /// A main registrar that agrees to every REGISTER, if its Call-ID has shown credentials or none
    /// are asked for.
    static func mainRegistrar(
        at endpoint: Endpoint, asksForCredentials: Bool = true, in folder: Folder
    ) async throws -> Child {
        let child = try Child(
            [program("main-stub"), "--listen", "\(endpoint)"]
                + (asksForCredentials ? ["--challenge"] : []),
            log: folder("main-stub.log"))
        try await until("main-stub is ready") { child.log.contains("ready") }
        return child
    }

    /// Many phones, the same ones on the same flows in each run from one folder.
    struct Phones {
        static let sockets: UInt16 = 16
        let server: Endpoint
        let folder: Folder
        private let local: Endpoint

        init(server: Endpoint, in folder: Folder) throws {
            self.server = server
            self.folder = folder
            local = Endpoint("127.0.0.1", try Ports.take(Self.sockets))
        }

        /// - Parameters:
        ///   - verb: `register` (each address of record once) or `refresh` (random ones).
        ///   - count: how many addresses of record there are.
        func start(_ verb: String, count: Int, arguments: [String] = []) throws -> Child {
            let command = [
                try program("phones"), verb, "--server", "\(server)", "--local", "\(local)",
                "--sockets", "\(Self.sockets)", "--aors", "\(count)",
                "--cseq-file", folder("cseq"),
            ]
            return try Child(command + arguments, log: folder("phones-\(verb).log"))
        }

        /// The addresses of record, `user@domain`, whose 200 has arrived.
        var acknowledged: Set<String> {
            Set(folder.read("acknowledged").split(separator: "\n").map(withoutScheme))
        }
        var acknowledgedPath: String { folder("acknowledged") }
        /// How many there are, from the size of the file alone while it grows.
        var acknowledgedCount: Int {
            folder.read("acknowledged").utf8.reduce(0) { $0 + ($1 == 10 ? 1 : 0) }
        }
    }
}

extension Load {
    /// Callers behind the main registrar and the phones they call, which see each call to its end.
    struct Callers {
        static let phoneSockets: UInt16 = 16
        static let callerSockets: UInt16 = 4
        static let users = 100
        /// Where the callers send from.
        let callers: [Endpoint]
        private let phones: Endpoint
        private let folder: Folder

        init(in folder: Folder) throws {
            self.folder = folder
            let first = try Ports.take(Self.callerSockets)
            callers = (0..<Self.callerSockets).map { Endpoint("127.0.0.1", first + $0) }
            phones = Endpoint("127.0.0.1", try Ports.take(Self.phoneSockets))
        }

        /// Binds the phones of each user.
        func register(at server: Endpoint, contacts: Int) async throws -> Outcome {
            try await run("register", at: server, contacts: contacts, [])
        }

        /// Calls the users of midreg's mode `aor`, one after the other.
        func call(
            at server: Endpoint, shape: String, contacts: Int, count: Int, rate: Int
        ) async throws -> Outcome {
            let targets = (0..<Self.users).map { number in
                let digits = String(number)
                let user = "u" + String(repeating: "0", count: 10 - digits.count) + digits
                return "sip:\(user)%40example.test@\(server)\n"
            }
            let path = try folder.write("targets", targets.joined())
            return try await run(
                "call", at: server, contacts: contacts,
                ["--shape", shape, "--count", "\(count)", "--rate", "\(rate)", "--targets", path])
        }

        private func run(
            _ verb: String, at server: Endpoint, contacts: Int, _ more: [String]
        ) async throws -> Outcome {
            let log = folder("callers-\(verb).log")
            let child = try Child(
                [
                    try program("callers"), verb, "--server", "\(server)",
                    "--callers", "\(callers[0])", "--caller-sockets", "\(Self.callerSockets)",
                    "--phones", "\(phones)", "--phone-sockets", "\(Self.phoneSockets)",
                    "--aors", "\(Self.users)", "--contacts", "\(contacts)",
                ] + more, log: log)
            return Outcome(ending: try await child.end(within: .seconds(90)), output: child.log)
        }
    }
}

/// `user@domain` of `sip:user@domain`.
func withoutScheme(_ text: Substring) -> String {
    String(text.hasPrefix("sip:") ? text.dropFirst(4) : text)
}
