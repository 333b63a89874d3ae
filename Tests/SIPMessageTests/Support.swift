import Bytes
import Glibc
import SIPMessage
import Testing

/// A message of which one line was replaced, left out or added; lines are joined with CRLF.
enum Sample {
    static let register = [
        "REGISTER sip:example.test SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bKnashds7;rport",
        "Max-Forwards: 70",
        "From: Bob <sip:bob@example.test>;tag=456248",
        "To: Bob <sip:bob@example.test>",
        "Call-ID: 843817637684230@998sdasdh09",
        "CSeq: 1826 REGISTER",
        "Contact: <sip:bob@192.0.2.7:5062;transport=udp>;expires=600;+sip.instance=\"<urn:uuid:1>\"",
        "Expires: 7200",
        "Supported: path, gruu",
        "User-Agent: A Phone/1.0",
        "Content-Length: 0",
    ]

    static let invite = [
        "INVITE sip:alice@example.test SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa, SIP/2.0/TCP [2001:db8::1]:5070;branch=z9hG4bKb",
        "Route: <sip:p1.example.test;lr>, <sip:p2.example.test;lr>",
        "Max-Forwards: 69",
        "From: \"A, \\\"quoted\\\"; name\" <sip:carol@chicago.test>;tag=1928301774",
        "To: <sip:alice@example.test>",
        "Call-ID: a84b4c76e66710",
        "CSeq: 314159 INVITE",
        "Contact: <sip:carol@192.0.2.1>",
        "Content-Length: 4",
    ]

    static func text(_ lines: [String], body: String = "") -> String {
        lines.joined(separator: "\r\n") + "\r\n\r\n" + body
    }

    /// The REGISTER with the lines that begin as `line` does up to its colon replaced by it.
    static func register(with line: String) -> String {
        let name = line.prefix { $0 != ":" }
        return text(register.map { $0.prefix { $0 != ":" } == name ? line : $0 })
    }

    static func register(without name: String) -> String {
        text(register.filter { $0.prefix { $0 != ":" } != name })
    }

    static func register(adding line: String) -> String { text(register + [line]) }
}

/// What the parser says of some text.
func outcome(_ text: String) -> MessageParser.Outcome { outcome(Array(text.utf8)) }

func outcome(_ bytes: [UInt8]) -> MessageParser.Outcome {
    var index = MessageIndex()
    return MessageParser().parse(bytes.span, length: bytes.count, into: &index)
}

/// The reason the parser refuses some text for; `nil` if it takes it.
func reason(_ text: String) -> SIPParseError.Reason? {
    if case .bad(let error) = outcome(text) { return error.reason }
    return nil
}

extension [UInt8] {
    func text(_ range: ByteRange) -> String {
        String(decoding: self[range.start..<range.end], as: UTF8.self)
    }
}

/// Reads text as a URI and keeps the bytes with it.
struct ReadURI {
    let bytes: [UInt8]
    let uri: SIPURI

    init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard let uri = try? SIPURI(bytes.span, ByteRange(0, bytes.count)) else { return nil }
        self.bytes = bytes
        self.uri = uri
    }

    var user: String { bytes.text(uri.user) }
    var host: String { bytes.text(uri.host) }

    func isEquivalent(to other: ReadURI) -> Bool {
        SIPURI.equivalent(uri, in: bytes.span, other.uri, in: other.bytes.span)
    }

    /// The canonical address of record; `nil` if it is refused.
    var addressOfRecord: String? {
        var buffer = ByteBuffer(bytesMax: 512)
        guard (try? AddressOfRecord.write(bytes.span, uri, to: &buffer)) != nil else { return nil }
        var written: [UInt8] = []
        for offset in 0..<buffer.count { written.append(buffer[offset]) }
        return String(decoding: written, as: UTF8.self)
    }
}

/// The bytes of a file beside these tests.
func file(_ name: String) throws -> [UInt8] {
    let path = #filePath.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/" + name
    let handle = try #require(fopen(path, "rb"), "\(path) can be read")
    defer { fclose(handle) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, handle)
    return Array(bytes[..<count])
}

let phone = TransportAddress(ipv4: 0xC633_6409, port: 40_000)  // 198.51.100.9
