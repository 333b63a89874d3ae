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
    public var isLinearSpace: Bool {
        self <= 0x20 && (self == 0x20 || self == 0x09 || self == 0x0D || self == 0x0A)
    }

    public var isDigit: Bool { self >= 0x30 && self <= 0x39 }
}

extension Span<UInt8> {
    /// The first offset in `start..<end` that is no white space.
    @inline(__always) public func skipSpace(from start: Int, to end: Int) -> Int {
        var at = start
        while at < end, self[at].isLinearSpace { at += 1 }
        return at
    }

    /// `range` without white space at both ends.
    @inline(__always) public func trimmed(_ range: ByteRange) -> ByteRange {
        guard !range.isEmpty, self[range.start] > 0x20, self[range.end - 1] > 0x20 else {
            return trimmedByteByByte(range)
        }
        return range
    }

    @inline(never) private func trimmedByteByByte(_ range: ByteRange) -> ByteRange {
        var start = range.start
        var end = range.end
        while start < end, self[start].isLinearSpace { start += 1 }
        while end > start, self[end - 1].isLinearSpace { end -= 1 }
        return ByteRange(start, end)
    }

    /// The offset after a token that starts at `start`.
    @inline(__always) public func endOfToken(from start: Int, to end: Int) -> Int {
        let at = skipPlain(from: start, to: end)
        return at < end && self[at].isTokenByte ? endOfTokenByteByByte(from: at, to: end) : at
    }

    @inline(never) private func endOfTokenByteByByte(from start: Int, to end: Int) -> Int {
        var at = start
        while at < end, self[at].isTokenByte { at = skipPlain(from: at + 1, to: end) }
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
    @inline(__always) public func number(
        in range: ByteRange, max: UInt64
    ) throws(SIPParseError) -> UInt64 {
        precondition(max < 1 << 60, "the largest number leaves room for one more digit")
        if let few = fewDigits(range), few <= max { return few }
        return try numberByteByByte(range, max)
    }

    @inline(never) private func numberByteByByte(
        _ range: ByteRange, _ max: UInt64
    ) throws(SIPParseError) -> UInt64 {
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

    /// The number that up to eight digits are, in one step; `nil` if that cannot be told so.
    @inline(__always) private func fewDigits(_ range: ByteRange) -> UInt64? {
        guard !range.isEmpty, range.count <= 8, range.end >= 8 else { return nil }
        // The last digit in the highest byte, noughts before the first.
        let others = UInt64(64 &- 8 &* range.count)
        var digits = load64(at: range.end - 8) ^ 0x3030_3030_3030_3030
        digits = (digits &>> others) &<< others
        guard (digits &+ 0x7676_7676_7676_7676 | digits) & 0x8080_8080_8080_8080 == 0 else {
            return nil
        }
        // Neighbours become numbers of two digits, these of four, these one of eight.
        digits = (digits & 0x000F_000F_000F_000F) &* 10 &+ ((digits &>> 8) & 0x000F_000F_000F_000F)
        digits =
            (digits & 0x0000_00FF_0000_00FF) &* 100 &+ ((digits &>> 16) & 0x0000_00FF_0000_00FF)
        return (digits & 0xFFFF) &* 10_000 &+ (digits &>> 32)
    }
}
