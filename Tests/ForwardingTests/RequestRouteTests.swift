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
        TransportAddress(ipv4: 0xC000_0206, port: 5_080),
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

    private static func request(_ route: String, for uri: String = "sip:b@x.test") throws -> Sample
    {
        try Sample(
            Tokens.fill("BYE \(uri) SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\n\(route)")
                + "From: <sip:a@x.test>;tag=1\nTo: <sip:b@x.test>;tag=2\nCall-ID: c\n"
                + "CSeq: 2 BYE\nContent-Length: 0\n\n")
    }

    private static func read(
        _ sample: borrowing Sample, port: UInt16 = 5_060
    ) throws -> RequestRoute {
        var scratch = ByteBuffer(bytesMax: 640)
        let span = sample.bytes.span
        return try RequestRoute(
            span, sample.index, for: try SIPURI(span, sample.index.requestURI),
            at: .init(port: port, advertisedPort: port), own: Tokens.own, under: Tokens.keys,
            scratch: &scratch)
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

    private static func text(_ sample: borrowing Sample, _ range: ByteRange) -> String {
        String(decoding: sample.bytes[range.start..<range.end], as: UTF8.self)
    }

    private static func target(_ sample: borrowing Sample, _ cut: RouteCut) -> String {
        let span = sample.bytes.span
        return written { cut.writeTarget(span, &$0) }
    }

    @Test(arguments: cases) func `ends where it is ours`(one: Case) throws {
        let sample = try Self.request(one.route)
        let route = try Self.read(sample)
        #expect(route.token == one.token.map(Tokens.token))
        #expect(route.isOurs == one.top.isOurs)
        #expect(route.mayBeOurs == one.top.mayBeOurs)
        let cut = route.cut(leavesOutTop: false)
        #expect(Self.rest(sample, cut) == Tokens.fill(one.rest))
        #expect(Self.target(sample, cut) == "sip:b@x.test")
        let next = Self.text(sample, cut.following)
        #expect(next.isEmpty == one.rest.isEmpty)
        #expect(Tokens.fill(one.rest).hasPrefix(next.isEmpty ? "" : "Route: <\(next)>"))
        #expect(cut.isStrict == (one.rest.hasPrefix("Route: <sip:y.test>")))
    }

    /// A request-URI, a Route, the target, and what goes on of the Route.
    @Test(
        arguments: [
            ("sip:A@10.0.0.5:5060;lr", "<sip:b@192.0.2.9>", "sip:b@192.0.2.9", ""),
            (
                "sip:A@10.0.0.5:5060;lr", "<sip:A@192.0.2.5:5060;lr>, <sip:b@192.0.2.9>",
                "sip:b@192.0.2.9", ""
            ),
            (
                "sip:A@10.0.0.5:5060;lr",
                "<sip:A@192.0.2.5:5060;lr>,<sip:x.test;lr> , <sip:y.test>,  <sip:b@192.0.2.9>",
                "sip:b@192.0.2.9", "Route: <sip:x.test;lr> , <sip:y.test>\n"
            ),
            (
                "sip:A@10.0.0.5:5060;lr", "<sip:x.test;lr>\nRoute: <sip:b@192.0.2.9>",
                "sip:b@192.0.2.9", "Route: <sip:x.test;lr>\n"
            ),
            // Once, however often it is found.
            (
                "sip:A@10.0.0.5:5060;lr", "<sip:B@10.0.0.5;lr>, <sip:A@192.0.2.5:5060;lr>",
                "sip:A@192.0.2.5:5060;lr", "Route: <sip:B@10.0.0.5;lr>\n"
            ),
            // Ours by address alone is what the request is for: nothing of ours was there.
            ("sip:192.0.2.5", "<sip:x.test;lr>", "sip:192.0.2.5", "Route: <sip:x.test;lr>\n"),
        ])
    func `behind a strict router has the target at its end (§16.4)`(
        uri: String, values: String, target: String, rest: String
    ) throws {
        let sample = try Self.request("Route: \(values)\n", for: uri)
        let route = try Self.read(sample)
        let cut = route.cut(leavesOutTop: false)
        #expect(route.token == (uri.contains("A@") ? Tokens.token(1) : nil))
        #expect(Self.target(sample, cut) == Tokens.fill(target))
        #expect(Self.text(sample, route.target.whole) == Tokens.fill(target))
        #expect(Self.rest(sample, cut) == Tokens.fill(rest))
    }

    @Test func `is not looked for at the end where there is none`() throws {
        let sample = try Self.request("", for: "sip:A@10.0.0.5:5060;lr")
        let route = try Self.read(sample)
        #expect(route.token == nil)
        let target = Self.target(sample, route.cut(leavesOutTop: false))
        #expect(target == Tokens.fill("sip:A@10.0.0.5:5060;lr"))
    }

    /// What goes on when its first value has become the request-URI of a strict router.
    @Test(
        arguments: [
            ("<sip:y.test>", true, ""), ("<sip:y.test;lr>", false, "Route: <sip:y.test;lr>\n"),
            ("<sip:y.test>, <sip:x.test;lr>", true, "Route: <sip:x.test;lr>\n"),
            (
                "<sip:A@10.0.0.5:5060;lr>, <sip:y.test>,\n <sip:z.test>\nRoute: <sip:x.test;lr>",
                true, "Route: <sip:z.test>\nRoute: <sip:x.test;lr>\n"
            ),
            ("<tel:1>", false, "Route: <tel:1>\n"),
        ])
    func `says whether a strict router is next (§16.6 step 6)`(
        values: String, isStrict: Bool, rest: String
    ) throws {
        let sample = try Self.request("Route: \(values)\n")
        let cut = try Self.read(sample).cut(leavesOutTop: false)
        #expect(cut.isStrict == isStrict)
        #expect(Self.rest(sample, isStrict ? cut.withoutFirst : cut) == rest)
        #expect(cut.withoutFirst.target == cut.target && !cut.withoutFirst.isStrict)
    }

    /// A request-URI with maddr, the port it came in by, and what is left of it.
    @Test(
        arguments: [
            ("sip:b@x.test;maddr=192.0.2.5", 5_060, "sip:b@x.test"),
            ("sip:b@x.test:5080;a=1;maddr=192.0.2.6;transport=UDP;c", 5_080, "sip:b@x.test;a=1;c"),
            // Another port, transport or address, or none.
            ("sip:b@x.test:5080;maddr=192.0.2.6", 5_060, nil),
            ("sip:b@x.test;maddr=192.0.2.5;transport=tcp", 5_060, nil),
            ("sip:b@x.test;maddr=192.0.2.9", 5_060, nil),
            ("sips:b@x.test;maddr=192.0.2.5", 5_060, nil),
            ("sip:b@x.test;transport=udp", 5_060, nil), ("sip:b@x.test;maddr", 5_060, nil),
        ] as [(String, UInt16, String?)])
    func `leads no further where a maddr names us (§16.4)`(
        uri: String, port: UInt16, rest: String?
    ) throws {
        let sample = try Self.request("", for: uri)
        let route = try Self.read(sample, port: port)
        #expect(Self.target(sample, route.cut(leavesOutTop: false)) == rest ?? uri)
        #expect(route.targetPort == (rest == nil ? route.target.port : 0))
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
