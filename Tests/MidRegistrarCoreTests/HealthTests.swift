import Bytes
import CoreScene
import Keys
import MidRegistrarCore
import Registration
import Testing

private func phone(_ number: Int) -> Phone {
    Phone(
        user: "user\(number)", from: address("192.0.2.\(number % 250 + 1):\(5_062 + number / 250)"),
        contact: "<sip:user\(number)@192.0.2.\(number):5062>", callID: "call-\(number)@phone")
}

private func scene(_ change: (inout CoreOptions) -> Void = { _ in }) -> Scene {
    Scene(Scene.options(change))
}

/// How many of the phones' refreshes are relayed.
private func relayed(_ scene: Scene, _ phones: inout [Phone], answering: Bool = true) -> Int {
    var count = 0
    for number in phones.indices {
        let sent = scene.send(
            phones[number].register(), from: phones[number].from, socket: phones[number].socket)
        guard let request = sent.first, request.to == mainServer else { continue }
        count += 1
        if answering { scene.send(answer(request), from: mainServer, socket: mainSocket) }
    }
    return count
}

@Suite("A main registrar that forgets, falls silent or has too much to do")
struct HealthTests {
    @Test func `down and up again: every lease is confirmed anew, spread over a minute`() throws {
        let scene = scene()
        var phones = (1...60).map(phone)
        for number in phones.indices { scene.register(&phones[number]) }
        #expect(relayed(scene, &phones) == 0)
        // It answers nothing for more than ten seconds.
        var other = phone(200)
        _ = scene.send(other.register(), from: other.from)
        _ = scene.advance(s: 11)
        let request = try #require(scene.send(other.register(), from: other.from).first)
        #expect(scene.counter(.mainWentDown) == 1 && scene.gauge(.mainDown) == 1)
        _ = scene.advance(s: 5)
        scene.send(answer(request), from: mainServer, socket: mainSocket)
        #expect(scene.gauge(.mainDown) == 0 && scene.counter(.resyncs) == 1)
        // Absorbed until their moment has come, each once.
        var shares: [Int] = []
        for _ in 0..<4 {
            shares.append(relayed(scene, &phones))
            _ = scene.advance(s: 21)
        }
        #expect(shares.reduce(0, +) == 60)
        #expect(shares.dropFirst().allSatisfy { $0 > 5 }, "\(shares)")
        #expect(scene.counter(.relayResync) == 60)
    }

    @Test func `nine seconds of silence are not down`() {
        let scene = scene()
        var one = phone(1)
        _ = scene.send(one.register(), from: one.from)
        _ = scene.advance(ms: 9_900)
        _ = scene.send(one.register(), from: one.from)
        #expect(scene.counter(.mainWentDown) == 0)
    }

    /// Stands for C3 P8.
    @Test func `a resync is paced: its moments spread over leases by rate`() {
        let scene = scene {
            $0.resyncPerSecond = 1
            $0.maxSeconds = 600
        }
        var phones = (1...200).map(phone)
        for number in phones.indices { scene.register(&phones[number], expires: 600) }
        scene.sync(over: nil)
        _ = scene.advance(s: 100)
        let first = relayed(scene, &phones)
        #expect((60...140).contains(first), "\(first)")
        _ = scene.advance(s: 100)
        #expect(relayed(scene, &phones) == 200 - first)
        #expect(relayed(scene, &phones) == 0)
    }

    @Test func `sync over zero seconds takes all at once, of one AOR only that one`() {
        let scene = scene()
        var phones = (1...3).map(phone)
        for number in phones.indices { scene.register(&phones[number]) }
        #expect(scene.sync(aor: "sip:user2@EXAMPLE.test") == 1)
        #expect(scene.sync(aor: "sip:nobody@example.test") == 0)
        #expect(scene.sync(aor: "nonsense") == nil)
        #expect(relayed(scene, &phones) == 1)
        #expect(relayed(scene, &phones) == 0)
        _ = scene.advance(ms: 1)
        scene.sync(over: 0)
        #expect(relayed(scene, &phones) == 3)
    }

    @Test func `404 to eight AORs it knew: it has forgotten; to one for ever: only that one`()
        throws
    {
        for count in [1, 7, 20] {
            let scene = scene { $0.maxSeconds = 600 }
            var phones = (1...40).map(phone)
            for number in phones.indices { scene.register(&phones[number]) }
            _ = scene.advance(s: 10)
            for round in 0..<20 {
                let number = round % count
                phones[number].sequence += 1 << 21
                let request = try #require(
                    scene.send(phones[number].register(), from: phones[number].from).first)
                #expect(request.to == mainServer)
                scene.send(
                    answer(request, 404, reason: "Not Found"), from: mainServer,
                    socket: mainSocket)
            }
            #expect(scene.counter(.mainForgot) == (count == 20 ? 1 : 0), "\(count)")
        }
    }

    @Test func `a list that misses a sibling makes it dirty, once two stood in one list`() throws {
        let scene = scene()
        var one = Phone()
        var two = Phone(from: phoneB, contact: "<sip:alice@192.0.2.2:5062>", callID: "call-2@b")
        let first = try #require(scene.send(one.register(), from: one.from).first)
        scene.send(answer(first), from: mainServer, socket: mainSocket)
        let second = try #require(scene.send(two.register(), from: two.from).first)
        // Lists only what was asked: says nothing.
        scene.send(answer(second), from: mainServer, socket: mainSocket)
        #expect(scene.send(one.register(), from: one.from).first?.to == one.from)
        func contacts(_ requests: [Sent]) -> [String] {
            requests.map { "Contact: \($0.contacts[0])" }
        }
        // Lists both: from now on a missing one is lost.
        two.sequence += 1 << 21
        let third = try #require(scene.send(two.register(), from: two.from).first)
        scene.send(
            answer(third, without: true, extra: contacts([first, third])), from: mainServer,
            socket: mainSocket)
        #expect(scene.send(one.register(), from: one.from).first?.to == one.from)
        two.sequence += 1 << 21
        _ = scene.advance(ms: 10)
        let fourth = try #require(scene.send(two.register(), from: two.from).first)
        scene.send(answer(fourth), from: mainServer, socket: mainSocket)
        #expect(scene.counter(.mainMissing) == 1)
        #expect(scene.send(one.register(), from: one.from).first?.to == mainServer)
    }

    /// Stands for C4 5xx/6xx.
    @Test func `one AOR answered 503 for ever holds nobody back`() throws {
        let scene = scene()
        var one = phone(1)
        for _ in 0..<50 {
            let sent = try #require(scene.send(one.register(), from: one.from).first)
            #expect(sent.to == mainServer)
            scene.send(
                answer(sent, 503, reason: "Too Many Contacts", extra: ["Retry-After: 60"]),
                from: mainServer, socket: mainSocket)
        }
        #expect(scene.counter(.mainOverloaded) == 0 && scene.counter(.rejectBackOff) == 0)
        var other = phone(2)
        #expect(scene.send(other.register(), from: other.from).first?.to == mainServer)
    }

    /// Stands for C4 5xx/6xx.
    @Test func `503 to many: midreg answers 503 itself for as long, and one in eight goes through`()
    {
        let scene = scene { $0.inFlightMax = 64 }
        var phones = (1...200).map(phone)
        for number in 0..<40 {
            guard
                let sent = scene.send(
                    phones[number].register(), from: phones[number].from
                ).first,
                sent.to == mainServer
            else { continue }
            scene.send(
                answer(sent, 503, reason: "Busy", extra: ["Retry-After: 7"]), from: mainServer,
                socket: mainSocket)
        }
        #expect(scene.counter(.mainOverloaded) == 1)
        var held = 0
        var through = 0
        var delays: Set<String> = []
        for number in 40..<200 {
            let sent = scene.send(phones[number].register(), from: phones[number].from)
            if sent.first?.code == 503 {
                held += 1
                delays.insert(sent.first?.first("Retry-After") ?? "")
            } else {
                through += 1
            }
        }
        #expect(held > 110 && through > 5, "\(held) \(through)")
        #expect(delays.count > 4)
        _ = scene.advance(s: 8)
        let before = scene.counter(.rejectBackOff)
        _ = relayed(scene, &phones)
        #expect(scene.counter(.rejectBackOff) == before)
    }

    @Test func `who has a lease is absorbed during a back-off`() {
        let scene = scene { $0.inFlightMax = 64 }
        var good = phone(250)
        scene.register(&good)
        var phones = (1...40).map(phone)
        for number in phones.indices {
            let sent = scene.send(phones[number].register(), from: phones[number].from)
            guard let request = sent.first, request.to == mainServer else { continue }
            scene.send(answer(request, 503, reason: "Busy"), from: mainServer, socket: mainSocket)
        }
        #expect(scene.counter(.mainOverloaded) == 1)
        let told = scene.send(good.register(), from: good.from)
        #expect(told.first?.code == 200)
    }
}
