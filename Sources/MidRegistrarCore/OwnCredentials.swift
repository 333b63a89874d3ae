internal import Bytes
internal import DigestAuth
internal import SIPMessage

/// Answers challenges with the account of midreg itself.
struct OwnCredentials: ~Copyable {
    private let account: CoreOptions.Account
    private var computer: DigestComputer

    /// `nil` where OpenSSL is not allowed the hashes that a digest needs.
    init?(_ account: CoreOptions.Account) {
        guard let computer = try? DigestComputer() else { return nil }
        self.account = account
        self.computer = computer
    }

    /// The challenge with the strongest algorithm of those that can be answered (RFC 8760 §2.4).
    func strongest(
        of bytes: Span<UInt8>, _ index: borrowing MessageIndex, isProxy: Bool
    ) -> DigestChallenge? {
        var best: DigestChallenge?
        for number in 0..<index.count
        where index[number].name == (isProxy ? .proxyAuthenticate : .wwwAuthenticate) {
            guard let challenge = try? DigestChallenge(bytes, index[number].value) else { continue }
            if let realm = account.realm,
                !bytes.same(challenge.realm, as: realm.span, ByteRange(0, realm.count))
            {
                continue
            }
            if let best, best.algorithm.rawValue >= challenge.algorithm.rawValue { continue }
            best = challenge
        }
        return best
    }

    mutating func write(
        _ challenge: DigestChallenge, in bytes: Span<UInt8>, isProxy: Bool, uri: Span<UInt8>,
        clientNonce: UInt64, to outbox: inout Outbox
    ) {
        let account = self.account
        let method: InlineArray<8, UInt8> = [0x52, 0x45, 0x47, 0x49, 0x53, 0x54, 0x45, 0x52]
        DigestAnswer.write(
            challenge, in: bytes, isProxy: isProxy, user: account.user.span,
            password: account.password.span, method: method.span, uri: uri,
            clientNonce: clientNonce, by: &computer, to: &outbox)
    }
}
