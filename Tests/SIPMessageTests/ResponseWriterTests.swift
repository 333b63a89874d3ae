import Bytes
import SIPMessage
import Testing

@Suite("A response made from a request (RFC 3261 §8.2.6)")
struct ResponseWriterTests {
    static func lines(of text: String, from source: TransportAddress = phone) -> [String] {
        let bytes = Array(text.utf8)
        var index = MessageIndex()
        _ = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        var outbox = Outbox(bytesMax: 8_192, messagesMax: 1)
        outbox.begin()
        ResponseWriter.begin(
            404, "Not Found", to: bytes.span, index, source: source, toTag: 0xAB, &outbox)
        ResponseWriter.finish(&outbox)
        return outbox.openText.split(separator: "\r\n").map(String.init)
    }

    @Test func `echoes what must be echoed and nothing else`() {
        #expect(
            Self.lines(of: Sample.text(Sample.register)) == [
                "SIP/2.0 404 Not Found",
                "Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bKnashds7;received=198.51.100.9;rport=40000",
                "From: Bob <sip:bob@example.test>;tag=456248",
                "To: Bob <sip:bob@example.test>;tag=00000000000000ab",
                "Call-ID: 843817637684230@998sdasdh09", "CSeq: 1826 REGISTER", "Content-Length: 0",
            ])
    }

    @Test(
        arguments: [
            ("To: <sip:b@h>", "To: <sip:b@h>;tag=00000000000000ab"),
            ("To: sip:b@h", "To: sip:b@h;tag=00000000000000ab"),
            ("To: <sip:b@h;tag=1>", "To: <sip:b@h;tag=1>;tag=00000000000000ab"),
            ("To: <sip:b@h>;tag=1", "To: <sip:b@h>;tag=1"),
            ("To: <sip:b@h>;x=\";tag=1\"", "To: <sip:b@h>;x=\";tag=1\";tag=00000000000000ab"),
            ("To: <sip:b@h> ; TAG = 1", "To: <sip:b@h> ; TAG = 1"), ("To: <<", "To: <<"),
        ])
    func `tags a To that has no tag`(line: String, expected: String) {
        #expect(Self.lines(of: Sample.register(with: line))[3] == expected)
    }

    @Test(
        arguments: [
            ("h", "h+"), ("h;rport", "h+"), ("h;branch=a;rport;x=y", "h;branch=a;x=y+"),
            ("h;received=1.2.3.4;branch=a", "h;branch=a+"), ("h;rport=1;received=1.2.3.4", "h+"),
            ("h;received=1.2.3.4;x;rport;y", "h;x;y+"), ("h ; rport ; x", "h  ; x+"),
            ("h, SIP/2.0/UDP i;rport", "h+, SIP/2.0/UDP i;rport"),
            ("h;rport , SIP/2.0/UDP i", "h+ , SIP/2.0/UDP i"), ("h;;", "h;;"),
        ])
    func `says in the topmost Via where the request came from`(via: String, expected: String) {
        let stamped = expected.split(separator: "+", omittingEmptySubsequences: false)
            .joined(separator: ";received=198.51.100.9;rport=40000")
        let line = Self.lines(of: Sample.register(with: "Via: SIP/2.0/UDP " + via))[1]
        #expect(line == "Via: SIP/2.0/UDP " + stamped)
    }

    @Test func `writes an IPv6 source without brackets`() throws {
        let source = try #require(TransportAddress(hostPort: "[2001:db8::2]:5", defaultPort: 0))
        let line = Self.lines(of: Sample.text(Sample.register), from: source)[1]
        #expect(line.hasSuffix(";branch=z9hG4bKnashds7;received=2001:db8:0:0:0:0:0:2;rport=5"))
    }

    @Test func `keeps all Vias in their order`() {
        let text = Sample.register(adding: "v: SIP/2.0/UDP second\r\nVia: SIP/2.0/UDP third")
        #expect(Self.lines(of: text)[2...3] == ["v: SIP/2.0/UDP second", "Via: SIP/2.0/UDP third"])
    }

    @Test func `is whole or not there`() {
        let bytes = Array(Sample.text(Sample.register).utf8)
        var index = MessageIndex()
        _ = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        for room in 1..<250 {
            var outbox = Outbox(bytesMax: room, messagesMax: 1)
            outbox.begin()
            ResponseWriter.begin(
                404, "Not Found", to: bytes.span, index, source: phone, toTag: 1, &outbox)
            ResponseWriter.finish(&outbox)
            let fits = outbox.end(to: phone, from: 0)
            #expect(!fits)
        }
    }
}

@Suite("A copy with edits")
struct EditedCopyTests {
    @Test(
        arguments: [
            ([], "0123456789"), ([(2, 4)], "01456789"), ([(0, 1), (9, 10)], "12345678"),
            ([(2, 4), (4, 6)], "016789"), ([(2, 6), (3, 4)], "016789"), ([(5, 5)], "0123456789"),
        ] as [([(Int, Int)], String)]
    )
    func `leaves out what is dropped and keeps the rest`(drops: [(Int, Int)], expected: String) {
        let bytes = Array("0123456789".utf8)
        var outbox = Outbox(bytesMax: 64, messagesMax: 1)
        outbox.begin()
        var copy = EditedCopy(from: 0)
        for (start, end) in drops { copy.drop(ByteRange(start, end), bytes.span, &outbox) }
        copy.keep(upTo: bytes.count, bytes.span, &outbox)
        #expect(outbox.openText == expected)
    }
}
