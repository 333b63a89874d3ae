internal import Bytes

extension SIPURI {
    /// Whether two URIs are equivalent (RFC 3261 §19.1.4).
    ///
    /// Other than SIP and SIPS URIs are equivalent if their bytes are the same.
    public static func equivalent(
        _ a: SIPURI, in aBytes: Span<UInt8>, _ b: SIPURI, in bBytes: Span<UInt8>
    ) -> Bool {
        guard a.scheme == b.scheme else { return false }
        if a.scheme == .other { return aBytes.same(a.whole, as: bBytes, b.whole) }
        guard a.hasUser == b.hasUser, a.port == b.port,
            sameEscaped(aBytes, a.user, bBytes, b.user, ignoringCase: false),
            sameEscaped(aBytes, a.password, bBytes, b.password, ignoringCase: false),
            sameHost(aBytes, a.host, bBytes, b.host)
        else { return false }
        let sameParameters = aBytes.same(a.parameters, as: bBytes, b.parameters)
        let sameHeaders = aBytes.same(a.headers, as: bBytes, b.headers)
        if sameParameters && sameHeaders { return true }
        guard aBytes.fewParts(a), bBytes.fewParts(b) else { return false }
        return
            (sameParameters
            || (parametersAgree(a, aBytes, b, bBytes) && parametersAgree(b, bBytes, a, aBytes)))
            && (sameHeaders
                || (headersAgree(a, aBytes, b, bBytes) && headersAgree(b, bBytes, a, aBytes)))
    }

    /// A parameter in both must have the same value; user, ttl, method, maddr and transport must be
    /// in both or in none.
    private static func parametersAgree(
        _ a: SIPURI, _ aBytes: Span<UInt8>, _ b: SIPURI, _ bBytes: Span<UInt8>
    ) -> Bool {
        var cursor = ParameterCursor(a.parameters)
        while let mine = try? cursor.next(aBytes) {
            var others = ParameterCursor(b.parameters)
            var found = false
            while let theirs = try? others.next(bBytes) {
                guard sameEscaped(aBytes, mine.name, bBytes, theirs.name, ignoringCase: true)
                else { continue }
                found = true
                guard sameEscaped(aBytes, mine.value, bBytes, theirs.value, ignoringCase: true)
                else { return false }
                break
            }
            if !found, mustBeInBoth(aBytes, mine.name) { return false }
        }
        return true
    }

    private static func mustBeInBoth(_ bytes: Span<UInt8>, _ name: ByteRange) -> Bool {
        bytes.spellsIgnoringCase("transport", in: name)
            || bytes.spellsIgnoringCase("user", in: name)
            || bytes.spellsIgnoringCase("ttl", in: name)
            || bytes.spellsIgnoringCase("method", in: name)
            || bytes.spellsIgnoringCase("maddr", in: name)
    }

    /// Header components are never ignored: each of one must be in the other.
    private static func headersAgree(
        _ a: SIPURI, _ aBytes: Span<UInt8>, _ b: SIPURI, _ bBytes: Span<UInt8>
    ) -> Bool {
        var at = a.headers.start
        while at < a.headers.end {
            let end = aBytes.find(0x26, 0x26, 0x26, 0x26, from: at, to: a.headers.end)
            var found = false
            var other = b.headers.start
            while other < b.headers.end, !found {
                let otherEnd = bBytes.find(0x26, 0x26, 0x26, 0x26, from: other, to: b.headers.end)
                found = sameEscaped(
                    aBytes, ByteRange(at, end), bBytes, ByteRange(other, otherEnd),
                    ignoringCase: true)
                other = otherEnd + 1
            }
            guard found else { return false }
            at = end + 1
        }
        return true
    }

    private static func sameHost(
        _ a: Span<UInt8>, _ aRange: ByteRange, _ b: Span<UInt8>, _ bRange: ByteRange
    ) -> Bool {
        let first = TransportAddress(host: a.extracting(aRange.start..<aRange.end), port: 0)
        let second = TransportAddress(host: b.extracting(bRange.start..<bRange.end), port: 0)
        if let first, let second { return first == second }
        return sameEscaped(a, aRange, b, bRange, ignoringCase: true)
    }
}

extension Span<UInt8> {
    /// Whether a URI has so few parameters and headers that each may be looked up among the
    /// other's, which costs the product of both. Others are equivalent only byte for byte.
    fileprivate func fewParts(_ uri: SIPURI) -> Bool {
        separators(0x3B, in: uri.parameters) < 16 && separators(0x26, in: uri.headers) < 16
    }

    private func separators(_ byte: UInt8, in range: ByteRange) -> Int {
        var count = 0
        var at = range.start
        while at < range.end {
            if self[at] == byte { count += 1 }
            at += 1
        }
        return count
    }
}

/// Whether two ranges spell the same once `%HH` is resolved; an escaped reserved byte is not the
/// same as one that stands there itself (RFC 3261 §19.1.4).
func sameEscaped(
    _ a: Span<UInt8>, _ aRange: ByteRange, _ b: Span<UInt8>, _ bRange: ByteRange,
    ignoringCase: Bool
) -> Bool {
    var at = aRange.start
    var other = bRange.start
    while at < aRange.end, other < bRange.end {
        let mineStart = at
        let theirsStart = other
        var mine = unescaped(a, &at, aRange.end)
        var theirs = unescaped(b, &other, bRange.end)
        if mine.isReserved, at - mineStart != other - theirsStart { return false }
        if ignoringCase {
            mine = mine.lowercased
            theirs = theirs.lowercased
        }
        if mine != theirs { return false }
    }
    return at == aRange.end && other == bRange.end
}

extension UInt8 {
    /// `reserved` (RFC 3261 §25.1).
    fileprivate var isReserved: Bool {
        switch self {
        case 0x3B, 0x2F, 0x3F, 0x3A, 0x40, 0x26, 0x3D, 0x2B, 0x24, 0x2C: true
        default: false
        }
    }
}

private func unescaped(_ bytes: Span<UInt8>, _ at: inout Int, _ end: Int) -> UInt8 {
    let byte = bytes[at]
    if byte == 0x25, at + 2 < end, let high = bytes[at + 1].hexDigitValue,
        let low = bytes[at + 2].hexDigitValue
    {
        at += 3
        return high << 4 | low
    }
    at += 1
    return byte
}
