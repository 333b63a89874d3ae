import Bytes
import CoreScene
import MidRegistrarCore
import Registration
import StoreInMemory
import Testing

@Suite("What is doubted stays doubted over a restart")
struct DoubtTests {
    private func phone(_ number: Int) -> Phone {
        Phone(
            user: "user\(number)", from: address("192.0.2.\(number):5062"),
            contact: "<sip:user\(number)@192.0.2.\(number):5062>", callID: "call-\(number)@phone")
    }

    /// Which of the phones' refreshes are relayed; those are accepted.
    private func relayed(_ scene: Scene, _ phones: inout [Phone]) -> Set<Int> {
        var found: Set<Int> = []
        for number in phones.indices {
            let sent = scene.send(phones[number].register(), from: phones[number].from)
            guard let request = sent.first, request.to == mainServer else { continue }
            found.insert(number)
            scene.send(answer(request), from: mainServer, socket: mainSocket)
        }
        return found
    }

    @Test(arguments: [403, 404])
    func `a binding whose REGISTER was answered 403 or 404`(code: Int) throws {
        let scene = Scene()
        var phones = (1...3).map(phone)
        for number in phones.indices { scene.register(&phones[number]) }
        phones[1].sequence += 1 << 21
        let before = scene.store.durable
        let request = try #require(scene.send(phones[1].register(), from: phones[1].from).first)
        scene.send(answer(request, code, reason: "No"), from: mainServer, socket: mainSocket)
        // Its fact has one mark more, and nothing else has changed.
        let changed = scene.store.durable.filter { before[$0.key] != $0.value }
        try #require(changed.count == 1)
        let bytes = changed.values.first ?? []
        #expect(Fact(bytes.span)?.marks.contains(.dirty) == true)
        #expect(scene.store.durable.count == 3)
        // A second answer of the kind writes nothing.
        phones[1].sequence += 1 << 21
        let again = try #require(scene.send(phones[1].register(), from: phones[1].from).first)
        let staged = scene.store.durable
        scene.send(answer(again, code, reason: "No"), from: mainServer, socket: mainSocket)
        #expect(scene.store.durable == staged)

        scene.restart()
        #expect(relayed(scene, &phones) == [1])
        // The 2xx has ended the doubt, for good.
        scene.restart()
        #expect(relayed(scene, &phones).isEmpty)
    }

    @Test func `a resync that was under way: those who were not asked yet still are`() {
        let scene = Scene()
        var phones = (1...60).map(phone)
        for number in phones.indices { scene.register(&phones[number]) }
        scene.sync(over: 120)
        scene.advance(ms: 60_000)
        let first = relayed(scene, &phones)
        #expect((15...45).contains(first.count), "\(first.count)")
        scene.restart()
        // Those that were confirmed before the restart are not asked again, and the rest has the
        // moments it had.
        #expect(relayed(scene, &phones).isEmpty)
        scene.advance(ms: 61_000)
        let second = relayed(scene, &phones)
        #expect(second.isDisjoint(with: first) && second.count + first.count == 60)
        #expect(scene.counter(.relayResync) == UInt64(second.count))
        scene.restart()
        #expect(relayed(scene, &phones).isEmpty)
    }

    @Test func `two resyncs, one begun before the other was over`() {
        let scene = Scene()
        var phones = (1...60).map(phone)
        for number in phones.indices { scene.register(&phones[number]) }
        scene.sync(over: 120)
        scene.advance(ms: 30_000)
        scene.sync(over: 120)
        scene.restart()
        scene.advance(ms: 90_500)
        // The first one's moments still count.
        #expect(relayed(scene, &phones).count == 60)
    }
}
