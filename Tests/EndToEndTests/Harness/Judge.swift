import Foundation

/// A Kamailio that says of a message whether it is valid, and does nothing with it.
final class Judge {
    private let endpoint: Endpoint
    private let child: Child
    private let socket: DatagramSocket

    init(in folder: Folder) async throws {
        endpoint = Endpoint("127.0.0.1", try Ports.take())
        socket = try DatagramSocket("127.0.0.1")
        try folder.makeFolder("judge")
        let home = folder("judge")
        child = try Child(
            [
                "kamailio", "-x", "fm", "-DD", "-E", "-m", "16", "-M", "4",
                "-f", Peers.path("judge.cfg"), "-Y", home, "-w", home, "-l", "udp:\(endpoint)",
            ], log: folder("judge.log"))
        let ready = Phone.options(from: socket.endpoint)
        try await until("the judge answers") {
            if child.hasEnded { throw HarnessError("it ended: \(child.log.suffix(2_000))") }
            return try await verdict(of: Array(ready.utf8), within: .milliseconds(200)) != nil
        }
    }

    /// `200 Valid`, or why not; `nil` is silence, with which Kamailio meets what it cannot read.
    ///
    /// It judges requests only, and would not answer an ACK or find the transaction of a CANCEL: a
    /// response is shown to it as the request that its CSeq names, an ACK or a CANCEL as OPTIONS.
    func verdict(of message: [UInt8], within limit: Duration = .seconds(3)) async throws
        -> String?
    {
        while socket.take() != nil {}
        socket.send(Self.asRequest(message), to: endpoint)
        guard let answer = try await socket.receive(within: limit) else { return nil }
        let text = String(latin: answer.bytes)
        return String(text.prefix { $0 != "\r\n" }.dropFirst("SIP/2.0 ".count))
    }

    static func asRequest(_ message: [UInt8]) -> [UInt8] {
        var text = String(latin: message)
        let raw = RawMessage(message)
        guard let cseq = raw.first("cseq") else { return message }
        let method = cseq.value.split(separator: " ").last.map(String.init) ?? ""
        let unanswered = ["ACK", "CANCEL"].contains(method)
        let shown = unanswered ? "OPTIONS" : method
        let line = String(latin: cseq.line)
        let start = String(latin: raw.startLine)
        if raw.status != nil {
            text = "\(shown) sip:example.test SIP/2.0\r\n" + text.dropFirst(start.count)
        } else if unanswered {
            text = shown + text.dropFirst(method.count)
        }
        return text.replacing(line, with: line.replacing(method, with: shown)).latinBytes
    }

    func stop() async { await child.stop() }
}

extension Phone {
    fileprivate static func options(from endpoint: Endpoint) -> String {
        Message(
            "OPTIONS sip:example.test SIP/2.0",
            [
                ("Via", "SIP/2.0/UDP \(endpoint);branch=z9hG4bKjudge"), ("Max-Forwards", "70"),
                ("From", "<sip:a@example.test>;tag=1"), ("To", "<sip:b@example.test>"),
                ("Call-ID", "judge"), ("CSeq", "1 OPTIONS"),
            ]
        ).text
    }
}
