import Bytes
import Forwarding
import SIPMessage
import Testing

@Suite("A followed branch says where it comes from (RED-7)")
struct RetargetingTests {
    @Test func `by Diversion (RFC 5806)`() throws {
        let uri = Array("sip:b@x.test".utf8)
        let written = written { outbox in
            Diversion.write(uri.span, ByteRange(0, uri.count), &outbox)
            Diversion.write(uri.span, ByteRange(0, uri.count), reason: "away", &outbox)
        }
        #expect(
            written == "Diversion: <sip:b@x.test>;reason=unknown\n"
                + "Diversion: <sip:b@x.test>;reason=away\n")
    }

    /// The entries of each target: two bindings, c of the first one's 3xx, d of c's.
    private func entries(_ fields: String, _ mapping: Target.Mapping = .unsaid) throws -> [String] {
        let sample = try Sample(MaxBreadthTests.invite(fields))
        let bytes = sample.bytes
        var set = TargetSet(targetsMax: 8, bytesMax: 2_048)
        set.begin(bytes.span, requestURI: try SIPURI(bytes.span, sample.index.requestURI))
        // The URI, the branch that was redirected, and how.
        let targets: [(String, UInt16, UInt16)] = [
            ("sip:b@192.0.2.1?X=y", 0, 0), ("sip:b@192.0.2.2", 0, 0), ("sip:c@x.test", 1, 302),
            ("sip:d@x.test", 3, 301),
        ]
        for (place, (text, parent, status)) in targets.enumerated() {
            let uri = Array(text.utf8)
            var origin = Target.Origin()
            (origin.parent, origin.status) = (parent, status)
            origin.depth = parent == 0 ? 0 : parent == 1 ? 1 : 2
            if parent > 0 { origin.mapping = mapping }
            set.add(
                uri.span, try SIPURI(uri.span, ByteRange(0, uri.count)),
                number: UInt16(place + 1), origin)
        }
        let history = try HistoryInfo(bytes.span, sample.index)
        var all: [String] = []
        for number in 0..<set.count {
            var outbox = Outbox(bytesMax: 4_096, messagesMax: 1)
            outbox.begin()
            history.write(bytes.span, sample.index, target: number, of: set, &outbox)
            all.append(
                outbox.openText.replacing("\r\n", with: "\n")
                    .replacing("History-Info: ", with: ""))
        }
        return all
    }

    @Test func `by History-Info, an entry for each target on the way (RFC 7044)`() throws {
        let came = "<sip:b@x.test>;index=1\n"
        let all = try entries("")
        #expect(
            all == [
                came + "<sip:b@192.0.2.1>;index=1.1;rc=1\n",
                came + "<sip:b@192.0.2.2>;index=1.2;rc=1\n",
                came + "<sip:b@192.0.2.1?Reason=SIP%3Bcause%3D302>;index=1.1;rc=1\n"
                    + "<sip:c@x.test>;index=1.3\n",
                came + "<sip:b@192.0.2.1?Reason=SIP%3Bcause%3D302>;index=1.1;rc=1\n"
                    + "<sip:c@x.test?Reason=SIP%3Bcause%3D301>;index=1.3\n"
                    + "<sip:d@x.test>;index=1.4\n",
            ])
    }

    @Test func `as the redirecting one says of the user (RFC 7044 §10.4)`() throws {
        let mapped = try entries("", .otherUser)[3]
        #expect(mapped.hasSuffix(";index=1.3;mp=1.1\n<sip:d@x.test>;index=1.4;mp=1.3\n"))
        let kept = try entries("", .sameUser)[3]
        #expect(kept.hasSuffix(";index=1.3;rc=1.1\n<sip:d@x.test>;index=1.4;rc=1.3\n"))
    }

    @Test(arguments: [
        ("History-Info: <sip:b@x.test>;index=1.1.2\nX: <sip:b@x.test>;index=9\n", "1.1.2"),
        (
            "history-info: <sip:a@x.test>;index=1, \"B\" <sip:b@x.test?Reason=SIP>;foo;index=1.1\n",
            "1.1"
        ),
        (
            "History-Info: <sip:a@x.test>;index=1\nHistory-Info: <sip:b@x.test>;index=12.34\n",
            "12.34"
        ),
        ("History-Info: <sip:other@x.test>;index=1.1\n", "1.1.0"),
    ])
    func `behind what came, with a 0 where an entry is missing`(
        fields: String, index: String
    ) throws {
        let all = try entries(fields)
        #expect(all[1] == "<sip:b@192.0.2.2>;index=\(index).2;rc=\(index)\n")
    }

    @Test(arguments: [
        "<sip:b@x.test>", "<sip:b@x.test>;index", "<sip:b@x.test>;index=1.",
        "<sip:b@x.test>;index=.1",
        "<sip:b@x.test>;index=1..1", "<sip:b@x.test>;index=a", "<sip:b@x.test>;index=1,", "", "<",
        "<sip:b@>;index=1",
    ])
    func `not at all if that cannot be read`(value: String) throws {
        let sample = try Sample(MaxBreadthTests.invite("History-Info: \(value)\n"))
        #expect(throws: SIPParseError.self) {
            try HistoryInfo(sample.bytes.span, sample.index)
        }
    }

    @Test func `between the fields of a request and its end`() throws {
        let sample = try Sample(MaxBreadthTests.invite("X: y\n"))
        let source = TransportAddress(ipv4: 1, port: 2)
        let request = ForwardedRequest(source: source)
        let whole = written { request.writeRest(sample.bytes.span, sample.index, &$0) }
        let parts = written { outbox in
            request.writeFields(sample.bytes.span, sample.index, &outbox)
            outbox.write("Z: z\r\n")
            ForwardedRequest.writeEnd(sample.bytes.span, sample.index, &outbox)
        }
        #expect(whole.hasSuffix("\n\n"))
        #expect(parts == whole.dropLast() + "Z: z\n\n")
    }
}
