import Bytes
import CoreScene
import Keys
import MidRegistrarCore
import Registration
import Testing

@Suite("Which binding a contact means (instance, then push, then URI)")
struct MatchingTests {
    /// Registers two contacts, one after the other, from two places with two Call-IDs.
    private func bindings(_ first: String, _ second: String) throws -> (count: UInt64, sameID: Bool)
    {
        let scene = Scene()
        var one = Phone(contact: first, callID: "a@h")
        var two = Phone(from: phoneB, contact: second, callID: "b@h")
        let before = try #require(scene.send(one.register(), from: one.from).first)
        scene.send(answer(before), from: mainServer, socket: mainSocket)
        let after = try #require(scene.send(two.register(), from: two.from).first)
        let told = try #require(
            scene.send(answer(after), from: mainServer, socket: mainSocket).first)
        #expect(told.contacts.contains { $0.contains(second.prefix { $0 != ">" }) })
        return (
            scene.gauge(.bindings), before.contacts[0].contactID == after.contacts[0].contactID
        )
    }

    /// Stands for C3 P1.
    @Test(
        arguments: [
            // The same instance at a new address; two instances at one address.
            (
                "<sip:a@192.0.2.1>;+sip.instance=\"<urn:uuid:1>\"",
                "<sip:a@192.0.2.2>;+sip.instance=\"<urn:uuid:1>\"", 1, 1
            ),
            (
                "<sip:a@192.0.2.1>;+sip.instance=\"<urn:uuid:1>\"",
                "<sip:a@192.0.2.1>;+sip.instance=\"<urn:uuid:2>\"", 2, 2
            ),
            // Flows of one instance are bindings of one contact (RFC 5626 §6, §7).
            (
                "<sip:a@192.0.2.1>;+sip.instance=\"<urn:uuid:1>\";reg-id=1",
                "<sip:a@192.0.2.2>;+sip.instance=\"<urn:uuid:1>\";reg-id=2", 2, 1
            ),
            (
                "<sip:a@192.0.2.1>;+sip.instance=\"<urn:uuid:1>\";reg-id=1",
                "<sip:a@192.0.2.1>;reg-id=2;+sip.instance=\"<urn:uuid:1>\"", 2, 1
            ),
            (
                "<sip:a@192.0.2.1>;+sip.instance=\"<urn:uuid:1>\";reg-id=1",
                "<sip:a@192.0.2.2>;+sip.instance=\"<urn:uuid:1>\";reg-id=1", 1, 1
            ),
            (
                "<sip:a@192.0.2.1>;+sip.instance=\"<urn:uuid:1>\";reg-id=1",
                "<sip:a@192.0.2.2>;+sip.instance=\"<urn:uuid:2>\";reg-id=1", 2, 2
            ),
            (
                "<sip:a@192.0.2.1>;+sip.instance=\"<urn:uuid:1>\"",
                "<sip:a@192.0.2.2>;+sip.instance=\"<urn:uuid:1>\";reg-id=1", 2, 1
            ),
            // Without an instance a flow number names nothing.
            ("<sip:a@192.0.2.1>;reg-id=1", "<sip:a@192.0.2.1>;reg-id=2", 1, 1),
            // The same push at a new address; two pushes at one address; another provider.
            (
                "<sip:a@192.0.2.1;pn-provider=apns;pn-prid=x;pn-param=p>",
                "<sip:a@192.0.2.2;pn-provider=apns;pn-prid=x;pn-param=p>", 1, 1
            ),
            (
                "<sip:a@192.0.2.1;pn-provider=apns;pn-prid=x>",
                "<sip:a@192.0.2.1;pn-provider=apns;pn-prid=y>", 2, 2
            ),
            (
                "<sip:a@192.0.2.1;pn-provider=apns;pn-prid=x>",
                "<sip:a@192.0.2.1;pn-provider=fcm;pn-prid=x>", 2, 2
            ),
            // Without a device there is nothing to match by but the URI.
            ("<sip:a@192.0.2.1;pn-provider=apns>", "<sip:a@192.0.2.2;pn-provider=apns>", 2, 2),
            ("<sip:a@192.0.2.1:5060;X=1>", "<sip:%61@192.0.2.1:5060;x=1>", 1, 1),
            ("<sip:a@192.0.2.1>", "<sip:A@192.0.2.1>", 2, 2),
            ("<sip:a@192.0.2.1>", "<sip:a@192.0.2.1:5060>", 2, 2),
        ] as [(String, String, UInt64, Int)])
    func `means`(first: String, second: String, count: UInt64, contacts: Int) throws {
        let found = try bindings(first, second)
        #expect(found.count == count)
        #expect(found.sameID == (contacts == 1))
    }

    @Test func `a keep-alive over STUN is answered in place`() {
        let scene = Scene()
        let request: [UInt8] =
            [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42] + (1...12).map { UInt8($0) }
        scene.deliver(request, from: phoneA)
        let sent = scene.drain()
        #expect(sent.count == 1 && sent.first?.to == phoneA)
        #expect(scene.lastBytes.count == 32 && scene.lastBytes.prefix(2) == [1, 1])
        scene.deliver(request, from: mainServer, socket: mainSocket)
        scene.deliver(Array(request.dropLast()), from: phoneA)
        #expect(scene.drain().isEmpty)
        #expect(scene.counter(.receivedKeepAlives) == 1)
        #expect(scene.counter(.droppedMalformed) == 1 && scene.counter(.droppedNoVia) == 1)
    }
}
