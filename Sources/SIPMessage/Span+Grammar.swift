public import Bytes

// Character classes and small steps of RFC 3261 §25 that every value is read with.
extension UInt8 {
    /// `token` (RFC 3261 §25.1).
    public var isTokenByte: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x2D, 0x2E, 0x21, 0x25, 0x2A, 0x5F, 0x2B, 0x60, 0x27, 0x7E: true
        default: false
        }
    }

    /// White space inside a value; CR and LF are there only as part of a fold.
    public var isLinearSpace: Bool { self == 0x20 || self == 0x09 || self == 0x0D || self == 0x0A }

    public var isDigit: Bool { self >= 0x30 && self <= 0x39 }
}

extension Span<UInt8> {
    /// The first offset in `start..<end` that is no white space.
    public func skipSpace(from start: Int, to end: Int) -> Int {
        var at = start
        while at < end, self[at].isLinearSpace { at += 1 }
        return at
    }

    /// `range` without white space at both ends.
    public func trimmed(_ range: ByteRange) -> ByteRange {
        var start = range.start
        var end = range.end
        while start < end, self[start].isLinearSpace { start += 1 }
        while end > start, self[end - 1].isLinearSpace { end -= 1 }
        return ByteRange(start, end)
    }

    /// The offset after a token that starts at `start`.
    public func endOfToken(from start: Int, to end: Int) -> Int {
        var at = start
        while at < end, self[at].isTokenByte { at += 1 }
        return at
    }

    /// The offset after the quoted string that opens at `start`, at most `end`; `nil` if it does not
    /// close there. A backslash escapes any byte but CR and LF (RFC 3261 §25.1 `quoted-pair`).
    public func endOfQuotedString(from start: Int, to end: Int) -> Int? {
        var at = start + 1
        while at < end {
            switch self[at] {
            case UInt8(ascii: "\\"):
                guard at + 1 < end, self[at + 1] != 0x0D, self[at + 1] != 0x0A else { return nil }
                at += 2
            case UInt8(ascii: "\""): return at + 1
            default: at += 1
            }
        }
        return nil
    }

    /// A decimal number that is all of `range`, at most `max`.
    ///
    /// - Precondition: `max` is below 2⁶⁰.
    public func number(
        in range: ByteRange, max: UInt64
    ) throws(SIPParseError) -> UInt64 {
        precondition(max < 1 << 60, "the largest number leaves room for one more digit")
        guard !range.isEmpty else { throw SIPParseError(.number, at: range.start) }
        var total: UInt64 = 0
        var at = range.start
        while at < range.end {
            guard let digit = self[at].digitValue else { throw SIPParseError(.number, at: at) }
            total = total * 10 + UInt64(digit)
            guard total <= max else { throw SIPParseError(.numberTooLarge, at: at) }
            at += 1
        }
        return total
    }
}
