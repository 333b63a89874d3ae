package import Bytes
internal import SIPMessage

/// Computes and verifies digests (RFC 7616 §3.4.1–3.4.3; RFC 2617 §3.2.2).
///
/// It reads no nonce's age and no count: whether a nonce is still good is its issuer's to know.
package struct DigestComputer: ~Copyable, Sendable {
    private var hash: DigestHash

    /// - Throws: ``DigestError/unavailable(_:)``.
    package init() throws(DigestError) { hash = try DigestHash() }

    /// H(A1) = H(user ":" realm ":" password): what a registrar keeps instead of the password.
    package mutating func secret(
        _ algorithm: DigestAlgorithm, user: Span<UInt8>, realm: Span<UInt8>, password: Span<UInt8>
    ) -> HexDigest {
        hash.begin(algorithm)
        hash.add(user)
        hash.addColon()
        hash.add(realm)
        hash.addColon()
        hash.add(password)
        return hash.finish()
    }

    /// The response without a qop: H(H(A1) ":" nonce ":" H(method ":" uri)).
    package mutating func response(
        _ algorithm: DigestAlgorithm, secret: HexDigest, nonce: Span<UInt8>, method: Span<UInt8>,
        uri: Span<UInt8>
    ) -> HexDigest {
        let request = requestHash(algorithm, method, uri)
        hash.begin(algorithm)
        hash.add(secret)
        hash.addColon()
        hash.add(nonce)
        hash.addColon()
        hash.add(request)
        return hash.finish()
    }

    /// The response with `qop=auth`: H(H(A1) ":" nonce ":" nc ":" cnonce ":auth:" H(method ":" uri)).
    ///
    /// - Parameter nonceCount: the eight hexadecimal digits as they are sent.
    package mutating func response(
        _ algorithm: DigestAlgorithm, secret: HexDigest, nonce: Span<UInt8>,
        nonceCount: Span<UInt8>, cnonce: Span<UInt8>, method: Span<UInt8>, uri: Span<UInt8>
    ) -> HexDigest {
        let request = requestHash(algorithm, method, uri)
        let qop: InlineArray<4, UInt8> = [0x61, 0x75, 0x74, 0x68]  // auth
        hash.begin(algorithm)
        hash.add(secret)
        hash.addColon()
        hash.add(nonce)
        hash.addColon()
        hash.add(nonceCount)
        hash.addColon()
        hash.add(cnonce)
        hash.addColon()
        hash.add(qop.span)
        hash.addColon()
        hash.add(request)
        return hash.finish()
    }

    /// Whether the sender of `credentials` knows the password behind `secret`.
    ///
    /// - Parameters:
    ///   - bytes: what the credentials were read from.
    ///   - secret: H(A1) by the credentials' algorithm, for their user in our realm.
    ///   - method: of the request they stand in.
    package mutating func verifies(
        _ credentials: DigestCredentials, in bytes: Span<UInt8>, secret: HexDigest,
        method: ByteRange
    ) -> Bool {
        guard secret.count == credentials.algorithm.hexDigits else { return false }
        let nonce = bytes.extracting(credentials.nonce)
        let expected =
            if let protection = credentials.protection {
                response(
                    credentials.algorithm, secret: secret, nonce: nonce,
                    nonceCount: bytes.extracting(protection.nonceCount),
                    cnonce: bytes.extracting(protection.cnonce), method: bytes.extracting(method),
                    uri: bytes.extracting(credentials.uri))
            } else {
                response(
                    credentials.algorithm, secret: secret, nonce: nonce,
                    method: bytes.extracting(method), uri: bytes.extracting(credentials.uri))
            }
        return expected.matches(bytes.extracting(credentials.response))
    }

    private mutating func requestHash(
        _ algorithm: DigestAlgorithm, _ method: Span<UInt8>, _ uri: Span<UInt8>
    ) -> HexDigest {
        hash.begin(algorithm)
        hash.add(method)
        hash.addColon()
        hash.add(uri)
        return hash.finish()
    }
}

extension Span<UInt8> {
    @_lifetime(copy self)
    fileprivate func extracting(_ range: ByteRange) -> Span<UInt8> {
        extracting(range.start..<range.end)
    }
}
