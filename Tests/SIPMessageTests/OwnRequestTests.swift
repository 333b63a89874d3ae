import Bytes
import SIPMessage
import Testing

/// A message and where its parts lie.
private struct Parsed: ~Copyable {
    let bytes: [UInt8]
    let index: MessageIndex

    init(_ text: String) {
        let bytes = Array(text.utf8)
        var index = MessageIndex()
        let outcome = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        #expect(outcome == .message)
        self.bytes = bytes
        self.index = index
    }
}

@Suite("A request for a branch is made from the one that was sent on it")
struct BranchRequestTests {
    /// As a proxy has sent it: its own Via on top, of two in one field.
    static let invite = Sample.text(
        [
            "INVITE sip:bob@192.0.2.4;x=y SIP/2.0",
            "v: SIP/2.0/UDP 192.0.2.9 ; branch=z9hG4bKours;rport , SIP/2.0/UDP a;branch=z9hG4bKa",
            "Via: SIP/2.0/UDP b;branch=z9hG4bKb", "Route: <sip:p1.test;lr>, <sip:p2.test;lr>",
            "Max-Forwards: 12", "Require: 100rel", "Proxy-Require: x", "Supported: timer",
            "Route: <sip:p3.test;lr>", "f: \"A\" <sip:a@test>\r\n ;tag=1", "T: <sip:bob@test>",
            "Call-ID: c1", "CSeq: 0007 INVITE", "Contact: <sip:a@192.0.2.1>",
            "Content-Type: text/plain", "Content-Length: 4",
        ], body: "body")
    static let refusal = Sample.text(
        [
            "SIP/2.0 486 Busy Here", "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKours",
            "From: \"A\" <sip:a@test>;tag=1", "To: \"Bob\" <sip:bob@test>\r\n ; tag=his",
            "Call-ID: c1", "CSeq: 7 INVITE", "Content-Length: 0",
        ])

    static func written(
        room: Int = 4_096, _ write: (inout Outbox) throws(SIPParseError) -> Void
    ) throws -> String? {
        var outbox = Outbox(bytesMax: room, messagesMax: 1)
        outbox.begin()
        try write(&outbox)
        let text = outbox.openText
        guard outbox.end(to: phone, from: 0) else {
            #expect(outbox.count == 0 && outbox.openCount == 0)
            return nil
        }
        return text
    }

    static func cancel(
        room: Int = 4_096, _ reasons: (inout Outbox) -> Void = { _ in }
    ) throws -> String? {
        let request = Parsed(invite)
        return try written(room: room) { outbox throws(SIPParseError) in
            try BranchRequest.beginCancel(of: request.bytes.span, request.index, &outbox)
            reasons(&outbox)
            BranchRequest.finish(&outbox)
        }
    }

    static func ack(room: Int = 4_096) throws -> String? {
        let request = Parsed(invite)
        let response = Parsed(refusal)
        return try written(room: room) { outbox throws(SIPParseError) in
            try BranchRequest.beginAck(
                of: request.bytes.span, request.index, answeredBy: response.bytes.span,
                response.index, &outbox)
            BranchRequest.finish(&outbox)
        }
    }

    @Test func `CANCEL (§9.1)`() throws {
        #expect(
            try Self.cancel()
                == Sample.text([
                    "CANCEL sip:bob@192.0.2.4;x=y SIP/2.0",
                    "Via: SIP/2.0/UDP 192.0.2.9 ; branch=z9hG4bKours;rport",
                    "Route: <sip:p1.test;lr>, <sip:p2.test;lr>", "Route: <sip:p3.test;lr>",
                    "Max-Forwards: 70", "f: \"A\" <sip:a@test>\r\n ;tag=1", "Call-ID: c1",
                    "T: <sip:bob@test>", "CSeq: 0007 CANCEL", "Content-Length: 0",
                ]))
    }

    @Test func `CANCEL with reasons, of ours and of the one that was received (RFC 3326)`() throws {
        let received = Parsed(
            Sample.text([
                "CANCEL sip:bob@test SIP/2.0", "Via: SIP/2.0/UDP a;branch=z9hG4bKa",
                "From: <sip:a@test>;tag=1", "To: <sip:bob@test>", "Call-ID: c1", "CSeq: 7 CANCEL",
                "Reason: SIP;cause=600\r\n ;text=\"x, y\", Q.850;cause=21", "reason: z",
            ]))
        let text = try #require(
            try Self.cancel { outbox in
                ReasonWriter.copy(received.bytes.span, received.index, &outbox)
                ReasonWriter.write(
                    "SIP", cause: 200, text: "Call completed elsewhere", &outbox)
            })
        let expected =
            "CSeq: 0007 CANCEL\r\nReason: SIP;cause=600\r\n ;text=\"x, y\", Q.850;cause=21\r\n"
            + "reason: z\r\nReason: SIP;cause=200;text=\"Call completed elsewhere\"\r\nContent-Length"
        #expect(text.contains(expected))
        let written = Parsed(text)
        var cursor = ReasonCursor(of: written.index)
        var causes: [UInt32?] = []
        while let reason = try cursor.next(written.bytes.span, written.index) {
            causes.append(reason.cause)
        }
        #expect(causes == [600, 21, nil, 200])
    }

    @Test func `ACK of a refusal, with the To of who refused (§17.1.1.3)`() throws {
        #expect(
            try Self.ack()
                == Sample.text([
                    "ACK sip:bob@192.0.2.4;x=y SIP/2.0",
                    "Via: SIP/2.0/UDP 192.0.2.9 ; branch=z9hG4bKours;rport",
                    "Route: <sip:p1.test;lr>, <sip:p2.test;lr>", "Route: <sip:p3.test;lr>",
                    "Max-Forwards: 70", "f: \"A\" <sip:a@test>\r\n ;tag=1", "Call-ID: c1",
                    "To: \"Bob\" <sip:bob@test>\r\n ; tag=his", "CSeq: 0007 ACK",
                    "Content-Length: 0",
                ]))
    }

    @Test func `or not at all, whatever the room`() throws {
        let cancel = try #require(try Self.cancel()).utf8.count
        for room in 1..<cancel { #expect(try Self.cancel(room: room) == nil) }
        #expect(try Self.cancel(room: cancel) != nil)
        let ack = try #require(try Self.ack()).utf8.count
        for room in 1..<ack { #expect(try Self.ack(room: room) == nil) }
        #expect(try Self.ack(room: ack) != nil)
    }

    @Test func `and not from one whose Via nobody can read`() throws {
        let request = Parsed(Sample.register(with: "Via: SIP/2.0/UDP ["))
        var outbox = Outbox(bytesMax: 4_096, messagesMax: 1)
        outbox.begin()
        #expect(throws: SIPParseError.self) {
            try BranchRequest.beginCancel(of: request.bytes.span, request.index, &outbox)
        }
        #expect(outbox.openCount == 0)
    }
}

@Suite("A request of our own (RFC 3261 §8.1.1)")
struct OwnRequestTests {
    static let us = TransportAddress(ipv4: 0x7F00_0001, port: 5_170)

    static func probe(room: Int = 4_096) throws -> String? {
        let target = Array("sip:192.0.2.4:5061;transport=udp".utf8)
        return try BranchRequestTests.written(room: room) { outbox throws(SIPParseError) in
            OwnRequest.begin(.options, to: target.span, from: us, &outbox)
            outbox.write("z9hG4bKx")
            OwnRequest.writeProbe(
                of: target.span, from: us, tag: 0xA1, callID: 0xB2, sequence: 4_294_967_295,
                &outbox)
        }
    }

    static func register(room: Int = 4_096) throws -> String? {
        let (registrar, aor) = (Array("sip:test".utf8), Array("sip:a@test".utf8))
        let contact = Array("sip:a@127.0.0.1".utf8)
        return try BranchRequestTests.written(room: room) { outbox throws(SIPParseError) in
            OwnRequest.begin(.register, to: registrar.span, from: us, &outbox)
            outbox.write("z9hG4bKx")
            OwnRequest.continue(from: aor.span, tag: 7, to: aor.span, &outbox)
            outbox.write("c1")
            OwnRequest.writeSequence(12, .register, &outbox)
            OwnRequest.writeContact(contact.span, seconds: 600, &outbox)
            OwnRequest.finish(&outbox)
        }
    }

    @Test func `OPTIONS that asks whether anybody is there (§11.1)`() throws {
        let text = try #require(try Self.probe())
        #expect(
            text
                == Sample.text([
                    "OPTIONS sip:192.0.2.4:5061;transport=udp SIP/2.0",
                    "Via: SIP/2.0/UDP 127.0.0.1:5170;branch=z9hG4bKx;rport",
                    "Max-Forwards: 70", "From: <sip:127.0.0.1:5170>;tag=00000000000000a1",
                    "To: <sip:192.0.2.4:5061;transport=udp>", "Call-ID: 00000000000000b2-probe",
                    "CSeq: 4294967295 OPTIONS", "Accept: application/sdp", "User-Agent: midreg",
                    "Content-Length: 0",
                ]))
    }

    @Test func `REGISTER (§10.2)`() throws {
        #expect(
            try Self.register()
                == Sample.text([
                    "REGISTER sip:test SIP/2.0",
                    "Via: SIP/2.0/UDP 127.0.0.1:5170;branch=z9hG4bKx;rport", "Max-Forwards: 70",
                    "From: <sip:a@test>;tag=0000000000000007", "To: <sip:a@test>", "Call-ID: c1",
                    "CSeq: 12 REGISTER", "Contact: <sip:a@127.0.0.1>;expires=600",
                    "User-Agent: midreg", "Content-Length: 0",
                ]))
    }

    @Test func `or not at all, whatever the room`() throws {
        let probe = try #require(try Self.probe()).utf8.count
        for room in 1..<probe { #expect(try Self.probe(room: room) == nil) }
        let register = try #require(try Self.register()).utf8.count
        for room in 1..<register { #expect(try Self.register(room: room) == nil) }
        #expect(try Self.register(room: register) != nil)
    }
}
