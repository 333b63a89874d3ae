import Bytes
import CoreScene
import MidRegistrarCore
import Registration
import StoreInMemory
import Testing

/// Each was found by a history of `ModelTests`.
@Suite("Whatever the order of messages")
struct RaceTests {
    private let alice = Phone()
    private let desk = Phone(
        from: phoneB, contact: "<sip:alice@192.0.2.2:5062>", callID: "call-2@desk")

    /// The request that removes all contacts.
    private func removeAll(_ phone: inout Phone) -> String {
        phone.register(expires: 0, contact: "*")
    }

    private func pass(_ scene: Scene, _ request: Sent, _ code: Int = 200) -> [Sent] {
        scene.send(answer(request, code), from: mainServer, socket: mainSocket)
    }

    @Test func `what a removal of all contacts may have met is asked for again`() {
        var (first, second) = (alice, desk)
        let scene = Scene()
        scene.register(&first)
        let removal = scene.send(removeAll(&first), from: phoneA)[0]
        scene.now += 10
        let relayed = scene.send(second.register(), from: phoneB)[0]
        _ = pass(scene, relayed)
        // Sent first, it may have come last.
        _ = pass(scene, removal)
        #expect(scene.gauge(.bindings) == 1)
        #expect(scene.send(second.register(), from: phoneB)[0].to == mainServer)
    }

    @Test func `so is what is new while that removal is on its way`() {
        var (first, second) = (alice, desk)
        let scene = Scene()
        let relayed = scene.send(second.register(), from: phoneB)[0]
        _ = scene.send(removeAll(&first), from: phoneA)
        scene.now += 10
        _ = pass(scene, relayed)
        #expect(scene.send(second.register(), from: phoneB)[0].to == mainServer)
    }

    @Test func `and what is answered after it`() {
        var (first, second) = (alice, desk)
        let scene = Scene()
        let relayed = scene.send(second.register(), from: phoneB)[0]
        let removal = scene.send(removeAll(&first), from: phoneA)[0]
        scene.now += 10
        _ = pass(scene, removal)
        _ = pass(scene, relayed)
        #expect(scene.send(second.register(), from: phoneB)[0].to == mainServer)
    }

    @Test func `what registers after such a removal is trusted`() {
        var (first, second) = (alice, desk)
        let scene = Scene()
        _ = pass(scene, scene.send(removeAll(&first), from: phoneA)[0])
        scene.now += 10
        scene.register(&second)
        #expect(scene.send(second.register(), from: phoneB).map(\.code) == [200])
    }

    @Test(arguments: ["*", "<sip:alice@192.0.2.1:5062>"])
    func `an old answer to a removal takes nothing away after a restart`(contact: String) {
        var phone = alice
        let scene = Scene()
        scene.register(&phone)
        let removal = scene.send(phone.register(expires: 0, contact: contact), from: phoneA)[0]
        _ = pass(scene, removal)
        scene.now += 5_000
        phone.callID = "call-3@phone"
        scene.register(&phone)
        scene.restart()
        _ = pass(scene, removal)
        #expect(scene.gauge(.bindings) == 1)
        #expect(scene.send(phone.register(), from: phoneA)[0].to == mainServer)
    }

    /// Stands for #641, #643.
    @Test func `a phone that began its CSeq again is not kept out by asking`() {
        var phone = alice
        phone.sequence = 50
        let scene = Scene()
        scene.register(&phone)
        scene.advance(ms: 590_000, step: 1_000)
        phone.sequence = 0
        // Sooner than a pause is over, again and again; the first removal is lost.
        var sent: [Sent] = []
        for _ in 0..<4 {
            let relayed = scene.send(phone.register(), from: phoneA)[0]
            _ = pass(scene, relayed, 500)
            sent += scene.advance(ms: 20_000, step: 500)
        }
        let attempts = Set(sent.filter { $0.socket == ownSocket }.map { $0.first("Via") })
        #expect(attempts.count > 1)
    }

    @Test func `a challenge does not set that removal free`() {
        var phone = alice
        let scene = Scene()
        scene.register(&phone)
        scene.advance(ms: 590_000, step: 1_000)
        phone.callID = "call-3@phone"
        var sent: [Sent] = []
        for _ in 0..<2 {
            let relayed = scene.send(phone.register(authorized: false), from: phoneA)[0]
            _ = pass(scene, relayed, 401)
            sent += scene.advance(ms: 15_000, step: 500)
        }
        #expect(sent.filter { $0.socket == ownSocket }.count <= 10)
    }

    @Test func `a copy from a port that a NAT has changed is not told that all is well`() {
        var phone = alice
        let scene = Scene()
        scene.register(&phone)
        let copy = scene.send(phone.text(), from: phoneA)
        #expect(copy.map(\.code) == [200])
        let moved = scene.send(phone.text(), from: address("192.0.2.1:6000"))
        #expect(moved.map(\.code) == [500])
        #expect(moved[0].first("Retry-After") == "1")
    }

    @Test func `a copy of an absorbed refresh is answered while the store is down`() {
        var phone = alice
        let scene = Scene()
        scene.register(&phone)
        #expect(scene.send(phone.register(), from: phoneA).map(\.code) == [200])
        scene.storeDown = true
        scene.settle()
        #expect(scene.send(phone.text(), from: phoneA).map(\.code) == [200])
        #expect(scene.send(phone.register(), from: phoneA)[0].to == mainServer)
    }

    @Test(arguments: [0, 401])
    func `strangers' REGISTERs do not keep a removal waiting for ever`(code: Int) {
        var phone = alice
        let scene = Scene()
        scene.register(&phone)
        scene.advance(ms: 590_000, step: 1_000)
        var evil = alice
        evil.callID = "evil@x"
        evil.sentBy = "203.0.113.9:5060"
        var sent: [Sent] = []
        for _ in 0..<9 {
            let relayed = scene.send(evil.register(authorized: false), from: stranger)[0]
            if code > 0 { _ = pass(scene, relayed, code) }
            sent += scene.advance(ms: 10_000, step: 500)
        }
        #expect(!sent.filter { $0.socket == ownSocket }.isEmpty)
    }

    @Test func `a removal that was under way before a restart may still arrive`() {
        var phone = alice
        let scene = Scene()
        scene.register(&phone)
        let sent = scene.advance(ms: 602_000, step: 500)
        #expect(sent.contains { $0.socket == ownSocket })
        scene.restart()
        phone.callID = "call-3@phone"
        scene.register(&phone)
        scene.now += 1_000
        #expect(scene.send(phone.register(), from: phoneA)[0].to == mainServer)
    }

    /// Stands for C4 more.
    @Test(arguments: [RegistrationMode.throttleByContact, .mirror, .throttleByAOR])
    func `what the main registrar holds beyond what it was asked for is taken back`(
        mode: RegistrationMode
    ) {
        var phone = alice
        let scene = Scene(
            Scene.options {
                $0.mode = mode
                $0.mainSeconds = 600
            })
        let told = scene.register(&phone, main: 5_000)
        #expect(told[0].expires() == 600)
        let sent = scene.advance(ms: 700_000, step: 1_000)
        #expect(sent.contains { $0.socket == ownSocket && $0.expires() == 0 })
    }

    @Test func `a late copy does not undo the phone's own removal`() {
        var phone = alice
        let scene = Scene()
        scene.register(&phone)
        #expect(scene.send(phone.register(), from: phoneA).map(\.code) == [200])
        let late = phone.text()
        scene.register(&phone, expires: 0)
        scene.advance(ms: 300)
        #expect(scene.send(late, from: phoneA).map(\.code) == [500])
        // A phone that has begun its CSeq again is the main registrar's to judge, once it is not late.
        scene.advance(ms: 32_000)
        phone.sequence = 0
        #expect(scene.send(phone.register(), from: phoneA)[0].to == mainServer)
    }

    @Test func `a removal of our own makes no later request of its phone late`() {
        var phone = alice
        phone.sequence = 50
        let scene = Scene()
        scene.register(&phone)
        var sent: Sent?
        while sent == nil, scene.now < 2_000_000 {
            sent = scene.advance(ms: 500).first { $0.socket == ownSocket }
        }
        if let sent { _ = scene.send(answer(sent), from: mainServer, socket: ownSocket) }
        scene.now += 10
        phone.sequence = 0
        #expect(scene.send(phone.register(), from: phoneA)[0].to == mainServer)
    }

    @Test func `a removal under a number that the main registrar has seen gets another`() {
        var phone = alice
        let scene = Scene()
        scene.register(&phone)
        #expect(scene.send(phone.register(), from: phoneA).map(\.code) == [200])
        func removal() -> Sent? {
            var sent: Sent?
            while sent == nil, scene.now < 2_000_000 {
                sent = scene.advance(ms: 500).first { $0.socket == ownSocket }
            }
            return sent
        }
        let first = removal()
        #expect(first?.first("Call-ID") == phone.callID && first?.first("CSeq") == "2 REGISTER")
        if let first {
            _ = scene.send(answer(first, 500, reason: "Old"), from: mainServer, socket: ownSocket)
        }
        let second = removal()
        #expect(second?.first("Call-ID") != phone.callID)
        #expect(second?.first("CSeq") == "1 REGISTER")
    }

    @Test func `an answer from before a restart counts once`() {
        var phone = alice
        let scene = Scene()
        let old = scene.send(phone.register(), from: phoneA)[0]
        _ = pass(scene, old)
        scene.restart()
        _ = pass(scene, old)
        scene.now += 10
        var moved = phone
        moved.from = address("192.0.2.1:6000")
        moved.callID = "call-3@phone"
        scene.register(&moved)
        scene.now += 10
        _ = pass(scene, old)
        scene.now += 10
        #expect(scene.send(moved.register(), from: moved.from).map(\.code) == [200])
    }

    @Test func `an answer that nobody remembers the request of makes no newer one stale`() {
        var phone = alice
        let scene = Scene()
        let old = scene.send(phone.register(), from: phoneA)[0]
        // A NAT moves the phone, and its copy is refused: that gives its entry to the next relay.
        let moved = address("192.0.2.1:6000")
        scene.now += 500
        _ = pass(scene, scene.send(phone.text(), from: moved)[0], 401)
        let new = scene.send(phone.register(), from: moved)[0]
        scene.now += 100
        _ = pass(scene, old)
        scene.now += 100
        _ = pass(scene, new)
        let call = [
            "INVITE \(new.contacts[0].components(">")[0].dropFirst()) SIP/2.0",
            "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKi1", "Max-Forwards: 70",
            "From: <sip:bob@example.test>;tag=b", "To: <sip:alice@example.test>", "Call-ID: i1",
            "CSeq: 1 INVITE", "Content-Length: 0", "", "",
        ].joined(separator: "\r\n")
        #expect(scene.call(call, from: mainServer).map(\.to) == [moved])
        // Which of the two came there last nobody knows.
        #expect(scene.send(phone.register(), from: moved)[0].to == mainServer)
    }

    // MARK: One contact for all phones of an AOR

    private func shared() -> Scene { Scene(Scene.options { $0.mode = .throttleByAOR }) }

    /// Stands for R3.
    @Test func `while one phone's request has no answer, no other of its AOR is absorbed`() {
        var (first, second) = (alice, desk)
        let scene = shared()
        scene.register(&first)
        scene.register(&second)
        scene.advance(ms: 1_000)
        #expect(scene.send(second.register(), from: phoneB).map(\.code) == [200])
        // Perhaps the main registrar agrees to it without keeping the contact.
        let relayed = scene.send(first.register(expires: 0), from: phoneA)[0]
        #expect(scene.send(second.register(), from: phoneB)[0].to == mainServer)
        _ = pass(scene, relayed, 403)
    }

    @Test func `who is new to the AOR meanwhile is not absorbed either`() {
        var (first, second) = (alice, desk)
        let scene = shared()
        let relayed = scene.send(first.register(), from: phoneA)[0]
        scene.now += 10
        scene.register(&second)
        _ = pass(scene, relayed)
        #expect(scene.send(second.register(), from: phoneB)[0].to == mainServer)
    }

    @Test(arguments: [RegistrationMode.throttleByAOR, .throttleByContact])
    func `a copy asks for what the first one asked for`(mode: RegistrationMode) {
        var phone = alice
        let scene = Scene(Scene.options { $0.mode = mode })
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        let refusal = answer(
            relayed, 423, reason: "Interval Too Brief", extra: ["Min-Expires: 7000"])
        #expect(scene.send(refusal, from: mainServer, socket: mainSocket)[0].code == 500)
        scene.now += 1_000
        #expect(scene.send(phone.text(), from: phoneA).map(\.text) == [relayed.text])
        #expect(scene.send(phone.register(), from: phoneA)[0].expires() == 7_000)
    }

    @Test func `whoever takes over a lease that the store refuses is not absorbed`() {
        var (first, second) = (alice, desk)
        let scene = shared()
        scene.register(&first)
        scene.now += 10
        scene.register(&second)
        scene.store.isFull = true
        // Of the two, the second registered last: its fact gets the lease that this one renews.
        scene.now += 1_000
        scene.register(&first, expires: 0)
        scene.store.isFull = false
        scene.advance(ms: 100)
        #expect(scene.send(second.register(), from: phoneB)[0].to == mainServer)
    }

    @Test func `a copy of an absorbed refresh is answered while a lease is passed to its phone`() {
        var (first, second) = (alice, desk)
        let scene = shared()
        scene.register(&first)
        scene.now += 10
        scene.register(&second, expires: 60)
        scene.advance(ms: 30_000)
        #expect(scene.send(first.register(), from: phoneA).map(\.code) == [200])
        // The second ends, and the lease that its fact knew goes to the first one's.
        scene.commits = false
        scene.advance(ms: 32_000)
        #expect(scene.gauge(.bindings) == 1)
        #expect(scene.send(first.text(), from: phoneA).map(\.code) == [200])
        #expect(scene.send(first.register(), from: phoneA)[0].to == mainServer)
    }

    @Test func `while the store is down, a lease that is on record is not shortened`() {
        var (first, second) = (alice, desk)
        let scene = shared()
        scene.register(&first)
        scene.storeDown = true
        scene.settle()
        let relayed = scene.send(second.register(), from: phoneB)[0]
        #expect((relayed.expires() ?? 0) >= 3_600)
    }

    @Test func `an answer to a removal of all takes nothing that it is not known to be later than`()
    {
        var (first, second) = (alice, desk)
        let scene = Scene()
        scene.register(&first)
        let removal = scene.send(removeAll(&first), from: phoneA)[0]
        scene.advance(ms: 1_000)
        scene.register(&second)
        // After 64·T1 nobody remembers when the removal was asked for.
        scene.advance(ms: 50_000, step: 1_000)
        for _ in 0..<2 {
            var other = Phone(contact: "<sip:alice@192.0.2.9>", callID: "x\(scene.now)@y")
            _ = scene.send(other.register(authorized: false), from: stranger)
            scene.advance(ms: 33_000, step: 1_000)
        }
        _ = pass(scene, removal)
        #expect(scene.gauge(.bindings) == 1)
        #expect(scene.send(second.register(), from: phoneB)[0].to == mainServer)
    }

    @Test func `an old answer does not undo a removal of all contacts after a restart`() {
        var (first, second) = (alice, desk)
        let scene = Scene()
        scene.register(&first)
        let old = scene.send(second.register(), from: phoneB)[0]
        _ = pass(scene, old)
        scene.restart()
        scene.now += 10
        _ = pass(scene, scene.send(removeAll(&first), from: phoneA)[0])
        scene.now += 1_000
        _ = pass(scene, old)
        #expect(scene.gauge(.bindings) == 0)
    }

    // MARK: Path

    @Test func `a contact is found by its Path when the first one of its REGISTER has ended`() {
        var phone = alice
        phone.contact = "<sip:alice@192.0.2.1:5062>;expires=120, <sip:two@192.0.2.1:5064>"
        let scene = Scene(Scene.options(placement: .path))
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        _ = pass(scene, relayed)
        func call(_ uri: String, _ number: Int) -> [Sent] {
            let text = [
                "INVITE \(uri) SIP/2.0",
                "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKi\(number)",
                "Max-Forwards: 70", "Route: \(relayed.first("Path"))",
                "From: <sip:bob@example.test>;tag=b", "To: <sip:alice@example.test>",
                "Call-ID: i\(number)", "CSeq: 1 INVITE", "Content-Length: 0", "", "",
            ].joined(separator: "\r\n")
            return scene.send(text, from: mainServer)
        }
        for seconds: UInt64 in [1, 130, 200] {
            scene.advance(ms: seconds * 1_000, step: 1_000)
            let sent = call("sip:two@192.0.2.1:5064", Int(seconds))
            #expect(sent.map(\.to) == [mainServer, phoneA] && sent[1].method == "INVITE")
        }
        #expect(call("sip:alice@192.0.2.1:5062", 9).map(\.code) == [430])
        #expect(call("sip:three@192.0.2.1:5062", 10).map(\.code) == [430])
    }
}
