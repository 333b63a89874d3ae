public import Bytes

/// A telephone number as a URI (RFC 3966 §3): `tel:+1-201-555-0123;ext=7` or
/// `tel:7042;phone-context=example.com`.
///
/// ``SIPURI`` reads of it the scheme alone; nothing here routes by number.
public struct TelURI: BitwiseCopyable, Sendable {
    public let whole: ByteRange
    /// Digits and visual separators, a global number with its "+".
    public let number: ByteRange
    public let isGlobal: Bool
    /// The value of `phone-context`, which a local number must have; none if it is not there.
    public let context: ByteRange
    /// The value of `ext`, digits and visual separators; none if it is not there.
    public let `extension`: ByteRange
    /// The value of `isub`; none if it is not there.
    public let subaddress: ByteRange
    /// After the first semicolon, without it.
    public let parameters: ByteRange

    /// Reads all of `range`.
    ///
    /// - Throws: `.uri` or `.uriTooLong` at the first byte that cannot belong to it.
    public init(_ bytes: Span<UInt8>, _ range: ByteRange) throws(SIPParseError) {
        guard range.count <= MessageIndex.uriBytesMax else {
            throw SIPParseError(.uriTooLong, at: range.start + MessageIndex.uriBytesMax)
        }
        whole = range
        let start = range.start + 4
        guard range.count > 4, bytes[start - 1] == UInt8(ascii: ":"),
            bytes.spellsIgnoringCase("tel", in: ByteRange(range.start, start - 1))
        else { throw SIPParseError(.uri, at: range.start) }
        isGlobal = bytes[start] == UInt8(ascii: "+")
        let stop = bytes.find(0x3B, 0x3B, 0x3B, 0x3B, from: start, to: range.end)
        number = ByteRange(start, stop)
        try checkNumber(bytes, number, isGlobal: isGlobal)
        var known = KnownParameters()
        if stop < range.end {
            parameters = ByteRange(stop + 1, range.end)
            var at = stop + 1
            while at <= range.end {
                let end = bytes.find(0x3B, 0x3B, 0x3B, 0x3B, from: at, to: range.end)
                try known.read(bytes, ByteRange(at, end))
                at = end + 1
            }
        } else {
            parameters = .none
        }
        // Without it nobody knows where a local number is one; a global one needs none (§5.1.4, §5.1.5).
        guard known.context.isEmpty == isGlobal else {
            throw SIPParseError(.uri, at: isGlobal ? known.context.start : range.end)
        }
        context = known.context
        `extension` = known.extension
        subaddress = known.subaddress
    }

    /// Whether two are equivalent (RFC 3966 §4): case and visual separators do not count, and neither
    /// does the order of parameters, of which each must be in both.
    public static func equivalent(
        _ a: TelURI, in aBytes: Span<UInt8>, _ b: TelURI, in bBytes: Span<UInt8>
    ) -> Bool {
        guard a.isGlobal == b.isGlobal,
            sameDigits(aBytes, a.number, bBytes, b.number),
            sameContext(aBytes, a.context, bBytes, b.context)
        else { return false }
        if aBytes.same(a.parameters, as: bBytes, b.parameters) { return true }
        // Each is looked up among the other's, so there may be only few.
        guard let count = few(aBytes, a), let other = few(bBytes, b), count == other
        else { return false }
        return agree(a, aBytes, b, bBytes) && agree(b, bBytes, a, aBytes)
    }
}

/// What a number may stand with; each at most once (RFC 3966 §3).
private struct KnownParameters {
    var context = ByteRange.none
    var `extension` = ByteRange.none
    var subaddress = ByteRange.none

    mutating func read(_ bytes: Span<UInt8>, _ range: ByteRange) throws(SIPParseError) {
        var at = range.start
        while at < range.end, bytes[at].isNameByte { at += 1 }
        let name = ByteRange(range.start, at)
        guard !name.isEmpty, at == range.end || bytes[at] == UInt8(ascii: "=") else {
            throw SIPParseError(.uri, at: at)
        }
        let value = at < range.end ? ByteRange(at + 1, range.end) : .none
        guard at == range.end || !value.isEmpty else { throw SIPParseError(.uri, at: range.end) }
        if bytes.spellsIgnoringCase("phone-context", in: name) {
            try take(name, value, &context)
            if bytes[value.start] == UInt8(ascii: "+") {
                try checkNumber(bytes, value, isGlobal: true)
            } else {
                for at in value.start..<value.end where !bytes[at].isHostByte {
                    throw SIPParseError(.uri, at: at)
                }
            }
        } else if bytes.spellsIgnoringCase("ext", in: name) {
            try take(name, value, &`extension`)
            for at in value.start..<value.end
            where !bytes[at].isDigit && !bytes[at].isVisualSeparator {
                throw SIPParseError(.uri, at: at)
            }
        } else {
            if bytes.spellsIgnoringCase("isub", in: name) { try take(name, value, &subaddress) }
            try checkValue(bytes, value)
        }
    }

    private func take(
        _ name: ByteRange, _ value: ByteRange, _ place: inout ByteRange
    ) throws(SIPParseError) {
        guard !value.isEmpty, place.isEmpty else { throw SIPParseError(.uri, at: name.start) }
        place = value
    }
}

/// `global-number-digits` or `local-number-digits`: at least one digit among the separators.
private func checkNumber(
    _ bytes: Span<UInt8>, _ range: ByteRange, isGlobal: Bool
) throws(SIPParseError) {
    var hasDigit = false
    for at in (isGlobal ? range.start + 1 : range.start)..<range.end {
        let byte = bytes[at]
        if byte.isVisualSeparator { continue }
        guard byte.isDigit || !isGlobal && byte.isLocalDigit else {
            throw SIPParseError(.uri, at: at)
        }
        hasDigit = true
    }
    guard hasDigit else { throw SIPParseError(.uri, at: range.end) }
}

/// `paramchar`, and of `uric` what is no separator.
private func checkValue(_ bytes: Span<UInt8>, _ range: ByteRange) throws(SIPParseError) {
    var at = range.start
    while at < range.end {
        switch bytes[at] {
        case UInt8(ascii: "%"):
            guard at + 2 < range.end, bytes[at + 1].hexDigitValue != nil,
                bytes[at + 2].hexDigitValue != nil
            else { throw SIPParseError(.uri, at: at) }
            at += 3
        // What a list or an address would end with, and what no URI holds.
        case 0x00...0x20, 0x22, 0x23, 0x2C, 0x3C, 0x3E, 0x40, 0x7F...:
            throw SIPParseError(.uri, at: at)
        default: at += 1
        }
    }
}

extension UInt8 {
    fileprivate var isVisualSeparator: Bool {
        // "-" / "." / "(" / ")"
        self == 0x2D || self == 0x2E || self == 0x28 || self == 0x29
    }

    /// `HEXDIG / "*" / "#"`.
    fileprivate var isLocalDigit: Bool {
        hexDigitValue != nil || self == UInt8(ascii: "*") || self == UInt8(ascii: "#")
    }

    /// `alphanum / "-"`.
    fileprivate var isNameByte: Bool { isIn(0x03FF_2000_0000_0000, 0x07FF_FFFE_07FF_FFFE) }
}

// MARK: Comparison

/// Whether two numbers are the same but for visual separators and case.
private func sameDigits(
    _ a: Span<UInt8>, _ aRange: ByteRange, _ b: Span<UInt8>, _ bRange: ByteRange
) -> Bool {
    var at = aRange.start
    var other = bRange.start
    while true {
        while at < aRange.end, a[at].isVisualSeparator { at += 1 }
        while other < bRange.end, b[other].isVisualSeparator { other += 1 }
        guard at < aRange.end, other < bRange.end else {
            return at == aRange.end && other == bRange.end
        }
        guard a[at].lowercased == b[other].lowercased else { return false }
        at += 1
        other += 1
    }
}

private func sameContext(
    _ a: Span<UInt8>, _ aRange: ByteRange, _ b: Span<UInt8>, _ bRange: ByteRange
) -> Bool {
    guard !aRange.isEmpty, !bRange.isEmpty else { return aRange.isEmpty && bRange.isEmpty }
    let plus = UInt8(ascii: "+")
    if a[aRange.start] == plus, b[bRange.start] == plus {
        return sameDigits(a, aRange, b, bRange)
    }
    return sameEscaped(a, aRange, b, bRange, ignoringCase: true)
}

/// How many parameters there are; `nil` for more than 15.
private func few(_ bytes: Span<UInt8>, _ uri: TelURI) -> Int? {
    guard !uri.parameters.isEmpty else { return 0 }
    var count = 1
    for at in uri.parameters.start..<uri.parameters.end where bytes[at] == UInt8(ascii: ";") {
        count += 1
    }
    return count < 16 ? count : nil
}

/// Whether each parameter of one is in the other too.
private func agree(
    _ a: TelURI, _ aBytes: Span<UInt8>, _ b: TelURI, _ bBytes: Span<UInt8>
) -> Bool {
    var cursor = ParameterCursor(a.parameters)
    while let mine = try? cursor.next(aBytes) {
        // Compared before, by the rules for domains and numbers.
        if aBytes.spellsIgnoringCase("phone-context", in: mine.name) { continue }
        let isExtension = aBytes.spellsIgnoringCase("ext", in: mine.name)
        var others = ParameterCursor(b.parameters)
        var found = false
        while !found, let theirs = try? others.next(bBytes) {
            guard sameEscaped(aBytes, mine.name, bBytes, theirs.name, ignoringCase: true)
            else { continue }
            guard
                isExtension
                    ? sameDigits(aBytes, mine.value, bBytes, theirs.value)
                    : sameEscaped(aBytes, mine.value, bBytes, theirs.value, ignoringCase: true)
            else { return false }
            found = true
        }
        guard found else { return false }
    }
    return true
}
