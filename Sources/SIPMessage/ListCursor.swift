public import Bytes

/// Walks over the elements of a list, in one field with commas or in several (RFC 3261 §7.3.1), as
/// ranges without white space at their ends. A comma in a quoted string is none.
///
/// For lists of addresses, in whose angle brackets commas may stand, there is ``AddressCursor``.
public struct ListCursor: BitwiseCopyable, Sendable {
    private let name: HeaderName
    private var field: Int
    /// Where the next element begins; -1 before the first of a field.
    private var at = -1

    public init(_ name: HeaderName, of index: borrowing MessageIndex) {
        self.name = name
        field = index.first(name) ?? index.count
    }

    /// The next element; `nil` after the last. A field without a value has one empty element, which
    /// only Supported, Allow and the like may have.
    ///
    /// - Throws: `.parameter` at a quoted string that does not close, or where an element between
    ///   commas is missing.
    public mutating func next(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex
    ) throws(SIPParseError) -> ByteRange? {
        while field < index.count {
            guard index[field].name == name else {
                field += 1
                continue
            }
            let value = index[field].value
            let isFirst = at < 0
            let start = isFirst ? value.start : at
            let stop = try endOfElement(bytes, from: start, to: value.end)
            let element = bytes.trimmed(ByteRange(start, stop))
            guard !element.isEmpty || isFirst && stop == value.end else {
                throw SIPParseError(.parameter, at: stop)
            }
            if stop < value.end {
                at = stop + 1
            } else {
                at = -1
                field += 1
            }
            return element
        }
        return nil
    }
}
