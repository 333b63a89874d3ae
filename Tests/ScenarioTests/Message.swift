/// A SIP message as a list of header fields, for writing and looking into.
struct Message: Equatable {
    struct Field: Equatable {
        var name: String
        var value: String
    }

    var startLine: String
    var fields: [Field] = []
    var body: [UInt8] = []

    init(_ startLine: String) { self.startLine = startLine }

    /// Reads what midreg sent; `nil` for what is no message.
    init?(_ bytes: [UInt8]) {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
        var lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)[...]
        guard let start = lines.popFirst(), start.contains("SIP/2.0") else { return nil }
        startLine = String(start)
        for line in lines {
            if line.first?.isWhitespace == true, !fields.isEmpty {
                fields[fields.count - 1].value += " " + line.trimmed
                continue
            }
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let name = String(line[..<colon].trimmed)
            let value = String(line[line.index(after: colon)...].trimmed)
            fields.append(Field(name: Self.long[name] ?? name, value: value))
        }
        body = Array(bytes[end.upperBound...])
    }

    private static let long = [
        "v": "Via", "f": "From", "t": "To", "i": "Call-ID", "m": "Contact", "l": "Content-Length",
        "c": "Content-Type", "k": "Supported", "e": "Content-Encoding", "s": "Subject",
    ]

    var bytes: [UInt8] {
        var text = startLine + "\r\n"
        for field in fields { text += "\(field.name): \(field.value)\r\n" }
        return Array((text + "\r\n").utf8) + body
    }

    var kind: Kind {
        if startLine.hasPrefix("SIP/2.0 ") {
            return .response(Int(startLine.dropFirst(8).prefix(3)) ?? 0)
        }
        return .request(String(startLine.prefix { $0 != " " }))
    }
    var code: Int? {
        if case .response(let code) = kind { return code }
        return nil
    }
    /// The method of a request, or of the request that a response answers.
    var method: String { String(self["CSeq"].drop { $0 != " " }.trimmed) }
    var sequence: Int { Int(self["CSeq"].prefix { $0 != " " }) ?? 0 }
    var uri: String {
        let parts = startLine.split(separator: " ")
        return code == nil && parts.count == 3 ? String(parts[1]) : ""
    }

    /// The value of the first field of this name, or nothing.
    subscript(name: String) -> String { values(name).first ?? "" }

    /// The values as they stand, one of each line.
    func values(_ name: String) -> [String] {
        fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }

    /// The values of a header that is a list, however many lines it takes.
    func elements(_ name: String) -> [String] {
        values(name).flatMap(\.listElements)
    }

    mutating func set(_ name: String, _ values: [String]) {
        let first = fields.firstIndex { $0.name.lowercased() == name.lowercased() }
        fields.removeAll { $0.name.lowercased() == name.lowercased() }
        let new = values.map { Field(name: name, value: $0) }
        fields.insert(contentsOf: new, at: min(first ?? fields.count, fields.count))
    }

    /// The words of a check: a header, or something of ours in lower case.
    func looked(up field: String) -> [String] {
        switch field {
        case "uri": [uri]
        case "line": [startLine]
        case "reason": [String(startLine.drop { $0 != " " }.dropFirst(5))]
        case "branch": [elements("Via").first?.parameter("branch") ?? ""]
        case "tag": [self["To"].parameter("tag") ?? ""]
        default: values(field)
        }
    }
}

extension StringProtocol {
    var trimmed: SubSequence {
        var text = self[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }

    /// The value of a parameter behind the address.
    func parameter(_ name: String) -> String? {
        let behind = lastIndex(of: ">").map { self[index(after: $0)...] } ?? self[...]
        for part in behind.split(separator: ";").map(\.trimmed) where part.hasPrefix(name + "=") {
            return String(part.dropFirst(name.count + 1))
        }
        return nil
    }

    /// Elements between commas that stand neither in quotes nor in angle brackets.
    var listElements: [String] {
        var elements: [String] = []
        var element = ""
        var isQuoted = false
        var isEscaped = false
        var depth = 0
        for character in self {
            if isQuoted {
                if !isEscaped, character == "\"" { isQuoted = false }
                isEscaped = !isEscaped && character == "\\"
            } else if character == "\"" {
                isQuoted = true
            } else if character == "<" {
                depth += 1
            } else if character == ">" {
                depth -= 1
            } else if character == ",", depth <= 0 {
                elements.append(String(element.trimmed))
                element = ""
                continue
            }
            element.append(character)
        }
        return elements + [String(element.trimmed)]
    }

    /// The URI of an address.
    var addressURI: String {
        guard let open = firstIndex(of: "<") else { return String(prefix { $0 != ";" }.trimmed) }
        return String(self[index(after: open)...].prefix { $0 != ">" })
    }
}
