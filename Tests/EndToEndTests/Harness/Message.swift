import Foundation

/// A SIP message as the tests' own phones see it: a start line, header fields in order, a body.
struct Message {
    var startLine: String
    var fields: [(name: String, value: String)]
    var body = ""
    var source: Endpoint?

    /// Reads a datagram; `nil` if it has no head. Names are taken as they stand.
    init?(_ bytes: [UInt8], from source: Endpoint? = nil) {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.range(of: "\r\n\r\n") else { return nil }
        let lines = text[..<end.lowerBound].components(separatedBy: "\r\n")
        guard let first = lines.first, first.contains("SIP/2.0") else { return nil }
        startLine = first
        fields = lines.dropFirst().compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...]
            return (
                line[..<colon].trimmingCharacters(in: .whitespaces),
                value.trimmingCharacters(in: .whitespaces)
            )
        }
        body = String(text[end.upperBound...])
        self.source = source
    }

    init(_ startLine: String, _ fields: [(name: String, value: String)]) {
        self.startLine = startLine
        self.fields = fields
    }

    /// The status of a response; `nil` for a request.
    var status: Int? {
        guard startLine.hasPrefix("SIP/2.0 ") else { return nil }
        return Int(startLine.split(separator: " ")[1])
    }

    /// The method of a request; of a response, that of its CSeq.
    var method: String {
        if status == nil { return String(startLine.prefix { $0 != " " }) }
        return self["CSeq"]?.split(separator: " ").last.map(String.init) ?? ""
    }

    var requestURI: String {
        let parts = startLine.split(separator: " ")
        return parts.count > 1 ? String(parts[1]) : ""
    }

    var sequence: UInt32 {
        self["CSeq"]?.split(separator: " ").first.flatMap { UInt32($0) } ?? 0
    }

    /// The first field of that name.
    subscript(name: String) -> String? {
        fields.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    func all(_ name: String) -> [String] {
        fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }

    mutating func set(_ name: String, _ value: String) {
        if let index = fields.firstIndex(where: { $0.name.lowercased() == name.lowercased() }) {
            fields[index].value = value
        } else {
            fields.append((name, value))
        }
    }

    var text: String {
        startLine + "\r\n" + fields.map { "\($0.name): \($0.value)\r\n" }.joined()
            + "Content-Length: \(body.utf8.count)\r\n\r\n" + body
    }

    /// A response to this request, with what RFC 3261 §8.2.6.2 wants copied.
    func response(_ status: Int, _ reason: String, toTag: String? = nil) -> Message {
        let copied = ["via", "record-route", "from", "to", "call-id", "cseq"]
        var answer = Message(
            "SIP/2.0 \(status) \(reason)", fields.filter { copied.contains($0.name.lowercased()) })
        if let toTag, let to = self["To"], !to.contains(";tag=") {
            answer.set("To", "\(to);tag=\(toTag)")
        }
        return answer
    }
}
