/// A SIP message as the model reads it: what phones, main registrar and judge look at, and no more.
public struct SIPText: Sendable {
    public struct Contact: Sendable {
        public var uri: String
        /// Behind the brackets, without `expires`.
        public var parameters: String
        public var expires: Int?
    }

    public let bytes: [UInt8]
    /// 0 for a request.
    public var code = 0
    public var method = ""
    public var requestURI = ""
    public var vias: [String] = []
    public var from = ""
    public var to = ""
    public var callID = ""
    public var sequence = 0
    public var contacts: [Contact] = []
    public var isWildcard = false
    public var expires: Int?
    public var credentials = ""
    public var paths: [String] = []
    public var minExpires: Int?
    public var retryAfter: Int?

    public init(_ bytes: [UInt8]) {
        self.bytes = bytes
        var start = 0
        var isFirst = true
        while start < bytes.count {
            var end = start
            while end < bytes.count, bytes[end] != 13 { end += 1 }
            if end == start { break }
            if isFirst {
                readStartLine(start, end)
                isFirst = false
            } else {
                readField(start, end)
            }
            start = end + 2
        }
    }

    private func text(_ start: Int, _ end: Int) -> String {
        String(decoding: bytes[start..<max(start, end)], as: UTF8.self)
    }

    private mutating func readStartLine(_ start: Int, _ end: Int) {
        var space = start
        while space < end, bytes[space] != 32 { space += 1 }
        if bytes[start] == UInt8(ascii: "S"), bytes[start + 3] == UInt8(ascii: "/") {
            code = number(space + 1, end) ?? 0
            return
        }
        method = text(start, space)
        var next = space + 1
        while next < end, bytes[next] != 32 { next += 1 }
        requestURI = text(space + 1, next)
    }

    /// The digits that open a range.
    private func number(_ start: Int, _ end: Int) -> Int? {
        var value: Int?
        var at = start
        while at < end, bytes[at] >= 48, bytes[at] <= 57 {
            value = (value ?? 0) * 10 + Int(bytes[at] - 48)
            at += 1
        }
        return value
    }

    private mutating func readField(_ start: Int, _ end: Int) {
        var colon = start
        while colon < end, bytes[colon] != UInt8(ascii: ":") { colon += 1 }
        let value = min(end, colon + 2)
        switch (bytes[start], colon - start) {
        case (UInt8(ascii: "V"), 3): vias.append(text(value, end))
        case (UInt8(ascii: "F"), 4): from = text(value, end)
        case (UInt8(ascii: "T"), 2): to = text(value, end)
        case (UInt8(ascii: "C"), 7) where bytes[start + 1] == UInt8(ascii: "a"):
            callID = text(value, end)
        case (UInt8(ascii: "C"), 4): sequence = number(value, end) ?? 0
        case (UInt8(ascii: "C"), 7): readContact(value, end)
        case (UInt8(ascii: "E"), 7): expires = number(value, end)
        case (UInt8(ascii: "A"), 13): credentials = text(value, end)
        case (UInt8(ascii: "P"), 4): paths.append(text(value, end))
        case (UInt8(ascii: "M"), 11): minExpires = number(value, end)
        case (UInt8(ascii: "R"), 11): retryAfter = number(value, end)
        default: break
        }
    }

    /// The model's parties write a field for each contact, in brackets.
    private mutating func readContact(_ start: Int, _ end: Int) {
        if bytes[start] == UInt8(ascii: "*") {
            isWildcard = true
            return
        }
        var open = start
        while open < end, bytes[open] != UInt8(ascii: "<") { open += 1 }
        var close = open
        while close < end, bytes[close] != UInt8(ascii: ">") { close += 1 }
        var contact = Contact(uri: text(open + 1, close), parameters: "", expires: nil)
        let marker = Array(";expires=".utf8)
        var at = close + 1
        var kept: [UInt8] = []
        while at < end {
            if bytes[at] == UInt8(ascii: ";"), end - at >= marker.count,
                bytes[at..<at + marker.count].elementsEqual(marker)
            {
                contact.expires = number(at + marker.count, end)
                at += 1
                while at < end, bytes[at] != UInt8(ascii: ";") { at += 1 }
            } else {
                kept.append(bytes[at])
                at += 1
            }
        }
        contact.parameters = String(decoding: kept, as: UTF8.self)
        contacts.append(contact)
    }

    /// The value of a parameter of a Via.
    public static func parameter(_ name: String, of via: String) -> String {
        for part in via.utf8.split(separator: UInt8(ascii: ";")).dropFirst() {
            let text = Substring(part)
            if text.utf8.count > name.utf8.count, text.hasPrefix(name),
                text.utf8[text.utf8.index(text.utf8.startIndex, offsetBy: name.utf8.count)]
                    == UInt8(ascii: "=")
            {
                return String(text.dropFirst(name.count + 1))
            }
        }
        return ""
    }

    /// The user part and the domain of an AOR: two neighbours have the same user.
    static func user(_ aor: Int) -> String { "a\(aor / 2)" }
    static func domain(_ aor: Int) -> String { aor % 2 == 0 ? "example.test" : "example.net" }
    static func uri(_ aor: Int) -> String { "sip:\(user(aor))@\(domain(aor))" }

    /// The AOR in the To header field: the parties write `<sip:aN@DOMAIN>`.
    var aor: Int? {
        let rest = to.utf8.drop { $0 != UInt8(ascii: ":") }.dropFirst(2)
        let user = rest.prefix { $0 != UInt8(ascii: "@") }
        let domain = rest.dropFirst(user.count + 1).prefix { $0 != UInt8(ascii: ">") }
        guard let number = Int(Substring(user)) else { return nil }
        return [2 * number, 2 * number + 1].first { Self.domain($0) == String(Substring(domain)) }
    }

    /// What it is, in one line.
    public var summary: String {
        var line = code == 0 ? "\(method) \(requestURI)" : "\(code)"
        line += " \(callID) \(sequence)"
        if !credentials.isEmpty { line += " \(credentials.suffix(12))" }
        if isWildcard { line += " *" }
        for contact in contacts {
            line += " <\(contact.uri)>\(contact.parameters)"
            if let seconds = contact.expires { line += ";expires=\(seconds)" }
        }
        if let expires { line += " Expires \(expires)" }
        return line
    }
}
