package import Bytes
internal import SIPMessage

/// What a WWW-Authenticate or Proxy-Authenticate header field asks for (RFC 7616 §3.3); its parts
/// lie in the caller's bytes.
package struct DigestChallenge: BitwiseCopyable, Sendable {
    package let realm: ByteRange
    package let nonce: ByteRange
    /// To be returned as it is; `nil` if none is given.
    package let opaque: ByteRange?
    package let algorithm: DigestAlgorithm
    /// Whether the answer is to say `qop=auth`; without a qop the older form is asked for.
    package let offersAuth: Bool
    /// Whether only the nonce was too old: the password need not be asked for again.
    package let isStale: Bool

    /// Reads the value of one header field; each challenge stands in one of its own (RFC 3261
    /// §7.3.1).
    ///
    /// - Throws: a ``DigestError``; of several challenges, one that throws is to be passed over.
    package init(_ bytes: Span<UInt8>, _ range: ByteRange) throws(DigestError) {
        let parameters = try DigestParameters(bytes, range)
        realm = try parameters.required(.realm)
        nonce = try parameters.required(.nonce)
        opaque = parameters[.opaque]
        algorithm = try parameters.algorithm(bytes)
        if let offers = parameters[.qop] {
            guard Self.list(bytes, offers, holds: "auth") else { throw .unsupportedProtection }
            offersAuth = true
        } else {
            offersAuth = false
        }
        isStale = parameters[.stale].map { bytes.spellsIgnoringCase("true", in: $0) } ?? false
    }

    /// Whether a list with commas names `name`.
    private static func list(
        _ bytes: Span<UInt8>, _ range: ByteRange, holds name: StaticString
    ) -> Bool {
        var at = range.start
        while at < range.end {
            at = bytes.skipSpace(from: at, to: range.end)
            let end = bytes.endOfToken(from: at, to: range.end)
            if bytes.spellsIgnoringCase(name, in: ByteRange(at, end)) { return true }
            at = max(end, at) + 1
        }
        return false
    }
}
