public import Bytes

/// `delta-seconds` (RFC 3261 §20.19, §25.1): Expires, Min-Expires, `expires` of a Contact.
public struct DeltaSeconds: BitwiseCopyable, Equatable, Sendable {
    /// Below 2³²; what is larger counts as the largest (§20.19 has no larger ones).
    public let seconds: UInt32

    /// Reads all of `range`, digits alone.
    ///
    /// - Throws: `.number` at the first byte that is no digit.
    public init(_ bytes: Span<UInt8>, _ range: ByteRange) throws(SIPParseError) {
        guard !range.isEmpty else { throw SIPParseError(.number, at: range.start) }
        var total: UInt64 = 0
        for at in range.start..<range.end {
            guard let digit = bytes[at].digitValue else { throw SIPParseError(.number, at: at) }
            total = min(total * 10 + UInt64(digit), UInt64(UInt32.max))
        }
        seconds = UInt32(total)
    }
}

extension MessageIndex {
    /// The Expires header field; `nil` if there is none (RFC 3261 §20.19).
    public func expires(_ bytes: Span<UInt8>) throws(SIPParseError) -> DeltaSeconds? {
        guard let value = value(.expires) else { return nil }
        return try DeltaSeconds(bytes, value)
    }

    /// The Min-Expires header field; `nil` if there is none (RFC 3261 §20.23).
    public func minExpires(_ bytes: Span<UInt8>) throws(SIPParseError) -> DeltaSeconds? {
        guard let value = value(.minExpires) else { return nil }
        return try DeltaSeconds(bytes, value)
    }
}
