import Foundation

/// The load generator and the obliging main registrar of `perf/`.
enum Load {
    private static func program(_ name: String) throws -> String {
        let path = "\(Repository.root)/.build-perf/\(name)"
        guard access(path, X_OK) == 0 else {
            throw HarnessError("no \(path): perf/build makes it")
        }
        return path
    }

    /// A main registrar that agrees to every REGISTER whose Call-ID has shown credentials.
    static func mainRegistrar(at endpoint: Endpoint, in folder: Folder) async throws -> Child {
        let child = try Child(
            [program("main-stub"), "--listen", "\(endpoint)", "--challenge"],
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

/// `user@domain` of `sip:user@domain`.
func withoutScheme(_ text: Substring) -> String {
    String(text.hasPrefix("sip:") ? text.dropFirst(4) : text)
}
