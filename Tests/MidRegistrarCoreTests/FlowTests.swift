import Bytes
import CoreScene
import Keys
import MidRegistrarCore
import Registration
import Testing

private func scene(_ change: (inout CoreOptions) -> Void = { _ in }) -> Scene {
    Scene(Scene.options { change(&$0) })
}

/// Flow `number` of a phone: an address and a Call-ID of its own, the instance in common.
private func flow(_ number: Int, instance: Int = 1) -> Phone {
    let host = "192.0.2.\(number + 10 * instance)"
    return Phone(
        from: address("\(host):5062"),
        contact: "<sip:alice@\(host):5062>;+sip.instance=\"<urn:uuid:\(instance)>\""
            + ";reg-id=\(number)", sentBy: "\(host):5062", callID: "i\(instance)f\(number)@phone",
        extra: ["Supported: path, outbound"])
}

private func invite(_ target: String, branch: String = "z9hG4bKi1", extra: [String] = []) -> String
{
    let lines =
        [
            "INVITE \(target) SIP/2.0", "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=\(branch)",
            "Max-Forwards: 70", "From: <sip:bob@example.test>;tag=b",
            "To: <sip:alice@example.test>", "Call-ID: i1", "CSeq: 1 INVITE",
        ] + extra + ["Content-Length: 0", "", ""]
    return lines.joined(separator: "\r\n")
}

/// The URI in a Contact.
private func target(_ request: Sent) -> String {
    request.contacts[0].components("<")[1].components(">")[0]
}

/// The flows of a phone registered one after the other; what the last relay looked like.
@discardableResult
private func register(_ flows: inout [Phone], in scene: Scene, expires: Int = 600) -> Sent {
    var last: [Sent] = []
    for number in flows.indices {
        last = scene.send(flows[number].register(expires: expires), from: flows[number].from)
        scene.send(answer(last[0]), from: mainServer, socket: mainSocket)
    }
    return last[0]
}

@Suite("Flows of one phone (RFC 5626): one contact at the main registrar")
struct FlowTests {
    @Test func `two flows are two bindings here and one contact there`() throws {
        let scene = scene()
        var one = flow(1)
        var two = flow(2)
        let first = try #require(scene.send(one.register(), from: one.from).first)
        scene.send(answer(first), from: mainServer, socket: mainSocket)
        let second = try #require(scene.send(two.register(), from: two.from).first)
        #expect(second.contacts.count == 1 && !second.contacts[0].contains("reg-id"))
        #expect(second.contacts[0].contactID == first.contacts[0].contactID)
        #expect(second.first("Supported") == "path")
        let told = try #require(
            scene.send(answer(second), from: mainServer, socket: mainSocket).first)
        #expect(scene.gauge(.bindings) == 2)
        #expect(told.contacts.count == 2 && told.all("Require").isEmpty)
        #expect(told.expires("reg-id=1") == 600 && told.expires("reg-id=2") == 600)
    }

    @Test func `each flow is refreshed by its own numbers, and a flow that moves is relayed`() {
        let scene = scene()
        var flows = [flow(1), flow(2)]
        register(&flows, in: scene)
        for _ in 0..<3 {
            _ = scene.advance(s: 100)
            for number in flows.indices {
                let told = scene.send(flows[number].register(), from: flows[number].from)
                #expect(told.first?.to == flows[number].from && told.first?.contacts.count == 2)
            }
        }
        #expect(scene.counter(.registerAbsorbed) == 6)
        flows[1].from = address("192.0.2.99:5062")
        let moved = scene.send(flows[1].register(), from: flows[1].from)
        #expect(moved.first?.to == mainServer)
        #expect(scene.counter(.relayFlowChanged) == 1)
    }

    @Test func `what one flow had confirmed serves the other`() {
        let scene = scene()
        var flows = [flow(1), flow(2)]
        register(&flows, in: scene)
        let before = scene.counter(.registerRelayed)
        for _ in 0..<40 {
            _ = scene.advance(s: 300)
            for number in flows.indices {
                let sent = scene.send(flows[number].register(), from: flows[number].from)
                if sent[0].to == mainServer {
                    scene.send(answer(sent[0]), from: mainServer, socket: mainSocket)
                }
            }
        }
        // A lease of 3600 s serves refreshes for 3600 - 600 - 180 s: every tenth one is relayed.
        #expect(scene.counter(.registerRelayed) - before == 4)
    }

    @Test func `the lease is judged against the last grant of any flow`() throws {
        let scene = scene()
        var long = flow(1)
        var short = flow(2)
        scene.register(&long, expires: 1_200)
        // The main registrar gives less to the second: enough for 60 s, too little for 1200.
        let relayed = try #require(scene.send(short.register(expires: 60), from: short.from).first)
        scene.send(answer(relayed, expires: 1_000), from: mainServer, socket: mainSocket)
        _ = scene.advance(s: 30)
        #expect(scene.send(short.register(expires: 60), from: short.from)[0].to == mainServer)
        #expect(scene.counter(.relayDirty) + scene.counter(.relayMainDue) == 1)
    }

    // MARK: Removal and expiry

    @Test func `a flow that goes while another lives is a refresh there, and gone on 2xx`() throws {
        let scene = scene()
        var flows = [flow(1), flow(2)]
        let last = register(&flows, in: scene)
        let leaving = try #require(
            scene.send(flows[1].register(expires: 0), from: flows[1].from).first)
        #expect(leaving.to == mainServer)
        #expect(leaving.contacts.count == 1 && leaving.expires() == 3_600)
        #expect(leaving.first("Expires") == "3600")
        #expect(leaving.first("Authorization").contains("alice"))
        #expect(scene.gauge(.bindings) == 2)
        #expect(scene.call(invite(target(last)), from: mainServer)[0].to == flows[1].from)
        let told = try #require(
            scene.send(answer(leaving), from: mainServer, socket: mainSocket).first)
        #expect(told.contacts.count == 1 && told.contacts[0].contains("reg-id=1"))
        #expect(scene.gauge(.bindings) == 1)
        #expect(
            scene.call(invite(target(last), branch: "z9hG4bKi2"), from: mainServer)[0].to
                == flows[0].from)
        // Its lease has been extended by it.
        _ = scene.advance(s: 100)
        #expect(scene.send(flows[0].register(), from: flows[0].from)[0].to == flows[0].from)
        #expect(scene.counter(.ownRemovalSent) == 0)
    }

    @Test(arguments: [401, 403, 404, 500]) func `a flow whose removal is refused stays`(code: Int) {
        let scene = scene()
        var flows = [flow(1), flow(2)]
        register(&flows, in: scene)
        let leaving = scene.send(flows[1].register(expires: 0), from: flows[1].from)[0]
        scene.send(answer(leaving, code, reason: "No"), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 2)
    }

    @Test func `the last flow that goes takes the contact away`() {
        let scene = scene()
        var flows = [flow(1), flow(2)]
        register(&flows, in: scene)
        for number in [1, 0] {
            let leaving = scene.send(
                flows[number].register(expires: 0), from: flows[number].from)[0]
            #expect(leaving.expires() == (number == 0 ? 0 : 3_600))
            scene.send(answer(leaving), from: mainServer, socket: mainSocket)
        }
        #expect(scene.gauge(.bindings) == 0)
        _ = scene.advance(s: 4_000)
        #expect(scene.counter(.ownRemovalSent) == 0)
    }

    @Test(
        arguments: [
            // (asked for flow 1, asked for flow 2) in one request: asked there, bindings after it.
            (0, 0, 0, 0), (0, 600, 3_600, 1), (600, 0, 3_600, 1), (600, 600, 3_600, 2),
        ])
    func `flows in one request are one contact`(one: Int, two: Int, asked: Int, after: UInt64) {
        let scene = scene()
        var flows = [flow(1), flow(2)]
        register(&flows, in: scene)
        let both = "\(flows[0].contact);expires=\(one),\(flows[1].contact);expires=\(two)"
        let relayed = scene.send(
            flows[0].register(expires: nil, contact: both), from: flows[0].from)[0]
        #expect(relayed.contacts.count == 1 && relayed.expires() == asked)
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == after)
        _ = scene.advance(s: 30)
        #expect(scene.counter(.ownRemovalSent) == 0)
    }

    @Test func `the removal of a flow that is not known here keeps the others' contact`() {
        let scene = scene()
        var flows = [flow(1)]
        var unknown = flow(2)
        register(&flows, in: scene)
        let leaving = scene.send(unknown.register(expires: 0), from: unknown.from)[0]
        #expect(leaving.expires() == 3_600)
        scene.send(answer(leaving), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 1)
    }

    @Test func `two flows that go at once leave nobody, and the contact is ours to remove`() {
        let scene = scene()
        var flows = [flow(1), flow(2)]
        let last = register(&flows, in: scene)
        let one = scene.send(flows[0].register(expires: 0), from: flows[0].from)[0]
        let two = scene.send(flows[1].register(expires: 0), from: flows[1].from)[0]
        #expect(one.expires() == 3_600 && two.expires() == 3_600)
        scene.send(answer(one), from: mainServer, socket: mainSocket)
        scene.send(answer(two), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 0)
        let removals = scene.advance(s: 60).filter { $0.socket == ownSocket }
        #expect(removals.first?.contacts.first?.contactID == last.contacts[0].contactID)
        #expect(removals.first?.expires() == 0)
    }

    @Test func `a copy of a removal asks for the same when the other flow has ended`() throws {
        let scene = scene()
        var short = flow(1)
        var long = flow(2)
        scene.register(&short, expires: 60)
        scene.register(&long, expires: 600)
        _ = scene.advance(s: 58)
        _ = long.register(expires: 0)
        let first = try #require(scene.send(long.text(expires: 0), from: long.from).first)
        #expect(scene.advance(s: 5).allSatisfy { $0.socket != ownSocket })
        #expect(scene.gauge(.bindings) == 1)
        let copy = try #require(scene.send(long.text(expires: 0), from: long.from).first)
        #expect(copy.text == first.text && first.expires() == 3_600)
        // Nobody is left when it is agreed to: the contact is ours to remove.
        scene.send(answer(copy), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 0)
        #expect(scene.advance(s: 60).contains { $0.socket == ownSocket && $0.expires() == 0 })
    }

    @Test func `a flow that ends while another lives is not removed there; the last one is`() {
        let scene = scene()
        var short = flow(1)
        var long = flow(2)
        scene.register(&long, expires: 600)
        scene.register(&short, expires: 60)
        #expect(scene.advance(s: 90).allSatisfy { $0.socket != ownSocket })
        #expect(scene.gauge(.bindings) == 1)
        #expect(scene.counter(.bindingsExpired) == 1)
        let removals = scene.advance(s: 520).filter { $0.socket == ownSocket }
        #expect(removals.first?.expires() == 0)
        #expect(scene.gauge(.bindings) == 0)
    }

    @Test func `a phone that returns by another flow stops the removal of its contact`() {
        let scene = scene()
        var flows = [flow(1)]
        var other = flow(2)
        register(&flows, in: scene, expires: 60)
        let removal = scene.advance(s: 62).first { $0.socket == ownSocket }
        #expect(removal?.expires() == 0)
        scene.register(&other)
        #expect(scene.counter(.ownRemovalStopped) == 1)
        #expect(scene.gauge(.bindings) == 1)
        #expect(scene.advance(s: 300).allSatisfy { $0.socket != ownSocket })
        // Its removal may have come there after it: not trusted before it was confirmed again.
        #expect(scene.send(other.register(), from: other.from)[0].to == mainServer)
    }

    @Test(arguments: [false, true], [false, true])
    func `a removal that crosses a new flow leaves it to be confirmed`(
        removalFirst: Bool, isKnown: Bool
    ) {
        let scene = scene()
        var flows = [flow(1)]
        var other = flow(2)
        if isKnown { register(&flows, in: scene) }
        let leaving = scene.send(flows[0].register(expires: 0), from: flows[0].from)[0]
        #expect(leaving.expires() == 0)
        let coming = scene.send(other.register(), from: other.from)[0]
        for sent in removalFirst ? [leaving, coming] : [coming, leaving] {
            _ = scene.advance(ms: 100)
            scene.send(answer(sent), from: mainServer, socket: mainSocket)
        }
        #expect(scene.gauge(.bindings) == 1)
        _ = scene.advance(s: 100)
        #expect(scene.send(other.register(), from: other.from)[0].to == mainServer)
    }

    @Test func `a new flow is not trusted while a removal of its contact has no answer`() {
        let scene = scene()
        var flows = [flow(1)]
        var other = flow(2)
        register(&flows, in: scene)
        #expect(scene.send(flows[0].register(expires: 0), from: flows[0].from)[0].expires() == 0)
        scene.register(&other)
        // Nobody knows which of the two the main registrar has seen last.
        _ = scene.advance(s: 100)
        #expect(scene.send(other.register(), from: other.from)[0].to == mainServer)
    }

    @Test func `a refresh is relayed while nobody knows what became of the contact`() {
        let scene = scene()
        var flows = [flow(1), flow(2)]
        register(&flows, in: scene)
        flows[0].callID = "again@phone"
        #expect(scene.send(flows[0].register(), from: flows[0].from)[0].to == mainServer)
        #expect(scene.send(flows[1].register(), from: flows[1].from)[0].to == mainServer)
        #expect(scene.counter(.relayDirty) == 1)
    }

    @Test func `answers that come in another order bind both, for the shorter of their leases`() {
        let scene = scene()
        var one = flow(1)
        var two = flow(2)
        let first = scene.send(one.register(), from: one.from)[0]
        _ = scene.advance(ms: 100)
        let second = scene.send(two.register(), from: two.from)[0]
        scene.send(answer(second, expires: 700), from: mainServer, socket: mainSocket)
        scene.send(answer(first, expires: 3_600), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 2 && scene.counter(.mainStale) == 0)
        // Had the second come there last, it would hold the contact for 700 s only.
        _ = scene.advance(s: 60)
        #expect(scene.send(two.register(), from: two.from)[0].to == mainServer)
    }

    @Test func `a main registrar that lists one contact for two flows has not listed two`() {
        let scene = scene()
        var flows = [flow(1), flow(2), flow(1, instance: 2)]
        for number in flows.indices {
            scene.register(&flows[number])
            _ = scene.advance(s: 1)
        }
        #expect(scene.gauge(.bindings) == 3 && scene.counter(.mainMissing) == 0)
    }

    @Test func `what the main registrar does not list is lost for every flow`() {
        let scene = scene()
        var flows = [flow(1), flow(2)]
        register(&flows, in: scene)
        flows[1].callID = "again@phone"
        let relayed = scene.send(flows[1].register(), from: flows[1].from)[0]
        scene.send(answer(relayed, without: true), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 1)
        #expect(scene.send(flows[0].register(), from: flows[0].from)[0].to == mainServer)
        #expect(scene.counter(.relayDirty) == 1)
    }

    // MARK: Calls

    @Test func `a call goes to the flow that was heard of last`() {
        let scene = scene()
        var flows = [flow(1), flow(2)]
        let last = register(&flows, in: scene)
        #expect(scene.call(invite(target(last)), from: mainServer).map(\.to) == [flows[1].from])
        _ = scene.advance(s: 60)
        scene.send(flows[0].register(), from: flows[0].from)
        let sent = scene.call(invite(target(last), branch: "z9hG4bKi2"), from: mainServer)
        #expect(sent.map(\.to) == [flows[0].from])
        #expect(sent[0].startLine.contains("sip:alice@192.0.2.11:5062"))
    }

    @Test func `a call goes to the next flow when the phone does not answer by the newest`() {
        let scene = scene { $0.natPing = .options }
        var flows = [flow(1), flow(2)]
        // Behind a NAT: they are pinged.
        for number in flows.indices { flows[number].sentBy = "10.0.0.\(number):5062" }
        let last = register(&flows, in: scene, expires: 1_200)
        var answered = 0
        for _ in 0..<130 {
            for ping in scene.advance(s: 1) where ping.method == "OPTIONS" {
                guard ping.to == flows[0].from else { continue }
                scene.send(answer(ping), from: flows[0].from)
                answered += 1
            }
        }
        #expect(answered > 3 && scene.counter(.bindingsUnreachable) == 1)
        #expect(scene.call(invite(target(last)), from: mainServer).map(\.to) == [flows[0].from])
        _ = scene.advance(s: 130)
        let gone = scene.call(invite(target(last), branch: "z9hG4bKi2"), from: mainServer)
        #expect(gone[0].code == 480)
    }

    @Test func `a dialog stays with its flow while that is bound, then takes the newest`() throws {
        let scene = scene()
        var flows = [flow(1), flow(2)]
        let last = register(&flows, in: scene)
        let call = scene.call(invite(target(last)), from: mainServer)[0]
        let route = call.first("Record-Route")
        _ = scene.advance(s: 60)
        scene.send(flows[0].register(), from: flows[0].from)
        func bye(_ number: Int) -> String {
            [
                "BYE sip:alice@192.0.2.12:5062 SIP/2.0",
                "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKb\(number)", "Max-Forwards: 70",
                "Route: \(route)", "From: <sip:bob@example.test>;tag=b",
                "To: <sip:alice@example.test>;tag=a", "Call-ID: i1", "CSeq: \(number) BYE",
                "Content-Length: 0", "", "",
            ].joined(separator: "\r\n")
        }
        #expect(scene.send(bye(2), from: mainServer)[0].to == flows[1].from)
        let leaving = scene.send(flows[1].register(expires: 0), from: flows[1].from)[0]
        scene.send(answer(leaving), from: mainServer, socket: mainSocket)
        #expect(scene.send(bye(3), from: mainServer)[0].to == flows[0].from)
        // The phone itself may use whichever of its flows is bound.
        #expect(scene.send(bye(4), from: flows[0].from)[0].to == mainServer)
        #expect(scene.send(bye(5), from: stranger)[0].code == 403)
    }

    // MARK: Restart

    @Test func `both flows come back after a restart, with the lease of the newest fact`() {
        let scene = scene()
        var flows = [flow(1), flow(2)]
        let last = register(&flows, in: scene)
        _ = scene.advance(s: 100)
        scene.restart()
        _ = scene.advance(ms: 100)
        #expect(scene.gauge(.bindings) == 2)
        #expect(scene.call(invite(target(last)), from: mainServer)[0].to == flows[1].from)
        for number in flows.indices {
            let told = scene.send(flows[number].register(), from: flows[number].from)[0]
            #expect(told.to == flows[number].from && told.contacts.count == 2)
        }
    }

    @Test func `a lease that was shortened is short for both flows after a restart`() throws {
        let scene = scene()
        var flows = [flow(1), flow(2)]
        register(&flows, in: scene)
        _ = scene.advance(s: 1)
        flows[1].callID = "again@phone"
        let relayed = scene.send(flows[1].register(), from: flows[1].from)[0]
        scene.send(answer(relayed, expires: 650), from: mainServer, socket: mainSocket)
        _ = scene.advance(s: 1)
        scene.restart()
        #expect(scene.send(flows[0].register(), from: flows[0].from)[0].to == mainServer)
        #expect(scene.counter(.relayMainDue) == 1)
    }

    @Test(arguments: [false, true])
    func `a lease that the newest flow had extended stays when it has gone`(isRemoved: Bool) {
        let scene = scene()
        var long = flow(1)
        var short = flow(2)
        scene.register(&long, expires: 1_200)
        _ = scene.advance(s: 1_000)
        scene.send(long.register(expires: 1_200), from: long.from)
        scene.register(&short, expires: 60)
        if isRemoved {
            let leaving = scene.send(short.register(expires: 0), from: short.from)[0]
            scene.send(answer(leaving), from: mainServer, socket: mainSocket)
        }
        _ = scene.advance(s: 1_000)
        #expect(scene.gauge(.bindings) == 1)
        scene.send(long.register(expires: 1_200), from: long.from)
        scene.restart()
        // At 2400 s: the first lease would end at 3600 s, the second one ends at 4600 s.
        _ = scene.advance(s: 400)
        #expect(scene.send(long.register(expires: 1_200), from: long.from)[0].to == long.from)
    }

    // MARK: Room

    @Test(arguments: [CoreOptions.Overflow.refuse, .replaceOldest])
    func `the limit of an AOR counts contacts, not flows`(overflow: CoreOptions.Overflow) {
        let scene = scene {
            $0.contactsMax = 2
            $0.overflow = overflow
        }
        var first = [flow(1), flow(2), flow(3)]
        var second = [flow(1, instance: 2), flow(2, instance: 2)]
        register(&first, in: scene)
        register(&second, in: scene)
        #expect(scene.gauge(.bindings) == 5)
        var third = flow(1, instance: 3)
        let sent = scene.send(third.register(), from: third.from)[0]
        guard overflow == .replaceOldest else {
            #expect(sent.code == 403)
            return
        }
        scene.send(answer(sent), from: mainServer, socket: mainSocket)
        // All flows of the phone heard of least lately are gone, its contact there by one removal.
        #expect(scene.gauge(.bindings) == 3)
        _ = scene.advance(s: 60)
        #expect(scene.counter(.ownRemovalSent) == 1)
    }

    @Test func `the fifth flow of a contact ends the one heard of least lately`() {
        let scene = scene()
        var flows = (1...5).map { flow($0) }
        let last = register(&flows, in: scene)
        #expect(scene.gauge(.bindings) == 4)
        #expect(scene.counter(.bindingsReplaced) == 1)
        let told = scene.send(flows[4].register(), from: flows[4].from)[0]
        #expect(told.contacts.count == 4 && !told.contacts.contains { $0.contains("reg-id=1;") })
        #expect(scene.advance(s: 30).allSatisfy { $0.socket != ownSocket })
        #expect(scene.call(invite(target(last)), from: mainServer)[0].to == flows[4].from)
    }

    // MARK: Other modes

    @Test func `in mirror mode the contact outlasts every flow`() {
        let scene = scene { $0.mode = .mirror }
        var long = flow(1)
        var short = flow(2)
        scene.register(&long, expires: 900)
        #expect(scene.send(short.register(expires: 60), from: short.from)[0].expires() == 901)
    }

    @Test func `in mirror mode a request for two flows asks for the longer of them`() {
        let scene = scene { $0.mode = .mirror }
        let (one, two) = (flow(1), flow(2))
        var phone = one
        let both = "\(one.contact);expires=0,\(two.contact);expires=600"
        let relayed = scene.send(
            phone.register(expires: nil, contact: both), from: phone.from)[0]
        #expect(relayed.contacts.count == 1 && relayed.expires() == 600)
    }

    @Test func `flows of an AOR's one contact are bindings of their own`() {
        let scene = scene { $0.mode = .throttleByAOR }
        var flows = [flow(1), flow(2)]
        register(&flows, in: scene)
        #expect(scene.gauge(.bindings) == 2)
        let leaving = scene.send(flows[1].register(expires: 0), from: flows[1].from)[0]
        #expect(leaving.expires() == 3_600)
        scene.send(answer(leaving), from: mainServer, socket: mainSocket)
        let last = scene.send(flows[0].register(expires: 0), from: flows[0].from)[0]
        #expect(last.expires() == 0)
    }
}
