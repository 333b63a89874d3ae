import CoreScene

// What peers get, and what holds for it.
extension Player {
    func expect(_ when: When, _ name: String, _ incoming: Incoming) throws {
        _ = try peer(name)
        switch when {
        case .now: break
        case .after(let ms):
            try checkNothingLeft(" before time passes")
            if ms > 0 { pass(ms - 1) }
            try checkNothingLeft(" before \(ms) ms had passed")
            pass(1)
        case .within(let ms):
            try checkNothingLeft(" before time passes")
            passToLetter(for: name, orTo: scene.now + ms)
        }
        guard let place = letters.firstIndex(where: { !$0.isExpected && $0.peer == name }) else {
            let others = letters.filter { !$0.isExpected }
                .map { "\n  but \($0.peer) <- \($0.message.startLine)" }.joined()
            throw complaint("\(name) <- \(incoming.kind) did not come\(others)")
        }
        let letter = letters[place]
        let message = letter.message
        guard message.kind == incoming.kind else {
            throw complaint("\(name) <- \(incoming.kind) did not come, but \(message.startLine)")
        }
        if let method = incoming.to, message.method != method {
            throw complaint("the \(incoming.kind) answers \(message.method), not \(method)")
        }
        if let label = incoming.call {
            guard let other = labels[label] else { throw complaint("there is no message \(label)") }
            guard letters[other].callID == letter.callID else {
                throw complaint("the \(incoming.kind) is of another call than \(label)")
            }
        }
        if incoming.isAgain {
            let before = letters[..<place].last {
                !$0.isOut && $0.peer == name && $0.message.kind == message.kind
            }
            guard let before else { throw complaint("\(name) got no \(incoming.kind) before") }
            guard before.bytes == letter.bytes else {
                throw complaint("the \(incoming.kind) is not the same as before")
            }
        }
        letters[place].isExpected = true
        if let label = incoming.label { labels[label] = place }
        for check in incoming.checks { try hold(check, for: place) }
    }

    private func values(_ field: String, of letter: Letter) -> [String] {
        switch field {
        case "body": [String(decoding: letter.message.body, as: UTF8.self)]
        case "socket": [Self.sockets[Int(letter.socket)]]
        default: letter.message.looked(up: field)
        }
    }

    private func hold(_ check: Check, for place: Int) throws {
        let letter = letters[place]
        let found = values(check.field, of: letter)
        let told = "\(check.field) of \(letter.peer)'s \(letter.message.kind)"
        let shown = found.isEmpty ? "absent" : found.map { "\"\($0)\"" }.joined(separator: ", ")
        func fail(_ text: String) -> Complaint {
            complaint("\(told) is \(shown), \(text)", at: check.line)
        }
        switch check.test {
        case .equals(let texts):
            let texts = try texts.map(filled)
            guard found == texts else {
                throw fail("not \(texts.map { "\"\($0)\"" }.joined(separator: ", "))")
            }
        case .contains(let text):
            let text = try filled(text)
            guard found.contains(where: { $0.contains(text) }) else {
                throw fail("without \"\(text)\"")
            }
        case .lacks(let text):
            let text = try filled(text)
            guard !found.contains(where: { $0.contains(text) }) else {
                throw fail("which has \"\(text)\" in it")
            }
        case .matches(let pattern):
            guard try found.contains(where: { try Regex(pattern).firstMatch(in: $0) != nil }) else {
                throw fail("which does not match /\(pattern)/")
            }
        case .absent: guard found.isEmpty else { throw fail("which should be absent") }
        case .present: guard !found.isEmpty else { throw fail("which should be there") }
        case .count(let count):
            let isList = ["Via", "Route", "Record-Route", "Path", "Contact"].contains(check.field)
            let number = isList ? letter.message.elements(check.field).count : found.count
            guard number == count else { throw fail("\(number) and not \(count)") }
        case .asSent:
            let sent = letters[..<place].last {
                $0.isOut && $0.peer != letter.peer && $0.message.kind == letter.message.kind
                    && $0.message.method == letter.message.method && $0.callID == letter.callID
            }
            guard let sent else { throw complaint("nobody sent that", at: check.line) }
            try compare(check, letter, sent, fail)
        case .asIn(let other):
            let before =
                labels[other].map { letters[$0] }
                ?? letters[..<place].last {
                    $0.peer == letter.peer && String(describing: $0.message.kind) == other
                }
            guard let before else { throw complaint("there is no \(other) before", at: check.line) }
            try compare(check, letter, before, fail)
        case .capture(let name, let pattern):
            guard let first = found.first else { throw fail("so $\(name) has no value") }
            guard let pattern else {
                variables[name] = first
                return
            }
            let matches = try found.compactMap { try Regex(pattern).firstMatch(in: $0) }
            guard let match = matches.first else {
                throw fail("which does not match /\(pattern)/")
            }
            let part = match.output.count > 1 ? match.output[1] : match.output[0]
            variables[name] = String(part.substring ?? "")
        }
    }

    private func compare(
        _ check: Check, _ letter: Letter, _ other: Letter, _ fail: (String) -> Complaint
    ) throws {
        if check.field == "body" {
            guard letter.message.body == other.message.body else {
                throw complaint(
                    "the body has \(letter.message.body.count) bytes that are not the "
                        + "\(other.message.body.count) of \(other.peer)'s \(other.message.kind)",
                    at: check.line)
            }
            return
        }
        let wanted = values(check.field, of: other)
        guard values(check.field, of: letter) == wanted else {
            throw fail("not \(wanted) as in \(other.peer)'s \(other.message.kind)")
        }
    }
}
