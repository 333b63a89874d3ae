import Bytes
import CoreScene
import MidRegistrarCore
import Registration
import StoreInMemory
import Testing

@Suite("What the main registrar answers")
struct MainAnswerTests {
    @Test func `counts only from its own address and with our seal`() {
        let scene = Scene()
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        let good = answer(relayed)
        #expect(scene.send(good, from: stranger, socket: mainSocket).isEmpty)
        #expect(scene.counter(.droppedForeignResponse) == 1)
        let branch = relayed.first("Via").components("branch=")[1].components(";")[0]
        var forged = Array(branch)
        forged[40] = forged[40] == "A" ? "B" : "A"
        let broken = good.components(branch).joined(separator: String(forged))
        #expect(scene.send(broken, from: mainServer, socket: mainSocket).isEmpty)
        #expect(scene.counter(.droppedSealBroken) == 1)
        let foreign = good.components(branch).joined(separator: "z9hG4bKforeign")
        #expect(scene.send(foreign, from: mainServer, socket: mainSocket).isEmpty)
        #expect(scene.counter(.droppedForeignResponse) == 2)
        // Of another transaction, and for another AOR.
        let other = good.components("branch=z9hG4bKcall-11").joined(separator: "branch=z9hG4bKx")
        #expect(scene.send(other, from: mainServer, socket: mainSocket).isEmpty)
        let stolen = good.components("To: <sip:alice").joined(separator: "To: <sip:bob")
        #expect(scene.send(stolen, from: mainServer, socket: mainSocket).isEmpty)
        #expect(scene.gauge(.bindings) == 0)
        #expect(scene.send(good, from: mainServer, socket: mainSocket).map(\.code) == [200])
        #expect(scene.gauge(.bindings) == 1)
        #expect(scene.send(good, from: mainServer, socket: mainSocket).isEmpty)
        #expect(scene.counter(.mainDuplicate) == 1)
    }

    /// Stands for R3.
    @Test func `to an older request moves nothing after a later one`() {
        let scene = Scene()
        var phone = Phone()
        let first = scene.send(phone.register(), from: phoneA)[0]
        phone.contact += ";q=0.4"
        // In the same round: the order is that of CSeq.
        let second = scene.send(phone.register(), from: phoneA)[0]
        scene.send(answer(second), from: mainServer, socket: mainSocket)
        let late = scene.send(answer(first), from: mainServer, socket: mainSocket)
        #expect(scene.counter(.mainStale) == 1)
        #expect(late[0].first("Contact").contains("q=0.4"))
    }

    /// Stands for C4 2xx; C4 more; C4 less; R6.
    @Test(
        arguments: [
            (nil, true, 600, true), (nil, false, 600, true), (300, true, 300, false),
            (7_200, true, 600, true), (0, true, nil, false), (780, true, 600, false),
            (782, true, 600, true),
        ] as [(Int?, Bool, Int?, Bool)])
    func `is told on, and never more than it grants`(
        grants: Int?, says: Bool, told: Int?, absorbs: Bool
    ) {
        let scene = Scene()
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        let done = scene.send(
            answer(relayed, expires: grants, expiry: says), from: mainServer, socket: mainSocket)
        #expect(done[0].expires() == told)
        scene.advance(ms: 1_000)
        #expect((scene.send(phone.register(), from: phoneA)[0].code == 200) == absorbs)
    }

    /// Stands for R5.
    @Test(
        arguments: [("Expires: 300", 300), ("Expires: 99999999999", 600), ("Expires: soon", 600)])
    func `is told by its Expires where the contact says nothing (§10.2.4)`(
        line: String, told: Int
    ) {
        let scene = Scene()
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        let done = scene.send(
            answer(relayed, extra: [line], expiry: false), from: mainServer, socket: mainSocket)
        #expect(done.map { $0.expires() } == [told])
    }

    /// Stands for C4 2xx.
    @Test func `without our contact means that it is not registered`() {
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        phone.contact += ";q=0.1"
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        let done = scene.send(answer(relayed, without: true), from: mainServer, socket: mainSocket)
        #expect(done[0].contacts.isEmpty)
        #expect(scene.counter(.mainDroppedContact) == 1)
        #expect(scene.gauge(.bindings) == 0)
    }

    @Test func `is found behind a contact that cannot be read`() {
        let scene = Scene()
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        let text = answer(relayed).components("\r\nContact:")
            .joined(separator: "\r\nContact: \"bad\r\nContact:")
        #expect(scene.send(text, from: mainServer, socket: mainSocket)[0].expires() == 600)
        #expect(scene.gauge(.bindings) == 1)
    }

    /// Stands for C3 bookkeeping.
    @Test func `after a restart is believed but not absorbed on`() {
        let scene = Scene()
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        scene.restart()
        #expect(scene.send(answer(relayed), from: mainServer, socket: mainSocket)[0].code == 200)
        #expect(scene.counter(.mainWithoutEntry) == 1)
        #expect(scene.send(phone.register(), from: phoneA).map(\.to) == [mainServer])
        #expect(scene.counter(.relayDirty) == 1)
    }

    /// Stands for C4 3xx; C4 401/407; C4 403/404; C4 423; C4 5xx/6xx.
    @Test(
        arguments: [
            (302, 302), (401, 401), (403, 403), (404, 404), (407, 407), (423, 500), (500, 500),
            (503, 500), (504, 504), (603, 603),
        ])
    func `other than 2xx is passed and stores nothing`(code: Int, passed: Int) {
        let scene = Scene()
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        let got = scene.send(
            answer(relayed, code, extra: ["Min-Expires: 7200", "Retry-After: 9"]),
            from: mainServer, socket: mainSocket)
        #expect(got.map(\.code) == [passed])
        #expect(scene.store.durable.isEmpty)
        if code == 503 { #expect(got[0].first("Retry-After") == "9") }
        // Of a 423 the main registrar's own least is learned.
        #expect(
            scene.send(phone.register(), from: phoneA)[0].expires() == (code == 423 ? 7_200 : 3_600)
        )
    }

    /// Stands for C4 403/404.
    @Test(arguments: [403, 404])
    func `a refusal on the binding's own flow ends absorbing, the binding stays`(code: Int) {
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        phone.contact += ";q=0.1"
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        scene.send(answer(relayed, code), from: mainServer, socket: mainSocket)
        phone.contact = Phone().contact
        #expect(scene.send(phone.register(), from: phoneA)[0].to == mainServer)
        #expect(scene.counter(.relayDirty) == 1)
        #expect(scene.gauge(.bindings) == 1)
    }

    /// Stands for C4 401/407.
    @Test func `a challenge of somebody else's attempt leaves the phone absorbed`() {
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        for expires in [600, 0] {
            var thief = Phone(from: stranger, callID: "thief\(expires)@x")
            let relayed = scene.send(thief.register(expires: expires), from: stranger)[0]
            let got = scene.send(answer(relayed, 401), from: mainServer, socket: mainSocket)
            #expect(got.map(\.to) == [stranger])
        }
        #expect(scene.send(phone.register(), from: phoneA).map(\.code) == [200])
    }
}

@Suite("The store's part in an answer")
struct CommitTests {
    /// Stands for C4 own error; R18.
    @Test func `a commit that fails lets the answer go and absorbs nothing on it`() {
        let scene = Scene()
        scene.commitsFail = true
        var phone = Phone()
        #expect(scene.register(&phone).map(\.code) == [200])
        scene.commitsFail = false
        #expect(scene.send(phone.register(), from: phoneA)[0].to == mainServer)
        #expect(scene.counter(.relayStoreDown) == 1)
        #expect(scene.counter(.bindingsVolatile) == 1)
    }

    @Test func `a full queue does not let earlier answers go before their commit`() {
        let scene = Scene()
        scene.commits = false
        var first = Phone()
        var second = Phone(user: "bob", contact: "<sip:bob@192.0.2.1:5062>", callID: "call-b@p")
        var third = Phone(user: "carl", contact: "<sip:carl@192.0.2.1:5062>", callID: "call-c@p")
        #expect(scene.register(&first).isEmpty)
        scene.store.isFull = true
        #expect(scene.register(&second).isEmpty)
        scene.store.isFull = false
        scene.settle()
        #expect(scene.drain().map { $0.first("To").prefix(10) } == ["<sip:alice", "<sip:bob@e"])
        // The numbers of later hand-overs are the store's.
        #expect(scene.register(&third).isEmpty)
        scene.settle()
        #expect(scene.drain().map(\.code) == [200])
        #expect(scene.send(second.register(), from: phoneA)[0].to == mainServer)
        #expect(scene.counter(.relayStoreDown) == 1)
        scene.commits = true
        #expect(scene.send(third.register(), from: phoneA).map(\.code) == [200])
    }

    /// Stands for C4 423.
    @Test func `while it is down the phone's own expiry is asked for, and 423 is the phone's`() {
        let scene = Scene()
        scene.storeDown = true
        scene.advance(ms: 1)
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        #expect(relayed.expires() == 600)
        let got = scene.send(
            answer(relayed, 423, extra: ["Min-Expires: 900"]), from: mainServer,
            socket: mainSocket)
        #expect(got.map(\.code) == [423])
        #expect(scene.register(&phone)[0].expires() == 600)
        #expect(scene.send(phone.register(), from: phoneA)[0].to == mainServer)
    }
}

@Suite("A worker that begins with stored facts")
struct RestartTests {
    /// Stands for R20.
    @Test func `absorbs again, whatever the number of workers`() {
        let scene = Scene(Scene.options { $0.jitter = 0.1 })
        var phone = Phone()
        scene.register(&phone)
        scene.advance(ms: 300_000)
        let told = scene.send(phone.register(), from: phoneA)[0].expires() ?? 0
        scene.restart()
        // Nobody lapses before the refresh it was told.
        scene.advance(ms: UInt64(told) * 1_000 - 1, step: 5_000)
        #expect(scene.send(phone.register(), from: phoneA).map(\.code) == [200])
        let facts = scene.store.durable.sorted { $0.key < $1.key }
        var owners = 0
        for worker in 0..<3 {
            let other = Scene(
                Scene.options {
                    $0.worker = worker
                    $0.workers = 3
                }, now: scene.now)
            if facts.contains(where: { other.load($0.key, $0.value) }) {
                owners += 1
                #expect(other.send(phone.register(), from: phoneA).map(\.code) == [200])
            }
        }
        #expect(owners == 1)
    }

    @Test func `gives a lapsed binding no second life`() {
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        #expect(!scene.advance(ms: 601_000).isEmpty)
        scene.restart()
        let removal = scene.advance(ms: 1_000)
        #expect(removal.first?.socket == ownSocket)
        #expect(scene.gauge(.bindings) == 0)
    }

    /// Stands for C3 bookkeeping.
    @Test func `absorbs nothing when the clock says nothing about leases`() {
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        scene.restart(leasesDoubtful: true)
        #expect(scene.send(phone.register(), from: phoneA)[0].to == mainServer)
    }
}
