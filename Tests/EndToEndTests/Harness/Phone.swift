import Foundation

/// A phone made of one UDP socket, whose every message a test can shape.
///
/// It retransmits as RFC 3261 §17.1.2.2 says (Timer E from 500 ms, doubling to 4 s) and answers one
/// challenge by MD5 without qop; the password of user `U` is `pw-U`.
final class Phone {
    let user: String
    let socket: DatagramSocket
    let server: Endpoint
    var callID = "\(UUID().uuidString.lowercased())@phone"
    let tag = String(UUID().uuidString.prefix(8))
    var sequence: UInt32 = 0
    var credentials: String?
    /// Requests it has sent, copies included.
    private(set) var sent = 0

    init(_ user: String, at host: String = "127.0.0.1", port: UInt16 = 0, server: Endpoint) throws {
        self.user = user
        self.server = server
        socket = try DatagramSocket(host, port: port)
    }

    var addressOfRecord: String { "sip:\(user)@example.test" }
    var contact: String { "<sip:\(user)@\(socket.endpoint)>" }

    /// A REGISTER with the next CSeq, and credentials if there are some.
    func makeRegister(expires: Int = 60, contact: String? = nil) -> Message {
        sequence += 1
        var request = makeRequest("REGISTER", "sip:example.test", sequence: sequence)
        request.fields += [
            ("Contact", contact ?? self.contact), ("Expires", "\(expires)"),
        ]
        if let credentials { request.fields.append(("Authorization", credentials)) }
        return request
    }

    func makeRequest(_ method: String, _ uri: String, sequence: UInt32) -> Message {
        Message(
            "\(method) \(uri) SIP/2.0",
            [
                ("Via", "SIP/2.0/UDP \(socket.endpoint);branch=z9hG4bK\(UUID().uuidString);rport"),
                ("Max-Forwards", "70"),
                ("From", "<\(addressOfRecord)>;tag=\(tag)"),
                ("To", "<\(addressOfRecord)>"),
                ("Call-ID", callID),
                ("CSeq", "\(sequence) \(method)"),
            ])
    }

    func send(_ message: Message) {
        sent += 1
        socket.send(message.text, to: server)
    }

    /// Sends a request, with copies while nothing comes, and returns the final response to it.
    ///
    /// `nil` if there is none in time.
    func exchange(_ request: Message, within limit: Duration = .seconds(20)) async throws
        -> Message?
    {
        let deadline = ContinuousClock.now + limit
        var wait = Duration.milliseconds(500)
        while ContinuousClock.now < deadline {
            send(request)
            let copyDue = min(deadline, ContinuousClock.now + wait)
            while let answer = try await socket.receiveMessage(
                within: copyDue - ContinuousClock.now)
            {
                if let status = answer.status, status >= 200, answer["CSeq"] == request["CSeq"],
                    answer["Call-ID"] == request["Call-ID"]
                {
                    return answer
                }
            }
            wait = min(wait * 2, .seconds(4))
        }
        return nil
    }

    /// Registers, answering a challenge once; returns the last response.
    @discardableResult
    func register(expires: Int = 60, contact: String? = nil, within limit: Duration = .seconds(20))
        async throws -> Message
    {
        let first = try await exchange(
            makeRegister(expires: expires, contact: contact), within: limit)
        guard let first else { throw HarnessError("\(user): no answer to REGISTER") }
        guard first.status == 401 else { return first }
        try answer(challenge: first)
        let second = try await exchange(
            makeRegister(expires: expires, contact: contact), within: limit)
        guard let second else { throw HarnessError("\(user): no answer to REGISTER with digest") }
        return second
    }

    /// Takes a challenge; later requests carry the answer to it (RFC 2617 §3.2.2, no qop).
    func answer(challenge response: Message, as name: String? = nil) throws {
        guard let challenge = response["WWW-Authenticate"] else {
            throw HarnessError("a 401 without a challenge: \(response.text)")
        }
        func parameter(_ key: String) -> String {
            guard let start = challenge.range(of: "\(key)=\"") else { return "" }
            return String(challenge[start.upperBound...].prefix { $0 != "\"" })
        }
        let name = name ?? user
        let (realm, nonce, uri) = (parameter("realm"), parameter("nonce"), "sip:example.test")
        let secret = md5("\(name):\(realm):pw-\(name)")
        let digest = md5("\(secret):\(nonce):\(md5("REGISTER:\(uri)"))")
        credentials =
            "Digest username=\"\(name)\", realm=\"\(realm)\", nonce=\"\(nonce)\", "
            + "uri=\"\(uri)\", response=\"\(digest)\", algorithm=MD5"
    }

    /// Answers the next call and waits until it is hung up; returns the INVITE.
    func answerCall(within limit: Duration = .seconds(20)) async throws -> Message {
        let deadline = ContinuousClock.now + limit
        var invite: Message?
        var acknowledged = false
        while let request = try await socket.receiveMessage(
            within: deadline - ContinuousClock.now)
        {
            switch request.method {
            case "INVITE" where request.status == nil:
                invite = request
                reply(to: request, 180, "Ringing")
                reply(to: request, 200, "OK")
            case "ACK": acknowledged = true
            case "BYE" where request.status == nil:
                reply(to: request, 200, "OK")
                guard let invite else { throw HarnessError("\(user): a BYE without an INVITE") }
                guard acknowledged else { throw HarnessError("\(user): a BYE before the ACK") }
                return invite
            default: break
            }
        }
        throw HarnessError(
            invite == nil
                ? "\(user): no INVITE came"
                : "\(user): INVITE came, \(acknowledged ? "ACK came, but no BYE" : "but no ACK")")
    }

    private func reply(to request: Message, _ status: Int, _ reason: String) {
        var answer = request.response(status, reason, toTag: tag)
        if request.method == "INVITE" { answer.fields.append(("Contact", contact)) }
        if request.method == "INVITE", status == 200 {
            answer.fields.append(("Content-Type", "application/sdp"))
            answer.body =
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                + "m=audio 9 RTP/AVP 0\r\n"
        }
        guard let source = request.source else { return }
        socket.send(answer.text, to: source)
    }
}
