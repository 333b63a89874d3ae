import CoreScene
import MidRegistrarCore
import Testing

@Suite("A request that is not right")
struct RefusalTests {
    let scene = Scene(Scene.options { $0.strangers = .main })

    private func spoilt(_ old: String, _ new: String, in text: String) -> String {
        text.components(old).joined(separator: new)
    }

    @Test(
        arguments: [
            ("INVITE", "SIP/2.0/UDP 192.0.2.15;;,;,,", 400),
            ("INVITE", "SIP/2.0/UDP", 400), ("REGISTER", "SIP/2.0/UDP [::1", 400),
            ("OPTIONS", "SIP/7.0/UDP 192.0.2.1;branch=z9hG4bKk", 400),
        ])
    func `in its topmost Via alone is answered to where it came from`(
        method: String, via: String, code: Int
    ) {
        let good = request(method, "sip:bob@elsewhere.test")
        let bad = spoilt("SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKcall", via, in: good)
        let sent = scene.send(bad, from: stranger)
        #expect(sent.map(\.to) == [stranger])
        #expect(sent.map(\.code) == [code])
        #expect(sent.first?.all("Via") == [via])
        #expect(sent.first?.first("Call-ID") == "call@main")
        #expect(sent.first?.first("To").contains(";tag=") == true)
        #expect(scene.counter(.rejectMalformed) == 1)

        // What nobody could match, and an ACK, are not answered.
        let nameless = spoilt("Call-ID", "X-Call-ID", in: bad)
        #expect(scene.send(nameless, from: stranger).isEmpty)
        #expect(scene.send(spoilt(method, "ACK", in: bad), from: stranger).isEmpty)
        #expect(scene.counter(.droppedNoVia) == 2)
    }

    @Test func `in its version is told so, although its Via says the same`() {
        let bad = spoilt("SIP/2.0", "SIP/7.0", in: request("OPTIONS", "sip:bob@elsewhere.test"))
        #expect(scene.send(bad, from: stranger).map(\.code) == [505])
        #expect(scene.counter(.rejectVersion) == 1)
    }

    @Test(arguments: ["INVITE", "OPTIONS", "REGISTER", "CANCEL"])
    func `with headers in its request-URI goes no further`(method: String) {
        let uri = "sip:bob@elsewhere.test?Route=%3Csip:evil.test%3E"
        #expect(scene.send(request(method, uri), from: stranger).map(\.code) == [400])
        #expect(scene.send(request("ACK", uri), from: stranger).isEmpty)
        #expect(scene.counter(.callsToMain) == 0)
    }

    @Test(
        arguments: [
            ("<sip:alice@192.0.2.1:5062?Route=%3Csip:evil.test%3E>", "sip:alice@192.0.2.1:5062"),
            (
                "<sip:alice@192.0.2.1:5062;method=BYE;transport=udp?Subject=x>",
                "sip:alice@192.0.2.1:5062;transport=udp"
            ),
            ("<sip:alice@192.0.2.1;Method=MESSAGE>", "sip:alice@192.0.2.1"),
            ("sip:alice@192.0.2.1;method=x", "sip:alice@192.0.2.1"),
        ])
    func `is not made of a registered URI (§16.6 step 2)`(contact: String, target: String) {
        var phone = Phone(contact: contact)
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        let accepted = scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        #expect(accepted.map(\.code) == [200])
        let bare = contact.first == "<" ? String(contact.dropLast()) : contact
        #expect(accepted[0].first("Contact").contains(bare))
        let id = relayed.first("Contact").contactID
        let call = request("INVITE", "sip:alice@127.0.0.1:5060;ctid=\(id)")
        #expect(
            scene.call(call, from: mainServer).map(\.startLine) == ["INVITE \(target) SIP/2.0"])
    }
}
