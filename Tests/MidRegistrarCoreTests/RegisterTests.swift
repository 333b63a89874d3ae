import Bytes
import CMallocCount
import CoreScene
import MidRegistrarCore
import Registration
import StoreInMemory
import Testing

@Suite("A registration that the main registrar has to see (RFC 3261 §10.2)")
struct RelayedRegistrationTests {
    /// Stands for R11.
    @Test func `is relayed twice under one contact ID and answered after the commit`() {
        let scene = Scene()
        scene.commits = false
        var phone = Phone()
        let first = scene.send(phone.register(authorized: false), from: phoneA)
        #expect(first.map(\.to) == [mainServer])
        #expect(first[0].socket == mainSocket)
        let challenge = scene.send(
            answer(first[0], 401, reason: "Unauthorized", extra: ["WWW-Authenticate: Digest x"]),
            from: mainServer, socket: mainSocket)
        #expect(challenge.map(\.code) == [401])
        #expect(challenge[0].to == phoneA)
        #expect(challenge[0].all("Via").count == 1)
        #expect(challenge[0].first("WWW-Authenticate") == "Digest x")
        let second = scene.send(phone.register(), from: phoneA)
        #expect(second[0].first("Contact").contactID == first[0].first("Contact").contactID)
        #expect(second[0].first("Contact").contactID.utf8.count == 24)
        #expect(second[0].expires() == 3_600)
        #expect(scene.send(answer(second[0]), from: mainServer, socket: mainSocket).isEmpty)
        #expect(scene.gauge(.repliesHeld) == 1)
        scene.settle()
        let answers = scene.drain()
        #expect(answers.map(\.code) == [200])
        #expect(answers[0].to == phoneA)
        #expect(answers[0].first("Contact") == "<sip:alice@192.0.2.1:5062>;expires=600")
        #expect(scene.store.durable.count == 1)
    }

    /// Stands for C3 absorbed; C4 to the phone.
    @Test
    func `has its refreshes answered here, with what the main registrar said and the siblings`() {
        let scene = Scene()
        var alice = Phone()
        var other = Phone(
            from: phoneB, contact: "<sip:alice@192.0.2.2:5062>", callID: "call-2@phone")
        let extra = ["Service-Route: <sip:sr.example.test;lr>", "P-Associated-URI: <tel:+1>"]
        scene.register(&alice, extra: extra)
        scene.register(&other, expires: 300, extra: extra)
        scene.advance(ms: 100_000)
        let answers = scene.send(alice.register(), from: phoneA)
        #expect(answers.map(\.code) == [200])
        #expect(answers[0].to == phoneA)
        #expect(answers[0].expires("192.0.2.1") == 600)
        #expect(answers[0].expires("192.0.2.2") == 200)
        #expect(answers[0].first("Service-Route") == "<sip:sr.example.test;lr>")
        #expect(answers[0].first("P-Associated-URI") == "<tel:+1>")
        #expect(answers[0].first("Date") == "Tue, 14 Nov 2023 22:13:20 GMT")
        #expect(scene.counter(.registerAbsorbed) == 1)
    }

    @Test func `has a copy of an absorbed request answered the same, without effect`() {
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        scene.advance(ms: 1_000)
        let refresh = phone.register()
        let first = scene.send(refresh, from: phoneA)
        let copy = scene.send(refresh, from: phoneA)
        #expect(first == copy)
        scene.advance(ms: 400_000)
        // A later copy tells what is left of the same grant.
        #expect(scene.send(refresh, from: phoneA).first?.expires() == 200)
    }

    /// Stands for C3 P3; #641, #643.
    @Test func `is refused when overtaken on its own flow, and relayed later`() {
        let scene = Scene()
        var phone = Phone()
        phone.sequence = 10
        scene.register(&phone)
        phone.sequence = 4
        #expect(scene.send(phone.register(), from: phoneA).map(\.code) == [500])
        scene.advance(ms: 32_000)
        phone.sequence = 4
        phone.branches += 1
        let relayed = scene.send(phone.register(), from: phoneA)
        #expect(relayed.map(\.to) == [mainServer])
        #expect(scene.counter(.relaySequence) == 1)
        // The main registrar's 2xx sets the number, lower or not.
        scene.send(answer(relayed[0]), from: mainServer, socket: mainSocket)
        #expect(scene.send(phone.register(), from: phoneA).map(\.code) == [200])
    }

    enum Change: CaseIterable {
        case flow, callID, contact, expiry, step, vias, removal, fetch
    }

    /// Stands for C3 P2; C3 P4; C3 P7.
    @Test(
        arguments: [
            (.flow, .relayFlowChanged), (.callID, .relayCallIDChanged),
            (.contact, .relayContactChanged), (.expiry, .relayContactChanged),
            (.step, .relaySequence), (.vias, .relaySeveralVias), (.removal, .relayRemoval),
            (.fetch, .relayFetch),
        ] as [(Change, Counter)])
    func `is relayed when anything of it has changed`(change: Change, cause: Counter) {
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        var expires = 600
        switch change {
        case .flow: phone.from = address("192.0.2.1:5063")
        case .callID: phone.callID = "other@phone"
        case .contact: phone.contact += ";q=0.5"
        case .expiry: expires = 700
        case .step: phone.sequence += (1 << 20)
        case .vias: phone.extra = ["Via: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKx"]
        case .removal: expires = 0
        case .fetch: phone.contact = ""
        }
        let relayed = scene.send(phone.register(expires: expires), from: phone.from)
        #expect(relayed.map(\.to) == [mainServer])
        #expect(scene.counter(cause) == 1)
        #expect(scene.counter(.registerAbsorbed) == 0)
    }

    /// Stands for C3 P6.
    @Test(arguments: [(2_820_000 - 1, true), (2_820_000, false)] as [(UInt64, Bool)])
    func `is relayed once the main lease no longer covers grant and reserve`(
        ms: UInt64, isAbsorbed: Bool
    ) {
        // 3,600 s at the main registrar, 600 s granted, 180 s kept as a reserve.
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        for _ in 0..<5 {
            scene.advance(ms: 500_000)
            #expect(scene.send(phone.register(), from: phoneA).map(\.code) == [200])
        }
        scene.advance(ms: ms - 2_500_000)
        let sent = scene.send(phone.register(), from: phoneA)
        #expect((sent.first?.code == 200) == isAbsorbed)
        #expect(scene.counter(.relayMainDue) == (isAbsorbed ? 0 : 1))
    }

    /// Stands for C4 401/407; R11; #1156.
    @Test func `is due again with credentials when it was challenged`() {
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        for _ in 0..<6 {
            scene.advance(ms: 500_000)
            let sent = scene.send(phone.register(authorized: false), from: phoneA)
            guard sent[0].to == mainServer else { continue }
            scene.send(answer(sent[0], 401), from: mainServer, socket: mainSocket)
            let again = scene.send(phone.register(), from: phoneA)
            #expect(again.map(\.to) == [mainServer])
            #expect(scene.counter(.relayMainDue) == 2)
            #expect(scene.counter(.relayDirty) == 0)
        }
    }

    /// Stands for C4 2xx to *.
    @Test func `takes a binding away by expires 0 and by the wildcard, and is not brought back`() {
        for wildcard in [false, true] {
            let scene = Scene()
            var phone = Phone()
            let old = scene.send(phone.register(), from: phoneA)[0]
            scene.send(answer(old), from: mainServer, socket: mainSocket)
            let removal = scene.send(
                phone.register(expires: 0, contact: wildcard ? "*" : nil), from: phoneA)
            #expect(removal[0].first("Contact").hasSuffix(wildcard ? "*" : ";expires=0"))
            let done = scene.send(answer(removal[0]), from: mainServer, socket: mainSocket)
            #expect(done.map(\.code) == [200])
            #expect(done[0].contacts.isEmpty)
            #expect(scene.store.durable.isEmpty)
            // An old 2xx that comes late moves nothing.
            scene.send(answer(old), from: mainServer, socket: mainSocket)
            #expect(scene.gauge(.bindings) == 0)
            #expect(scene.advance(s: 700).isEmpty)
        }
    }

    @Test func `leaves a tombstone when its answer comes after that of its removal`() {
        let scene = Scene()
        var phone = Phone()
        let first = scene.send(phone.register(), from: phoneA)[0]
        scene.advance(ms: 10)
        let removal = scene.send(phone.register(expires: 0), from: phoneA)[0]
        scene.send(answer(removal), from: mainServer, socket: mainSocket)
        scene.send(answer(first), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 0)
        #expect(scene.counter(.mainStale) == 1)
        // It may come again at once, under the same contact ID.
        let again = scene.send(phone.register(), from: phoneA)[0]
        #expect(again.first("Contact").contactID == first.first("Contact").contactID)
        scene.advance(ms: 10)
        scene.send(answer(again), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 1)
    }

    @Test func `is not absorbed while a removal of it has no answer`() {
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        scene.send(phone.register(expires: 0), from: phoneA)
        // The main registrar has removed it, and its answer was lost.
        scene.advance(ms: 40_000)
        let refresh = scene.send(phone.register(), from: phoneA)
        #expect(refresh.map(\.to) == [mainServer])
        #expect(scene.counter(.relayDirty) == 1)
    }

    /// Stands for #439.
    @Test func `keeps its contact ID when an instance changes its address`() {
        let scene = Scene()
        var phone = Phone()
        phone.contact =
            "\"A\" <sip:alice@192.0.2.1:5062;ob>;q=0.7;reg-id=1;+sip.instance=\"<urn:uuid:1>\";pub-gruu=\"x\""
        phone.extra = ["Supported: path, outbound, gruu", "Path: <sip:edge;lr>"]
        let first = scene.send(phone.register(), from: phoneA)[0]
        #expect(first.first("Supported") == "path")
        #expect(first.all("Path").isEmpty)
        #expect(
            first.first("Contact")
                == "<sip:alice@127.0.0.1:5060;ctid=\(first.first("Contact").contactID)>;q=0.7"
                + ";+sip.instance=\"<urn:uuid:1>\";expires=3600")
        phone.extra = []
        scene.send(answer(first), from: mainServer, socket: mainSocket)
        phone.from = phoneB
        phone.contact = "<sip:alice@192.0.2.2:5062>;+sip.instance=\"<urn:uuid:1>\";reg-id=1"
        let moved = scene.send(phone.register(), from: phoneB)[0]
        #expect(moved.first("Contact").contactID == first.first("Contact").contactID)
        let done = scene.send(answer(moved), from: mainServer, socket: mainSocket)
        #expect(done[0].contacts.count == 1)
        #expect(scene.gauge(.bindings) == 1)
    }

    @Test func `does not take the contact ID that another contact has kept`() {
        let scene = Scene()
        var phone = Phone()
        let plain = scene.send(phone.register(), from: phoneA)[0]
        scene.send(answer(plain), from: mainServer, socket: mainSocket)
        // The same URI, now with an instance, keeps the ID; then the instance moves on.
        phone.contact = "<sip:alice@192.0.2.1:5062>;+sip.instance=\"<urn:uuid:1>\""
        scene.register(&phone)
        phone.contact = "<sip:alice@192.0.2.7:5062>;+sip.instance=\"<urn:uuid:1>\""
        scene.register(&phone)
        var other = Phone(from: phoneB, callID: "call-2@phone")
        let second = scene.send(other.register(), from: phoneB)[0]
        #expect(second.first("Contact").contactID != plain.first("Contact").contactID)
        scene.send(answer(second), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 2)
    }

    /// Stands for C4 own error.
    @Test func `is refused before it is relayed when there are too many contacts`() {
        let scene = Scene(Scene.options { $0.contactsMax = 2 })
        for number in 1...2 {
            var phone = Phone(contact: "<sip:alice@192.0.2.1:\(number)>", callID: "c\(number)x@p")
            scene.register(&phone)
        }
        var third = Phone(contact: "<sip:alice@192.0.2.1:3>", callID: "c3x@p")
        #expect(scene.send(third.register(), from: phoneA).map(\.code) == [403])
        // One that leaves makes room for one that comes.
        let swap = "<sip:alice@192.0.2.1:1>;expires=0, <sip:alice@192.0.2.1:3>"
        #expect(scene.send(third.register(contact: swap), from: phoneA)[0].to == mainServer)
    }

    /// Stands for C3 granted.
    @Test func `is refused with what it lacks`() {
        let scene = Scene()
        var phone = Phone()
        let brief = scene.send(phone.register(expires: 59), from: phoneA)
        #expect(brief.map(\.code) == [423])
        #expect(brief[0].first("Min-Expires") == "60")
        phone.extra = ["Require: nothing-known"]
        let extended = scene.send(phone.register(), from: phoneA)
        #expect(extended.map(\.code) == [420])
        #expect(extended[0].first("Unsupported") == "nothing-known")
        phone.extra = []
        scene.register(&phone)
        phone.extra = ["Require: nothing-known"]
        #expect(scene.send(phone.register(), from: phoneA).map(\.code) == [420])
        phone.extra = ["Proxy-Require: nothing-known"]
        #expect(scene.send(phone.register(), from: phoneA).map(\.code) == [420])
        // Nor is an answer built from a field that cannot be read.
        phone.extra = []
        let unclosed = phone.register().replacing("From: <", with: "From: \"x <")
        #expect(scene.send(unclosed, from: phoneA).map(\.code) == [400])
        let raised = Scene(Scene.options { $0.refusesShort = false })
        var short = Phone()
        #expect(raised.register(&short, expires: 10)[0].expires() == 60)
    }

    /// Stands for C4 again.
    @Test func `copies follow the filter`() {
        let scene = Scene()
        scene.commits = false
        var phone = Phone()
        let request = phone.register()
        let relayed = scene.send(request, from: phoneA)[0]
        #expect(scene.send(request, from: phoneA).isEmpty)
        scene.now += 500
        #expect(scene.send(request, from: phoneA) == [relayed])
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        // Committing: dropped. Committed: answered from the table.
        scene.now += 1_000
        #expect(scene.send(request, from: phoneA).isEmpty)
        #expect(scene.counter(.droppedCopyCommitting) == 1)
        scene.settle()
        #expect(scene.drain().map(\.code) == [200])
        #expect(scene.send(request, from: phoneA).map(\.code) == [200])
        // A refusal that comes for a copy changes nothing.
        #expect(scene.send(answer(relayed, 500), from: mainServer, socket: mainSocket).isEmpty)
        let refused = phone.register(expires: 700)
        let second = scene.send(refused, from: phoneA)[0]
        scene.send(answer(second, 401), from: mainServer, socket: mainSocket)
        #expect(scene.send(refused, from: phoneA) == [second])
    }

    @Test func `of one AOR eight are under way and the ninth is refused`() {
        let scene = Scene()
        var phone = Phone()
        for _ in 0..<8 { #expect(scene.send(phone.register(), from: phoneA)[0].to == mainServer) }
        let ninth = scene.send(phone.register(), from: phoneA)
        #expect(ninth.map(\.code) == [503])
        #expect(["1", "2", "3"].contains(ninth[0].first("Retry-After")))
    }

    @Test func `finds room in the table however many were challenged`() {
        let scene = Scene(Scene.options { $0.bindingsMax = 10 })
        for number in 0..<10 {
            var phone = Phone(
                user: "u\(number)", contact: "<sip:u@192.0.2.1:\(number + 1)>",
                callID: "n\(number)xxxx@p")
            let first = scene.send(phone.register(authorized: false), from: phoneA)[0]
            scene.send(answer(first, 401), from: mainServer, socket: mainSocket)
            #expect(scene.register(&phone).map(\.code) == [200])
        }
        var phone = Phone(user: "late", callID: "late-x@p")
        let full = scene.send(phone.register(), from: phoneA)
        #expect(full.map(\.code) == [503])
        #expect(full[0].first("Retry-After") == "60")
    }

    /// Stands for C3 partial; R12.
    @Test func `is one change or none for several contacts`() {
        let scene = Scene()
        var phone = Phone(
            contact: "<sip:alice@192.0.2.1:1>, <sip:alice@192.0.2.1:2>;expires=120")
        let done = scene.register(&phone)
        #expect(done[0].expires(":1>") == 600)
        #expect(done[0].expires(":2>") == 120)
        scene.advance(ms: 60_000)
        #expect(scene.send(phone.register(), from: phoneA).map(\.code) == [200])
        phone.contact = "<sip:alice@192.0.2.1:1>, <sip:alice@192.0.2.1:3>"
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        #expect(relayed.contacts.count == 2)
        scene.send(answer(relayed, 403), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 2)
    }

    @Test func `carries long contacts beside the Via`() {
        let scene = Scene()
        let long = String(repeating: "x", count: 900)
        var phone = Phone(contact: "<sip:alice@192.0.2.1:5062;push=\(long)>")
        let done = scene.register(&phone)
        #expect(done.map(\.code) == [200])
        #expect(done[0].first("Contact").contains(long))
    }

    @Test func `puts the contact ID into the user part when told so, and speaks IPv6`() {
        let scene = Scene(Scene.options(placement: .user))
        var phone = Phone(
            from: address("[2001:db8::9]:5062"), socket: 3,
            contact: "<sip:alice@[2001:db8::9]:5062>")
        let relayed = scene.send(phone.register(), from: phone.from, socket: 3)[0]
        #expect(relayed.first("Contact").hasSuffix("@127.0.0.1:5060>;expires=3600"))
        let done = scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        #expect(done[0].to == phone.from)
        #expect(done[0].socket == 3)
        #expect(scene.send(phone.register(), from: phone.from, socket: 3)[0].code == 200)
    }

    @Test func `allocates nothing when it is absorbed`() {
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        var prepared: [[UInt8]] = []
        for _ in 0..<200 {
            prepared.append(Array(phone.register().utf8) + [UInt8](repeating: 0, count: 64))
        }
        _ = scene.measure(Array(prepared[..<100])) { midreg_mallocs_of_thread() }
        #expect(scene.measure(Array(prepared[100...])) { midreg_mallocs_of_thread() } == 0)
        #expect(scene.counter(.registerAbsorbed) == 200)
    }
}
