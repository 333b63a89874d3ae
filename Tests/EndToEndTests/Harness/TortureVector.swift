import Foundation

/// One torture message and what `expectations.csv` says of it.
struct TortureVector {
    let name: String
    let section: String
    let isRequest: Bool
    let isValid: Bool
    let ideal: Set<String>
    let tolerable: Set<String>
    let must: String
    let bytes: [UInt8]

    var message: RawMessage { RawMessage(bytes) }

    /// Where RFC 3261 §18.2.2 has the answer go if `rport` is not asked for.
    var sentByPort: UInt16 {
        guard let via = message.first("via")?.value else { return 5_060 }
        let sentBy = via.prefix { $0 != ";" && $0 != "," }.split(separator: " ").last ?? ""
        let host = sentBy.lastIndex(of: "]").map { sentBy[$0...] } ?? sentBy
        return host.split(separator: ":").dropFirst().last.flatMap { UInt16($0) } ?? 5_060
    }

    static func all() throws -> [TortureVector] {
        let folder = "\(Repository.root)/Tests/SIPMessageTests/Torture"
        func read(_ name: String) throws -> [UInt8] {
            guard let data = FileManager.default.contents(atPath: "\(folder)/\(name)") else {
                throw HarnessError("no \(folder)/\(name)")
            }
            return Array(data)
        }
        let table = String(decoding: try read("expectations.csv"), as: UTF8.self)
        return try table.split(whereSeparator: \.isNewline).dropFirst().map { line in
            let cells = cells(of: line)
            func words(_ cell: String) -> Set<String> {
                Set(cell.split { $0 == " " || $0 == ";" }.map(String.init))
            }
            return TortureVector(
                name: cells[0], section: "\(cells[2]) \(cells[3])",
                isRequest: cells[4] == "request", isValid: cells[7].hasPrefix("valid"),
                ideal: words(cells[8]), tolerable: words(cells[9]), must: cells[10],
                bytes: try read(cells[1]))
        }
    }

    private static func cells(of line: Substring) -> [String] {
        var cells = [""]
        var isQuoted = false
        for character in line {
            switch character {
            case "\"": isQuoted.toggle()
            case "," where !isQuoted: cells.append("")
            default: cells[cells.count - 1].append(character)
            }
        }
        return cells
    }
}

/// What a torture message led to.
struct TortureOutcome {
    /// How many were sent: the message, and a twin if it has one.
    var messages = 1
    /// What reached the main registrar, in order.
    var atMain: [RawMessage] = []
    /// What came back to where the message was sent from.
    var atSource: [RawMessage] = []
    /// What came to the sender's host at the port its Via names.
    var atSentBy: [RawMessage] = []
    /// Bindings in the store afterwards.
    var contacts: [String] = []
    /// What the appliance says it has sent, without the answer to our own OPTIONS.
    var sent = 0
    var sendErrors = 0
    /// How the appliance fell, if it did.
    var fall: String?

    var answers: [RawMessage] { atSource + atSentBy }
    var status: Int? { answers.compactMap(\.status).first { $0 >= 200 } }
    var seen: Int { atMain.count + answers.count }

    /// In the words of `expectations.csv`; anything else is a failure in a few words.
    func word(for vector: TortureVector) -> String {
        if let fall { return fall }
        guard sent == seen, sendErrors == 0 else {
            return "sent \(sent) messages, of which \(seen) were seen; \(sendErrors) not taken"
        }
        guard let forwarded = atMain.first else {
            guard let status else { return answers.isEmpty ? "drop" : "no final answer" }
            return "\(status)"
        }
        guard atMain.count == messages else { return "forwarded \(atMain.count) times" }
        guard let status else { return "forwarded, and the answer lost" }
        guard status == 200 else { return "forwarded, and answered \(status)" }
        let original = vector.message
        if original.method == "REGISTER" { return "register_ok" }
        guard forwarded.startLine == original.startLine else { return "forward_clean" }
        if let difference = Self.difference(original, forwarded) {
            return vector.isValid ? "forwarded with \(difference)" : "forward_clean"
        }
        return "forward"
    }

    /// What a proxy may not have changed but has (RFC 3261 §16.6); `nil` if there is nothing.
    static func difference(_ original: RawMessage, _ forwarded: RawMessage) -> String? {
        guard forwarded.body == original.body else { return "another body" }
        var rest = forwarded.fields[...]
        guard rest.popFirst()?.name == "via" else { return "no Via of the proxy" }
        if original.first("record-route") == nil, rest.first?.name == "record-route" {
            rest.removeFirst()
        }
        if original.first("max-forwards") == nil {
            guard let inserted = rest.popFirst(), inserted.name == "max-forwards",
                inserted.value == "70"
            else { return "no Max-Forwards" }
        }
        // Every request that a forking proxy passes on has one (RFC 5393 §5.3.3).
        if original.first("max-breadth") == nil, rest.first?.name == "max-breadth" {
            guard rest.removeFirst().value == "60" else { return "another Max-Breadth" }
        }
        var isTopVia = true
        // A phone that has us as its outbound proxy names us in the topmost Route, by a name that we
        // need not know: outside a dialog that Route stays behind, unless it names an address.
        var mayLoseRoute = original.first("to")?.value.contains("tag") == false
        let isRegister = original.method == "REGISTER"
        for field in original.fields {
            if field.name == "route", mayLoseRoute, rest.first?.line != field.line,
                field.value.firstMatch(of: /sips?:([^@>;]*@)?[0-9\[]/) == nil
            {
                mayLoseRoute = false
                continue
            }
            guard let found = rest.popFirst() else { return "no \(field.name)" }
            switch field.name {
            case "via" where isTopVia:
                isTopVia = false
                guard isStamped(found, of: field) else { return "another top Via" }
            case "max-forwards":
                guard let hops = Int(field.value), found.value == "\(hops - 1)" else {
                    return "Max-Forwards: \(found.value)"
                }
            case "contact" where isRegister, "expires" where isRegister:
                guard found.name == field.name else { return "no \(field.name)" }
            default:
                guard found.line == field.line else { return "another \(field.name)" }
            }
        }
        return rest.first.map { "a new \($0.name)" }
    }

    /// Whether a Via is another with nothing but `received` and `rport` put in.
    static func isStamped(_ field: RawMessage.Field, of original: RawMessage.Field) -> Bool {
        func bare(_ field: RawMessage.Field) -> String {
            let parts = field.value.filter { $0 != " " && $0 != "\t" }
                .split(separator: ";", omittingEmptySubsequences: false)
            return parts.dropFirst().reduce(String(parts[0])) { text, part in
                guard part.hasPrefix("received=") || part.hasPrefix("rport") else {
                    return "\(text);\(part)"
                }
                return text + part.drop { $0 != "," }
            }
        }
        return field.name == "via" && bare(field) == bare(original)
    }
}
