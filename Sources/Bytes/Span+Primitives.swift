public import CScan

// The few places where bytes are read by more than one at a time. Each checks its bounds once and
// then calls an inline C function; everything above reads bytes through these or through the
// checked subscript.
extension Span<UInt8> {
    /// Eight bytes from `offset`, least significant first.
    ///
    /// - Precondition: eight bytes are there.
    @inlinable @inline(__always) public func load64(at offset: Int) -> UInt64 {
        precondition(offset >= 0 && offset <= count - 8, "eight bytes are there")
        // SAFETY: the check above.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return 0 }
            return unsafe midreg_load64(base + offset)
        }
    }

    /// Whether `range` holds the same bytes as `otherRange` of `other`.
    @inlinable @inline(__always) public func same(
        _ range: ByteRange, as other: Span<UInt8>, _ otherRange: ByteRange
    ) -> Bool {
        guard range.count == otherRange.count else { return false }
        precondition(range.end <= count && otherRange.end <= other.count, "ranges lie inside")
        if range.isEmpty { return true }
        // SAFETY: both ranges lie inside their spans.
        return unsafe withUnsafeBufferPointer { mine in
            unsafe other.withUnsafeBufferPointer { theirs in
                guard let a = mine.baseAddress, let b = theirs.baseAddress else { return false }
                return unsafe midreg_same(a + range.start, b + otherRange.start, range.count) != 0
            }
        }
    }

    /// Whether both hold the same bytes.
    @inlinable @inline(__always) public func same(as other: Span<UInt8>) -> Bool {
        same(ByteRange(0, count), as: other, ByteRange(0, other.count))
    }

    /// Whether `range`, which holds no control bytes, spells `text`, case not counting.
    ///
    /// `text` is in lower case and has nothing but letters, digits and bytes from 0x20 to 0x3F.
    @inlinable @inline(__always) public func spellsIgnoringCase(
        _ text: StaticString, in range: ByteRange
    )
        -> Bool
    {
        guard range.count == text.utf8CodeUnitCount, range.end <= count else { return false }
        // SAFETY: the range lies inside, the text is as long and always there.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return range.isEmpty }
            return unsafe midreg_spells(base + range.start, text.utf8Start, range.count) != 0
        }
    }

    /// Whether `range` spells `text`, case counting.
    @inlinable @inline(__always) public func spells(_ text: StaticString, in range: ByteRange)
        -> Bool
    {
        guard range.count == text.utf8CodeUnitCount, range.end <= count else { return false }
        // SAFETY: the range lies inside, the text is as long and always there.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return range.isEmpty }
            return unsafe midreg_same(base + range.start, text.utf8Start, range.count) != 0
        }
    }

    /// The offset of the first of four bytes in `start..<end`, or `end`.
    @inlinable @inline(__always) public func find(
        _ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8, from start: Int, to end: Int
    ) -> Int {
        precondition(
            UInt(bitPattern: start) <= UInt(bitPattern: end)
                && UInt(bitPattern: end) <= UInt(bitPattern: count), "the range lies inside")
        guard count &- end >= 16 else {
            var at = start
            while at < end {
                let byte = self[at]
                if byte == a || byte == b || byte == c || byte == d { return at }
                at += 1
            }
            return end
        }
        // SAFETY: the range lies inside and sixteen bytes may be read past it.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return end }
            return unsafe start &+ midreg_find_any4(base + start, end &- start, a, b, c, d)
        }
    }

    /// The offset of the first control byte (not HT) in `start..<end`, or `end`.
    @inlinable @inline(__always) public func findControl(from start: Int, to end: Int) -> Int {
        precondition(
            UInt(bitPattern: start) <= UInt(bitPattern: end)
                && UInt(bitPattern: end) <= UInt(bitPattern: count), "the range lies inside")
        guard count &- end >= 16 else {
            var at = start
            while at < end {
                let byte = self[at]
                if (byte < 0x20 && byte != 0x09) || byte == 0x7F { return at }
                at += 1
            }
            return end
        }
        // SAFETY: the range lies inside and sixteen bytes may be read past it.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return end }
            return unsafe start &+ midreg_find_control(base + start, end &- start)
        }
    }

    /// ``findControl(from:to:)`` and, found on the way, the first byte that is no ASCII letter, digit,
    /// "-" or "."; the latter `end` if it is not among the first sixteen or cannot be told.
    @inlinable @inline(__always) public func findLine(
        from start: Int, to end: Int
    ) -> (control: Int, afterName: Int) {
        precondition(
            UInt(bitPattern: start) <= UInt(bitPattern: end)
                && UInt(bitPattern: end) <= UInt(bitPattern: count), "the range lies inside")
        guard count &- end >= 16 else { return (findControl(from: start, to: end), end) }
        // SAFETY: the range lies inside and sixteen bytes may be read past it.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return (end, end) }
            let found = unsafe midreg_find_line(base + start, end &- start)
            let word = Int(truncatingIfNeeded: found &>> 32)
            return (
                start &+ Int(truncatingIfNeeded: found & 0xFFFF_FFFF),
                word < 16 && word < end &- start ? start &+ word : end
            )
        }
    }

    /// The offset of the first byte in `start..<end` that is no ASCII letter, digit, "-" or ".", or
    /// `end`. These bytes stand for themselves wherever SIP has words: who reads some class that
    /// holds them passes over them with this, and judges the others one by one.
    @inlinable @inline(__always) public func skipPlain(from start: Int, to end: Int) -> Int {
        precondition(
            UInt(bitPattern: start) <= UInt(bitPattern: end)
                && UInt(bitPattern: end) <= UInt(bitPattern: count), "the range lies inside")
        guard count &- end >= 16 else {
            var at = start
            while at < end {
                let byte = self[at]
                let isLetter = (byte | 0x20) &- 0x61 < 26
                guard isLetter || (byte &- 0x2D < 13 && byte != 0x2F) else { return at }
                at += 1
            }
            return end
        }
        // SAFETY: the range lies inside and sixteen bytes may be read past it.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return end }
            return unsafe start &+ midreg_skip_plain(base + start, end &- start)
        }
    }
}

extension StaticString {
    /// The byte at `index` of its UTF-8.
    @inlinable @inline(__always) public func byte(_ index: Int) -> UInt8 {
        precondition(index >= 0 && index < utf8CodeUnitCount, "the byte is there")
        // SAFETY: the check above; a static string is always there.
        return withUTF8Buffer { unsafe $0[index] }
    }
}
