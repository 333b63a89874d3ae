import Bytes
import Forwarding
import Keys
import SIPMessage
import Testing

@Suite("Loops are told from spirals (RFC 5393 §4.2)")
struct LoopPartTests {
    static let keys = KeyRing(secret: [UInt8](repeating: 7, count: 32).span)
    static let others = KeyRing(secret: [UInt8](repeating: 8, count: 32).span)

    private static let base = """
        INVITE sip:b@x.test SIP/2.0
        Via: SIP/2.0/UDP h;branch=z9hG4bKa
        Max-Forwards: 9
        Route: <sip:p.test;lr>
        From: "A" <sip:a@x.test>;tag=9
        To: <sip:b@x.test>
        Call-ID: c
        CSeq: 5 INVITE
        Proxy-Require: foo
        Proxy-Authorization: Digest realm="r"
        Content-Length: 0


        """

    /// The loop part of the sample request with one part exchanged.
    private func part(
        _ old: String = "", _ new: String = "", also: UInt64 = 0, keys: KeyRing = Self.keys
    ) throws -> LoopPart {
        let text = old.isEmpty ? Self.base : Self.base.replacing(old, with: new)
        try #require(old.isEmpty || text != Self.base)
        let sample = try Sample(text)
        return LoopPart(sample.bytes.span, sample.index, also: also, under: keys)
    }

    @Test(arguments: [
        ("INVITE sip:b@x.test", "INVITE sip:bb@x.test"), ("<sip:p.test;lr>", "<sip:q.test;lr>"),
        ("Route: <sip:p.test;lr>\n", ""),
        ("Route: <sip:p.test;lr>\n", "Route: <sip:p.test;lr>\nRoute: <sip:q.test;lr>\n"),
        ("sip:a@x.test", "sip:aa@x.test"), ("Call-ID: c", "Call-ID: d"), ("CSeq: 5", "CSeq: 6"),
        ("Proxy-Require: foo", "Proxy-Require: bar"), ("realm=\"r\"", "realm=\"s\""),
        ("Proxy-Require: foo", "Route: foo"),
    ])
    func `what decides where it goes changes the hash`(old: String, new: String) throws {
        #expect(try part(old, new) != part())
    }

    @Test(arguments: [
        ("INVITE", "MESSAGE"), ("Max-Forwards: 9", "Max-Forwards: 8"), ("tag=9", "tag=10"),
        ("To: <sip:b@x.test>", "To: <sip:b@x.test>;tag=4"), ("\"A\"", "\"B\""),
        ("branch=z9hG4bKa", "branch=z9hG4bKb"), ("Max-Forwards: 9", "Max-Forwards: 9\nX: y"),
    ])
    func `what does not decide leaves it`(old: String, new: String) throws {
        #expect(try part(old, new) == part())
    }

    @Test func `the source, the element and the key change it`() throws {
        #expect(try part(also: 1) != part(also: 0))
        #expect(try part(keys: Self.others) != part())
    }

    /// A branch of ours.
    private func branch(_ loop: LoopPart, slot: UInt32 = 70_000, keys: KeyRing = Self.keys)
        -> String
    {
        var body = ByteBuffer(bytesMax: 64)
        var scratch = ByteBuffer(bytesMax: 640)
        return written { outbox in
            ForkedBranch(slot: slot, generation: 5, loop: loop).write(
                SteeringBits(77), under: keys, body: &body, scratch: &scratch, to: &outbox)
        }
    }

    private func find(_ vias: String, also: UInt64 = 0) throws -> LoopPart.Finding {
        let sample = try Sample(
            Self.base.replacing("Via: SIP/2.0/UDP h;branch=z9hG4bKa\n", with: vias))
        var scratch = ByteBuffer(bytesMax: 640)
        return LoopPart(sample.bytes.span, sample.index, also: also, under: Self.keys)
            .find(in: sample.bytes.span, sample.index, under: Self.keys, scratch: &scratch)
    }

    @Test func `a Via of ours with the same hash is a loop, with another a spiral`() throws {
        let same = branch(try part())
        let other = branch(try part("Call-ID: c", "Call-ID: d"))
        let stranger = "Via: SIP/2.0/UDP h;branch=z9hG4bKa\n"
        func via(_ branch: String) -> String { "Via: SIP/2.0/UDP 192.0.2.1;branch=\(branch)\n" }
        #expect(try find(stranger) == .none)
        #expect(try find(via(same)) == .loop)
        #expect(try find(stranger + stranger + via(same)) == .loop)
        #expect(try find(via(other)) == .spiral)
        #expect(try find(via(other) + stranger) == .spiral)
        #expect(try find(via(other) + stranger + via(same)) == .loop)
        #expect(try find(via(same) + via(other)) == .loop)
        #expect(try find(via(same), also: 1) == .spiral)
        // In one field, and with what only strangers write.
        #expect(
            try find("v: SIP/2.0/UDP h;branch=z9hG4bKa;x=\"a,b\" , SIP/2.0/TCP k;branch=\(same)\n")
                == .loop)
        #expect(
            try find(
                "Via: SIP/2.0/UDP h;branch=z9hG4bKa,\n SIP/2.0/TCP k;branch=\(same);z,SIP/2.0/UDP l\n"
            ) == .loop)
        #expect(
            try find(stranger + "Via: SIP/2.0/UDP h;x=\"\nVia: nonsense\n" + via(same)) == .loop)
        #expect(try find(via(branch(try part(), slot: 4))) == .loop)
    }

    @Test func `a Via that only looks like ours is nobody's`() throws {
        let same = branch(try part())
        func via(_ branch: String) -> String { "Via: SIP/2.0/UDP 192.0.2.1;branch=\(branch)\n" }
        #expect(try find(via(branch(try part(), keys: Self.others))) == .none)
        #expect(try find(via(String(same.dropLast()))) == .none)
        #expect(try find(via(same + "A")) == .none)
        for place in 7..<same.utf8.count {
            var bytes = Array(same.utf8)
            bytes[place] = bytes[place] == 0x41 ? 0x42 : 0x41
            #expect(try find(via(String(decoding: bytes, as: UTF8.self))) == .none)
        }
        // Sealed by us, for a request without state.
        var body = ByteBuffer(bytesMax: 64)
        body.append(eight: try part().value)
        var scratch = ByteBuffer(bytesMax: 640)
        let stateless = written { outbox in
            SealedVia.write(
                .request, SteeringBits(77), transaction: 1, body: body, under: Self.keys,
                scratch: &scratch, to: &outbox)
        }
        #expect(stateless.utf8.count == same.utf8.count)
        #expect(try find(via(stateless)) == .none)
    }

    @Test func `the branch brings back where it lies`() throws {
        let loop = try part()
        let text = Array(branch(loop).utf8)
        #expect(text.count == 45)
        var buffer = ByteBuffer(bytesMax: 640)
        let opened = SealedVia(branch: text.span, under: Self.keys, into: &buffer)
        let seal = try #require(opened)
        #expect(seal.steering == SteeringBits(77))
        let found = ForkedBranch(seal, in: buffer.span)
        #expect(found == ForkedBranch(slot: 70_000, generation: 5, loop: loop))
        #expect(branch(loop, slot: 4) != branch(loop))
    }
}
