import Bytes
import CoreScene
import Forwarding
import MidRegistrarCore
import Registration
import Testing

@Suite("OPTIONS of the main registrar to a phone")
struct QualifyTests {
    @Test(arguments: [MainContact.Placement.parameter, .user, .path], [false, true])
    func `goes there, or is answered by what is known of it`(
        placement: MainContact.Placement, answers: Bool
    ) {
        let scene = Scene(Scene.options(placement: placement) { $0.answersQualify = answers })
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        let uri = relayed.first("Contact").components("<")[1].components(">")[0]
        func options(
            _ branch: String, tag: String? = nil, from: TransportAddress = mainServer,
            forwards: Int = 70
        ) -> Sent {
            scene.send(
                request(
                    "OPTIONS", uri, toTag: tag, branch: "z9hG4bK\(branch)",
                    route: relayed.all("Path"), forwards: forwards), from: from)[0]
        }
        // Who answers is the last hop (§16.3 step 3).
        let live = options("1", forwards: answers ? 0 : 70)
        #expect(live.to == (answers ? mainServer : phoneA))
        #expect(live.code == (answers ? 200 : 0))
        #expect(scene.counter(.qualifyReachable) == (answers ? 1 : 0))
        #expect(options("2", from: stranger).code == 403)
        // In a dialog it is the phone's.
        if !answers { #expect(options("3", tag: "t").to == phoneA) }
        scene.advance(ms: 602_000, step: 2_000)
        #expect(options("4").code == (placement == .path && !answers ? 430 : 480))
        #expect(scene.counter(.qualifyGone) == (answers ? 1 : 0))
    }

    @Test func `is answered for the one contact of an AOR, and 404 if nobody has one`() {
        let fork = Fork([nil, nil]) { $0.answersQualify = true }
        let text = request("OPTIONS", fork.uri)
        #expect(fork.scene.send(text, from: mainServer).map(\.code) == [200])
        let nobody = request("OPTIONS", "sip:carol%40example.test@127.0.0.1:5060")
        #expect(fork.scene.send(nobody, from: mainServer).map(\.code) == [404])
    }
}
