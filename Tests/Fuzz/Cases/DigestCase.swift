import Bytes
import DigestAuth

/// The value of an authentication header field, read as a challenge and as credentials.
struct DigestCase: FuzzCase, ~Copyable {
    private var computer = try? DigestComputer()

    mutating func run(_ bytes: Span<UInt8>) -> String? {
        let whole = bytes.everything
        if let challenge = try? DigestChallenge(bytes, whole) {
            for part in [challenge.realm, challenge.nonce, challenge.opaque ?? .none] {
                if !part.lies(in: whole) { return "a part of a challenge lies outside" }
                if let finding = quotes(bytes, part) { return finding }
            }
        }
        if let claim = try? DigestCredentials(bytes, whole) {
            let parts = [
                claim.username, claim.realm, claim.nonce, claim.uri, claim.response,
                claim.protection?.cnonce ?? .none, claim.protection?.nonceCount ?? .none,
            ]
            for part in parts {
                if !part.lies(in: whole) { return "a part of credentials lies outside" }
                if let finding = quotes(bytes, part) { return finding }
            }
            return verify(bytes, claim)
        }
        return nil
    }

    /// A value ends at the first quote that is not escaped.
    private func quotes(_ bytes: Span<UInt8>, _ part: ByteRange) -> String? {
        var at = part.start
        while at < part.end {
            if bytes[at] == 0x22 { return "a quote in a value" }
            at += bytes[at] == 0x5C ? 2 : 1
        }
        return at > part.end ? "an escape that runs out of a value" : nil
    }

    /// Nobody knows this secret.
    private mutating func verify(_ bytes: Span<UInt8>, _ claim: DigestCredentials) -> String? {
        let secret: [UInt8] = Array("no such password".utf8)
        let hash = computer?.secret(
            claim.algorithm, user: secret.span, realm: secret.span, password: secret.span)
        guard let hash else { return nil }
        let verified = computer?.verifies(
            claim, in: bytes, secret: hash, method: ByteRange(0, min(6, bytes.count)))
        return verified == true ? "credentials without the password" : nil
    }
}
