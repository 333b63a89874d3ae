/// A message of a call as the model reads it.
struct CallMessage {
    struct Field {
        let name: String
        let value: String
    }

    let bytes: [UInt8]
    private(set) var startLine = ""
    private(set) var fields: [Field] = []
    /// 0 for a request.
    private(set) var code = 0
    /// Of a response that of the request it answers.
    private(set) var method = ""
    private(set) var uri = ""

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        var start = 0
        while start < bytes.count {
            var end = start
            while end < bytes.count, bytes[end] != 13 { end += 1 }
            if end == start { break }
            if startLine.isEmpty {
                startLine = text(start, end)
            } else {
                readField(start, end)
            }
            start = end + 2
        }
        let words = startLine.split(separator: " ", maxSplits: 2)
        guard words.count == 3 else { return }
        if words[0] == "SIP/2.0" {
            code = Int(words[1]) ?? 0
            method = self["CSeq"].split(separator: " ").last.map { String($0) } ?? ""
        } else {
            method = String(words[0])
            uri = String(words[1])
        }
    }

    private func text(_ start: Int, _ end: Int) -> String {
        String(decoding: bytes[start..<max(start, end)], as: UTF8.self)
    }

    private mutating func readField(_ start: Int, _ end: Int) {
        var colon = start
        while colon < end, bytes[colon] != UInt8(ascii: ":") { colon += 1 }
        var value = colon + 1
        while value < end, bytes[value] == 32 { value += 1 }
        fields.append(Field(name: text(start, colon), value: text(value, end)))
    }

    func values(_ name: String) -> [String] {
        fields.filter { $0.name == name }.map(\.value)
    }

    subscript(name: String) -> String { fields.first { $0.name == name }?.value ?? "" }

    /// The number of a CSeq.
    var sequence: Int { Int(self["CSeq"].prefix { $0 != " " }) ?? 0 }
    /// The branch of a Via, the topmost being 0.
    func branch(_ number: Int = 0) -> String {
        var count = 0
        for field in fields where field.name == "Via" {
            if count == number { return Self.parameter("branch", of: field.value) }
            count += 1
        }
        return ""
    }
    var toTag: String { Self.parameter("tag", of: self["To"]) }

    static func parameter(_ name: String, of value: String) -> String {
        let marker = ";" + name + "="
        guard let range = value.firstRange(of: marker) else { return "" }
        return String(value[range.upperBound...].prefix { $0 != ";" && $0 != ">" && $0 != "," })
    }

    /// The URI between the brackets.
    static func address(_ value: String) -> String {
        guard let open = value.firstIndex(of: "<") else { return value }
        return String(value[value.index(after: open)...].prefix { $0 != ">" })
    }

    /// The reasons, whatever their lines.
    var reasons: [String] { values("Reason") }

    // MARK: Writing

    static func bytes(_ startLine: String, _ fields: [(String, String)]) -> [UInt8] {
        var text = startLine + "\r\n"
        for (name, value) in fields {
            text += name
            text += ": "
            text += value
            text += "\r\n"
        }
        text += "Content-Length: 0\r\n\r\n"
        return Array(text.utf8)
    }

    /// A response as a phone writes it.
    func response(_ code: Int, tag: String, contact: String, extra: [(String, String)] = [])
        -> [UInt8]
    {
        var fields: [(String, String)] = values("Via").map { ("Via", $0) }
        let formsDialog = 101..<300 ~= code && (method == "INVITE" || method == "SUBSCRIBE")
        if formsDialog { fields += values("Record-Route").map { ("Record-Route", $0) } }
        let isTagged = code == 100 || !toTag.isEmpty
        fields += [
            ("From", self["From"]), ("To", self["To"] + (isTagged ? "" : ";tag=\(tag)")),
            ("Call-ID", self["Call-ID"]), ("CSeq", self["CSeq"]),
        ]
        if formsDialog { fields.append(("Contact", "<\(contact)>")) }
        return Self.bytes("SIP/2.0 \(code) Whatever", fields + extra)
    }

    /// The same with one byte of its topmost branch changed.
    func forged(at place: Int) -> [UInt8] {
        var other = bytes
        let marker = Array(";branch=z9hG4bK".utf8)
        guard let range = other.firstRange(of: marker) else { return other }
        let at = range.upperBound + place % 20
        other[at] = other[at] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
        return other
    }
}
