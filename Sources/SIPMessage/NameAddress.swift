public import Bytes

/// One element of To, From, Contact, Route, Record-Route, Path: `name-addr` or `addr-spec` with
/// header parameters (RFC 3261 §20.10).
public struct NameAddress: BitwiseCopyable, Sendable {
    /// The element without white space at its ends.
    public let whole: ByteRange
    /// The URI, without angle brackets.
    public let uri: ByteRange
    /// After the first semicolon of the header parameters, without it.
    public let parameters: ByteRange
    /// Whether the URI stands in angle brackets.
    public let isBracketed: Bool
    /// The value of the parameter `tag`; empty if there is none.
    public let tag: ByteRange
    /// The value of the parameter `expires`, empty if it has none; `nil` if it is not there.
    public let expires: ByteRange?

    /// Reads one element from `start`; stops before a comma or at `end`.
    ///
    /// - Throws: a ``SIPParseError`` at the first byte that cannot belong to it.
    public init(
        _ bytes: Span<UInt8>, from start: Int, to end: Int
    ) throws(SIPParseError) {
        var at = bytes.skipSpace(from: start, to: end)
        let first = at
        guard at < end else { throw SIPParseError(.address, at: at) }
        if bytes[at] == 0x22 {
            guard let close = bytes.endOfQuotedString(from: at, to: end), close <= end else {
                throw SIPParseError(.address, at: at)
            }
            at = bytes.skipSpace(from: close, to: end)
            guard at < end, bytes[at] == 0x3C else { throw SIPParseError(.address, at: at) }
        } else if bytes[at] != 0x3C {
            // Words of a display name may stand before "<"; without it the element is a URI.
            let stop = bytes.find(0x3C, 0x2C, 0x3B, 0x22, from: at, to: end)
            if stop < end, bytes[stop] == 0x3C {
                for offset in at..<stop {
                    // UTF-8 belongs into quotes, but phones called Müller exist; it only passes.
                    let byte = bytes[offset]
                    guard byte.isTokenByte || byte.isLinearSpace || byte >= 0x80 else {
                        throw SIPParseError(.address, at: offset)
                    }
                }
                at = stop
            }
        }
        let afterURI: Int
        if bytes[at] == 0x3C {
            let close = bytes.find(0x3E, 0x3E, 0x3E, 0x3E, from: at, to: end)
            guard close < end else { throw SIPParseError(.address, at: at) }
            uri = ByteRange(at + 1, close)
            isBracketed = true
            afterURI = close + 1
        } else {
            // Without brackets, semicolons begin header parameters and "?" or "," may not occur.
            var stop = at
            while stop < end, bytes[stop] != 0x3B, bytes[stop] != 0x2C, !bytes[stop].isLinearSpace {
                // Whose headers they would be is unclear (§20: then brackets are a must).
                // No URI holds a quote or a bracket, and a list is cut elsewhere by a reader of quotes.
                switch bytes[stop] {
                case 0x3F, 0x22, 0x3C, 0x3E: throw SIPParseError(.address, at: stop)
                default: break
                }
                stop += 1
            }
            uri = ByteRange(at, stop)
            isBracketed = false
            afterURI = stop
        }
        guard !uri.isEmpty else { throw SIPParseError(.address, at: uri.start) }
        at = bytes.skipSpace(from: afterURI, to: end)
        guard at < end, bytes[at] == 0x3B else {
            guard at >= end || bytes[at] == 0x2C else { throw SIPParseError(.address, at: at) }
            parameters = .none
            tag = .none
            expires = nil
            whole = ByteRange(first, afterURI)
            return
        }
        let stop = try endOfElement(bytes, from: at + 1, to: end)
        parameters = bytes.trimmed(ByteRange(at + 1, stop))
        guard !parameters.isEmpty else { throw SIPParseError(.parameter, at: at) }
        (tag, expires) = try checkOnce(bytes, parameters)
        whole = bytes.trimmed(ByteRange(first, stop))
    }
}

/// Reads all parameters; those that decide something may stand only once (§7.3.1).
@inline(__always) private func checkOnce(
    _ bytes: Span<UInt8>, _ parameters: ByteRange
) throws(SIPParseError) -> (tag: ByteRange, expires: ByteRange?) {
    var seen: UInt8 = 0
    var tag = ByteRange.none
    var expires: ByteRange?
    var cursor = ParameterCursor(parameters)
    while let parameter = try cursor.next(bytes) {
        let name = parameter.name
        let mark: UInt8 =
            switch name.count {
            case 1 where bytes.spellsIgnoringCase("q", in: name): 1
            case 3 where bytes.spellsIgnoringCase("tag", in: name): 2
            case 6 where bytes.spellsIgnoringCase("reg-id", in: name): 4
            case 7 where bytes.spellsIgnoringCase("expires", in: name): 8
            case 13 where bytes.spellsIgnoringCase("+sip.instance", in: name): 16
            default: 0
            }
        guard seen & mark == 0 else { throw SIPParseError(.parameter, at: name.start) }
        // A tag is compared, and by other rules where it is no token (§25.1 `tag-param`).
        guard mark != 2 || bytes.isToken(parameter.value) else {
            throw SIPParseError(.parameter, at: name.start)
        }
        seen |= mark
        if mark == 2 { tag = parameter.value }
        if mark == 8 { expires = parameter.value }
    }
    return (tag, expires)
}

/// The offset of the comma that ends an element, quoted strings passed over, or `end`.
@inline(__always) func endOfElement(
    _ bytes: Span<UInt8>, from start: Int, to end: Int
) throws(SIPParseError) -> Int {
    var at = start
    while at < end {
        at = bytes.find(0x2C, 0x22, 0x2C, 0x22, from: at, to: end)
        guard at < end, bytes[at] == 0x22 else { return at }
        guard let close = bytes.endOfQuotedString(from: at, to: end), close <= end else {
            throw SIPParseError(.parameter, at: at)
        }
        at = close
    }
    return end
}

/// Walks over the elements of a header field of which several may stand, in one field with commas
/// or in several (RFC 3261 §7.3.1).
public struct AddressCursor: BitwiseCopyable, Sendable {
    private let name: HeaderName
    private var field: Int
    private var at: Int
    private var end: Int

    public init(_ name: HeaderName, of index: borrowing MessageIndex) {
        self.name = name
        field = index.first(name) ?? index.count
        at = 0
        end = 0
        if field < index.count {
            let value = index[field].value
            (at, end) = (value.start, value.end)
        }
    }

    /// The field in which the last element was found.
    public private(set) var lastField = 0

    /// The next element; `nil` after the last.
    public mutating func next(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex
    ) throws(SIPParseError) -> NameAddress? {
        while true {
            guard field < index.count else { return nil }
            if index[field].name == name, at <= end, !(at == end && at > index[field].value.start) {
                let element = try NameAddress(bytes, from: at, to: end)
                lastField = field
                at = bytes.skipSpace(from: element.whole.end, to: end)
                if at < end, bytes[at] == 0x2C {
                    at += 1
                    guard bytes.skipSpace(from: at, to: end) < end else {
                        throw SIPParseError(.address, at: at)
                    }
                } else {
                    nextField(index)
                }
                return element
            }
            nextField(index)
        }
    }

    private mutating func nextField(_ index: borrowing MessageIndex) {
        field += 1
        while field < index.count, index[field].name != name { field += 1 }
        guard field < index.count else { return }
        (at, end) = (index[field].value.start, index[field].value.end)
    }
}
