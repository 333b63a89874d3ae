/// Reads the text of a scenario; `Tests/Scenarios/README.md` has the language.
struct ScenarioParser {
    private let file: String
    private let lines: [Substring]
    private var number = 0

    static func parse(_ text: String, file: String) throws(Complaint) -> Scenario {
        var parser = ScenarioParser(text, file: file)
        return try parser.scenario()
    }

    private init(_ text: String, file: String) {
        self.file = file
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    }

    private func complaint(_ text: String, at line: Int? = nil) -> Complaint {
        Complaint(file: file, line: line ?? number, text: text)
    }

    private mutating func scenario() throws(Complaint) -> Scenario {
        number = 1
        guard let first = lines.first, first.hasPrefix("# "),
            let colon = first.firstRange(of: ": ")
        else {
            throw complaint("begins with \"# POINT: what it shows\"")
        }
        let title = first.dropFirst(2)
        var pending: String?
        var statements: [Statement] = []
        while number < lines.count {
            number += 1
            let line = lines[number - 1]
            if line.allSatisfy(\.isWhitespace) || line.hasPrefix("#") { continue }
            guard line.first?.isWhitespace == false else {
                throw complaint("is indented, but nothing above it takes such lines")
            }
            if line.hasPrefix("pending ") {
                guard statements.isEmpty else { throw complaint("pending stands at the top") }
                pending = String(line.dropFirst(8))
                continue
            }
            let start = number
            statements.append(Statement(line: start, action: try action(line)))
        }
        guard !statements.isEmpty else { throw complaint("nothing happens") }
        return Scenario(
            file: file,
            points: String(first[first.index(first.startIndex, offsetBy: 2)..<colon.lowerBound]),
            title: String(title), pending: pending, statements: statements)
    }

    /// The indented lines under the present one.
    private mutating func block() -> [(line: Int, text: String)] {
        var block: [(Int, String)] = []
        while number < lines.count, lines[number].first?.isWhitespace == true {
            number += 1
            let text = lines[number - 1].drop(while: \.isWhitespace)
            if !text.isEmpty, !text.hasPrefix("#") { block.append((number, String(text))) }
        }
        return block
    }

    private mutating func action(_ line: Substring) throws(Complaint) -> Action {
        var words = Words(line)
        let first = words.next() ?? ""
        switch first {
        case "setting":
            guard let name = words.next(), words.next() == "=", !words.rest.isEmpty else {
                throw complaint("is not \"setting NAME = VALUE\"")
            }
            return .setting(name: name, value: words.rest)
        case "peer": return try peer(&words)
        case "registered": return try registered(&words)
        case "ignoring":
            guard let kind = words.next().flatMap(Kind.init) else {
                throw complaint("ignoring a method or a code")
            }
            return .ignoring(kind)
        case "wait": return .wait(ms: try duration(&words))
        case "nothing":
            switch words.next() {
            case "more": return .nothingMore
            case "for": return .silence(ms: try duration(&words))
            default: throw complaint("is neither \"nothing more\" nor \"nothing for TIME\"")
            }
        case "restart": return .restart
        case "store":
            switch words.next() {
            case "fails": return .store(works: false)
            case "works": return .store(works: true)
            default: throw complaint("is neither \"store fails\" nor \"store works\"")
            }
        case "counter", "gauge":
            guard let at = line.ranges(of: " is ").last, let value = UInt64(line[at.upperBound...])
            else {
                throw complaint("is not \"\(first) NAME is NUMBER\"")
            }
            return .figure(
                series: String(line[..<at.lowerBound].dropFirst(first.count + 1)), is: value)
        case "let":
            guard let name = words.next(), name.hasPrefix("$"), words.next() == "=" else {
                throw complaint("is not \"let $NAME = VALUE\"")
            }
            return .define(name: String(name.dropFirst()), value: words.rest)
        case "after":
            let ms = try duration(&words)
            return try expectation(.after(ms: ms), words.next() ?? "", &words)
        case "within":
            let ms = try duration(&words)
            return try expectation(.within(ms: ms), words.next() ?? "", &words)
        default:
            if words.peek == "->" { return try sending(first, &words) }
            if words.peek == "<-" { return try expectation(.now, first, &words) }
            throw complaint("\(first) is no word that begins a line")
        }
    }

    private func duration(_ words: inout Words) throws(Complaint) -> UInt64 {
        guard let word = words.next(), let amount = Double(word), amount >= 0 else {
            throw complaint("a time is a number and ms, s, min or h")
        }
        let unit: Double
        switch words.next() {
        case "ms": unit = 1
        case "s": unit = 1_000
        case "min": unit = 60_000
        case "h": unit = 3_600_000
        default: throw complaint("a time is a number and ms, s, min or h")
        }
        return UInt64((amount * unit).rounded())
    }

    private func peer(_ words: inout Words) throws(Complaint) -> Action {
        guard let name = words.next(), let source = words.next() else {
            throw complaint("is not \"peer NAME ADDRESS\"")
        }
        var claimed: String?
        if let word = words.next() {
            guard word == "behind", let address = words.next() else {
                throw complaint("after the address comes \"behind ADDRESS\" or nothing")
            }
            claimed = address
        }
        return .peer(name: name, source: source, claimed: claimed)
    }

    private mutating func registered(_ words: inout Words) throws(Complaint) -> Action {
        guard let name = words.next(), words.next() == "as", let user = words.next() else {
            throw complaint("is not \"registered PEER as USER\"")
        }
        var contact: String?
        if words.peek == "at" {
            _ = words.next()
            contact = words.next()
        }
        var parts: [Part] = []
        while let word = words.next() {
            guard let equals = word.firstIndex(of: "="), equals != word.startIndex else {
                throw complaint("\(word) is no NAME=VALUE")
            }
            let value = String(word[word.index(after: equals)...])
            parts.append(Part(name: String(word[..<equals]), value: value))
        }
        return .registered(
            peer: name, user: user, contact: contact, parts: parts, edits: try edits())
    }

    private mutating func sending(_ peer: String, _ words: inout Words) throws(Complaint) -> Action
    {
        _ = words.next()
        guard let word = words.next() else { throw complaint("sends what?") }
        var outgoing: Outgoing
        if word == "raw" {
            outgoing = Outgoing(what: .raw)
        } else if let kind = Kind(word) {
            outgoing = Outgoing(what: .message(kind))
        } else {
            throw complaint("\(word) is neither a method nor a status code")
        }
        if let phrase = words.quoted() { outgoing.reason = phrase }
        while let word = words.next() {
            switch word {
            case "to": outgoing.to = try name(&words, after: word)
            case "again": outgoing.isAgain = true
            case "as": outgoing.label = try name(&words, after: word)
            case "with": outgoing.with = try name(&words, after: word)
            case "in":
                let call = try name(&words, after: word)
                if call == "dialog" { outgoing.isInDialog = true } else { outgoing.call = call }
            default: throw complaint("\(word) is not understood")
            }
        }
        outgoing.edits = try edits()
        return .send(peer: peer, outgoing)
    }

    private mutating func expectation(
        _ when: When, _ peer: String, _ words: inout Words
    ) throws(Complaint) -> Action {
        guard words.next() == "<-", let kind = words.next().flatMap(Kind.init) else {
            throw complaint("is not \"PEER <- METHOD or CODE\"")
        }
        var incoming = Incoming(kind: kind)
        while let word = words.next() {
            switch word {
            case "to": incoming.to = try name(&words, after: word)
            case "again": incoming.isAgain = true
            case "as": incoming.label = try name(&words, after: word)
            case "in": incoming.call = try name(&words, after: word)
            default: throw complaint("\(word) is not understood")
            }
        }
        for (line, text) in block() {
            for check in try checks(text, at: line) { incoming.add(check) }
        }
        return .expect(when, peer: peer, incoming)
    }

    private func name(_ words: inout Words, after word: String) throws(Complaint) -> String {
        guard let name = words.next() else { throw complaint("\(word) whom or what?") }
        return name
    }

    // MARK: The lines under a message

    private mutating func edits() throws(Complaint) -> [Edit] {
        var edits: [Edit] = []
        for (line, text) in block() {
            if text.hasPrefix("|") {
                edits.append(.text(String(text.dropFirst(text.hasPrefix("| ") ? 2 : 1))))
            } else if text.hasPrefix("- ") {
                edits.append(.remove(String(text.dropFirst(2))))
            } else if text.hasPrefix("+ "), let field = Self.field(text.dropFirst(2)) {
                edits.append(.add(field.name, field.value))
            } else if text == "no body" {
                edits.append(.noBody)
            } else if text.hasPrefix("hex ") {
                let bytes = text.dropFirst(4).split(separator: " ").map { UInt8($0, radix: 16) }
                let known = bytes.compactMap(\.self)
                guard known.count == bytes.count else { throw complaint("bad hex", at: line) }
                edits.append(.bytes(known))
            } else if text.hasPrefix("fill "), let count = Int(text.dropFirst(5)) {
                edits.append(.fill(count))
            } else if let field = Self.field(text[...]) {
                edits.append(.set(field.name, field.value))
            } else {
                throw complaint("\"\(text)\" changes nothing in a message", at: line)
            }
        }
        return edits
    }

    private static func field(_ text: Substring) -> (name: String, value: String)? {
        guard let colon = text.firstIndex(of: ":") else { return nil }
        let name = text[..<colon]
        guard !name.isEmpty, name.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "-" }) else {
            return nil
        }
        let value = text[text.index(after: colon)...].drop { $0 == " " }
        return (String(name), String(value))
    }

    private func checks(_ text: String, at line: Int) throws(Complaint) -> [Check] {
        if let field = Self.field(text[...]) {
            return [Check(line: line, field: field.name, test: .equals([field.value]))]
        }
        var words = Words(text[...])
        var fields: [String] = []
        while let word = words.next() {
            if word.hasSuffix(",") {
                fields.append(String(word.dropLast()))
                continue
            }
            fields.append(word)
            break
        }
        let test: Check.Test
        if let name = fields.first, name.hasPrefix("$"), words.next() == "=",
            let field = words.next()
        {
            test = .capture(name: String(name.dropFirst()), pattern: try pattern(words, line))
            return [Check(line: line, field: field, test: test)]
        }
        switch words.next() {
        case "absent": test = .absent
        case "present": test = .present
        case "contains": test = .contains(words.rest)
        case "lacks": test = .lacks(words.rest)
        case "matches": test = .matches(try pattern(words, line) ?? "")
        case "count":
            guard let count = Int(words.rest) else { throw complaint("count how many?", at: line) }
            test = .count(count)
        case "as":
            switch words.next() {
            case "sent": test = .asSent
            case "in":
                guard let other = words.next() else { throw complaint("as in what?", at: line) }
                test = .asIn(other)
            default: throw complaint("is neither \"as sent\" nor \"as in\"", at: line)
            }
        default: throw complaint("\"\(text)\" is no check", at: line)
        }
        return fields.map { Check(line: line, field: $0, test: test) }
    }

    private func pattern(_ words: Words, _ line: Int) throws(Complaint) -> String? {
        let rest = words.rest
        if rest.isEmpty { return nil }
        guard rest.count > 2, rest.hasPrefix("/"), rest.hasSuffix("/") else {
            throw complaint("a pattern stands between slashes", at: line)
        }
        let pattern = String(rest.dropFirst().dropLast())
        guard (try? Regex(pattern)) != nil else { throw complaint("a bad pattern", at: line) }
        return pattern
    }
}

/// Words of a line, one by one, and what is left of it.
private struct Words {
    private var left: Substring

    init(_ line: Substring) { left = line.drop(while: \.isWhitespace) }

    var rest: String {
        var text = left
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
    var peek: String { String(left.prefix { !$0.isWhitespace }) }

    mutating func next() -> String? {
        let word = left.prefix { !$0.isWhitespace }
        left = left[word.endIndex...].drop(while: \.isWhitespace)
        return word.isEmpty ? nil : String(word)
    }

    mutating func quoted() -> String? {
        guard left.first == "\"", let end = left.dropFirst().firstIndex(of: "\"") else {
            return nil
        }
        let text = left[left.index(after: left.startIndex)..<end]
        left = left[left.index(after: end)...].drop(while: \.isWhitespace)
        return String(text)
    }
}
