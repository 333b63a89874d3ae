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
}
