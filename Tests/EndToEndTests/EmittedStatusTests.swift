import Bytes
import Foundation
import SIPMessage
import Testing

// What a refusal says when something is gone, broken, overtaken or too much; and requests that the
// element can write but does not send yet, as they are written.
extension EndToEnd.Emitted {
    /// Stands for #4315.
    @Test func `430, to a call by a flow that is gone`() async throws {
        let folder = try Folder()
        let main = try StubRegistrar()
        let before = try Midreg(
            main: main.socket.endpoint, hosts: ["127.0.0.1", "::1"], in: folder)
        try await before.start()
        let phone = try Phone("grace", at: "::1", server: before.listeners[1])
        phone.send(phone.makeRegister())
        try await until("the phone is registered") {
            main.serve()
            return phone.socket.take() != nil
        }
        let contact = try #require(main.requests.last?.first("contact")?.value).uri
        let invite = mainRequest("INVITE", contact, by: main)
        main.socket.send(invite, to: before.endpoint)
        let arrived = try #require(try await phone.socket.receive(within: .seconds(5)))
        let route = try #require(RawMessage(arrived.bytes).all("record-route").first?.value)
        phone.send(phone.makeRegister(expires: 0))
        try await until("the phone is gone") {
            main.serve()
            return phone.socket.take() != nil
        }
        try await before.stop()

        // The same keys, but no listener for IPv6 any more.
        let scene = try await Scene(after: main, in: folder)
        let bye = mainRequest(
            "BYE", "sip:grace@\(phone.socket.endpoint)", by: main, fields: ["Route: \(route)"])
        main.socket.send(bye, to: scene.midreg.endpoint)
        try await until("the refusal is there") {
            main.serve()
            return scene.lastAtMain?.status == 430
        }
        #expect(try await scene.judgeAll() == 4)
    }

    @Test func `480, to a call by a contact that is gone`() async throws {
        let scene = try await Scene()
        let phone = try Phone("heidi", server: scene.midreg.endpoint)
        #expect(try await scene.exchange(phone, phone.makeRegister().text) == 200)
        let contact = try #require(scene.lastAtMain?.first("contact")?.value).uri
        #expect(try await scene.exchange(phone, phone.makeRegister(expires: 0).text) == 200)
        scene.main.socket.send(
            mainRequest("INVITE", contact, by: scene.main), to: scene.midreg.endpoint)
        try await until("the refusal is there") {
            scene.main.serve()
            return scene.lastAtMain?.status == 480
        }
        #expect(try await scene.judgeAll() == 5)
    }

    @Test func `500 to what was overtaken, 414 and 513 to what is too long`() async throws {
        let scene = try await Scene()
        let phone = try Phone("ivan", server: scene.midreg.endpoint)
        phone.sequence = 10
        #expect(try await scene.exchange(phone, phone.makeRegister().text) == 200)
        phone.sequence = 5
        #expect(try await scene.exchange(phone, phone.makeRegister().text) == 500)

        let uri = "sip:" + String(repeating: "u", count: 1_100) + "@example.test"
        let long = phone.makeRequest("OPTIONS", uri, sequence: 30)
        #expect(try await scene.exchange(phone, long.text) == 414)

        var large = phone.makeRequest("MESSAGE", "sip:x@example.test", sequence: 31)
        let room = 65_507 - large.text.utf8.count - 10
        large.body = String(repeating: "x", count: room)
        #expect(try await scene.exchange(phone, large.text) == 513)
        let metrics = try await scene.midreg.metrics()
        for cause in ["uri_too_long", "too_large"] {
            #expect(metrics.rejected(cause) == 1, "\(cause)")
        }
        #expect(try await scene.judgeAll() == 5)
    }

    @Test func `503, to more registrations than may be under way`() async throws {
        let scene = try await Scene()
        let phone = try Phone("judy", server: scene.midreg.endpoint)
        // The main registrar answers none of them.
        for number in 0..<9 {
            phone.callID = "under-way-\(number)"
            phone.send(phone.makeRegister(contact: "<sip:judy@192.0.2.\(number + 1)>"))
        }
        let answer = try #require(try await phone.socket.receive(within: .seconds(5)))
        #expect(RawMessage(answer.bytes).status == 503)
        scene.keep(answer.bytes)
        #expect(try await scene.judgeAll() >= 2)
    }

    @Test func `CANCEL, ACK and OPTIONS as they are written`() async throws {
        let folder = try Folder()
        let judge = try await Judge(in: folder)
        let messages = try written()
        #expect(messages.map { RawMessage($0).method } == ["CANCEL", "ACK", "OPTIONS"])
        let other = try await SofiaReader.complaints(about: messages, in: folder)
        for (number, bytes) in messages.enumerated() {
            let text = String(latin: bytes)
            #expect(try await judge.verdict(of: bytes) == "200 Valid", "\(text)")
            if let other { #expect(other[number] == "", "\(text)") }
        }
        await judge.stop()
    }

    private func written() throws -> [[UInt8]] {
        let invite = read(
            """
            INVITE sip:bob@192.0.2.4;transport=udp SIP/2.0
            Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKours;rport, SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa
            Route: <sip:192.0.2.3;lr>
            Max-Forwards: 69
            From: "A, B" <sip:alice@example.test>;tag=1
            To: <sip:bob@example.test>
            Call-ID: written@example.test
            CSeq: 7 INVITE
            Contact: <sip:alice@192.0.2.1>
            Content-Length: 0
            """)
        let refusal = read(
            """
            SIP/2.0 486 Busy Here
            Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKours;rport
            From: "A, B" <sip:alice@example.test>;tag=1
            To: <sip:bob@example.test>;tag=2
            Call-ID: written@example.test
            CSeq: 7 INVITE
            Content-Length: 0
            """)
        var outbox = Outbox(bytesMax: 8_192, messagesMax: 1)
        var messages: [[UInt8]] = []
        outbox.begin()
        try parse(invite) { index throws(SIPParseError) in
            try BranchRequest.beginCancel(of: invite.span, index, &outbox)
        }
        ReasonWriter.write("SIP", cause: 200, text: "Call completed elsewhere", &outbox)
        ReasonWriter.write("Q.850", cause: 26, text: "Non-selected user clearing", &outbox)
        BranchRequest.finish(&outbox)
        messages.append(Array(outbox.openText.utf8))
        outbox.abandon()
        outbox.begin()
        try parse(invite) { index throws(SIPParseError) in
            try parse(refusal) { response throws(SIPParseError) in
                try BranchRequest.beginAck(
                    of: invite.span, index, answeredBy: refusal.span, response, &outbox)
            }
        }
        BranchRequest.finish(&outbox)
        messages.append(Array(outbox.openText.utf8))
        outbox.abandon()
        outbox.begin()
        let target = Array("sip:127.0.0.1:5070".utf8)
        let us = TransportAddress(ipv4: 0x7F00_0001, port: 5_060)
        OwnRequest.begin(.options, to: target.span, from: us, &outbox)
        outbox.write("z9hG4bKprobe")
        OwnRequest.writeProbe(
            of: target.span, from: us, tag: 0xC0FFEE, callID: 0xC0FFEE, sequence: 1, &outbox)
        messages.append(Array(outbox.openText.utf8))
        return messages
    }

    private func read(_ text: String) -> [UInt8] {
        Array((text.replacing("\n", with: "\r\n") + "\r\n\r\n").utf8)
    }

    private func parse(
        _ bytes: [UInt8], _ use: (borrowing MessageIndex) throws(SIPParseError) -> Void
    ) throws(SIPParseError) {
        var index = MessageIndex()
        let outcome = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        guard outcome == .message else { throw SIPParseError(.startLine, at: 0) }
        try use(index)
    }

    /// A request of the main side, whose answers come to the registrar.
    private func mainRequest(
        _ method: String, _ uri: String, by main: StubRegistrar, fields: [String] = []
    ) -> String {
        let lines =
            [
                "\(method) \(uri) SIP/2.0",
                "Via: SIP/2.0/UDP \(main.socket.endpoint);branch=z9hG4bK\(UUID().uuidString)",
                "Max-Forwards: 70",
            ] + fields + [
                "From: <sip:main@example.test>;tag=m", "To: <sip:x@example.test>;tag=p",
                "Call-ID: from-main", "CSeq: 1 \(method)", "Content-Length: 0", "", "",
            ]
        let isFirst = method == "INVITE"
        let text = lines.joined(separator: "\r\n")
        return isFirst ? text.replacing(";tag=p", with: "") : text
    }
}

extension String {
    /// What stands between the angle brackets.
    fileprivate var uri: String {
        String(drop { $0 != "<" }.dropFirst().prefix { $0 != ">" })
    }
}
