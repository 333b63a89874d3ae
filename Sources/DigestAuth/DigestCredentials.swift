package import Bytes
internal import SIPMessage

/// What an Authorization or Proxy-Authorization header field claims (RFC 7616 §3.4); its parts lie
/// in the caller's bytes. Nothing is verified yet.
package struct DigestCredentials: BitwiseCopyable, Sendable {
    /// `qop=auth`: how often the nonce was used, and the phone's own nonce.
    package struct Protection: BitwiseCopyable, Sendable {
        package let nonceCount: ByteRange
        package let cnonce: ByteRange
        /// ``nonceCount`` as a number.
        package let count: UInt32
    }

    package let username: ByteRange
    package let realm: ByteRange
    package let nonce: ByteRange
    package let uri: ByteRange
    package let response: ByteRange
    package let algorithm: DigestAlgorithm
    /// `nil` in the form of RFC 2069, without a qop.
    package let protection: Protection?

    /// Reads the value of one header field.
    ///
    /// - Throws: a ``DigestError``, as for a response that has not the algorithm's length.
    package init(_ bytes: Span<UInt8>, _ range: ByteRange) throws(DigestError) {
        let parameters = try DigestParameters(bytes, range)
        username = try parameters.required(.username)
        realm = try parameters.required(.realm)
        nonce = try parameters.required(.nonce)
        uri = try parameters.required(.uri)
        response = try parameters.required(.response)
        algorithm = try parameters.algorithm(bytes)
        guard response.count == algorithm.hexDigits else {
            throw .malformed(offset: response.start)
        }
        if let qop = parameters[.qop] {
            guard bytes.spellsIgnoringCase("auth", in: qop) else { throw .unsupportedProtection }
            let nonceCount = try parameters.required(.nc)
            protection = Protection(
                nonceCount: nonceCount, cnonce: try parameters.required(.cnonce),
                count: try Self.hex(bytes, nonceCount))
        } else {
            protection = nil
        }
    }

    /// `nc-value = 8LHEX`
    private static func hex(_ bytes: Span<UInt8>, _ range: ByteRange) throws(DigestError) -> UInt32
    {
        guard range.count == 8 else { throw .malformed(offset: range.start) }
        var value: UInt32 = 0
        for offset in range.start..<range.end {
            guard let digit = bytes[offset].hexDigitValue else { throw .malformed(offset: offset) }
            value = value << 4 | UInt32(digit)
        }
        return value
    }
}
