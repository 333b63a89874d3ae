package import Bytes

/// Credentials of our own in answer to a challenge (RFC 7616 §3.4; RFC 3261 §22.2, §22.3).
package enum DigestAnswer {
    /// Writes the whole header field: Authorization, or Proxy-Authorization for a proxy's challenge.
    ///
    /// The nonce is used this once, so its count is 1. Without a qop in the challenge the older form
    /// is written, as its server wants it.
    ///
    /// - Parameters:
    ///   - challenge: read from `bytes`; its quoted values go back as they came.
    ///   - user: without quotes and backslashes, which would need escaping.
    ///   - clientNonce: not to be foreseen by others, another one for each answer.
    package static func write(
        _ challenge: DigestChallenge, in bytes: Span<UInt8>, isProxy: Bool, user: Span<UInt8>,
        password: Span<UInt8>, method: Span<UInt8>, uri: Span<UInt8>, clientNonce: UInt64,
        by computer: inout DigestComputer, to outbox: inout Outbox
    ) {
        let realm = bytes.extracting(challenge.realm.start..<challenge.realm.end)
        let nonce = bytes.extracting(challenge.nonce.start..<challenge.nonce.end)
        let secret = computer.secret(
            challenge.algorithm, user: user, realm: realm, password: password)
        outbox.write(
            isProxy
                ? "Proxy-Authorization: Digest username=\"" : "Authorization: Digest username=\"")
        outbox.write(user)
        outbox.write("\", realm=\"")
        outbox.write(realm)
        outbox.write("\", nonce=\"")
        outbox.write(nonce)
        outbox.write("\", uri=\"")
        outbox.write(uri)
        outbox.write("\", algorithm=")
        outbox.write(challenge.algorithm.name)
        if let opaque = challenge.opaque {
            outbox.write(", opaque=\"")
            outbox.write(bytes, opaque)
            outbox.write("\"")
        }
        let response: HexDigest
        if challenge.offersAuth {
            let digits = hexDigits(clientNonce)
            let once: InlineArray<8, UInt8> = [0x30, 0x30, 0x30, 0x30, 0x30, 0x30, 0x30, 0x31]
            response = computer.response(
                challenge.algorithm, secret: secret, nonce: nonce, nonceCount: once.span,
                cnonce: digits.span, method: method, uri: uri)
            outbox.write(", qop=auth, nc=00000001, cnonce=\"")
            outbox.write(digits.span)
            outbox.write("\"")
        } else {
            response = computer.response(
                challenge.algorithm, secret: secret, nonce: nonce, method: method, uri: uri)
        }
        outbox.write(", response=\"")
        response.write(to: &outbox)
        outbox.write("\"\r\n")
    }

    private static func hexDigits(_ value: UInt64) -> InlineArray<16, UInt8> {
        InlineArray<16, UInt8> { place in
            let digit = UInt8(truncatingIfNeeded: (value >> UInt64(60 - 4 * place)) & 15)
            return digit < 10 ? 0x30 + digit : 0x57 + digit
        }
    }
}
