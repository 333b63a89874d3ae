import Bytes
import CMallocCount
import CoreScene
import MidRegistrarCore
import Registration
import Testing

@Suite("Phones behind NAT")
struct PingTests {
    private static func options(_ ping: CoreOptions.NATPing) -> CoreOptions {
        Scene.options { $0.natPing = ping }
    }

    private func isPing(_ sent: Sent) -> Bool {
        sent.text == "\r\n\r\n" || sent.method == "OPTIONS"
    }

    /// A phone whose packets come from elsewhere than it says.
    private static func natted(_ number: Int = 0) -> Phone {
        Phone(
            user: "n\(number)", from: address("198.51.100.7:\(20_000 + number)"),
            contact: "<sip:n\(number)@10.0.0.\(number % 250 + 1):5062>", callID: "n\(number)@p")
    }

    @Test(arguments: [
        ("192.0.2.1:5062", "192.0.2.1:5062", "192.0.2.1:5062", false),
        // A Contact on another port of the host that sends is no NAT.
        ("192.0.2.1:5062", "192.0.2.1:6000", "192.0.2.1:5062", false),
        ("192.0.2.1:5060", "192.0.2.1", "192.0.2.1", false),
        ("192.0.2.1:5062", "192.0.2.1:5062", "192.0.2.1", true),
        ("192.0.2.1:5062", "10.0.0.1:5062", "192.0.2.1:5062", true),
        ("192.0.2.1:5062", "192.0.2.1:5062", "10.0.0.1:5062", true),
        ("192.0.2.1:9999", "192.0.2.1:5062", "192.0.2.1:5062", true),
        ("192.0.2.1:5062", "phone.example.test:5062", "192.0.2.1:5062", true),
        ("[2001:db8::1]:5062", "[2001:db8::1]:5062", "[2001:db8:0::1]:5062", false),
        ("[2001:db8::1]:5062", "[2001:db8::2]:5062", "[2001:db8::1]:5062", true),
    ])
    func `are those that send from elsewhere than they say`(
        source: String, contact: String, sentBy: String, isPinged: Bool
    ) {
        let scene = Scene(Self.options(.crlf))
        var phone = Phone(
            from: address(source), socket: source.hasPrefix("[") ? 3 : listener,
            contact: "<sip:alice@\(contact)>")
        phone.sentBy = sentBy
        scene.register(&phone)
        let sent = scene.advance(ms: 100_000, step: 100)
        #expect(sent.allSatisfy { isPing($0) && $0.to == phone.from && $0.socket == phone.socket })
        #expect(sent.count == (isPinged ? 4 : 0))
    }

    @Test func `are not pinged by us if another proxy is between`() {
        let scene = Scene(Self.options(.crlf))
        var phone = Self.natted()
        phone.extra = ["Via: SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bKinner"]
        scene.register(&phone)
        #expect(scene.gauge(.bindings) == 1)
        #expect(scene.advance(ms: 60_000, step: 100).isEmpty)
    }

    @Test func `cost nothing when pings are off`() {
        let scene = Scene(Self.options(.off))
        var phone = Self.natted()
        scene.register(&phone)
        var woken = 0
        for _ in 0..<60 {
            if scene.nextTimer <= scene.now + 500 { woken += 1 }
            #expect(scene.advance(ms: 1_000, step: 1_000).isEmpty)
        }
        #expect(woken <= 60)
        #expect(scene.counter(.pingsSent) == 0)
    }

    @Test func `wake nobody if there are none`() {
        let scene = Scene(Self.options(.crlf))
        scene.now = 1_000_001
        var phone = Phone()
        scene.register(&phone)
        scene.advance(ms: 1, step: 1)
        #expect(scene.nextTimer == 1_001_000)
        var other = Self.natted()
        scene.register(&other)
        scene.advance(ms: 1, step: 1)
        #expect(scene.nextTimer == 1_000_100)
    }

    @Test func `get one ping in 25 s, spread evenly`() {
        let scene = Scene(Self.options(.crlf))
        for number in 0..<250 {
            var phone = Self.natted(number)
            scene.register(&phone)
        }
        scene.advance(ms: 25_000, step: 100)
        var counts: [TransportAddress: Int] = [:]
        var mostAtOnce = 0
        for _ in 0..<100 {
            let sent = scene.advance(ms: 1_000, step: 100)
            mostAtOnce = max(mostAtOnce, sent.count)
            for ping in sent { counts[ping.to, default: 0] += 1 }
        }
        #expect(counts.count == 250)
        #expect(counts.values.allSatisfy { $0 == 4 })
        // Ten a second on average.
        #expect(mostAtOnce <= 15)
        #expect(scene.counter(.pingsSent) >= 1_000)
    }

    @Test func `are still known after a restart`() {
        let scene = Scene(Self.options(.crlf))
        var phone = Self.natted()
        scene.register(&phone)
        scene.restart()
        #expect(scene.advance(ms: 50_000, step: 100).map(\.to) == [phone.from, phone.from])
    }

    @Test func `are left alone once they are gone`() {
        let scene = Scene(Self.options(.crlf))
        var phone = Self.natted()
        scene.register(&phone)
        scene.register(&phone, expires: 0)
        #expect(scene.advance(ms: 60_000, step: 100).isEmpty)
        scene.register(&phone, expires: 60)
        let sent = scene.advance(ms: 120_000, step: 100)
        #expect(sent.filter(isPing).count <= 3)
    }

    @Test func `are pinged at their new flow, and not any more when it is direct`() {
        let scene = Scene(Self.options(.crlf))
        var phone = Self.natted()
        scene.register(&phone)
        phone.from = address("198.51.100.7:31000")
        scene.register(&phone)
        #expect(scene.advance(ms: 25_000, step: 100).map(\.to) == [phone.from])
        phone.from = address("10.0.0.1:5062")
        phone.sentBy = "10.0.0.1:5062"
        scene.register(&phone)
        #expect(scene.advance(ms: 60_000, step: 100).isEmpty)
    }

    @Test func `get no more at once than a call may do, and all in the end`() {
        let scene = Scene(Self.options(.crlf))
        for number in 0..<900 {
            var phone = Self.natted(number)
            scene.register(&phone)
        }
        scene.advance(ms: 100, step: 100)
        // The worker stood still for a round.
        scene.now += 25_000
        for _ in 0..<3 {
            #expect(scene.advance(ms: 0).count == 256)
            #expect(scene.nextTimer <= scene.now)
        }
        #expect((100..<256).contains(scene.advance(ms: 0).count))
        #expect(scene.nextTimer > scene.now)
    }

    @Test(arguments: [CoreOptions.NATPing.crlf, .options])
    func `are pinged without asking for memory`(ping: CoreOptions.NATPing) {
        let scene = Scene(Self.options(ping))
        for number in 0..<100 {
            var phone = Self.natted(number)
            scene.register(&phone)
        }
        scene.advance(ms: 30_000, step: 100)
        let before = scene.counter(.pingsSent)
        #expect(scene.measureFire(ms: 25_000) { midreg_mallocs_of_thread() } == 0)
        #expect(scene.counter(.pingsSent) == before + 100)
    }

    @Test func `are granted less, so that they keep their way open`() {
        for (seconds, expected) in [(UInt32.max, 600), (90, 90)] {
            let scene = Scene(
                Scene.options {
                    $0.natPing = .off
                    $0.natSeconds = seconds
                })
            var natted = Self.natted()
            var plain = Phone()
            for _ in 0..<2 {
                #expect(scene.register(&natted).first?.expires() == expected)
                #expect(scene.register(&plain).first?.expires() == 600)
                _ = scene.advance(s: 60)
            }
            #expect(scene.counter(.registerAbsorbed) == 2)
        }
    }

    // MARK: OPTIONS

    /// A phone behind NAT, and the contact by which the main registrar calls it.
    private func scene() -> (Scene, Phone, id: String) {
        let scene = Scene(Self.options(.options))
        var phone = Self.natted()
        let relayed = scene.send(phone.register(), from: phone.from)[0]
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        return (scene, phone, relayed.contacts[0].contactID)
    }

    private func call(_ id: String) -> String {
        [
            "INVITE sip:n0@127.0.0.1:5060;ctid=\(id) SIP/2.0",
            "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKcall", "Max-Forwards: 70",
            "From: <sip:bob@example.test>;tag=b", "To: <sip:n0@example.test>", "Call-ID: c@main",
            "CSeq: 1 INVITE", "Contact: <sip:bob@127.0.0.1:5070>", "Content-Length: 0", "", "",
        ].joined(separator: "\r\n")
    }

    @Test func `are asked by OPTIONS, each a request of its own`() {
        let (scene, phone, _) = scene()
        let sent = scene.advance(ms: 50_000, step: 100)
        #expect(sent.count == 2)
        #expect(sent.allSatisfy { $0.startLine == "OPTIONS sip:n0@10.0.0.1:5062 SIP/2.0" })
        #expect(sent.allSatisfy { $0.to == phone.from && $0.socket == listener })
        #expect(sent.allSatisfy { $0.first("To") == "<sip:n0@10.0.0.1:5062>" })
        #expect(sent[0].first("Via") != sent[1].first("Via"))
        #expect(sent[0].first("Call-ID") == sent[1].first("Call-ID"))
        let numbers = sent.compactMap { Int($0.first("CSeq").prefix { $0 != " " }) }
        #expect(numbers.count == 2 && numbers[1] == numbers[0] + 1)
    }

    @Test func `are called 480 after three lost ones, and not before`() {
        let (scene, phone, id) = scene()
        for lost in 0..<3 {
            let sent = scene.advance(ms: 25_000, step: 100)
            #expect(sent.filter { $0.method == "OPTIONS" }.count == 1)
            #expect(scene.counter(.pingsLost) == UInt64(lost))
            #expect(scene.call(call(id), from: mainServer).map(\.to) == [phone.from])
        }
        scene.advance(ms: 25_000, step: 100)
        #expect(scene.counter(.pingsLost) == 3)
        #expect(scene.counter(.bindingsUnreachable) == 1)
        #expect(scene.call(call(id), from: mainServer).map(\.code) == [480])
        // It stays and is asked on; it is counted once.
        scene.advance(ms: 25_000, step: 100)
        #expect(scene.gauge(.bindings) == 1)
        #expect(scene.counter(.bindingsUnreachable) == 1)
    }

    @Test(arguments: [200, 404, 100])
    func `are there again with any answer`(code: Int) {
        let (scene, phone, id) = scene()
        let sent = scene.advance(ms: 100_000, step: 100)
        #expect(scene.call(call(id), from: mainServer).map(\.code) == [480])
        // A forged one, and one from elsewhere, change nothing.
        scene.send(answer(sent[3], code), from: stranger)
        #expect(scene.call(call(id), from: mainServer).map(\.code) == [480])
        scene.send(answer(sent[3], code), from: phone.from)
        #expect(scene.counter(.pingsAnswered) == 1)
        #expect(scene.call(call(id), from: mainServer).map(\.to) == [phone.from])
    }

    @Test func `are there again with a refresh`() {
        var (scene, phone, id) = scene()
        scene.advance(ms: 100_000, step: 100)
        #expect(scene.call(call(id), from: mainServer).map(\.code) == [480])
        #expect(scene.send(phone.register(), from: phone.from).map(\.code) == [200])
        #expect(scene.call(call(id), from: mainServer).map(\.to) == [phone.from])
    }

    @Test func `are removed at their local expiry, reachable or not`() {
        let (scene, _, _) = scene()
        let sent = scene.advance(ms: 605_000, step: 500)
        #expect(sent.filter { $0.method == "REGISTER" }.count >= 1)
        #expect(scene.counter(.bindingsExpired) == 1)
    }
}
