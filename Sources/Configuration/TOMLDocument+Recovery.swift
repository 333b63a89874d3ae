extension TOMLDocument {
    /// Statements that are skipped before the rest of a text is given up.
    private static let faultsMax = 20

    /// Reads what can be read of a text and lists the statements that are no TOML.
    ///
    /// The parser stops at the first fault, but the operator is to see all of them at once. So a line
    /// with a fault is blanked (with its whole section, if it opens one) and the text is read again.
    /// Where a value runs over several lines the bounds of the statement are guesswork, and a guess
    /// would bring forth errors that are none: reading ends there, with what was found so far.
    static func parseAll(_ text: String) -> (document: TOMLDocument, faults: [Fault]) {
        var bytes = Array(text.utf8)
        // Blanks take the place of what is skipped, so lines stay where they are.
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { $0.indices }
        var closed = 0
        var faults: [Fault] = []
        while true {
            switch parse(bytes) {
            case .success(let document):
                return (document, faults)
            case .failure(let failure):
                faults.append(failure.fault)
                let line = failure.fault.place.line
                guard faults.count < faultsMax,
                    blankStatement(atLine: line, of: &bytes, lines, closed: &closed)
                else { return (TOMLDocument(items: []), faults) }
            }
        }
    }

    /// Overwrites the statement on a line with blanks; `false` if it is not known to end there.
    ///
    /// - Parameters:
    ///   - lines: the ranges of all lines.
    ///   - closed: how many of the first lines are known to leave nothing open.
    private static func blankStatement(
        atLine line: Int, of bytes: inout [UInt8], _ lines: [Range<Int>], closed: inout Int
    ) -> Bool {
        guard line >= 1, line <= lines.count else { return false }
        while closed < line - 1 {
            guard isClosed(bytes[lines[closed]]) else { return false }
            closed += 1
        }
        let statement = lines[line - 1]
        guard let first = firstCharacter(bytes[statement]) else { return false }
        guard first == UInt8(ascii: "[") else {
            guard isClosed(bytes[statement]) else { return false }
            blank(statement, of: &bytes)
            return true
        }
        blank(statement, of: &bytes)
        for rest in lines[line...] where !rest.isEmpty {
            if firstCharacter(bytes[rest]) == UInt8(ascii: "[") { break }
            blank(rest, of: &bytes)
        }
        return true
    }

    private static func blank(_ range: Range<Int>, of bytes: inout [UInt8]) {
        for index in range { bytes[index] = UInt8(ascii: " ") }
    }

    private static func firstCharacter(_ line: ArraySlice<UInt8>) -> UInt8? {
        line.first {
            $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") && $0 != UInt8(ascii: "\r")
        }
    }

    /// Whether every bracket that a line opens is closed on it, and no string of several lines begins.
    private static func isClosed(_ line: ArraySlice<UInt8>) -> Bool {
        var depth = 0
        var quote: UInt8?
        var previous: UInt8 = 0
        var quotes = 0
        for byte in line {
            let escaped = previous == UInt8(ascii: "\\") && quote == UInt8(ascii: "\"")
            previous = escaped ? 0 : byte
            let isQuote = byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'")
            quotes = isQuote ? quotes + 1 : 0
            if quotes == 3 { return false }
            if let open = quote {
                if byte == open, !escaped { quote = nil }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "'"): quote = byte
            case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            case UInt8(ascii: "#"): return depth <= 0
            default: break
            }
        }
        return depth <= 0
    }
}
