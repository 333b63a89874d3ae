internal import Bytes
internal import SIPMessage

/// The hash that a digest is made with (RFC 7616 §3.3, RFC 8760).
///
/// The `-sess` variants, which no phone we know uses, are not among them.
package enum DigestAlgorithm: UInt8, CaseIterable, BitwiseCopyable, Sendable {
    case md5, sha256

    /// As it stands in a header field.
    package var name: StaticString {
        switch self {
        case .md5: "MD5"
        case .sha256: "SHA-256"
        }
    }

    /// Hexadecimal digits of a digest.
    package var hexDigits: Int {
        switch self {
        case .md5: 32
        case .sha256: 64
        }
    }

    /// Reads a name, of either case; `nil` for any other algorithm.
    init?(_ bytes: Span<UInt8>, _ range: ByteRange) {
        if bytes.spellsIgnoringCase("md5", in: range) {
            self = .md5
        } else if bytes.spellsIgnoringCase("sha-256", in: range) {
            self = .sha256
        } else {
            return nil
        }
    }
}
