internal import Bytes
internal import SIPMessage

/// The parameters of a challenge or of credentials that mean something to us (RFC 7616 §3.3, §3.4);
/// others pass unread.
package enum DigestParameter: UInt8, CaseIterable, BitwiseCopyable, Sendable {
    case username, realm, nonce, uri, response, algorithm, qop, cnonce, nc, opaque, stale

    var name: StaticString {
        switch self {
        case .username: "username"
        case .realm: "realm"
        case .nonce: "nonce"
        case .uri: "uri"
        case .response: "response"
        case .algorithm: "algorithm"
        case .qop: "qop"
        case .cnonce: "cnonce"
        case .nc: "nc"
        case .opaque: "opaque"
        case .stale: "stale"
        }
    }
}

/// The values of the known parameters of one header field, by offset: nothing is copied.
///
/// A quoted value is kept without its quotes and with its backslashes: that is what both sides hash
/// (`unq` in RFC 7616 §3.4.2).
struct DigestParameters: BitwiseCopyable {
    private var values = InlineArray<11, ByteRange>(repeating: .none)
    private var seen: UInt16 = 0

    /// Reads `Digest name=value, name="value", …` in all of `range`.
    ///
    /// - Throws: ``DigestError/notDigest``, ``DigestError/malformed(offset:)`` or
    ///   ``DigestError/doubled(offset:)``.
    init(_ bytes: Span<UInt8>, _ range: ByteRange) throws(DigestError) {
        let end = range.end
        var at = bytes.skipSpace(from: range.start, to: end)
        let scheme = ByteRange(at, bytes.endOfToken(from: at, to: end))
        guard bytes.spellsIgnoringCase("digest", in: scheme) else { throw .notDigest }
        at = bytes.skipSpace(from: scheme.end, to: end)
        guard at > scheme.end, at < end else { throw .malformed(offset: at) }
        while true {
            let name = ByteRange(at, bytes.endOfToken(from: at, to: end))
            at = bytes.skipSpace(from: name.end, to: end)
            guard !name.isEmpty, at < end, bytes[at] == UInt8(ascii: "=") else {
                throw .malformed(offset: at)
            }
            at = bytes.skipSpace(from: at + 1, to: end)
            let value = try Self.value(bytes, from: &at, to: end)
            try keep(bytes, name, value)
            at = bytes.skipSpace(from: at, to: end)
            guard at < end else { return }
            guard bytes[at] == UInt8(ascii: ",") else { throw .malformed(offset: at) }
            at = bytes.skipSpace(from: at + 1, to: end)
        }
    }

    /// The value of a parameter; `nil` if it is not there, an empty range if `""` stands there.
    subscript(parameter: DigestParameter) -> ByteRange? {
        seen & 1 << parameter.rawValue == 0 ? nil : values[Int(parameter.rawValue)]
    }

    /// - Throws: ``DigestError/missing(_:)``.
    func required(_ parameter: DigestParameter) throws(DigestError) -> ByteRange {
        guard let value = self[parameter] else { throw .missing(parameter) }
        return value
    }

    /// The algorithm; MD5 if none is named (RFC 7616 §3.3).
    ///
    /// - Throws: ``DigestError/unsupportedAlgorithm``.
    func algorithm(_ bytes: Span<UInt8>) throws(DigestError) -> DigestAlgorithm {
        guard let name = self[.algorithm] else { return .md5 }
        guard let algorithm = DigestAlgorithm(bytes, name) else { throw .unsupportedAlgorithm }
        return algorithm
    }

    private mutating func keep(
        _ bytes: Span<UInt8>, _ name: ByteRange, _ value: ByteRange
    ) throws(DigestError) {
        for parameter in DigestParameter.allCases
        where bytes.spellsIgnoringCase(parameter.name, in: name) {
            guard self[parameter] == nil else { throw .doubled(offset: name.start) }
            seen |= 1 << parameter.rawValue
            values[Int(parameter.rawValue)] = value
            return
        }
    }

    private static func value(
        _ bytes: Span<UInt8>, from at: inout Int, to end: Int
    ) throws(DigestError) -> ByteRange {
        let start = at
        if start < end, bytes[start] == UInt8(ascii: "\"") {
            guard let close = bytes.endOfQuotedString(from: start, to: end), close <= end else {
                throw .malformed(offset: start)
            }
            at = close
            return ByteRange(start + 1, close - 1)
        }
        at = bytes.endOfToken(from: start, to: end)
        guard at > start else { throw .malformed(offset: start) }
        return ByteRange(start, at)
    }
}
