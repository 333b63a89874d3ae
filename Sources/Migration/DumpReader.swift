internal import Bytes

/// Reads the rows of a dump whose form shows in its first byte, in pieces of any size.
public struct DumpReader: Sendable {
    private enum Form: Sendable {
        case unknown(line: Int)
        case sql(SQLReader)
        case csv(CSVReader)
        case json(JSONReader)
    }

    private var form = Form.unknown(line: 1)
    private let source: DumpSource
    /// Bytes that were too few to show the form.
    private var head: [UInt8] = []

    private static let headBytes = 16

    public init(_ source: DumpSource) { self.source = source }

    /// Reads the next piece; `sink` gets each row that ends in it.
    public mutating func read(_ piece: [UInt8], _ sink: (DumpRow) -> Void) {
        guard case .unknown = form, head.count + piece.count < Self.headBytes else {
            let all = head.isEmpty ? piece : head + piece
            head = []
            readAll(all, sink)
            return
        }
        head += piece
    }

    private mutating func readAll(_ piece: [UInt8], _ sink: (DumpRow) -> Void) {
        var start = 0
        if case .unknown(var line) = form {
            while start < piece.count,
                [0x20, 0x09, 0x0A, 0x0D, 0xEF, 0xBB, 0xBF].contains(piece[start])
            {
                if piece[start] == 0x0A { line += 1 }
                start += 1
            }
            guard start < piece.count else {
                form = .unknown(line: line)
                return
            }
            switch piece[start] {
            case UInt8(ascii: "{"), UInt8(ascii: "["): form = .json(JSONReader(line: line))
            case _ where source == .csv || !Self.looksLikeSQL(piece, start):
                form = .csv(CSVReader(line: line))
            default: form = .sql(SQLReader(source.columns, line: line))
            }
        }
        // Taken out and put back, so that its buffers are not copied.
        switch form {
        case .unknown: break
        case .sql(var reader):
            form = .unknown(line: 0)
            for index in start..<piece.count { reader.read(piece[index], sink) }
            form = .sql(reader)
        case .csv(var reader):
            form = .unknown(line: 0)
            for index in start..<piece.count { reader.read(piece[index], sink) }
            form = .csv(reader)
        case .json(var reader):
            form = .unknown(line: 0)
            for index in start..<piece.count { reader.read(piece[index], sink) }
            form = .json(reader)
        }
    }

    /// Says that the dump has ended; a row that has not is given out as broken.
    public mutating func finish(_ sink: (DumpRow) -> Void) {
        if !head.isEmpty { readAll(head, sink) }
        switch form {
        case .unknown: break
        case .sql(var reader): reader.finish(sink)
        case .csv(var reader): reader.finish(sink)
        case .json(var reader): reader.finish(sink)
        }
    }

    private static func looksLikeSQL(_ piece: [UInt8], _ start: Int) -> Bool {
        let head = String(decoding: piece[start..<min(piece.count, start + 12)], as: UTF8.self)
            .lowercased()
        let words = [
            "--", "/*", "#", "\\", "insert ", "copy ", "create ", "set ", "drop ", "lock ",
            "select ", "begin", "pragma ", "replace ", "use ",
        ]
        return words.contains { head.hasPrefix($0) }
    }
}

/// RFC 4180 with a head line; also with LF alone, and NULL or \N for no value.
struct CSVReader: Sendable {
    private var columns: [Column?]?
    private var row = DumpRow()
    private var value: [UInt8] = []
    private var line: Int
    private var isQuoted = false
    private var wasQuoted = false
    private var afterQuote = false
    private var isEmpty = true

    init(line: Int) {
        self.line = line
        row.begin(line: line)
    }

    mutating func read(_ byte: UInt8, _ sink: (DumpRow) -> Void) {
        if byte == 0x0A { line += 1 }
        if byte == 0x0A, !isQuoted {
            end(sink)
            return
        }
        isEmpty = false
        row.keep(byte)
        if isQuoted {
            if byte == 0x22 { (isQuoted, afterQuote) = (false, true) } else { value.append(byte) }
            return
        }
        switch byte {
        case 0x22 where afterQuote:
            value.append(0x22)
            (isQuoted, afterQuote) = (true, false)
        case 0x22 where value.isEmpty: (isQuoted, wasQuoted) = (true, true)
        case 0x2C: endValue()
        case 0x0D: break
        default: value.append(byte)
        }
        if byte != 0x22 { afterQuote = false }
    }

    mutating func finish(_ sink: (DumpRow) -> Void) {
        guard !isEmpty else { return }
        if isQuoted { row.isBroken = true }
        end(sink)
    }

    private mutating func end(_ sink: (DumpRow) -> Void) {
        if !isEmpty {
            endValue()
            if columns == nil {
                columns = names
            } else {
                if row.fields != columns?.count { row.isBroken = true }
                sink(row)
            }
        }
        row.begin(line: line)
        value.removeAll(keepingCapacity: true)
        (isEmpty, isQuoted, wasQuoted, afterQuote) = (true, false, false, false)
    }

    private var names: [Column?] = []

    private mutating func endValue() {
        if let columns {
            let isNull = !wasQuoted && (value == Array("NULL".utf8) || value == [0x5C, 0x4E])
            if row.fields < columns.count, !isNull { row.set(columns[row.fields], value) }
        } else {
            names.append(Column(named: value))
        }
        row.fields += 1
        value.removeAll(keepingCapacity: true)
        (wasQuoted, afterQuote) = (false, false)
    }
}
