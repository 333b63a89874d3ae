import Bytes
import SIPMessage
import Testing

@Suite("A message is read (RFC 3261 §7)")
struct MessageParserTests {
    @Test func `into method, URI, fields and body`() {
        let bytes = Array(Sample.text(Sample.invite, body: "v=0\n beyond the length").utf8)
        var index = MessageIndex()
        let outcome = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        #expect(outcome == .message)
        let isInvite = index.isRequest && index.method == .invite
        #expect(isInvite)
        #expect(bytes.text(index.requestURI) == "sip:alice@example.test")
        #expect(index.sequenceNumber == 314_159)
        #expect(bytes.text(index.sequenceMethod) == "INVITE")
        #expect(index.count == 9 && index.viaFields == 1)
        #expect(bytes.text(index.body) == "v=0\n")
        #expect(bytes.text(index.headerEnd) == "\r\n")
        let callID = index.value(.callID) ?? .none
        #expect(bytes.text(callID) == "a84b4c76e66710")
    }

    @Test(
        arguments: [
            ("SIP/2.0 200 OK", nil, 200), ("sip/2.0 100 ", nil, 100),
            ("SIP/2.0 699 \u{41F}\tx", nil, 699),
            ("SIP/2.0 099 Low", .startLine, 0), ("SIP/2.0 700 High", .startLine, 0),
            ("SIP/2.0 4294967301 Big", .startLine, 0), ("SIP/2.0  200 OK", .startLine, 0),
            ("SIP/2.0 2x0 OK", .number, 0), ("SIP/2.0 200OK", .startLine, 0),
            ("SIP/3.0 200 OK", .version, 0), ("SIP/2.0 200", .startLine, 0),
        ] as [(String, SIPParseError.Reason?, Int)]
    )
    func `with a status line`(line: String, refused: SIPParseError.Reason?, code: Int) {
        let bytes = Array(Sample.text([line] + Sample.register.dropFirst()).utf8)
        var index = MessageIndex()
        let outcome = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        if let refused {
            guard case .bad(let error) = outcome else {
                Issue.record("\(line) was taken")
                return
            }
            #expect(error.reason == refused, "\(line)")
        } else {
            #expect(outcome == .message && index.statusCode == code && !index.isRequest, "\(line)")
            #expect(index.method == .register, "from CSeq")
        }
    }

    @Test(
        arguments: [
            ("REGISTER sip:example.test SIP/2.0", nil), ("REGISTER sip:example.test sip/2.0", nil),
            ("REGISTER  sip:example.test SIP/2.0", .startLine),
            ("REGISTER sip:example.test  SIP/2.0", .startLine),
            ("REGISTER sip:example.test SIP/2.0 ", .startLine),
            ("REGISTER sip:example.test; lr SIP/2.0", .startLine),
            ("REGISTER\tsip:example.test SIP/2.0", .startLine),
            ("REGISTER sip:example.test", .startLine), ("REGISTER ", .startLine),
            (" REGISTER sip:example.test SIP/2.0", .startLine), ("REGISTER", .startLine),
            ("REG(ISTER sip:example.test SIP/2.0", .startLine), ("SIP/2.0", .startLine),
            ("REGISTER sip:example.test SIP/7.0", .version),
            ("REGISTER sip:example.test SIP/2.00", .version),
            ("REGISTER sip:example.test HTTP/1.1", .startLine),
            ("REGISTER sip:exa\u{1}mple.test SIP/2.0", .startLine),
        ] as [(String, SIPParseError.Reason?)]
    )
    func `with a request line`(line: String, refused: SIPParseError.Reason?) {
        #expect(reason(Sample.text([line] + Sample.register.dropFirst())) == refused, "\(line)")
    }

    @Test(arguments: Method.allCases.filter { $0 != .other })
    func `whose method is known by its exact name`(method: Method) {
        let name = "\(method.name)"
        func read(_ text: String) -> Method {
            let bytes = Array(text.utf8)
            return Method(bytes.span, ByteRange(0, bytes.count))
        }
        #expect(read(name) == method)
        #expect(read(name.lowercased()) == .other)
        #expect(read(name + "X") == .other)
        #expect(read(String(name.dropLast()) + "_") == .other)
    }

    @Test func `but line ends alone are a keep-alive`() {
        for text in ["", "\r\n", "\r\n\r\n", "\n"] { #expect(outcome(text) == .keepAlive) }
        #expect(reason("\r\n\r\n" + Sample.text(Sample.register)) == nil)
    }

    @Test(arguments: ["Via", "From", "To", "Call-ID", "CSeq"])
    func `not without a field that every message has`(name: String) {
        #expect(reason(Sample.register(without: name)) == .missingHeader)
    }

    @Test(arguments: ["Max-Forwards", "Contact", "Expires", "Content-Length"])
    func `without a field that may be absent`(name: String) {
        #expect(reason(Sample.register(without: name)) == nil)
    }

    @Test(
        arguments: [
            "From: <sip:x@example.test>;tag=1", "f: <sip:x@example.test>;tag=1",
            "To: <sip:x@example.test>", "t: <sip:x@example.test>", "Call-ID: x", "i: x",
            "CSeq: 1 REGISTER", "Max-Forwards: 70", "Content-Length: 0", "l: 0", "Expires: 1",
        ])
    func `not with a single field twice`(line: String) {
        #expect(reason(Sample.register(adding: line)) == .doubledHeader)
    }

    @Test(arguments: ["Via: SIP/2.0/UDP h;branch=z9hG4bKx", "Contact: <sip:x@h>", "X: 1", "X: 2"])
    func `with a field twice of which there may be many`(line: String) {
        #expect(reason(Sample.register(adding: line)) == nil)
    }

    @Test func `as far as it is right, so that what is wrong can be answered`() {
        let bytes = Array(Sample.register(adding: "Bad Header\r\nX-Last: 1").utf8)
        var index = MessageIndex()
        let outcome = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        #expect(outcome != .message && index.has(.via) && index.has(.cseq))
        #expect(bytes.text(index[index.count - 1].value) == "1")
    }

    @Test func `with at most 128 fields`() {
        let room = MessageIndex.headersMax - (Sample.register.count - 1)
        let most = Array(repeating: "X: 1", count: room)
        #expect(reason(Sample.text(Sample.register + most)) == nil)
        #expect(reason(Sample.text(Sample.register + most + ["X: 1"])) == .tooManyHeaders)
        let flood = Array(repeating: "Via: SIP/2.0/UDP h", count: 3_000)
        #expect(reason(Sample.text(Sample.register + flood)) == .tooManyHeaders)
    }

    @Test func `with fields of at most 8,192 bytes, folds and line break included`() {
        func field(_ bytes: Int) -> String { "X: " + String(repeating: "x", count: bytes - 5) }
        let most = MessageIndex.lineBytesMax
        #expect(reason(Sample.text(Sample.register + [field(most)])) == nil)
        #expect(reason(Sample.text(Sample.register + [field(most + 1)])) == .lineTooLong)
        let folds = Array(repeating: " x", count: most / 4)
        #expect(reason(Sample.text(Sample.register + ["X: x"] + folds)) == .lineTooLong)
    }

    @Test func `only with its empty line`() {
        let text = Sample.text(Sample.register)
        for count in 1..<text.utf8.count {
            let bytes = Array(text.utf8.prefix(count))
            guard case .bad = outcome(bytes) else {
                Issue.record("\(count) bytes of it were taken")
                continue
            }
        }
    }

    @Test func `the same with and without room to read past its end`() {
        let bytes = Array(Sample.text(Sample.invite, body: "v=0\n").utf8)
        let padded = bytes + Array(repeating: 0x41, count: 64)
        var one = MessageIndex()
        var other = MessageIndex()
        let bare = MessageParser().parse(bytes.span, length: bytes.count, into: &one)
        let roomy = MessageParser().parse(padded.span, length: bytes.count, into: &other)
        #expect(bare == .message && roomy == .message)
        #expect(one.count == other.count && one.body == other.body)
        for number in 0..<one.count { #expect(one[number].value == other[number].value) }
    }
}

@Suite("A header field is read (RFC 3261 §7.3)")
struct HeaderFieldTests {
    @Test(
        arguments: [
            ("X-Other: 1", nil), ("X-Other:1", nil), ("X-Other :1", nil), ("X-Other \t : 1", nil),
            ("X-Other:", nil), ("X-Other: a\r\n b", nil), ("X-Other:\r\n\tb", nil),
            ("X-Other: a\r\n ", nil), ("X-Other: \u{E9}\u{41F}", nil), ("X-Other: \t", nil),
            ("X-Other", .noColon), ("X-Other 1: 2", .noColon), (": 1", .headerName),
            ("X(Other: 1", .headerName), ("X\u{E9}: 1", .headerName),
            ("X-Other\r\n : 1", .noColon),
            ("X-Other: a\rb", .bareCarriageReturn), ("X-Other: a\nb", .bareCarriageReturn),
            ("X-Other: a\r\r\n b", .bareCarriageReturn), ("X-Other: a\r", .bareCarriageReturn),
            ("X-Other: \u{0}", .controlByte), ("X-Other: \u{1}", .controlByte),
            ("X-Other: \u{1F}", .controlByte), ("X-Other: \u{7F}", .controlByte),
            ("X\u{0}: 1", .controlByte), ("X-Other: \"\\\u{0}\"", .controlByte),
            ("Contact: \"\\\u{0}\\\u{7}\\\u{7F}\" <sip:a@h>", nil),
            ("Contact: \"\u{0}\" <sip:a@h>", .controlByte),
            ("Contact: \\\u{0} <sip:a@h>", .controlByte),
            ("Contact: \"\" \\\u{0} <sip:a@h>", .controlByte),
            ("Contact: \"\\\\\u{0}\" <sip:a@h>", .controlByte),
            ("Contact: \"\\\r\" <sip:a@h>", .bareCarriageReturn),
        ] as [(String, SIPParseError.Reason?)]
    )
    func `or refused`(line: String, refused: SIPParseError.Reason?) {
        #expect(reason(Sample.register(adding: line)) == refused, "\(line.debugDescription)")
    }

    @Test func `with every byte of 0 to 255 in its name and value`() {
        for byte in UInt8.min...UInt8.max {
            var name = Array(Sample.register(adding: "X-Oth").utf8.dropLast(4))
            name.append(byte)
            name += Array("er: 1\r\n\r\n".utf8)
            let isNameByte = byte.isTokenByte || byte == 0x3A
            #expect((outcome(name) == .message) == isNameByte, "\(byte) in a name")
            var value = Array(Sample.register(adding: "X-Other: a").utf8.dropLast(4))
            value.append(byte)
            value += Array("b\r\n\r\n".utf8)
            let isText = byte == 0x09 || (byte >= 0x20 && byte != 0x7F)
            #expect((outcome(value) == .message) == isText, "\(byte) in a value")
        }
    }

    static let names: [(String, HeaderName)] = [
        ("Via", .via), ("v", .via), ("From", .from), ("f", .from), ("To", .to), ("t", .to),
        ("Call-ID", .callID), ("i", .callID), ("CSeq", .cseq), ("Contact", .contact),
        ("m", .contact), ("Max-Forwards", .maxForwards), ("Content-Length", .contentLength),
        ("l", .contentLength), ("Expires", .expires), ("Route", .route),
        ("Record-Route", .recordRoute), ("Path", .path), ("Require", .require),
        ("Proxy-Require", .proxyRequire), ("Supported", .supported), ("k", .supported),
        ("Unsupported", .unsupported), ("Authorization", .authorization),
        ("Proxy-Authorization", .proxyAuthorization), ("WWW-Authenticate", .wwwAuthenticate),
        ("Proxy-Authenticate", .proxyAuthenticate), ("Min-Expires", .minExpires),
        ("Retry-After", .retryAfter), ("Service-Route", .serviceRoute),
        ("P-Associated-URI", .pAssociatedURI), ("Feature-Caps", .featureCaps),
        ("Flow-Timer", .flowTimer), ("Allow-Events", .allowEvents), ("u", .allowEvents),
        ("Security-Server", .securityServer), ("Server", .server), ("Date", .date),
        ("Reason", .reason), ("Content-Type", .contentType), ("c", .contentType),
        ("User-Agent", .userAgent),
    ]

    @Test func `under each of its names, in either case`() {
        func read(_ text: String) -> HeaderName {
            let bytes = Array(text.utf8)
            return HeaderName(bytes.span, ByteRange(0, bytes.count))
        }
        for (name, expected) in Self.names {
            #expect(read(name) == expected, "\(name)")
            #expect(read(name.uppercased()) == expected, "\(name)")
            #expect(read(name.lowercased()) == expected, "\(name)")
            #expect(read(name + "_") == .other, "\(name)_")
            #expect(name.count == 1 || read("_" + name.dropFirst()) == .other, "_\(name)")
            #expect(name.count == 1 || read(name.dropLast() + "_") == .other, "\(name)")
        }
        let covered = Set(Self.names.map(\.1))
        #expect(HeaderName.allCases.allSatisfy { $0 == .other || covered.contains($0) })
        for name in ["s", "e", "b", "r", "x", "o", "C%6Fntact", "Viaa", "T0"] {
            #expect(read(name) == .other, "\(name)")
        }
    }

    @Test(
        arguments: [
            ("0", nil), ("4", nil), ("0000000000000000000000000000004", nil), ("3\r\n ", nil),
            ("5", .contentLength), ("9999", .contentLength), ("-1", .contentLength),
            ("+1", .contentLength), ("", .contentLength), ("1 2", .contentLength),
            ("1,2", .contentLength), ("0x4", .contentLength), ("4;a", .contentLength),
            ("18446744073709551615", .contentLength), ("18446744073709551620", .contentLength),
            (String(repeating: "9", count: 400), .contentLength),
        ] as [(String, SIPParseError.Reason?)]
    )
    func `Content-Length, against a body of four bytes`(
        value: String, refused: SIPParseError.Reason?
    ) {
        let lines = Sample.invite.dropLast() + ["Content-Length: " + value]
        #expect(reason(Sample.text(Array(lines), body: "body")) == refused, "\(value)")
    }

    @Test func `Content-Length, absent: the body goes to the end of the datagram (§18.3)`() {
        let bytes = Array(Sample.text(Sample.invite.dropLast(), body: "a body").utf8)
        var index = MessageIndex()
        let outcome = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        #expect(outcome == .message)
        #expect(bytes.text(index.body) == "a body")
    }

    @Test(
        arguments: [
            ("0 REGISTER", nil), ("2147483647 REGISTER", nil), ("0001\r\n  REGISTER", nil),
            ("1\tREGISTER", nil), ("2147483648 REGISTER", .sequence),
            ("4294967296 REGISTER", .sequence), ("99999999999999999999 REGISTER", .sequence),
            ("-1 REGISTER", .sequence), ("1REGISTER", .sequence), ("1", .sequence),
            ("REGISTER", .sequence), ("", .sequence), ("1 REGISTER x", .sequence),
            ("1 INVITE", .methodMismatch), ("1 register", .methodMismatch),
            ("1 REG(", .sequence),
        ] as [(String, SIPParseError.Reason?)]
    )
    func `CSeq, below 2³¹ and of the method (§8.1.1.5)`(
        value: String, refused: SIPParseError.Reason?
    ) {
        #expect(reason(Sample.register(with: "CSeq: " + value)) == refused, "\(value)")
    }

    @Test(
        arguments: [
            ("a", nil), ("a@b", nil), ("f81d-4fae;x", nil), ("z~)(><:\\/\"][?}{", nil),
            ("", .callID), ("a b", .callID), ("a\tb", .callID), ("a,b", .callID),
            ("a\r\n b", .callID),
        ] as [(String, SIPParseError.Reason?)]
    )
    func `Call-ID, one word`(value: String, refused: SIPParseError.Reason?) {
        #expect(reason(Sample.register(with: "Call-ID: " + value)) == refused, "\(value)")
    }

    @Test(
        arguments: [
            ("0", nil), ("255", nil), ("0068", nil), ("256", .numberTooLarge),
            ("99999999999999999999999", .numberTooLarge), ("-1", .number), ("", .number),
            ("7 0", .number),
        ] as [(String, SIPParseError.Reason?)]
    )
    func `Max-Forwards, 0 to 255 (§20.22)`(value: String, refused: SIPParseError.Reason?) {
        #expect(reason(Sample.register(with: "Max-Forwards: " + value)) == refused, "\(value)")
    }
}
