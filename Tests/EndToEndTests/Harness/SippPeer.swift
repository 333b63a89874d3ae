import Foundation

/// A sipp that plays one script, once, from one port, and keeps every message.
final class SippPeer {
    let endpoint: Endpoint
    let callID: String
    private let script: SippScript
    private let child: Child
    private let folder: Folder
    private let file: String

    /// Nothing that a script waits for takes longer, on a machine however slow.
    private static let limit = Duration.seconds(60)

    /// - Parameters:
    ///   - server: where it sends what is not an answer.
    ///   - user: whom a caller calls.
    init(
        _ script: SippScript, at endpoint: Endpoint, server: Endpoint, user: String? = nil,
        callID: String, in folder: Folder
    ) throws {
        self.script = script
        self.endpoint = endpoint
        self.callID = callID
        self.folder = folder
        file = "sipp-\(endpoint.port)"
        let path = try folder.write("\(file).xml", script.xml)
        child = try Child(
            [
                "sipp", "\(server)", "-sf", path, "-i", endpoint.host, "-p", "\(endpoint.port)",
                "-mi", endpoint.host, "-mp", "\(try Ports.take(4))", "-m", "1", "-nostdin",
                "-timeout", "\(Self.limit.components.seconds)s", "-timeout_error",
                // What is not awaited, a copy or a late 180, does not end the call.
                "-default_behaviors", "all,-abortunexp",
                "-trace_msg", "-message_file", folder("\(file).messages"),
                "-trace_err", "-error_file", folder("\(file).errors"),
                "-trace_logs", "-log_file", folder("\(file).notes"),
            ] + (user.map { ["-s", $0, "-cid_str", callID] } ?? []),
            log: folder("\(file).log"))
    }

    /// Waits until it can be called.
    func listen() async throws {
        try await until("sipp has its port") {
            guard !child.hasEnded else { throw failure("has ended") }
            return Self.isBound(endpoint.port)
        }
    }

    /// Looks without touching: trying to bind the port could take it from sipp.
    private static func isBound(_ port: UInt16) -> Bool {
        // Of a file that claims to be empty FileManager reads no more than a page.
        let file = FileHandle(forReadingAtPath: "/proc/net/udp")
        let table = (try? file?.readToEnd()) ?? Data()
        let digits = String(port, radix: 16, uppercase: true)
        let padded = String(repeating: "0", count: 4 - digits.count) + digits
        return String(latin: table).contains(":\(padded) 00000000:0000")
    }

    /// Waits until the script is at its end; throws if it did not go by the book.
    func end() async throws {
        let ending: Ending
        do { ending = try await child.end(within: Self.limit + .seconds(5)) } catch {
            throw failure("did not end")
        }
        guard ending == .exit(0) else { throw failure("ended with \(ending)") }
    }

    /// Tells a script that waits for it to go on; returns when it has heard.
    ///
    /// sipp answers to where its calls go, so what it notes is read instead.
    func cue() async throws {
        let teller = try Phone("test", server: endpoint)
        teller.callID = callID
        var request = teller.makeRequest("INFO", "sip:\(endpoint)", sequence: 1)
        request.set("To", "<sip:\(endpoint)>;tag=cue")
        _ = try await eventually(every: .milliseconds(100), "\(script.name) has heard") {
            if folder.read("\(file).notes").contains(SippScript.cueHeard) { return true }
            teller.send(request)
            return nil
        }
    }

    private func failure(_ what: String) -> HarnessError {
        HarnessError(
            "sipp (\(script.name)) \(what)\n\(folder.read("\(file).errors"))"
                + folder.read("\(file).messages").suffix(8_000))
    }

    // MARK: What it saw

    private enum Direction: String { case received, sent }

    /// Everything that has come, in order, copies too.
    var received: [RawMessage] { messages(.received) }
    /// Everything it has sent.
    var sent: [RawMessage] { messages(.sent) }

    func received(_ method: String) -> [RawMessage] { received.filter { $0.method == method } }
    func heard(_ status: Int, to method: String) -> Bool {
        received.contains {
            $0.status == status && $0.first("cseq")?.value.hasSuffix(" \(method)") == true
        }
    }

    /// sipp writes a line of dashes with the time, one that says how many bytes went which way, an
    /// empty one, and the message.
    private func messages(_ wanted: Direction) -> [RawMessage] {
        let log = FileManager.default.contents(atPath: folder("\(file).messages")) ?? Data()
        let text = String(latin: log)
        return text.components(separatedBy: "-----------------------------------------------")
            .compactMap { part in
                guard let start = part.range(of: ":\n\n") ?? part.range(of: " :\n\n"),
                    part[..<start.lowerBound].contains("message \(wanted.rawValue) ")
                else { return nil }
                let digits = part[..<start.lowerBound].split { !$0.isNumber }.last ?? ""
                guard let count = Int(digits) else { return nil }
                let bytes = String(part[start.upperBound...]).latinBytes
                return bytes.count < count ? nil : RawMessage(Array(bytes.prefix(count)))
            }
    }
}

extension Stage {
    /// Registers a sipp as `user`; its port is free again, for one that waits for calls by that flow.
    func registeredBySipp(_ user: String) async throws -> Endpoint {
        let endpoint = Endpoint("127.0.0.1", try Ports.take())
        let users = try folder.write(
            "sipp-\(endpoint.port).csv",
            "SEQUENTIAL\n\(user);[authentication username=\(user) password=pw-\(user)]\n")
        let outcome = try await run(
            [
                "sipp", "\(midreg.endpoint)", "-sf", Peers.path("register.xml"), "-inf", users,
                "-i", endpoint.host, "-p", "\(endpoint.port)", "-mp", "\(try Ports.take(4))",
                "-m", "1", "-nostdin", "-timeout", "60s", "-timeout_error",
            ], within: .seconds(65))
        guard outcome.succeeded else {
            throw HarnessError("sipp cannot register: \(outcome.output.suffix(2_000))")
        }
        return endpoint
    }

    /// A registered sipp that waits for a call.
    func sippPhone(_ user: String, _ script: SippScript, callID: String) async throws -> SippPeer {
        let phone = try await sippPhone(
            at: registeredBySipp(user), script, callID: callID)
        try await phone.listen()
        return phone
    }

    /// The same for one that is registered already.
    func sippPhone(at endpoint: Endpoint, _ script: SippScript, callID: String) throws -> SippPeer {
        try SippPeer(script, at: endpoint, server: midreg.endpoint, callID: callID, in: folder)
    }

    /// A caller at the main registrar.
    func sippCaller(of user: String, _ script: SippScript, callID: String) throws -> SippPeer {
        try SippPeer(
            script, at: Endpoint("127.0.0.1", Ports.take()), server: main.endpoint, user: user,
            callID: callID, in: folder)
    }
}
