import Bytes
import CoreScene
import MidRegistrarCore
import Registration
import StoreInMemory
import Testing

@Suite("A binding that lapses is taken out of the main registrar")
struct RemovalTests {
    /// A phone that registered, was absorbed `refreshes` times, and vanished: our removal.
    private func lapsed(refreshes: Int = 0) -> (Scene, Phone, Sent) {
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        for _ in 0..<refreshes { scene.send(phone.register(), from: phoneA) }
        let sent = scene.advance(ms: 601_000, step: 1_000)
        return (scene, phone, sent[0])
    }

    /// Stands for R10.
    @Test func `by a REGISTER of our own from the socket for that`() {
        let (_, _, removal) = lapsed()
        #expect(removal.to == mainServer)
        #expect(removal.socket == ownSocket)
        #expect(removal.startLine == "REGISTER sip:example.test SIP/2.0")
        #expect(removal.contacts.count == 1)
        #expect(removal.expires("ctid=") == 0)
        // The main registrar has seen all of the phone's numbers: a Call-ID of our own.
        #expect(removal.first("CSeq") == "1 REGISTER")
        #expect(removal.first("Call-ID") != "call-1@phone")
        #expect(removal.first("From").hasPrefix("<sip:alice@example.test>;tag="))
        #expect(!removal.first("From").contains("tag=f1"))
    }

    /// Stands for R10.
    @Test func `under the phone's Call-ID when there is a number it has not seen`() {
        let (_, phone, removal) = lapsed(refreshes: 2)
        #expect(removal.first("Call-ID") == phone.callID)
        #expect(removal.first("CSeq") == "3 REGISTER")
    }

    @Test(arguments: [200, 404, 481])
    func `until it says that it is gone`(code: Int) {
        let (scene, _, removal) = lapsed()
        scene.send(answer(removal, code), from: mainServer, socket: ownSocket)
        #expect(scene.counter(.ownRemovalDone) == 1)
        #expect(scene.store.durable.isEmpty)
        #expect(scene.advance(ms: 4_000_000, step: 5_000).isEmpty)
    }

    @Test(arguments: [401, 403, 407])
    func `unless it will not be told: counted, kept until it forgets`(code: Int) {
        let (scene, _, removal) = lapsed()
        scene.send(answer(removal, code), from: mainServer, socket: ownSocket)
        #expect(scene.counter(.ownRemovalRefused) == 1)
        #expect(scene.store.durable.count == 1)
        scene.restart()
        #expect(scene.advance(ms: 2_990_000, step: 5_000).isEmpty)
        #expect(scene.store.durable.count == 1)
        scene.advance(ms: 60_000, step: 5_000)
        #expect(scene.store.durable.isEmpty)
    }

    @Test func `again on silence, with copies and a new branch later`() {
        let (scene, _, removal) = lapsed()
        let copies = scene.advance(ms: 31_000)
        #expect(copies.count == 9 || copies.count == 10)
        #expect(copies.allSatisfy { $0 == removal })
        let next = scene.advance(ms: 40_000)
        #expect(scene.counter(.ownRemovalUnanswered) == 1)
        #expect(next.contains { $0.first("Via") != removal.first("Via") })
        #expect(next.allSatisfy { $0.first("Call-ID") == removal.first("Call-ID") })
    }

    /// What stays at the main registrar beyond a phone's time is counted, whatever the reason.
    @Test(arguments: [nil, 500, 503, 403, 200])
    func `or is given up when the main registrar forgets by itself`(code: Int?) {
        let (scene, _, removal) = lapsed()
        var sent = [removal]
        for _ in 0..<1_300 {
            if let code {
                for request in sent {
                    scene.send(answer(request, code), from: mainServer, socket: ownSocket)
                }
            }
            sent = scene.advance(ms: 2_500, step: 2_500)
        }
        let isForgotten = scene.store.durable.isEmpty
        #expect(isForgotten)
        let isGivenUp = code == nil || code == 500 || code == 503
        #expect(scene.counter(.ownRemovalGivenUp) == (isGivenUp ? 1 : 0))
        #expect((scene.counter(.ownRemovalUnanswered) > 0) == isGivenUp)
        #expect(scene.counter(.ownRemovalRefused) == (code == 403 ? 1 : 0))
        #expect(scene.counter(.ownRemovalDone) == (code == 200 ? 1 : 0))
    }

    @Test func `after a restart with another branch`() {
        let (scene, _, removal) = lapsed()
        scene.restart()
        let next = scene.advance(ms: 1_000)
        #expect(next[0].first("Via") != removal.first("Via"))
        // The answer to the old one is not taken for the new one's.
        scene.send(answer(removal), from: mainServer, socket: ownSocket)
        #expect(scene.counter(.ownRemovalDone) == 0)
    }

    @Test func `is stopped by the phone's return, and what that brings is not trusted at first`() {
        var (scene, phone, removal) = lapsed()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        #expect(scene.counter(.ownRemovalStopped) == 1)
        #expect(scene.advance(ms: 5_000).isEmpty)
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 1)
        scene.send(answer(removal), from: mainServer, socket: ownSocket)
        #expect(scene.gauge(.bindings) == 1)
        scene.advance(ms: 40_000)
        let again = scene.send(phone.register(), from: phoneA)
        #expect(again[0].to == mainServer)
        scene.send(answer(again[0]), from: mainServer, socket: mainSocket)
        #expect(scene.send(phone.register(), from: phoneA).map(\.code) == [200])
    }

    @Test func `goes on when the phone that returned gives up`() {
        var (scene, phone, _) = lapsed()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        scene.send(answer(relayed, 401), from: mainServer, socket: mainSocket)
        #expect(scene.advance(ms: 39_000).isEmpty)
        #expect(!scene.advance(ms: 4_000).isEmpty)
    }

    /// Stands for R19.
    @Test func `does not begin while the phone's REGISTER is on its way`() {
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        scene.advance(ms: 599_000, step: 1_000)
        phone.contact += ";q=0.3"
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        #expect(scene.advance(ms: 10_000).isEmpty)
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 1)
        #expect(scene.advance(ms: 60_000).isEmpty)
    }

    /// Stands for R19.
    @Test func `is ended by a 2xx for the phone that was on its way before`() {
        let scene = Scene()
        var phone = Phone()
        scene.register(&phone)
        let relayed = scene.send(phone.register(expires: 700), from: phoneA)[0]
        let removal = scene.advance(ms: 650_000, step: 1_000)
        #expect(!removal.isEmpty)
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 1)
        // No copy of the removal follows, and nothing is absorbed on what it may have undone.
        #expect(scene.advance(ms: 5_000).isEmpty)
        #expect(scene.send(phone.register(expires: 700), from: phoneA)[0].to == mainServer)
    }

    @Test func `is paced without keeping the worker awake`() {
        let scene = Scene(Scene.options { $0.removalsPerSecond = 2 })
        for number in 0..<19 {
            var phone = Phone(
                user: "u\(number)", contact: "<sip:u@192.0.2.1:\(number + 1)>",
                callID: "n\(number)xxxx@p")
            scene.register(&phone)
        }
        scene.advance(ms: 601_000, step: 1_000)
        #expect(scene.counter(.ownRemovalSent) < 6)
        #expect(scene.nextTimer > scene.now)
        scene.advance(ms: 10_000, step: 1_000)
        #expect(scene.counter(.ownRemovalSent) == 19)
    }
}
