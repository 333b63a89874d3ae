import Bytes
import CoreScene
import MidRegistrarCore
import Registration
import Testing

@Suite("GRUU (RFC 5627)")
struct GRUUTests {
    private func scene(_ change: (inout CoreOptions) -> Void = { _ in }) -> Scene {
        Scene(
            Scene.options {
                $0.givesGRUUs = true
                change(&$0)
            })
    }

    private func phone() -> Phone {
        var phone = Phone(
            contact: "<sip:alice@192.0.2.1:5062>;+sip.instance=\"<urn:uuid:1>\"")
        phone.extra = ["Supported: gruu, path"]
        return phone
    }

    /// The value of a quoted parameter.
    private func value(_ name: String, _ sent: Sent?) -> String {
        let parts = (sent?.contacts.first ?? "").components(";\(name)=\"")
        return parts.count == 2 ? String(parts[1].prefix { $0 != "\"" }) : ""
    }

    private func invite(_ uri: String) -> String {
        [
            "INVITE \(uri) SIP/2.0", "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKi1",
            "Max-Forwards: 70", "From: <sip:bob@example.test>;tag=b",
            "To: <sip:alice@example.test>", "Call-ID: i1", "CSeq: 1 INVITE", "Content-Length: 0",
            "", "",
        ].joined(separator: "\r\n")
    }

    @Test(arguments: [RegistrationMode.throttleByContact, .throttleByAOR])
    func `are told by the relayed and the absorbed answer, and lead to the phone`(
        mode: RegistrationMode
    ) throws {
        let scene = scene { $0.mode = mode }
        var alice = phone()
        let first = scene.register(&alice).first
        _ = scene.advance(s: 5)
        let second = scene.send(alice.register(), from: alice.from).first
        #expect(scene.counter(.registerAbsorbed) == 1)
        #expect(value("pub-gruu", first).hasPrefix("sip:alice%40example.test@127.0.0.1:5060;gr="))
        #expect(value("pub-gruu", first) == value("pub-gruu", second))
        // A new one with each REGISTER, and the earlier ones go on.
        #expect(value("temp-gruu", first) != value("temp-gruu", second))
        for uri in [
            value("pub-gruu", first), value("temp-gruu", first), value("temp-gruu", second),
        ] {
            let call = scene.call(invite(uri), from: mainServer).first
            #expect(call?.to == alice.from, "\(uri)")
            #expect(call?.startLine == "INVITE sip:alice@192.0.2.1:5062 SIP/2.0")
            #expect(scene.call(invite(uri), from: stranger).first?.code == 403)
        }
    }

    @Test func `a temporary one ends with its Call-ID, the public one does not`() throws {
        let scene = scene()
        var alice = phone()
        let first = scene.register(&alice).first
        alice.callID = "another@h"
        let second = scene.register(&alice).first
        #expect(scene.call(invite(value("temp-gruu", first)), from: mainServer).first?.code == 480)
        #expect(
            scene.call(invite(value("temp-gruu", second)), from: mainServer).first?.to == phoneA)
        #expect(scene.call(invite(value("pub-gruu", first)), from: mainServer).first?.to == phoneA)
    }

    @Test func `none for who does not ask, has no instance, or when they are off`() throws {
        for (option, instance, isOn) in [
            ("path", true, true), ("gruu", false, true), ("gruu", true, false),
        ] {
            let scene = scene { $0.givesGRUUs = isOn }
            var alice = phone()
            alice.extra = ["Supported: \(option)"]
            if !instance { alice.contact = "<sip:alice@192.0.2.1:5062>" }
            for _ in 0..<2 {
                let told = try #require(scene.register(&alice).first)
                #expect(told.code == 200 && !told.text.contains("gruu"))
            }
        }
    }
}
