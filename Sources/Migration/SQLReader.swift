internal import Bytes

/// The rows of the table `location` in a dump of mysqldump (INSERT) or pg_dump (COPY, INSERT).
struct SQLReader: Sendable {
    private enum Place: Sendable {
        /// Before a statement.
        case between
        case comment
        /// In a statement, before its rows if it has some.
        case head
        /// After VALUES, outside of a row.
        case rows
        case row
        /// Lines of COPY.
        case copy
    }

    private static let headBytesMax = 65_536

    private var place = Place.between
    private var columns: [Column?]
    private var statementColumns: [Column?] = []
    private var head: [UInt8] = []
    private var row = DumpRow()
    private var value: [UInt8] = []
    private var line: Int
    private var quote: UInt8 = 0
    private var isEscaped = false
    private var wasQuoted = false
    private var isWanted = false
    /// The last byte, to see comments begin and words end.
    private var last: UInt8 = 0

    init(_ columns: [Column?], line: Int) {
        self.columns = columns
        self.line = line
    }

    mutating func read(_ byte: UInt8, _ sink: (DumpRow) -> Void) {
        switch place {
        case .between: between(byte)
        case .comment: if byte == 0x0A { place = .between }
        case .head: inHead(byte)
        case .rows:
            if byte == 0x28 {
                row.begin(line: line)
                row.keep(byte)
                place = .row
            } else if byte == 0x3B {
                place = .between
            }
        case .row: inRow(byte, sink)
        case .copy: inCopy(byte, sink)
        }
        if byte == 0x0A { line += 1 }
        last = byte
    }

    mutating func finish(_ sink: (DumpRow) -> Void) {
        guard isWanted else { return }
        if place == .row || (place == .copy && !row.raw.isEmpty) {
            row.isBroken = true
            sink(row)
        }
    }

    private mutating func between(_ byte: UInt8) {
        if byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 || byte == 0x3B { return }
        head = [byte]
        quote = 0
        place = byte == 0x23 || byte == 0x5C ? .comment : .head
    }

    private mutating func inHead(_ byte: UInt8) {
        if head == [0x2D], byte == 0x2D {
            place = .comment
            return
        }
        if quote != 0 {
            if isEscaped {
                isEscaped = false
            } else if byte == 0x5C {
                isEscaped = true
            } else if byte == quote {
                quote = 0
            }
        } else if byte == 0x27 {
            quote = byte
        } else if byte == 0x3B {
            endHead()
            return
        } else if byte == 0x28, endsInValues {
            startRows()
            return
        }
        if head.count < Self.headBytesMax { head.append(byte) }
    }

    private var endsInValues: Bool {
        var end = head.count
        while end > 0, head[end - 1] <= 0x20 { end -= 1 }
        guard end >= 6 else { return false }
        return head[(end - 6)..<end].map { $0 | 0x20 } == Array("values".utf8)
    }

    private mutating func startRows() {
        isWanted = namesLocation("into")
        statementColumns = listedColumns() ?? columns
        row.begin(line: line)
        row.keep(0x28)
        value.removeAll(keepingCapacity: true)
        place = .row
    }

    private mutating func endHead() {
        place = .between
        let words = self.words
        if words.first == "create", namesLocation("table") || namesLocation("exists") {
            columns = definedColumns()
        } else if words.first == "copy" {
            isWanted = namesLocation("copy")
            statementColumns = listedColumns() ?? columns
            // What follows the semicolon up to the end of its line is empty.
            row.begin(line: line + 1)
            value.removeAll(keepingCapacity: true)
            place = .copy
        }
    }

    /// The words of the head, without quotes, in lower case; parentheses are words.
    private var words: [String] {
        var words: [String] = []
        var word = ""
        for byte in head {
            switch byte {
            case 0x60, 0x22: continue
            case 0x00...0x20, 0x28, 0x29, 0x2C:
                if !word.isEmpty { words.append(word) }
                word = ""
                if byte > 0x20 { words.append(String(UnicodeScalar(byte))) }
            default: word.unicodeScalars.append(UnicodeScalar(byte))
            }
        }
        if !word.isEmpty { words.append(word) }
        return words.map { $0.lowercased() }
    }

    private func namesLocation(_ before: String) -> Bool {
        let words = self.words
        guard let at = words.firstIndex(of: before), at + 1 < words.count else { return false }
        return words[at + 1].split(separator: ".").last == "location"
    }

    /// The columns in the first parentheses, if there are some.
    private func listedColumns() -> [Column?]? {
        let words = self.words
        guard let open = words.firstIndex(of: "("), let end = words[open...].firstIndex(of: ")")
        else { return nil }
        return words[(open + 1)..<end].filter { $0 != "," }.map { Column(named: Array($0.utf8)) }
    }

    /// The columns of CREATE TABLE: the first word of each part.
    private func definedColumns() -> [Column?] {
        let keys: Set = ["primary", "key", "unique", "constraint", "index", "fulltext", "check"]
        var found: [Column?] = []
        var depth = 0
        var isFirst = false
        for word in words {
            switch word {
            case "(":
                depth += 1
                isFirst = depth == 1
            case ")": depth -= 1
            case ",": isFirst = depth == 1
            default:
                if isFirst, !keys.contains(word) { found.append(Column(named: Array(word.utf8))) }
                isFirst = false
            }
        }
        return found
    }

    // MARK: Rows

    private mutating func inRow(_ byte: UInt8, _ sink: (DumpRow) -> Void) {
        row.keep(byte)
        if quote != 0 {
            if isEscaped {
                isEscaped = false
                append(Self.unescaped(byte))
            } else if byte == 0x5C {
                isEscaped = true
            } else if byte == 0x27 {
                quote = 0
            } else {
                append(byte)
            }
            return
        }
        switch byte {
        case 0x27:
            if wasQuoted, last == 0x27 {
                append(0x27)
            } else {
                // A word before it, such as _binary, says how it is encoded.
                value.removeAll(keepingCapacity: true)
            }
            (quote, wasQuoted) = (0x27, true)
        case 0x2C: endValue()
        case 0x29:
            endValue()
            endRow(sink)
            place = .rows
        case 0x20, 0x0A, 0x0D, 0x09: break
        default: if !wasQuoted { append(byte) }
        }
    }

    private mutating func append(_ byte: UInt8) {
        guard value.count < DumpRow.bytesMax else {
            row.isBroken = true
            return
        }
        value.append(byte)
    }

    private static func unescaped(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "0"): 0
        case UInt8(ascii: "b"): 8
        case UInt8(ascii: "t"): 9
        case UInt8(ascii: "n"): 10
        case UInt8(ascii: "r"): 13
        case UInt8(ascii: "Z"): 26
        default: byte
        }
    }

    private mutating func endValue() {
        if row.fields < statementColumns.count, wasQuoted || !Self.isNull(value) {
            row.set(statementColumns[row.fields], value)
        }
        row.fields += 1
        value.removeAll(keepingCapacity: true)
        wasQuoted = false
    }

    private static func isNull(_ value: [UInt8]) -> Bool {
        value.count == 4 && value.elementsEqual("null".utf8) { $0 | 0x20 == $1 }
    }

    private mutating func endRow(_ sink: (DumpRow) -> Void) {
        if row.fields != statementColumns.count { row.isBroken = true }
        if isWanted { sink(row) }
    }

    /// A line of COPY's text format: tabs between, \N for NULL, backslash escapes, `\.` at the end.
    private mutating func inCopy(_ byte: UInt8, _ sink: (DumpRow) -> Void) {
        if byte == 0x0A {
            if row.raw == [0x5C, 0x2E] {
                place = .between
                return
            }
            if !row.raw.isEmpty {
                endCopyValue()
                endRow(sink)
            }
            row.begin(line: line + 1)
            (isEscaped, wasQuoted) = (false, false)
            value.removeAll(keepingCapacity: true)
            return
        }
        row.keep(byte)
        if isEscaped {
            isEscaped = false
            if byte == 0x4E { wasQuoted = true } else { append(Self.copyUnescaped(byte)) }
        } else if byte == 0x5C {
            isEscaped = true
        } else if byte == 0x09 {
            endCopyValue()
        } else {
            append(byte)
        }
    }

    private static func copyUnescaped(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "f"): 12
        case UInt8(ascii: "v"): 11
        case UInt8(ascii: "0"), UInt8(ascii: "Z"): byte
        default: unescaped(byte)
        }
    }

    private mutating func endCopyValue() {
        // Here the flag says that \N was read.
        if row.fields < statementColumns.count, !wasQuoted {
            row.set(statementColumns[row.fields], value)
        }
        row.fields += 1
        value.removeAll(keepingCapacity: true)
        wasQuoted = false
    }
}
