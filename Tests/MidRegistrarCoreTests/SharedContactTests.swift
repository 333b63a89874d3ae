import Bytes
import CoreScene
import Keys
import MidRegistrarCore
import Registration
import StoreInMemory
import Testing

private func scene(_ change: (inout CoreOptions) -> Void = { _ in }) -> Scene {
    Scene(
        Scene.options { options in
            options.mode = .throttleByAOR
            change(&options)
        })
}

private func phone(_ number: Int) -> Phone {
    Phone(
        from: address("192.0.2.\(number):5062"), contact: "<sip:alice@192.0.2.\(number):5062>",
        callID: "call-\(number)@phone")
}

private let sharedURI = "sip:alice%40example.test@127.0.0.1:5060"

private func invite(_ uri: String = sharedURI, branch: String = "z9hG4bKi1") -> String {
    [
        "INVITE \(uri) SIP/2.0", "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=\(branch)",
        "Max-Forwards: 70", "From: <sip:bob@example.test>;tag=b", "To: <sip:alice@example.test>",
        "Call-ID: i1", "CSeq: 1 INVITE", "Content-Length: 0", "", "",
    ].joined(separator: "\r\n")
}

@Suite("Throttled by AOR: one contact at the main registrar for all phones")
struct SharedContactTests {
    /// Stands for C3 a; C4 2xx, AOR.
    @Test func `the main registrar sees one contact, and the phone its own`() throws {
        let scene = scene()
        var alice = phone(1)
        alice.extra = ["Supported: path, outbound"]
        let relayed = try #require(
            scene.send(
                alice.register(expires: 300, contact: alice.contact + ";q=0.5"), from: alice.from
            ).first)
        #expect(relayed.contacts == ["<\(sharedURI)>"])
        #expect(relayed.first("Expires") == "3600")
        #expect(relayed.first("Call-ID") == alice.callID)
        #expect(relayed.first("CSeq") == "1 REGISTER")
        let told = try #require(
            scene.send(answer(relayed), from: mainServer, socket: mainSocket).first)
        #expect(told.to == alice.from)
        #expect(told.contacts == ["\(alice.contact);q=0.5;expires=300"])
        #expect(told.all("Expires").isEmpty)
    }

    /// Stands for C3 d.
    @Test func `a refresh is absorbed while the lease outlasts it by the guard`() {
        let scene = scene()
        var alice = phone(1)
        scene.register(&alice, expires: 300)
        var absorbed = 0
        for _ in 0..<20 {
            _ = scene.advance(s: 200)
            let sent = scene.send(alice.register(expires: 300), from: alice.from)
            guard sent.first?.to == alice.from else { break }
            absorbed += 1
        }
        // 3600 - 300 - 180 is left at 3120 s: the refreshes at 200 to 3000 s are absorbed.
        #expect(absorbed == 15)
    }

    /// Stands for C3 e; #2536, #3193.
    @Test func `a second phone is relayed with its own credentials, and stored on 2xx only`() throws
    {
        let scene = scene()
        var one = phone(1)
        var two = phone(2)
        scene.register(&one)
        let relayed = try #require(scene.send(two.register(), from: two.from).first)
        #expect(relayed.to == mainServer)
        #expect(relayed.contacts == ["<\(sharedURI)>"])
        #expect(relayed.first("Authorization").contains("alice"))
        #expect(scene.gauge(.bindings) == 1)
        scene.send(
            answer(relayed, 401, reason: "Unauthorized"), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 1)
        let told = try #require(scene.register(&two).first)
        #expect(scene.gauge(.bindings) == 2)
        #expect(told.contacts.count == 2)
    }

    /// Stands for C3 absorbed; C3 i.
    @Test func `an absorbed answer lists every phone of the AOR`() throws {
        let scene = scene()
        var one = phone(1)
        var two = phone(2)
        scene.register(&one)
        scene.register(&two)
        _ = scene.advance(s: 100)
        let told = try #require(scene.send(one.register(), from: one.from).first)
        #expect(told.to == one.from && told.contacts.count == 2)
    }

    /// Stands for C3 g.
    @Test func `the phone of 120 s and the phone of 600 s: the lease outlasts both (#2368)`() throws
    {
        let scene = scene { $0.maxSeconds = 600 }
        var short = phone(1)
        var long = phone(2)
        scene.register(&long)
        _ = scene.advance(s: 30)
        scene.register(&short, expires: 120)
        var mainUntil = scene.now + 3_600_000
        var longUntil = scene.now + 570_000
        for round in 0..<100 {
            _ = scene.advance(s: 100)
            let expires = round % 5 == 4 ? 600 : 120
            var sent: [Sent]
            if round % 5 == 4 {
                sent = scene.send(long.register(expires: expires), from: long.from)
            } else {
                sent = scene.send(short.register(expires: expires), from: short.from)
            }
            if sent.first?.to == mainServer {
                mainUntil = scene.now + 3_600_000
                sent = scene.send(answer(sent[0]), from: mainServer, socket: mainSocket)
            }
            #expect(sent.first?.code == 200)
            if round % 5 == 4 { longUntil = scene.now + 600_000 }
            #expect(mainUntil >= longUntil + 180_000 && mainUntil >= scene.now + 300_000)
        }
    }

    /// Stands for C3 g.
    @Test func `a lease that does not outlast a sibling any more is renewed by whoever comes`()
        throws
    {
        let scene = scene { $0.maxSeconds = 3_600 }
        var short = phone(1)
        var long = phone(2)
        scene.register(&long, expires: 1_800)
        // The main registrar shortens the lease when the other one comes.
        scene.register(&short, expires: 120, main: 900)
        _ = scene.advance(s: 60)
        let sent = try #require(scene.send(short.register(expires: 120), from: short.from).first)
        #expect(sent.to == mainServer)
        #expect(sent.expires(sharedURI) == 3_600)
        let again = try #require(
            scene.send(long.register(expires: 1_800), from: long.from).first)
        #expect(again.to == mainServer)
    }

    /// Stands for C3 P2; C3 c; R9; #1804, #2138, #2615.
    @Test func `removing one of two keeps the contact, with the credentials of who leaves`() throws
    {
        let scene = scene()
        var one = phone(1)
        var two = phone(2)
        scene.register(&one)
        scene.register(&two)
        let relayed = try #require(scene.send(one.register(expires: 0), from: one.from).first)
        #expect(relayed.contacts == ["<\(sharedURI)>"])
        #expect(relayed.first("Authorization").contains("alice"))
        #expect(scene.gauge(.bindings) == 2)
        let told = try #require(
            scene.send(answer(relayed), from: mainServer, socket: mainSocket).first)
        #expect(told.contacts.count == 1 && told.contacts[0].contains("192.0.2.2"))
        #expect(scene.gauge(.bindings) == 1)
    }

    /// Stands for C3 c; C3 h; R9.
    @Test func `removing the last takes the contact away and leaves nothing`() throws {
        let scene = scene()
        var one = phone(1)
        scene.register(&one)
        let relayed = try #require(scene.send(one.register(expires: 0), from: one.from).first)
        #expect(relayed.contacts == ["<\(sharedURI)>"] && relayed.first("Expires") == "0")
        let told = try #require(
            scene.send(answer(relayed), from: mainServer, socket: mainSocket).first)
        #expect(told.contacts.isEmpty && told.code == 200)
        #expect(scene.gauge(.bindings) == 0 && scene.store.durable.isEmpty)
        #expect(scene.advance(s: 120).isEmpty)
    }

    /// Stands for C3 h.
    @Test func `two that leave at once, each not the last: midreg removes the contact itself`()
        throws
    {
        let scene = scene()
        var one = phone(1)
        var two = phone(2)
        scene.register(&one)
        scene.register(&two)
        let first = try #require(scene.send(one.register(expires: 0), from: one.from).first)
        let second = try #require(scene.send(two.register(expires: 0), from: two.from).first)
        #expect(first.expires(sharedURI) == 3_600 && second.expires(sharedURI) == 3_600)
        scene.send(answer(first), from: mainServer, socket: mainSocket)
        scene.send(answer(second), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 0)
        let removal = try #require(
            scene.advance(s: 60).first { $0.socket == ownSocket && $0.method == "REGISTER" })
        #expect(removal.contacts == ["<\(sharedURI)>;expires=0"])
        scene.send(answer(removal), from: mainServer, socket: ownSocket)
        #expect(scene.store.durable.isEmpty)
    }

    @Test func `a last removal that crosses a first registration makes it dirty`() throws {
        let scene = scene()
        var one = phone(1)
        var two = phone(2)
        scene.register(&one)
        let removal = try #require(scene.send(one.register(expires: 0), from: one.from).first)
        #expect(removal.expires(sharedURI) == 0)
        let registration = try #require(scene.send(two.register(), from: two.from).first)
        // The main registrar answers the registration first and the removal last.
        scene.send(answer(registration), from: mainServer, socket: mainSocket)
        scene.send(answer(removal), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 1)
        let refresh = try #require(scene.send(two.register(), from: two.from).first)
        #expect(refresh.to == mainServer)
    }

    @Test func `so does one whose answer comes later than the removal's`() throws {
        let scene = scene()
        var one = phone(1)
        var two = phone(2)
        scene.register(&one)
        let removal = try #require(scene.send(one.register(expires: 0), from: one.from).first)
        let registration = try #require(scene.send(two.register(), from: two.from).first)
        scene.send(answer(removal), from: mainServer, socket: mainSocket)
        _ = scene.advance(ms: 300)
        scene.send(answer(registration), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 1)
        #expect(scene.send(two.register(), from: two.from).first?.to == mainServer)
    }

    /// Stands for R9.
    @Test
    func `a phone that falls silent beside another ends without a word to the main registrar`() {
        let scene = scene()
        var one = phone(1)
        var two = phone(2)
        scene.register(&one, expires: 120)
        scene.register(&two, expires: 600)
        #expect(scene.advance(s: 130).isEmpty)
        #expect(scene.gauge(.bindings) == 1 && scene.store.durable.count == 1)
    }

    /// Stands for R9.
    @Test func `the last one that falls silent is removed by midreg`() throws {
        let scene = scene()
        var one = phone(1)
        scene.register(&one, expires: 120)
        let removal = try #require(scene.advance(s: 130).first)
        #expect(removal.socket == ownSocket && removal.contacts == ["<\(sharedURI)>;expires=0"])
    }

    @Test func `a new phone stops the removal that the last one left behind`() throws {
        let scene = scene()
        var one = phone(1)
        var two = phone(2)
        scene.register(&one, expires: 120)
        #expect(scene.advance(s: 122).contains { $0.socket == ownSocket })
        scene.register(&two, expires: 600)
        #expect(scene.advance(s: 100).isEmpty)
        #expect(scene.gauge(.bindings) == 1 && scene.store.durable.count == 1)
        // The removal may have arrived after the registration.
        #expect(scene.send(two.register(), from: two.from).first?.to == mainServer)
    }

    /// Stands for C4 2xx, AOR.
    @Test func `a main registrar that does not list the contact has registered nobody`() throws {
        let scene = scene()
        var one = phone(1)
        let relayed = try #require(scene.send(one.register(), from: one.from).first)
        let told = try #require(
            scene.send(answer(relayed, without: true), from: mainServer, socket: mainSocket).first)
        #expect(told.contacts.isEmpty)
        #expect(scene.gauge(.bindings) == 0)
        #expect(scene.counter(.mainDroppedContact) == 1)
    }

    /// Stands for C3 P5; #2536, #3193.
    @Test func `a stranger's REGISTER changes nothing, new contact, copy or removal`() throws {
        let scene = scene()
        var one = phone(1)
        scene.register(&one)
        for (contact, expires) in [
            ("<sip:alice@203.0.113.9>", 600), (one.contact, 600), (one.contact, 0), ("*", 0),
        ] {
            var hostile = one
            hostile.from = stranger
            hostile.branches += 50
            let sent = scene.send(
                hostile.register(expires: expires, authorized: false, contact: contact),
                from: stranger)
            #expect(sent.allSatisfy { $0.to == mainServer }, "\(contact) \(expires)")
            for request in sent {
                scene.send(
                    answer(request, 401, reason: "Unauthorized"), from: mainServer,
                    socket: mainSocket)
            }
        }
        #expect(scene.gauge(.bindings) == 1)
        let call = try #require(scene.call(invite(), from: mainServer).first)
        #expect(call.to == one.from)
    }

    @Test func `after a restart the lease is the one of the newest fact`() throws {
        let scene = scene()
        var one = phone(1)
        var two = phone(2)
        scene.register(&one)
        _ = scene.advance(s: 300)
        _ = scene.send(one.register(), from: one.from)
        scene.register(&two)
        scene.restart()
        _ = scene.advance(s: 200)
        // 3600 s since 200 s ago; by its own fact it would be 500 s.
        let sent = scene.send(two.register(), from: two.from)
        #expect(sent.first?.to == two.from && sent.first?.contacts.count == 2)
    }

    @Test func `an INVITE to the contact reaches the phone, to nobody 480, to no AOR 404`() throws {
        let scene = scene()
        var one = phone(1)
        #expect(scene.call(invite(), from: mainServer).first?.code == 404)
        scene.register(&one)
        let call = try #require(scene.call(invite(), from: mainServer).first)
        #expect(call.to == one.from)
        #expect(call.startLine == "INVITE sip:alice@192.0.2.1:5062 SIP/2.0")
        #expect(scene.call(invite(), from: stranger).first?.code == 403)
        _ = scene.advance(s: 601)
        #expect(scene.call(invite(), from: mainServer).first?.code == 480)
    }

    @Test func `a domain of its own mode`() throws {
        let scene = Scene(
            Scene.options {
                $0.domains = [.init("example.test", .throttleByAOR), .init("b.test", .mirror)]
            })
        var one = phone(1)
        let relayed = try #require(scene.send(one.register(), from: one.from).first)
        #expect(relayed.contacts[0].contains(sharedURI))
    }

    /// Stands for R13; #265, #1445, #1984, #2351.
    @Test func `contacts above the limit are refused, or take the place of the oldest`() throws {
        for overflow in [CoreOptions.Overflow.refuse, .replaceOldest] {
            for mode in [RegistrationMode.throttleByAOR, .throttleByContact] {
                let scene = scene {
                    $0.mode = mode
                    $0.contactsMax = 2
                    $0.overflow = overflow
                }
                var phones = (1...3).map(phone)
                scene.register(&phones[0])
                _ = scene.advance(s: 1)
                scene.register(&phones[1])
                _ = scene.advance(s: 1)
                let sent = scene.register(&phones[2])
                if overflow == .refuse {
                    #expect(sent.first?.code == 403)
                    #expect(scene.counter(.rejectTooManyContacts) == 1)
                    continue
                }
                #expect(sent.first?.code == 200)
                #expect(scene.gauge(.bindings) == 2)
                #expect(scene.counter(.bindingsReplaced) == 1)
                let told = sent.first?.contacts ?? []
                #expect(
                    told.count == 2 && !told.contains { $0.contains("192.0.2.1:") },
                    "\(mode) \(told)")
                // Where it has a contact of its own at the main registrar, that one goes too.
                let removals = scene.advance(ms: 42_500).filter { $0.socket == ownSocket }
                #expect(removals.isEmpty == (mode == .throttleByAOR))
            }
        }
    }
}

@Suite("Mirror: every REGISTER is the main registrar's")
struct MirrorTests {
    @Test func `each refresh is relayed with the phone's own expiry, however short`() throws {
        let scene = Scene(Scene.options { $0.mode = .mirror })
        var alice = Phone()
        for _ in 0..<3 {
            let relayed = try #require(
                scene.send(alice.register(expires: 20), from: alice.from).first)
            #expect(relayed.to == mainServer && relayed.expires() == 20)
            #expect(relayed.contacts[0].contains("ctid="))
            let told = try #require(
                scene.send(answer(relayed), from: mainServer, socket: mainSocket).first)
            #expect(told.expires() == 20)
            _ = scene.advance(s: 10)
        }
        #expect(scene.counter(.relayMirror) == 2)
        // Both forget it at the same time: there is nothing to remove.
        #expect(scene.advance(s: 60).isEmpty)
        #expect(scene.gauge(.bindings) == 0)
    }

    @Test func `for ever is twenty days`() throws {
        let scene = Scene(Scene.options { $0.mode = .mirror })
        var alice = Phone()
        for _ in 0..<2 {
            let relayed = try #require(
                scene.send(alice.register(expires: 4_294_967_295), from: alice.from).first)
            let told = try #require(
                scene.send(answer(relayed), from: mainServer, socket: mainSocket).first)
            #expect(told.expires() == 1_728_000)
            _ = scene.advance(ms: 500)
        }
        #expect(scene.counter(.mainStale) == 0 && scene.gauge(.bindings) == 1)
    }

    /// Stands for C4 423.
    @Test func `a 423 is the phone's to read`() throws {
        let scene = Scene(Scene.options { $0.mode = .mirror })
        var alice = Phone()
        let relayed = try #require(scene.send(alice.register(expires: 20), from: alice.from).first)
        let told = try #require(
            scene.send(
                answer(relayed, 423, reason: "Interval Too Brief", extra: ["Min-Expires: 60"]),
                from: mainServer, socket: mainSocket
            ).first)
        #expect(told.code == 423 && told.first("Min-Expires") == "60")
    }
}

@Suite("Path instead of a contact of ours (RFC 3327)")
struct PathTests {
    private func scene() -> Scene { Scene(Scene.options(placement: .path)) }

    @Test func `the contact stays as the phone wrote it, with our lifetime and our Path`() throws {
        let scene = scene()
        var alice = Phone()
        alice.extra = ["Supported: path"]
        let relayed = try #require(
            scene.send(
                alice.register(contact: "\"A\" <sip:alice@192.0.2.1:5062;x=y>;q=0.7;reg-id=1"),
                from: alice.from
            ).first)
        #expect(
            relayed.contacts
                == ["\"A\" <sip:alice@192.0.2.1:5062;x=y>;q=0.7;reg-id=1;expires=3600"])
        #expect(relayed.first("Path").hasSuffix("@127.0.0.1:5060;lr>"))
        #expect(relayed.all("Supported") == ["path"])
        let told = try #require(
            scene.send(
                answer(relayed, extra: ["Path: \(relayed.first("Path"))"]), from: mainServer,
                socket: mainSocket
            ).first)
        #expect(told.first("Path") == relayed.first("Path"))
        #expect(
            told.contacts == ["\"A\" <sip:alice@192.0.2.1:5062;x=y>;q=0.7;reg-id=1;expires=600"])
    }

    @Test func `a phone that does not know Path is not shown one`() throws {
        let scene = scene()
        var alice = Phone()
        let relayed = try #require(scene.send(alice.register(), from: alice.from).first)
        #expect(relayed.all("Supported") == ["path"])
        let told = try #require(
            scene.send(
                answer(relayed, extra: ["Path: \(relayed.first("Path"))"]), from: mainServer,
                socket: mainSocket
            ).first)
        #expect(told.all("Path").isEmpty && told.code == 200)
    }

    @Test func `ob is said to a phone that can do Outbound, as its first hop only`() throws {
        let scene = scene()
        var alice = Phone()
        alice.extra = ["Supported: path, outbound"]
        let relayed = try #require(scene.send(alice.register(), from: alice.from).first)
        #expect(relayed.first("Path").hasSuffix(";lr;ob>"))
        #expect(relayed.all("Supported") == ["path, outbound"])
        alice.callID = "other"
        alice.extra.append("Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKedge")
        let second = try #require(scene.send(alice.register(), from: alice.from).first)
        #expect(second.first("Path").hasSuffix(";lr>"))
    }

    @Test func `each flow of an instance is a contact of its own (RFC 5626 §4.2)`() throws {
        let scene = scene()
        let instance = ";+sip.instance=\"<urn:uuid:1>\""
        var one = Phone(contact: "<sip:alice@192.0.2.1:5062>\(instance);reg-id=1", callID: "f1@h")
        var two = Phone(
            from: phoneB, contact: "<sip:alice@192.0.2.2:5062>\(instance);reg-id=2",
            callID: "f2@h")
        one.extra = ["Supported: path, outbound"]
        two.extra = one.extra
        for _ in 0..<2 {
            scene.register(&one)
            scene.register(&two)
        }
        #expect(scene.gauge(.bindings) == 2)
        #expect(scene.counter(.registerRelayed) == 2 && scene.counter(.registerAbsorbed) == 2)
        // The other flow is not kept by it: it has a contact of its own there.
        let leaving = try #require(scene.send(two.register(expires: 0), from: two.from).first)
        #expect(leaving.contacts[0].contains("reg-id=2") && leaving.expires() == 0)
    }

    @Test func `refreshes are absorbed`() throws {
        let scene = scene()
        var alice = Phone()
        scene.register(&alice)
        _ = scene.advance(s: 100)
        let told = try #require(scene.send(alice.register(), from: alice.from).first)
        #expect(told.to == alice.from && told.code == 200 && told.expires() == 600)
    }

    /// Stands for #4315.
    @Test func `a call comes by the Path, to one phone, once`() throws {
        let scene = scene()
        var alice = Phone()
        let relayed = try #require(scene.send(alice.register(), from: alice.from).first)
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        let path = relayed.first("Path")
        func invite(_ token: String) -> String {
            [
                "INVITE sip:alice@192.0.2.1:5062 SIP/2.0",
                "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKi1", "Max-Forwards: 70",
                "Route: \(token)", "From: <sip:bob@example.test>;tag=b",
                "To: <sip:alice@example.test>", "Call-ID: i1", "CSeq: 1 INVITE",
                "Content-Length: 0", "", "",
            ].joined(separator: "\r\n")
        }
        let sent = scene.call(invite(path), from: mainServer)
        #expect(sent.count == 1)
        let call = try #require(sent.first)
        #expect(call.to == alice.from)
        #expect(call.startLine == "INVITE sip:alice@192.0.2.1:5062 SIP/2.0")
        #expect(call.all("Route").isEmpty && call.all("Record-Route").count == 1)
        #expect(scene.call(invite(path), from: stranger).first?.code == 403)
        // Moved: the contact ID's present flow is the way, whatever the Path says.
        alice.from = phoneB
        let moved = try #require(scene.send(alice.register(), from: phoneB).first)
        scene.send(answer(moved), from: mainServer, socket: mainSocket)
        #expect(scene.call(invite(path), from: mainServer).first?.to == phoneB)
        _ = scene.advance(s: 601)
        #expect(scene.call(invite(path), from: mainServer).first?.code == 430)
    }

    @Test func `what lapses is removed by the contact that the main registrar knows`() throws {
        let scene = scene()
        var alice = Phone()
        scene.register(&alice, expires: 120)
        let removal = try #require(scene.advance(s: 130).first)
        #expect(removal.contacts == ["<sip:alice@192.0.2.1:5062>;expires=0"])
    }
}
