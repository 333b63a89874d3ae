internal import CTOML

/// A TOML text as a list of values with their places, in which each names the table it stands in.
struct TOMLDocument: Sendable {
    /// One value, table or array.
    struct Item: Sendable {
        /// The index of the table or array that holds it; `nil` at the top.
        let parent: Int?
        /// Empty for an element of an array.
        let key: String
        let value: Value
        /// Where the value begins.
        let place: TextPlace
        /// Where the key begins; the value's place for an element of an array.
        let keyPlace: TextPlace
    }

    enum Value: Equatable, Sendable {
        case table
        case array
        case string(String)
        case integer(Int64)
        case number(Double)
        case boolean(Bool)
        case dateTime
    }

    /// What the parser could not read.
    struct Fault: Equatable, Sendable {
        let what: String
        let place: TextPlace
    }

    let items: [Item]
    /// The indices of each table's or array's children, in the order of the parser.
    private let children: [[Int]]
    private let top: [Int]

    init(items: [Item]) {
        self.items = items
        var children = [[Int]](repeating: [], count: items.count)
        var top: [Int] = []
        for (index, item) in items.enumerated() {
            if let parent = item.parent {
                children[parent].append(index)
            } else {
                top.append(index)
            }
        }
        self.children = children
        self.top = top
    }

    /// The indices of what stands directly in a table or array, or at the top.
    func children(of parent: Int?) -> [Int] {
        guard let parent else { return top }
        return children[parent]
    }

    /// The index of the value with this key in a table, or at the top.
    func child(_ key: String, of parent: Int?) -> Int? {
        children(of: parent).first { items[$0].key == key }
    }
}

/// Line and column, both from 1; the column counts characters.
struct TextPlace: Comparable, Sendable {
    let line: Int
    let column: Int

    static let start = TextPlace(line: 1, column: 1)

    static func < (a: TextPlace, b: TextPlace) -> Bool {
        (a.line, a.column) < (b.line, b.column)
    }
}

extension TOMLDocument {
    /// Reads a text that is TOML throughout, or says where it first is not.
    ///
    /// The parser bounds the text: 256 KiB, lines of 1,024 bytes, values nested eight deep.
    static func parse(_ bytes: [UInt8]) -> Result<TOMLDocument, ParseFailure> {
        // SAFETY: the buffer lives for the call, and the document keeps no pointer into it.
        let parsed = unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe buffer.withMemoryRebound(to: CChar.self) { characters in
                unsafe midreg_toml_parse(characters.baseAddress, characters.count)
            }
        }
        guard let document = unsafe parsed else {
            return .failure(ParseFailure(fault: Fault(what: "no memory to read it", place: .start)))
        }
        // SAFETY: the document is ours until it is freed here, and everything below copies out of it.
        defer { unsafe midreg_toml_free(document) }

        let line = unsafe midreg_toml_error_line(document)
        if line > 0 {
            let column = unsafe midreg_toml_error_column(document)
            // SAFETY: a C string that lives as long as the document.
            let what = unsafe printable(String(cString: midreg_toml_error_text(document)))
            let place = TextPlace(line: Int(line), column: Int(column))
            return .failure(ParseFailure(fault: Fault(what: what, place: place)))
        }

        // SAFETY: the pool has this many bytes and lives as long as the document; the copy is ours.
        let pool = unsafe [UInt8](
            UnsafeRawBufferPointer(
                start: midreg_toml_pool(document), count: midreg_toml_pool_bytes(document)))
        func text(_ offset: UInt32, _ count: UInt32) -> String {
            String(decoding: pool[Int(offset)..<(Int(offset) + Int(count))], as: UTF8.self)
        }
        let count = unsafe midreg_toml_item_count(document)
        var items: [Item] = []
        items.reserveCapacity(count)
        for index in 0..<count {
            let item = unsafe midreg_toml_item_at(document, index)
            let value: Value =
                switch Int(item.kind) {
                case MIDREG_TOML_TABLE: .table
                case MIDREG_TOML_ARRAY: .array
                case MIDREG_TOML_STRING: .string(text(item.text_offset, item.text_bytes))
                case MIDREG_TOML_INTEGER: .integer(item.integer)
                case MIDREG_TOML_FLOAT: .number(item.number)
                case MIDREG_TOML_BOOLEAN: .boolean(item.integer != 0)
                default: .dateTime
                }
            items.append(
                Item(
                    parent: item.parent < 0 ? nil : Int(item.parent),
                    key: text(item.key_offset, item.key_bytes), value: value,
                    place: TextPlace(line: Int(item.line), column: Int(item.column)),
                    keyPlace: TextPlace(line: Int(item.key_line), column: Int(item.key_column))))
        }
        return .success(TOMLDocument(items: items))
    }

    struct ParseFailure: Error {
        let fault: Fault
    }
}
