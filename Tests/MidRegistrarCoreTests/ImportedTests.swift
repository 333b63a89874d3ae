import Bytes
import CoreScene
import Keys
import MidRegistrarCore
import Registration
import StoreInMemory
import Testing

/// The number under which the main registrar knows a contact from an earlier registrar.
private let number: UInt64 = 1_234_567_890_123_456_789

@Suite("A contact that was imported with its number")
struct ImportedTests {
    /// Scenes of as many workers, all of which have read the fact.
    private func scenes(workers: Int) -> [Scene] {
        var alice = Phone()
        let before = Scene()
        before.register(&alice)
        var fact = before.store.durable.first?.value ?? []
        let aor = AORKey(Array("sip:alice@example.test".utf8).span, under: testKeys)
        let id = ContactID(imported: number, steering: aor.steering)
        for at in 0..<8 {
            fact[24 + at] = UInt8(truncatingIfNeeded: id.high >> UInt64(8 * at))
            fact[32 + at] = UInt8(truncatingIfNeeded: id.low >> UInt64(8 * at))
        }
        return (0..<workers).map { worker in
            let scene = Scene(
                Scene.options {
                    $0.worker = worker
                    $0.workers = workers
                })
            scene.put(7, fact)
            return scene
        }
    }

    private func invite(_ id: String) -> String {
        [
            "INVITE sip:alice@127.0.0.1:5060;ctid=\(id) SIP/2.0",
            "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKi1", "Max-Forwards: 70",
            "From: <sip:bob@example.test>;tag=b", "To: <sip:alice@example.test>",
            "Call-ID: i1", "CSeq: 1 INVITE", "Content-Length: 0", "", "",
        ].joined(separator: "\r\n")
    }

    @Test func `is called by it, from the main side alone`() {
        let scene = scenes(workers: 1)[0]
        #expect(scene.call(invite("\(number)"), from: mainServer).first?.to == phoneA)
        #expect(scene.call(invite("\(number)"), from: stranger).first?.code == 403)
        #expect(scene.call(invite("\(number + 1)"), from: mainServer).first?.code == 404)
    }

    @Test func `is found at its owner, whichever worker the call came to`() {
        let all = scenes(workers: 4)
        var owners = 0
        for scene in all {
            let sent = scene.call(invite("\(number)"), from: mainServer)
            if sent.first?.to == phoneA {
                owners += 1
            } else {
                guard case .handOver = scene.disposition else {
                    Issue.record("not handed over: \(sent)")
                    continue
                }
            }
        }
        #expect(owners == 1)
    }

    @Test func `keeps it when it is registered anew`() throws {
        let scene = scenes(workers: 1)[0]
        var alice = Phone()
        alice.sequence = 1 << 21
        let relayed = try #require(scene.send(alice.register(), from: alice.from).first)
        #expect(relayed.contacts[0].contains(";ctid=\(number)>"))
        let told = try #require(
            scene.send(answer(relayed), from: mainServer, socket: mainSocket).first)
        #expect(told.expires() == 600 && scene.gauge(.bindings) == 1)
        scene.restart()
        #expect(scene.call(invite("\(number)"), from: mainServer).first?.to == phoneA)
    }
}
