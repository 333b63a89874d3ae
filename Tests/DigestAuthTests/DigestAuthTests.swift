import Bytes
import DigestAuth
import Testing

/// One published computation.
struct Example: CustomTestStringConvertible {
    let name: String
    let algorithm: DigestAlgorithm
    let realm: String
    let password: String
    /// Without the response.
    let authorization: String
    let response: String

    var testDescription: String { name }

    static let all = [
        Example(
            name: "RFC 2617 §3.5", algorithm: .md5, realm: "testrealm@host.com",
            password: "Circle Of Life",
            authorization: """
                Digest username="Mufasa", realm="testrealm@host.com", \
                nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, \
                nc=00000001, cnonce="0a4f113b", opaque="5ccc069c403ebaf9f0171e9517f40e41"
                """,
            response: "6629fae49393a05397450978507c4ef1"),
        Example(
            name: "RFC 2069 §2.4, corrected by its erratum 749", algorithm: .md5,
            realm: "testrealm@host.com", password: "CircleOfLife",
            authorization: """
                Digest username="Mufasa", realm="testrealm@host.com", \
                nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html"
                """,
            response: "1949323746fe6a43ef61f9606e7febea"),
        Example(
            name: "RFC 7616 §3.9.1, MD5", algorithm: .md5, realm: "http-auth@example.org",
            password: "Circle of Life", authorization: authorization7616 + ", algorithm=MD5",
            response: "8ca523f5e9506fed4657c9700eebdbec"),
        Example(
            name: "RFC 7616 §3.9.1, SHA-256", algorithm: .sha256, realm: "http-auth@example.org",
            password: "Circle of Life", authorization: authorization7616 + ", algorithm=SHA-256",
            response: "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ]

    private static let authorization7616 = """
        Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", \
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, \
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, \
        opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
        """
}

/// Whether credentials, as text, are accepted for a GET.
func accepts(
    _ authorization: String, algorithm: DigestAlgorithm, user: String = "Mufasa", realm: String,
    password: String, method: String = "GET"
) throws -> Bool {
    var computer = try DigestComputer()
    let user = Array(user.utf8)
    let realm = Array(realm.utf8)
    let password = Array(password.utf8)
    let secret = computer.secret(
        algorithm, user: user.span, realm: realm.span, password: password.span)
    let value = Array(authorization.utf8)
    let bytes = value + Array(method.utf8)
    let credentials = try DigestCredentials(bytes.span, ByteRange(0, value.count))
    return computer.verifies(
        credentials, in: bytes.span, secret: secret, method: ByteRange(value.count, bytes.count))
}

@Suite("A digest (RFC 7616 §3.4.1, RFC 2617 §3.2.2)")
struct DigestTests {
    @Test(arguments: Example.all)
    func `is what the RFC publishes`(example: Example) throws {
        let full = example.authorization + ", response=\"\(example.response)\""
        #expect(
            try accepts(
                full, algorithm: example.algorithm, realm: example.realm,
                password: example.password))
    }

    @Test(arguments: Example.all)
    func `is refused when one of its digits differs`(example: Example) throws {
        for place in [0, 15, example.response.count - 1] {
            var digits = Array(example.response)
            digits[place] = digits[place] == "0" ? "1" : "0"
            let full = example.authorization + ", response=\"\(String(digits))\""
            #expect(
                try !accepts(
                    full, algorithm: example.algorithm, realm: example.realm,
                    password: example.password))
        }
    }

    @Test(arguments: Example.all)
    func `depends on user, realm, password and method`(example: Example) throws {
        let full = example.authorization + ", response=\"\(example.response)\""
        let (algorithm, realm) = (example.algorithm, example.realm)
        #expect(
            try !accepts(full, algorithm: algorithm, realm: realm, password: example.password + "x")
        )
        #expect(
            try !accepts(full, algorithm: algorithm, realm: "x", password: example.password))
        #expect(
            try !accepts(
                full, algorithm: algorithm, user: "Simba", realm: realm, password: example.password)
        )
        #expect(
            try !accepts(
                full, algorithm: algorithm, realm: realm, password: example.password,
                method: "REGISTER"))
    }

    @Test func `is not accepted against the secret of another algorithm`() throws {
        let example = Example.all[2]
        let full = example.authorization + ", response=\"\(example.response)\""
        #expect(
            try !accepts(
                full, algorithm: .sha256, realm: example.realm, password: example.password))
    }

    @Test func `is written in lower-case digits`() throws {
        var computer = try DigestComputer()
        let (user, realm, password) = (Array("a".utf8), Array("b".utf8), Array("c".utf8))
        let secret = computer.secret(
            .md5, user: user.span, realm: realm.span, password: password.span)
        var outbox = Outbox(bytesMax: 64, messagesMax: 1)
        outbox.begin()
        secret.write(to: &outbox)
        #expect(outbox.openText == "02cc8f08398a4f3113b554e8105ebe4c")  // md5sum of a:b:c
        let nothing: [UInt8] = []
        let matches = secret.matches(nothing.span)
        #expect(!matches)
    }
}

@Suite("A challenge (RFC 7616 §3.3)")
struct DigestChallengeTests {
    private func read(_ text: String) throws(DigestError) -> DigestChallenge {
        let bytes = Array(text.utf8)
        return try DigestChallenge(bytes.span, ByteRange(0, bytes.count))
    }

    @Test func `is read by offsets into its field`() throws {
        let text = #"digest  realm = "ex\"ample" ,nonce="n,=1", QOP="auth-int , auth", stale=TRUE"#
        let challenge = try read(text)
        let bytes = Array(text.utf8)
        func part(_ range: ByteRange) -> String {
            String(decoding: bytes[range.start..<range.end], as: UTF8.self)
        }
        #expect(part(challenge.realm) == #"ex\"ample"#)
        #expect(part(challenge.nonce) == "n,=1")
        #expect(challenge.algorithm == .md5)
        #expect(challenge.offersAuth)
        #expect(challenge.isStale)
        #expect(challenge.opaque == nil)
    }

    @Test func `may have no qop and an empty opaque`() throws {
        let challenge = try read(#"Digest realm="r",nonce="n",opaque="",algorithm=sha-256"#)
        #expect(!challenge.offersAuth)
        #expect(challenge.algorithm == .sha256)
        #expect(challenge.opaque?.isEmpty == true)
        #expect(!challenge.isStale)
    }

    @Test(
        arguments: [
            ("", .notDigest),
            ("Basic realm=\"r\"", .notDigest),
            ("Digestive realm=\"r\"", .notDigest),
            ("Digest", .malformed(offset: 6)),
            ("Digest ", .malformed(offset: 7)),
            ("Digest realm", .malformed(offset: 12)),
            ("Digest realm=", .malformed(offset: 13)),
            ("Digest realm=\"r", .malformed(offset: 13)),
            (#"Digest realm="r\""#, .malformed(offset: 13)),
            ("Digest realm=\"r\" nonce=\"n\"", .malformed(offset: 17)),
            ("Digest realm=\"r\",", .malformed(offset: 17)),
            ("Digest realm=\"r\",,nonce=\"n\"", .malformed(offset: 17)),
            ("Digest =\"r\"", .malformed(offset: 7)),
            ("Digest realm=\"r\"", .missing(.nonce)),
            ("Digest nonce=\"r\"", .missing(.realm)),
            ("Digest realm=\"r\", nonce=\"n\", Realm=\"s\"", .doubled(offset: 29)),
            ("Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess", .unsupportedAlgorithm),
            ("Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"", .unsupportedProtection),
            ("Digest realm=\"r\", nonce=\"n\", qop=\"\"", .unsupportedProtection),
        ] as [(String, DigestError)]
    )
    func `that cannot be used says why`(text: String, error: DigestError) {
        #expect(throws: error) { try read(text) }
    }
}

@Suite("Credentials (RFC 7616 §3.4)")
struct DigestCredentialsTests {
    private static let common = #"Digest username="u", realm="r", nonce="n", uri="sip:x""#
    private static let response = #", response="00000000000000000000000000000000""#

    private func read(_ text: String) throws(DigestError) -> DigestCredentials {
        let bytes = Array(text.utf8)
        return try DigestCredentials(bytes.span, ByteRange(0, bytes.count))
    }

    @Test func `tell how often the nonce was used`() throws {
        let text = Self.common + Self.response + #", qop=auth, nc=0000aBcD, cnonce="c""#
        #expect(try read(text).protection?.count == 0xABCD)
        #expect(try read(Self.common + Self.response).protection == nil)
    }

    @Test(
        arguments: [
            (common, .missing(.response)),
            (common + ", response=\"00\"", .malformed(offset: 66)),
            (common + response + ", algorithm=SHA-256", .malformed(offset: 66)),
            (common + response + ", qop=auth-int, nc=00000001", .unsupportedProtection),
            (common + response + ", qop=auth, cnonce=\"c\"", .missing(.nc)),
            (common + response + ", qop=auth, nc=00000001", .missing(.cnonce)),
            (common + response + ", qop=auth, cnonce=\"c\", nc=1", .malformed(offset: 126)),
            (common + response + ", qop=auth, cnonce=\"c\", nc=0000000g", .malformed(offset: 133)),
        ] as [(String, DigestError)]
    )
    func `that cannot be verified say why`(text: String, error: DigestError) {
        #expect(throws: error) { try read(text) }
    }

    @Test func `cut short anywhere are refused or read, never more`() {
        let text = Array(
            (Self.common + Self.response + #", qop=auth, nc=00000001, cnonce="c""#).utf8)
        for end in 0..<text.count {
            let bytes = Array(text[..<end])
            let credentials = try? DigestCredentials(bytes.span, ByteRange(0, end))
            #expect(credentials?.protection == nil)
        }
    }
}
