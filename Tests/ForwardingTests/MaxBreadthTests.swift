import Bytes
import Forwarding
import SIPMessage
import Testing

@Suite("Max-Breadth (RFC 5393 §5)")
struct MaxBreadthTests {
    static func invite(_ fields: String) -> String {
        "INVITE sip:b@x.test SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\nMax-Forwards: 9\n"
            + "From: <sip:a@x.test>;tag=9\nTo: <sip:b@x.test>\nCall-ID: c\nCSeq: 1 INVITE\n"
            + "\(fields)Content-Length: 0\n\n"
    }

    @Test(
        arguments: [
            ("", 60), ("Max-Breadth: 59\n", 59), ("max-breadth:60\n", 60),
            ("Max-Breadth: 61\n", 60),
            ("MAX-BREADTH : 1\n", 1), ("Max-Breadth: 99999999999\n", 60),
            ("X-Max-Breadth: 7\n", 60),
            ("Max-Breadths: 7\n", 60), ("X: y\n Max-Breadth: 7\n", 60),
        ] as [(String, UInt32)])
    func `is what came, at most 60`(fields: String, expected: UInt32) throws {
        let sample = try Sample(Self.invite(fields))
        let breadth = try MaxBreadth(sample.bytes.span, sample.index)
        #expect(breadth.available == expected)
    }

    @Test(
        arguments: [
            ("Max-Breadth: 0\n", .number), ("Max-Breadth: x\n", .number),
            ("Max-Breadth: -1\n", .number),
            ("Max-Breadth:\n", .number), ("Max-Breadth: 4;a\n", .number),
            ("Max-Breadth: 4\nMax-Breadth: 4\n", .doubledHeader),
        ] as [(String, SIPParseError.Reason)])
    func `is refused if it is no positive number`(
        fields: String, reason: SIPParseError.Reason
    ) throws {
        let sample = try Sample(Self.invite(fields))
        do throws(SIPParseError) {
            _ = try MaxBreadth(sample.bytes.span, sample.index)
            Issue.record("\(fields) is taken")
        } catch { #expect(error.reason == reason) }
    }

    @Test(
        arguments: [
            (60, 1, [60]), (60, 2, [30, 30]), (4, 3, [2, 1, 1]), (5, 3, [2, 2, 1]),
            (3, 3, [1, 1, 1]),
            (3, 4, []), (1, 1, [1]), (1, 2, []), (60, 61, []),
        ] as [(UInt32, Int, [UInt32])])
    func `is divided, 1 at least for each branch`(
        incoming: UInt32, branches: Int, expected: [UInt32]
    ) throws {
        let sample = try Sample(Self.invite("Max-Breadth: \(incoming)\n"))
        var breadth = try MaxBreadth(sample.bytes.span, sample.index)
        let shares = breadth.divide(among: branches)
        #expect((0..<expected.count).map { shares?[$0] } == expected)
        #expect((shares == nil) == expected.isEmpty)
        #expect(breadth.available == (expected.isEmpty ? incoming : 0))
    }

    @Test func `comes back with the end of a branch, never more than came`() throws {
        let sample = try Sample(Self.invite("Max-Breadth: 4\n"))
        var breadth = try MaxBreadth(sample.bytes.span, sample.index)
        let three = breadth.divide(among: 3)
        let first = try #require(three)
        var more = breadth.divide(among: 1)
        #expect(more == nil)
        breadth.giveBack(first[0])
        #expect(breadth.available == 2)
        let two = breadth.divide(among: 2)
        let second = try #require(two)
        #expect(second[0] + second[1] + first[1] + first[2] == 4)
        more = breadth.divide(among: 1)
        #expect(more == nil)
    }

    @Test(
        arguments: [
            ("", 7, "Max-Breadth: 7\n", ""),
            ("Max-Breadth: 60\nX: y\n", 7, "Max-Breadth: 7\n", "X: y\n"),
            ("max-breadth : 60\n", nil, "", "max-breadth : 60\n"), ("", nil, "", ""),
        ] as [(String, UInt32?, String, String)])
    func `stands once in what is forwarded`(
        fields: String, share: UInt32?, before: String, after: String
    ) throws {
        let sample = try Sample(Self.invite(fields))
        let text = written { outbox in
            var request = ForwardedRequest(source: TransportAddress(ipv4: 1, port: 2))
            request.maxBreadth = share
            request.writeRest(sample.bytes.span, sample.index, &outbox)
        }
        #expect(
            text == before + "Via: SIP/2.0/UDP h;branch=z9hG4bKa;received=0.0.0.1;rport=2\n"
                + "Max-Forwards: 8\nFrom: <sip:a@x.test>;tag=9\nTo: <sip:b@x.test>\nCall-ID: c\n"
                + "CSeq: 1 INVITE\n\(after)Content-Length: 0\n\n")
    }
}

@Suite("A Path is the Route to its binding (RFC 3327 §5.3)")
struct RouteSetTests {
    @Test(arguments: [
        ("<sip:t@edge.test:5070;lr>, <sip:e2.test;lr>", "sip:t@edge.test:5070;lr"),
        ("<sips:edge.test;ob;lr>", "sips:edge.test;ob;lr"),
    ])
    func `whole, and its first URI is the next hop`(path: String, hop: String) throws {
        let bytes = Array(path.utf8)
        let range = ByteRange(0, bytes.count)
        let text = written { RouteSet.write(bytes.span, path: range, &$0) }
        #expect(text == "Route: \(path)\n")
        let uri = try RouteSet.nextHop(bytes.span, path: range)
        #expect(String(decoding: bytes[uri.whole.start..<uri.whole.end], as: UTF8.self) == hop)
    }

    @Test(arguments: [
        "", "<sip:edge.test>", "<tel:1;lr>", "<sip:edge.test;lrx>", "<sip:e@>", "sip:e.test;lr",
    ])
    func `or there is none`(path: String) {
        let bytes = Array(path.utf8)
        #expect(throws: SIPParseError.self) {
            try RouteSet.nextHop(bytes.span, path: ByteRange(0, bytes.count))
        }
    }

    @Test(
        arguments: [
            ("<sip:edge.test>", "sip:edge.test", ""),
            (
                "<sip:edge.test:5070;ob>;x , <sip:e2.test;lr>", "sip:edge.test:5070;ob",
                "<sip:e2.test;lr>"
            ),
            ("<sip:edge.test;lr>, <sip:e2.test>", nil, nil), ("<tel:1>", nil, nil), ("", nil, nil),
        ] as [(String, String?, String?)])
    func `or a strict router's, and the rest its Route`(path: String, uri: String?, rest: String?) {
        let bytes = Array(path.utf8)
        let strict = RouteSet.strictRouter(bytes.span, path: ByteRange(0, bytes.count))
        func text(_ range: ByteRange?) -> String? {
            range.map { String(decoding: bytes[$0.start..<$0.end], as: UTF8.self) }
        }
        #expect(text(strict?.uri.whole) == uri)
        #expect(text(strict?.rest) == rest)
    }

    @Test func `not written if there is none`() {
        let bytes: [UInt8] = [0]
        let text = written { RouteSet.write(bytes.span, path: .none, &$0) }
        #expect(text == "")
    }
}
