import Bytes
import Forwarding
import Keys
import SIPMessage
import Testing

/// Flow tokens under test keys, by which values of a Route are ours.
enum Tokens {
    static let keys = KeyRing(secret: [UInt8](repeating: 7, count: 32).span)
    static let own = OwnAddresses([
        TransportAddress(ipv4: 0xC000_0205, port: 5_060),
        TransportAddress(ipv4: 0x0A00_0005, port: 5_060),
    ])

    static func token(_ number: UInt64) -> FlowToken {
        FlowToken(
            contactID: ContactID(high: number, low: 0x1_2345_6789_ABCD & 0x00FF_FFFF_FFFF_FFFF),
            peer: TransportAddress(ipv4: 0xC633_6401, port: 40_000), socket: 0)
    }

    /// `A`, `B` and `C` followed by "@" stand for three tokens.
    static func fill(_ text: String) -> String {
        var text = text
        for (number, name) in ["A", "B", "C"].enumerated() {
            text = text.replacing("sip:\(name)@", with: "sip:\(spelled(UInt64(number + 1)))@")
        }
        return text
    }

    static func spelled(_ number: UInt64) -> String {
        var scratch = ByteBuffer(bytesMax: 640)
        return written { token(number).write(under: keys, scratch: &scratch, to: &$0) }
    }
}

@Suite("The Route of a request (RFC 3261 §16.4, RFC 5658)")
struct RequestRouteTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let route: String
        /// What goes on, and whether a token was found, the top is ours, or may be by its name.
        let rest: String
        let token: UInt64?
        let top: (isOurs: Bool, mayBeOurs: Bool)
        init(
            _ route: String, _ rest: String, _ token: UInt64? = nil, isOurs: Bool = true,
            mayBeOurs: Bool = false
        ) {
            (self.route, self.rest, self.token) = (route, rest, token)
            top = (isOurs, mayBeOurs)
        }
        var testDescription: String { route }
    }

    static let cases = [
        Case("", "", isOurs: false),
        Case("Route: <sip:A@192.0.2.5:5060;lr>\n", "", 1),
        Case("Route: <sip:192.0.2.5;lr>\n", ""),
        Case("Route: <sip:192.0.2.9;lr>\n", "Route: <sip:192.0.2.9;lr>\n", isOurs: false),
        Case(
            "Route: <sip:x.test;lr>\n", "Route: <sip:x.test;lr>\n", isOurs: false, mayBeOurs: true),
        // Both values of a double one, in either order, in one field or two, and what stands behind.
        Case("Route: <sip:A@192.0.2.5:5060;lr>\nRoute: <sip:A@10.0.0.5:5060;lr>\n", "", 1),
        Case(
            "Route: <sip:A@10.0.0.5:5060;lr>, <sip:A@192.0.2.5:5060;lr>,\n <sip:x.test;lr>\n",
            "Route: <sip:x.test;lr>\n", 1),
        Case(
            "Route: <sip:A@10.0.0.5:5060;lr>\nRoute: <sip:A@192.0.2.5:5060;lr> , <sip:x.test;lr>\n"
                + "Route: <sip:y.test>\n", "Route: <sip:x.test;lr>\nRoute: <sip:y.test>\n", 1),
        // An address without a token before or behind it.
        Case(
            "Route: <sip:192.0.2.5;lr>, <sip:A@10.0.0.5:5060;lr>, <sip:y.test>\n",
            "Route: <sip:y.test>\n", 1),
        Case("Route: <sip:A@10.0.0.5:5060;lr>, <sip:192.0.2.5;lr>\n", "", 1),
        // A host that is not ours any more: the token says it was.
        Case("Route: <sip:A@192.0.2.77:5060;lr>, <sip:A@[2001:db8::9]:5060;lr>\n", "", 1),
        // Another passage through us: another's token, the same once more, a third.
        Case(
            "Route: <sip:A@10.0.0.5:5060;lr>, <sip:B@10.0.0.5:5060;lr>\n",
            "Route: <sip:B@10.0.0.5:5060;lr>\n", 1),
        Case(
            "Route: <sip:A@10.0.0.5:5060;lr>, <sip:A@10.0.0.5:5060;lr>\n",
            "Route: <sip:A@10.0.0.5:5060;lr>\n", 1),
        Case(
            "Route: <sip:A@192.0.2.5:5060;lr>, <sip:A@10.0.0.5:5060;lr>,"
                + " <sip:A@10.0.0.5:5060;lr>, <sip:A@192.0.2.5:5060;lr>\n",
            "Route: <sip:A@10.0.0.5:5060;lr>, <sip:A@192.0.2.5:5060;lr>\n", 1),
        // Ours behind another's is that one's matter.
        Case(
            "Route: <sip:192.0.2.9;lr>, <sip:A@10.0.0.5:5060;lr>\n",
            "Route: <sip:192.0.2.9;lr>, <sip:A@10.0.0.5:5060;lr>\n", isOurs: false),
        Case("Route: <tel:1>\n", "Route: <tel:1>\n", isOurs: false, mayBeOurs: true),
    ]

    private static func request(_ route: String) throws -> Sample {
        try Sample(
            "BYE sip:b@x.test SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\n"
                + Tokens.fill(route)
                + "From: <sip:a@x.test>;tag=1\nTo: <sip:b@x.test>;tag=2\nCall-ID: c\n"
                + "CSeq: 2 BYE\nContent-Length: 0\n\n")
    }

    private static func read(_ sample: borrowing Sample) throws -> RequestRoute {
        var scratch = ByteBuffer(bytesMax: 640)
        return try RequestRoute(
            sample.bytes.span, sample.index, own: Tokens.own, under: Tokens.keys, scratch: &scratch)
    }

    private static func rest(_ sample: borrowing Sample, _ cut: RouteCut) -> String {
        var request = ForwardedRequest(source: TransportAddress(ipv4: 1, port: 2))
        request.route = cut
        let span = sample.bytes.span
        var text = ""
        let all = written { outbox in request.writeRest(span, sample.index, &outbox) }
        var isRoute = false
        for line in all.split(separator: "\n") {
            isRoute = line.hasPrefix("Route:") || isRoute && line.hasPrefix(" ")
            if isRoute { text += line + "\n" }
        }
        return text
    }

    @Test(arguments: cases) func `ends where it is ours`(one: Case) throws {
        let sample = try Self.request(one.route)
        let route = try Self.read(sample)
        #expect(route.token == one.token.map(Tokens.token))
        #expect(route.isOurs == one.top.isOurs)
        #expect(route.mayBeOurs == one.top.mayBeOurs)
        let cut = route.cut(leavesOutTop: false)
        #expect(Self.rest(sample, cut) == Tokens.fill(one.rest))
        // What is next is known, and found again from what is kept.
        let next = cut.first(sample.bytes.span, sample.index)?.whole
        #expect(route.following?.whole == next)
        #expect((next == nil) == one.rest.isEmpty)
    }

    @Test(
        arguments: [
            ("Route: <sip:x.test;lr>\n", ""),
            ("Route: <sip:x.test;lr>, <sip:y.test>\n", "Route: <sip:y.test>\n"),
            ("Route: <sip:192.0.2.5;lr>\nRoute: <sip:y.test>\n", "Route: <sip:y.test>\n"),
        ])
    func `leaves the topmost behind if told so, and never one more`(
        text: String, rest: String
    ) throws {
        let sample = try Self.request(text)
        #expect(Self.rest(sample, try Self.read(sample).cut(leavesOutTop: true)) == rest)
    }

    @Test(arguments: [
        "Route: <sip:192.0.2.5;lr>, x y\n", "Route: <sip:x.test;lr>\nRoute: <sip:@>\n",
    ])
    func `is refused where any of it cannot be read`(text: String) throws {
        let sample = try Self.request(text)
        #expect(throws: SIPParseError.self) { try Self.read(sample) }
    }
}
