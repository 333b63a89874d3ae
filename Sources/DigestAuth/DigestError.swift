/// Why a header field is no challenge or no credentials that we can use.
package enum DigestError: Error, Equatable, Sendable {
    /// Another scheme than `Digest`.
    case notDigest
    /// The byte at this offset fits nowhere.
    case malformed(offset: Int)
    /// A parameter that may stand once stands again at this offset.
    case doubled(offset: Int)
    /// A parameter that must be there is not.
    case missing(DigestParameter)
    /// An algorithm that is not ours.
    case unsupportedAlgorithm
    /// Only protections other than `auth` (RFC 7616 §3.3).
    case unsupportedProtection
    /// The host's OpenSSL does not offer this algorithm, as MD5 under FIPS rules.
    case unavailable(DigestAlgorithm)
}
