public import Bytes

// Character classes and small steps of RFC 3261 §25 that every value is read with.
extension UInt8 {
    /// `token` (RFC 3261 §25.1).
    public var isTokenByte: Bool {
        // ALPHA / DIGIT / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~"
        isIn(0x03FF_6CA2_0000_0000, 0x47FF_FFFF_87FF_FFFE)
    }

    /// Whether it is an ASCII byte of a set: bit n of `low` stands for n, of `high` for 64 + n.
    func isIn(_ low: UInt64, _ high: UInt64) -> Bool {
        self < 0x80 && (self < 0x40 ? low : high) &>> UInt64(self & 0x3F) & 1 != 0
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

    /// Whether all of `range` is one token.
    public func isToken(_ range: ByteRange) -> Bool {
        !range.isEmpty && endOfToken(from: range.start, to: range.end) == range.end
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
