import Bytes
import CoreScene
import DigestAuth
import Forwarding
import MidRegistrarCore
import Registration
import StoreInMemory
import Testing

@Suite("A removal of our own that is challenged")
struct OwnCredentialsTests {
    private static let password = "open \"sesame\""

    private static func options(_ change: (inout CoreOptions) -> Void = { _ in }) -> CoreOptions {
        Scene.options {
            $0.account = .init(user: "midreg", password: Array(password.utf8))
            change(&$0)
        }
    }

    /// A phone that registered, was absorbed `refreshes` times, and vanished: our removal.
    private func lapsed(
        _ options: CoreOptions = options(), refreshes: Int = 0
    ) -> (Scene, Phone, Sent) {
        let scene = Scene(options)
        var phone = Phone()
        scene.register(&phone)
        for _ in 0..<refreshes { scene.send(phone.register(), from: phoneA) }
        let sent = scene.advance(ms: 601_000, step: 1_000)
        return (scene, phone, sent[0])
    }

    private func challenge(
        _ request: Sent, code: Int = 401, _ parameters: String...
    ) -> String {
        let name = code == 401 ? "WWW-Authenticate" : "Proxy-Authenticate"
        return answer(
            request, code, extra: parameters.map { "\(name): Digest realm=\"r.test\", \($0)" })
    }

    /// Whether the credentials of a request are made of the account's password.
    private func isAuthentic(_ request: Sent, field: String = "Authorization") throws -> Bool {
        let bytes = Array(request.first(field).utf8)
        let credentials = try DigestCredentials(bytes.span, ByteRange(0, bytes.count))
        var computer = try DigestComputer()
        let user = Array("midreg".utf8)
        let realm = Array("r.test".utf8)
        let password = Array(Self.password.utf8)
        let secret = computer.secret(
            credentials.algorithm, user: user.span, realm: realm.span, password: password.span)
        let whole = bytes + Array("REGISTER".utf8)
        return computer.verifies(
            credentials, in: whole.span, secret: secret,
            method: ByteRange(bytes.count, whole.count))
            && request.first(field).contains("uri=\"sip:example.test\"")
    }

    @Test(arguments: [
        (401, "Authorization", "qop=\"auth\"", "MD5"),
        (407, "Proxy-Authorization", "qop=\"auth,auth-int\", algorithm=MD5", "MD5"),
        (401, "Authorization", "qop=auth, algorithm=SHA-256, opaque=\"o\"", "SHA-256"),
        (401, "Authorization", "algorithm=MD5", "MD5"),
    ])
    func `is sent once more with credentials`(
        code: Int, field: String, parameters: String, algorithm: String
    ) throws {
        let (scene, _, removal) = lapsed()
        let sent = scene.send(
            challenge(removal, code: code, "nonce=\"n1\", \(parameters)"), from: mainServer,
            socket: ownSocket)
        try #require(sent.count == 1)
        let retry = sent[0]
        #expect(retry.to == mainServer && retry.socket == ownSocket)
        #expect(retry.startLine == removal.startLine)
        #expect(retry.first("Call-ID") == removal.first("Call-ID"))
        #expect(retry.first("From") == removal.first("From"))
        #expect(retry.contacts == removal.contacts)
        #expect(removal.first("CSeq") == "1 REGISTER" && retry.first("CSeq") == "2 REGISTER")
        #expect(retry.first("Via") != removal.first("Via"))
        #expect(try isAuthentic(retry, field: field))
        #expect(retry.first(field).contains("algorithm=\(algorithm)"))
        #expect(retry.first(field).contains("nonce=\"n1\""))
        #expect(retry.first(field).contains("opaque=\"o\"") == parameters.contains("opaque"))
        #expect(retry.first(field).contains("qop=auth, nc=00000001") == parameters.contains("qop"))
        #expect(!retry.text.contains("sesame"))
        #expect(scene.counter(.ownRemovalAuthorized) == 1)

        scene.send(answer(retry), from: mainServer, socket: ownSocket)
        #expect(scene.counter(.ownRemovalDone) == 1)
        #expect(scene.counter(.ownRemovalRefused) == 0)
        #expect(scene.store.durable.isEmpty)
    }

    @Test func `answers the strongest challenge that it can`() throws {
        let (scene, _, removal) = lapsed()
        let retry = scene.send(
            challenge(
                removal, "nonce=\"x\", algorithm=SHA-512-256", "nonce=\"a\", algorithm=MD5",
                "nonce=\"b\", algorithm=SHA-256", "nonce=\"c\", algorithm=MD5"),
            from: mainServer, socket: ownSocket)
        #expect(retry.map { $0.first("Authorization").contains("nonce=\"b\"") } == [true])
        #expect(try isAuthentic(retry[0]))
    }

    @Test func `has copies with the credentials`() {
        let (scene, _, removal) = lapsed()
        let retry = scene.send(
            challenge(removal, "nonce=\"n\""), from: mainServer, socket: ownSocket)
        let copies = scene.advance(ms: 1_600)
        #expect(copies == [retry[0], retry[0]])
        // A copy of the first answer is nobody's any more.
        scene.send(challenge(removal, "nonce=\"m\""), from: mainServer, socket: ownSocket)
        #expect(scene.counter(.ownRemovalRefused) == 0)
    }

    @Test func `is refused by a second challenge, and kept until the lease ends`() {
        let (scene, _, removal) = lapsed()
        let retry = scene.send(
            challenge(removal, "nonce=\"n\""), from: mainServer, socket: ownSocket)[0]
        let sent = scene.send(challenge(retry, "nonce=\"m\""), from: mainServer, socket: ownSocket)
        #expect(sent.isEmpty)
        #expect(scene.counter(.ownRemovalRefused) == 1)
        #expect(scene.events.contains { $0.kind == .removalRefused && $0.number == 401 })
        #expect(scene.store.durable.count == 1)
        #expect(scene.advance(ms: 2_980_000, step: 5_000).isEmpty)
        scene.advance(ms: 60_000, step: 5_000)
        #expect(scene.store.durable.isEmpty)
    }

    @Test func `gets a fresh nonce once if the old one was stale`() throws {
        let (scene, _, removal) = lapsed()
        var last = removal
        var client: Set<String> = []
        for number in 1...2 {
            let sent = scene.send(
                challenge(last, "nonce=\"n\(number)\", qop=auth, stale=true"), from: mainServer,
                socket: ownSocket)
            try #require(sent.count == 1)
            last = sent[0]
            #expect(try isAuthentic(last))
            #expect(last.first("CSeq") == "\(number + 1) REGISTER")
            client.insert(last.first("Authorization").components("cnonce=")[1])
        }
        #expect(client.count == 2)
        let third = scene.send(
            challenge(last, "nonce=\"n3\", qop=auth, stale=true"), from: mainServer,
            socket: ownSocket)
        #expect(third.isEmpty)
        #expect(scene.counter(.ownRemovalRefused) == 1)
    }

    @Test(arguments: [
        "nonce=\"n\", algorithm=SHA-512-256", "nonce=\"n\", qop=\"auth-int\"", "qop=auth",
    ])
    func `is refused by a challenge that it cannot answer`(parameters: String) {
        let (scene, _, removal) = lapsed()
        let sent = scene.send(challenge(removal, parameters), from: mainServer, socket: ownSocket)
        #expect(sent.isEmpty)
        #expect(scene.counter(.ownRemovalRefused) == 1)
    }

    @Test func `tells its secret to nobody but the main registrar`() {
        let other = address("127.0.0.9:5070")
        let options = Self.options { $0.mainSide = .init([mainServer, other]) }
        for source in [other, stranger] {
            let (scene, _, removal) = lapsed(options)
            let sent = scene.send(
                challenge(removal, "nonce=\"n\""), from: source, socket: ownSocket)
            #expect(sent.isEmpty)
            #expect(scene.counter(.ownRemovalAuthorized) == 0)
        }
    }

    @Test func `answers no realm but that of its account`() {
        for (realm, answers) in [("r.test", 1), ("other.test", 0)] {
            let (scene, _, removal) = lapsed(
                Self.options {
                    $0.account = .init(
                        user: "midreg", password: Array(Self.password.utf8), realm: realm)
                })
            let sent = scene.send(
                challenge(removal, "nonce=\"n\""), from: mainServer, socket: ownSocket)
            #expect(sent.count == answers)
        }
    }

    /// The phone's own next number must outrank each try.
    @Test(arguments: [(0, nil), (2, nil), (3, 2), (5, 4)] as [(Int, Int?)])
    func `uses the phone's Call-ID if it has numbers enough`(refreshes: Int, first: Int?) {
        let (scene, phone, removal) = lapsed(refreshes: refreshes)
        #expect((removal.first("Call-ID") == phone.callID) == (first != nil))
        #expect(removal.first("CSeq") == "\(first ?? 1) REGISTER")
        var last = removal
        for _ in 0..<2 {
            last =
                scene.send(
                    challenge(last, "nonce=\"n\", stale=true"), from: mainServer, socket: ownSocket)[
                    0]
        }
        if first != nil { #expect(last.first("CSeq") == "\(phone.sequence) REGISTER") }
    }

    @Test func `is stopped by the phone's return between challenge and answer`() {
        var (scene, phone, removal) = lapsed()
        let retry = scene.send(
            challenge(removal, "nonce=\"n\""), from: mainServer, socket: ownSocket)[0]
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        #expect(scene.counter(.ownRemovalStopped) == 1)
        #expect(scene.advance(ms: 5_000).isEmpty)
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        for late in [challenge(retry, "nonce=\"m\", stale=true"), answer(retry)] {
            #expect(scene.send(late, from: mainServer, socket: ownSocket).isEmpty)
        }
        #expect(scene.gauge(.bindings) == 1)
        // What the removal may have undone is not absorbed.
        #expect(scene.send(phone.register(), from: phoneA)[0].to == mainServer)
    }
}

@Suite("A removal of our own that nobody answers")
struct RemovalBackOffTests {
    @Test func `waits twice as long each time, at most ten minutes`() {
        let scene = Scene(Scene.options { $0.mainSeconds = 14_400 })
        var phone = Phone()
        scene.register(&phone)
        scene.advance(ms: 601_000, step: 1_000)
        var starts: [UInt64] = []
        var count = scene.counter(.ownRemovalSent)
        for _ in 0..<5_000 {
            scene.advance(ms: 1_000, step: 1_000)
            if scene.counter(.ownRemovalSent) > count {
                count = scene.counter(.ownRemovalSent)
                starts.append(scene.now / 1_000)
            }
        }
        let gaps = zip(starts, starts.dropFirst()).map { $1 - $0 }
        // 64·T1 until it is given up, the wait, a second of the wheel.
        #expect(
            zip(gaps, [60, 120, 240, 480, 600, 600] as [UInt64]).allSatisfy {
                ($1 + 32...$1 + 35).contains($0)
            }, "\(gaps)")
        #expect(gaps.count >= 6)
    }
}
