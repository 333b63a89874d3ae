/// A SIP message as its bytes stand: nothing is unfolded, trimmed or decoded that a comparison of
/// what came in with what went out could need.
struct RawMessage {
    struct Field {
        /// In lower case and in full.
        let name: String
        /// Between colon and line end, folds made into spaces, no white space at the ends.
        let value: String
        /// The whole field with its line ends.
        let line: [UInt8]
    }

    /// With its line end.
    let startLine: [UInt8]
    let fields: [Field]
    /// What follows the empty line, as far as Content-Length says.
    let body: [UInt8]

    /// Reads as far as it goes; a missing empty line is forgiven.
    init(_ bytes: [UInt8]) {
        var lines: [[UInt8]] = []
        var at = 0
        while at < bytes.count {
            let end = Self.lineEnd(bytes, at)
            let line = Array(bytes[at..<end])
            at = end
            if line == [0x0D, 0x0A] { break }
            if !lines.isEmpty, line[0] == 0x20 || line[0] == 0x09 {
                lines[lines.count - 1] += line
            } else {
                lines.append(line)
            }
        }
        startLine = lines.first ?? []
        fields = lines.dropFirst().map(Self.field)
        let rest = Array(bytes[at...])
        let length = fields.first { $0.name == "content-length" }.flatMap { Int($0.value) }
        body = Array(rest.prefix(max(0, length ?? rest.count)))
    }

    private static func lineEnd(_ bytes: [UInt8], _ start: Int) -> Int {
        var at = start
        while at < bytes.count {
            if bytes[at] == 0x0A, at > start, bytes[at - 1] == 0x0D { return at + 1 }
            at += 1
        }
        return at
    }

    private static func field(_ line: [UInt8]) -> Field {
        let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.count
        var words = String(latin: line[min(colon + 1, line.count)...])
        words = words.replacing("\r\n", with: " ")
        let name = String(latin: line[..<colon]).trimmed.lowercased()
        return Field(name: full[name] ?? name, value: words.trimmed, line: line)
    }

    /// The compact names (RFC 3261 §20).
    private static let full = [
        "v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact",
        "l": "content-length", "k": "supported", "s": "subject", "c": "content-type",
    ]

    func all(_ name: String) -> [Field] { fields.filter { $0.name == name } }
    func first(_ name: String) -> Field? { fields.first { $0.name == name } }

    /// The start line without its end.
    var startText: String { String(latin: startLine).trimmed }

    var status: Int? {
        let words = startText.split(separator: " ")
        guard words.count > 1, words[0] == "SIP/2.0" else { return nil }
        return Int(words[1])
    }

    var method: String { startText.split(separator: " ").first.map(String.init) ?? "" }
}

extension String {
    /// One character a byte, so that any bytes can be compared and shown.
    init(latin bytes: some Sequence<UInt8>) {
        self.init(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
    }

    /// The bytes of a string made of bytes.
    var latinBytes: [UInt8] { unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) } }

    fileprivate var trimmed: String {
        let white: Set<Character> = [" ", "\t", "\r", "\n", "\r\n"]
        let start = drop { white.contains($0) }
        guard let last = start.lastIndex(where: { !white.contains($0) }) else { return "" }
        return String(start[...last])
    }
}
