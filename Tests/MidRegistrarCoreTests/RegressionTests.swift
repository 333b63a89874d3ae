import CoreScene
import Forwarding
import MidRegistrarCore
import Registration
import StoreInMemory
import Testing

/// What broke in the peers once, each by its name in the project's lists: R1–R20 are repairs of
/// OpenSIPS' mid-registrar, numbers are reports in its tracker. `Tests/README.md` says where the rest is.
@Suite("What broke elsewhere does not break here")
struct RegressionTests {
    private static let modes = RegistrationMode.allCases

    private func scene(
        _ mode: RegistrationMode, _ change: (inout CoreOptions) -> Void = { _ in }
    ) -> Scene {
        Scene(
            Scene.options { options in
                options.mode = mode
                change(&options)
            })
    }

    private func other() -> Phone {
        Phone(from: phoneB, contact: "<sip:alice@192.0.2.2:5062>", callID: "call-2@phone")
    }

    /// Stands for C4 again.
    @Test(arguments: modes)
    func `R1: an answer that the main registrar sends again is taken once`(mode: RegistrationMode) {
        let scene = scene(mode)
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        let accepted = answer(relayed)
        #expect(scene.send(accepted, from: mainServer, socket: mainSocket).map(\.code) == [200])
        let staged = scene.counter(.factsStaged)
        scene.advance(ms: 5_000)
        #expect(scene.send(accepted, from: mainServer, socket: mainSocket).isEmpty)
        #expect(scene.counter(.mainDuplicate) == 1 && scene.counter(.factsStaged) == staged)
        // Nor does it lengthen what the phone was granted.
        scene.advance(ms: 597_000)
        #expect(scene.counter(.bindingsExpired) == 1)
    }

    /// Stands for C4 timeout.
    @Test(arguments: modes)
    func `R2: a main registrar that never answers leaves nothing behind`(mode: RegistrationMode) {
        let scene = scene(mode)
        for number in 0..<20 {
            var phone = Phone(user: "user\(number)", callID: "c\(number)xxxx@p")
            #expect(scene.send(phone.register(), from: phoneA).map(\.to) == [mainServer])
        }
        #expect(scene.gauge(.relaysInFlight) == 20)
        // Nobody is told 408 meanwhile (C4: timeout; RFC 4320 §4.2).
        #expect(scene.advance(ms: 70_000).isEmpty)
        scene.send(Phone(user: "late", callID: "late@p").text(), from: phoneA)
        scene.advance(ms: 70_000)
        scene.send(Phone(user: "later", callID: "later@p").text(), from: phoneA)
        #expect(scene.gauge(.relaysInFlight) <= 2)
        #expect(scene.gauge(.bindings) == 0 && scene.gauge(.addressesOfRecord) == 0)
        #expect(scene.store.visible.isEmpty && scene.store.durable.isEmpty)
    }

    @Test(arguments: modes)
    func `R4: a 200 without Contact registers nobody, and ends what leaves last`(
        mode: RegistrationMode
    ) {
        let scene = scene(mode)
        var phone = Phone()
        let first = scene.send(phone.register(), from: phoneA)[0]
        let got = scene.send(answer(first, without: true), from: mainServer, socket: mainSocket)
        #expect(got.map(\.code) == [200] && got[0].contacts.isEmpty)
        #expect(scene.gauge(.bindings) == 0 && scene.counter(.mainDroppedContact) == 1)
        scene.register(&phone)
        let last = scene.send(phone.register(expires: 0), from: phoneA)[0]
        #expect(last.expires() == 0)
        let done = scene.send(answer(last, without: true), from: mainServer, socket: mainSocket)
        #expect(done.map(\.code) == [200] && done[0].contacts.isEmpty)
        #expect(scene.gauge(.bindings) == 0 && scene.store.durable.isEmpty)
    }

    /// Stands for C3 b; C4 2xx, AOR; C4 less; C4 to the phone.
    @Test(
        arguments: modes,
        [(nil, 600), (600, 600), (7_200, 600), (300, 300), (1, 1)] as [(Int?, Int)])
    func `R5, R6: what the main registrar grants is told, if it is less, and if it says nothing`(
        mode: RegistrationMode, grant: (says: Int?, told: Int)
    ) {
        let scene = scene(mode)
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        let got = scene.send(
            answer(relayed, expires: grant.says, expiry: grant.says != nil), from: mainServer,
            socket: mainSocket)
        #expect(got.map { $0.expires() } == [grant.told])
        // In no field is the phone told what the main registrar granted to us.
        #expect(got[0].all("Expires").isEmpty)
    }

    /// Stands for C3 b; C3 granted.
    @Test(
        arguments: [
            (.throttleByContact, 1, 3_600, 60), (.throttleByContact, 100_000, 3_600, 300),
            (.throttleByAOR, 1, 3_600, 60), (.throttleByAOR, 100_000, 3_600, 300),
            // There is no lifetime of ours: the main registrar sees the phone's.
            (.mirror, 1, 1, 1), (.mirror, 100_000, 100_000, 100_000),
        ] as [(RegistrationMode, Int, Int, Int)])
    func `R7: the limits for phones are none towards the main registrar`(
        mode: RegistrationMode, asks: Int, main: Int, told: Int
    ) {
        let scene = scene(mode) {
            $0.maxSeconds = 300
            $0.refusesShort = false
        }
        var phone = Phone()
        let relayed = scene.send(phone.register(expires: asks), from: phoneA)[0]
        #expect(relayed.expires() == main && relayed.first("Expires") == "\(main)")
        let got = scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        #expect(got.map { $0.expires() } == [told])
    }

    struct Lifetime: Sendable, CustomTestStringConvertible {
        let field: String?
        let parameter: String?
        /// What it means; `nil` if the request is refused.
        let asks: Int?

        var testDescription: String {
            "Expires: \(field ?? "none"), expires=\(parameter ?? "none")"
        }
    }

    static let lifetimes = [
        Lifetime(field: "700", parameter: nil, asks: 700),
        Lifetime(field: nil, parameter: "700", asks: 700),
        Lifetime(field: "900", parameter: "700", asks: 700),
        Lifetime(field: "700", parameter: "900", asks: 900),
        Lifetime(field: nil, parameter: nil, asks: 3_600),
        Lifetime(field: "0", parameter: nil, asks: 0),
        Lifetime(field: nil, parameter: "0", asks: 0),
        Lifetime(field: "700", parameter: "0", asks: 0),
        Lifetime(field: "0", parameter: "700", asks: 700),
        Lifetime(field: "700", parameter: "soon", asks: 3_600),
        Lifetime(field: "soon", parameter: nil, asks: nil),
        Lifetime(field: "-1", parameter: nil, asks: nil),
        Lifetime(field: "99999999999999999999", parameter: nil, asks: 1_728_000),
        Lifetime(field: nil, parameter: "4294967296", asks: 1_728_000),
    ]

    @Test(arguments: lifetimes, modes)
    func `R8, #1309, #2350, #2722: a lifetime is one number, wherever it stood`(
        lifetime: Lifetime, mode: RegistrationMode
    ) {
        let scene = scene(mode)
        var phone = Phone()
        scene.register(&phone)
        let contact = phone.contact + (lifetime.parameter.map { ";expires=\($0)" } ?? "")
        phone.extra = lifetime.field.map { ["Expires: \($0)"] } ?? []
        let sent = scene.send(phone.register(expires: nil, contact: contact), from: phoneA)
        guard let asks = lifetime.asks else {
            #expect(sent.map(\.code) == [400])
            return
        }
        let wanted = mode == .mirror || asks == 0 ? asks : 3_600
        guard let relayed = sent.first, relayed.to == mainServer else {
            Issue.record("it was not relayed")
            return
        }
        // Whoever reads the contact's lifetime and whoever reads the field reads the same.
        #expect(relayed.expires() == wanted)
        #expect(relayed.all("Expires") == (lifetime.field == nil ? [] : ["\(wanted)"]))
        #expect(!relayed.text.contains("expires=-"))
        let got = scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        let told = min(asks, wanted)
        #expect(got.map { $0.expires() } == [told > 0 ? told : nil])
    }

    @Test(arguments: modes)
    func `R14: a phone behind NAT is called where it sends from`(mode: RegistrationMode) {
        let scene = scene(mode)
        var phone = Phone(contact: "<sip:alice@10.0.0.5:5060>", sentBy: "10.0.0.5:5060")
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        let uri = relayed.contacts[0].components(">")[0].components("<")[1]
        let call = scene.call(request("INVITE", uri), from: mainServer)
        #expect(call.map(\.to) == [phoneA])
        #expect(call[0].startLine == "INVITE sip:alice@10.0.0.5:5060 SIP/2.0")
    }

    @Test(arguments: modes)
    func `R15: the same user of two domains is two`(mode: RegistrationMode) {
        let scene = scene(mode)
        var here = Phone()
        var there = Phone(from: phoneB, contact: "<sip:alice@192.0.2.2:5062>", callID: "there@p")
        scene.register(&here)
        let text = there.register().replacing("example.test", with: "example.org")
        let relayed = scene.send(text, from: phoneB)[0]
        let got = scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        #expect(got[0].contacts == ["<sip:alice@192.0.2.2:5062>;expires=600"])
        #expect(scene.gauge(.addressesOfRecord) == 2)
        let refreshed = scene.send(here.register(), from: phoneA)
        #expect(refreshed.last?.contacts.count == 1)
    }

    @Test func `R15: a Path leads to an IPv6 address, too`() {
        let us = address("[2001:db8::5]:5060")
        let scene = Scene(
            Scene.options { options in
                options.contact = MainContact(placement: .path, advertised: us)
                options.ownAddresses = OwnAddresses([us])
            })
        var phone = Phone(from: address("[2001:db8::9]:5062"), socket: 3)
        let relayed = scene.send(phone.register(), from: phone.from, socket: 3)[0]
        #expect(relayed.first("Path").hasSuffix("@[2001:db8::5]:5060;lr>"))
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        let call = request(
            "INVITE", "sip:alice@192.0.2.1:5062", route: [relayed.first("Path")])
        #expect(scene.call(call, from: mainServer).map(\.to) == [phone.from])
    }

    /// Stands for #1804, #2138, #2615.
    @Test(arguments: modes, [false, true])
    func `R17, #2138: who has left is relayed when it comes back`(
        mode: RegistrationMode, beside: Bool
    ) {
        let scene = scene(mode)
        var phone = Phone()
        var sibling = other()
        if beside { scene.register(&sibling) }
        scene.register(&phone)
        let removal = scene.send(phone.register(expires: 0), from: phoneA)[0]
        scene.send(answer(removal), from: mainServer, socket: mainSocket)
        let back = scene.send(phone.register(), from: phoneA)
        #expect(back.map(\.to) == [mainServer])
        #expect(back[0].expires() == (mode == .mirror ? 600 : 3_600))
    }

    /// Stands for C3 e; #2536, #3193.
    @Test(arguments: [CoreOptions.Overflow.refuse, .replaceOldest], modes)
    func `#2536: a wrong password takes nobody's place`(
        overflow: CoreOptions.Overflow, mode: RegistrationMode
    ) {
        let scene = scene(mode) {
            $0.contactsMax = 1
            $0.overflow = overflow
        }
        var good = Phone()
        scene.register(&good)
        var bad = other()
        let sent = scene.send(bad.register(), from: phoneB)
        if overflow == .replaceOldest {
            #expect(sent.map(\.to) == [mainServer])
            let got = scene.send(answer(sent[0], 401), from: mainServer, socket: mainSocket)
            #expect(got.map(\.code) == [401])
        } else {
            #expect(sent.map(\.code) == [403])
        }
        #expect(scene.gauge(.bindings) == 1 && scene.counter(.bindingsReplaced) == 0)
        let refreshed = scene.send(good.register(), from: phoneA)
        #expect(refreshed.map(\.to) == [mode == .mirror ? mainServer : phoneA])
    }

    @Test(arguments: modes)
    func `#1516: somebody else's contacts in a 200 are neither told nor kept`(
        mode: RegistrationMode
    ) {
        let scene = scene(mode)
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        let text = answer(
            relayed,
            extra: [
                "Contact: <sip:alice@203.0.113.7:5060>;expires=3600",
                "Contact: <sip:alice@127.0.0.1:5060;ctid=12345>;expires=3600, <sip:x@y>",
            ])
        let got = scene.send(text, from: mainServer, socket: mainSocket)
        #expect(got.map(\.contacts) == [["<sip:alice@192.0.2.1:5062>;expires=600"]])
        #expect(scene.gauge(.bindings) == 1 && scene.store.durable.count == 1)
    }

    @Test(arguments: [true, false])
    func `#3451: what lapses is removed from a port that is known, or not at all`(removes: Bool) {
        let scene = scene(.throttleByContact) { $0.removesExpired = removes }
        var phone = Phone()
        scene.register(&phone)
        let sent = scene.advance(ms: 605_000, step: 1_000)
        #expect(sent.isEmpty == !removes)
        #expect(sent.allSatisfy { $0.socket == ownSocket })
        #expect(sent.allSatisfy { $0.first("Via").contains("127.0.0.1:5170") })
        #expect(scene.counter(.ownRemovalSent) == (removes ? 1 : 0))
    }

    @Test(arguments: modes)
    func `#1141: every answer ends as a message ends`(mode: RegistrationMode) {
        let scene = scene(mode)
        var phone = Phone()
        var sibling = other()
        var answers = scene.register(&phone) + scene.register(&sibling)
        answers += scene.register(&phone)
        answers += scene.send(phone.register(contact: "*"), from: phoneA)
        phone.extra = ["Require: nothing-known"]
        answers += scene.send(phone.register(), from: phoneA)
        #expect(answers.map(\.code) == [200, 200, 200, 400, 420])
        for one in answers {
            #expect(one.text.hasSuffix("\r\n\r\n"))
            #expect(one.text.components("\r\n\r\n").count == 2)
        }
    }

    /// Stands for C4 100.
    @Test(arguments: modes)
    func `C4, 100: a provisional answer is not passed on and changes nothing`(
        mode: RegistrationMode
    ) {
        let scene = scene(mode)
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        for code in [100, 183] {
            let text = answer(relayed, code, reason: "Trying", without: true)
            #expect(scene.send(text, from: mainServer, socket: mainSocket).isEmpty)
        }
        #expect(scene.counter(.mainAnswer1xx) == 2 && scene.gauge(.bindings) == 0)
        let got = scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        #expect(got.map(\.code) == [200])
    }

    /// Stands for C3 f.
    @Test func `C3, f: a removal of a contact that nobody has leaves the AOR's lease alone`() {
        let scene = scene(.throttleByAOR)
        var phone = Phone()
        var stranger = other()
        scene.register(&phone)
        let relayed = scene.send(stranger.register(expires: 0), from: phoneB)
        #expect(relayed.map(\.to) == [mainServer])
        #expect(relayed[0].expires() == 3_600)
        scene.send(answer(relayed[0]), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.bindings) == 1)
        #expect(scene.send(phone.register(), from: phoneA).map(\.code) == [200])
    }
}
