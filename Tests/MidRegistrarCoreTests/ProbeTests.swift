import Bytes
import CoreScene
import Forwarding
import MidRegistrarCore
import Registration
import Testing

/// Phones behind one worker, and a main registrar that keeps what it was told until the test takes
/// it away.
private final class World {
    let scene: Scene
    var phones: [Phone]
    /// What the main registrar has, by To.
    var held: [String: [String]] = [:]
    /// Whether it says so to who fetches.
    var lists = true

    init(_ count: Int, now: UInt64 = 1_000_000, _ options: CoreOptions) {
        scene = Scene(options, now: now)
        phones = (0..<count).map { number in
            Phone(
                user: "user\(number)", from: address("192.0.2.\(number + 1):5062"),
                contact: "<sip:user\(number)@192.0.2.\(number + 1):5062>",
                callID: "call-\(number)@phone")
        }
    }

    convenience init(
        _ count: Int, placement: MainContact.Placement = .parameter,
        _ change: (inout CoreOptions) -> Void = { _ in }
    ) {
        self.init(
            count,
            Scene.options(placement: placement) {
                $0.probeMs = 10_000
                change(&$0)
            })
        for number in phones.indices { register(number) }
    }

    /// The phone's REGISTER, relayed and accepted; whether it was relayed.
    @discardableResult
    func register(_ number: Int) -> Bool {
        let sent = scene.send(phones[number].register(), from: phones[number].from)
        guard let request = sent.first, request.to == mainServer else { return false }
        held[request.first("To")] = request.contacts
        scene.send(answer(request), from: mainServer, socket: mainSocket)
        return true
    }

    /// Lets time pass until something leaves our own socket; what that is.
    func next(within ms: UInt64 = 10_000) throws -> Sent {
        let end = scene.now + ms
        while scene.now < end {
            let sent = scene.advance(ms: 100, step: 100).filter { $0.socket == ownSocket }
            if let first = sent.first {
                try #require(sent.count == 1 && first.to == mainServer)
                return first
            }
        }
        return try #require(nil as Sent?, "nothing was sent")
    }

    /// The main registrar answers; what that brings about at our own socket.
    @discardableResult
    func reply(
        _ request: Sent, _ code: Int? = nil, extra: [String] = [],
        from source: TransportAddress = mainServer
    ) -> [Sent] {
        let listed = (held[request.first("To")] ?? []).map { "Contact: \($0)" }
        let text = answer(
            request, code ?? 200, extra: extra + (lists && code ?? 200 < 300 ? listed : []))
        return scene.send(text, from: source, socket: ownSocket).filter { $0.socket == ownSocket }
    }

    /// The next probe, which the main registrar answers.
    @discardableResult
    func probe() throws -> Sent {
        let request = try next()
        #expect(reply(request).isEmpty)
        return request
    }

    /// Lets time pass in which the main registrar answers probes.
    func pass(ms: UInt64) {
        let end = scene.now + ms
        while scene.now < end {
            var sent = scene.advance(ms: min(500, end - scene.now))
            while let request = sent.first(where: { $0.socket == ownSocket }) {
                sent = reply(request)
            }
        }
    }

    /// The main registrar starts anew with nothing.
    func forget() { held = [:] }
}

private func isFetch(_ request: Sent) -> Bool { request.method == "REGISTER" }

@Suite("Probes of the main registrar")
struct ProbeTests {
    @Test func `are not sent if they are off`() {
        let world = World(3) { $0.probeMs = 0 }
        #expect(world.scene.advance(s: 60).isEmpty)
        #expect(world.scene.counter(.probesSent) == 0)
    }

    @Test func `fetch one binding again and again, as requests of our own`() throws {
        let world = World(3)
        world.scene.advance(ms: 5_000)
        let first = try world.probe()
        #expect(first.startLine == "REGISTER sip:example.test SIP/2.0")
        #expect(first.contacts.isEmpty && first.all("Expires").isEmpty)
        let user = String(first.first("To").dropFirst(5).prefix(5))
        #expect(first.first("To") == "<sip:\(user)@example.test>")
        #expect(first.first("From").hasPrefix("<sip:\(user)@example.test>;tag="))
        #expect(!first.first("From").hasSuffix("tag=f1"))
        #expect(first.first("CSeq") == "1 REGISTER")
        #expect(first.first("Call-ID").hasSuffix("-probe"))
        #expect(first.first("Via").hasPrefix("SIP/2.0/UDP 127.0.0.1:5170;branch="))
        let started = world.scene.now
        let second = try world.probe()
        #expect(world.scene.now == started + 10_000)
        #expect(second.first("To") == first.first("To"), "the canary is kept")
        #expect(second.first("Call-ID") == first.first("Call-ID"))
        #expect(second.first("From") == first.first("From"))
        #expect(second.first("CSeq") == "2 REGISTER")
        #expect(second.first("Via") != first.first("Via"))
        #expect(world.scene.counter(.probesSent) == 2)
        #expect(world.scene.counter(.probesAnswered) == 2)
        #expect(world.scene.counter(.probesMissed) == 0)
        #expect(world.scene.counter(.mainMissing) == 0)
        // Another run, another Call-ID: CSeq begins again.
        world.scene.restart()
        let third = try world.probe()
        #expect(third.first("Call-ID") != first.first("Call-ID"))
        #expect(third.first("CSeq") == "1 REGISTER")
    }

    @Test func `ask by OPTIONS where there is no binding, and take any answer`() throws {
        let world = World(0)
        for (number, code) in [200, 404, 486, 503, 600, 100].enumerated() {
            let request = try world.next()
            #expect(request.startLine == "OPTIONS sip:127.0.0.1:5070 SIP/2.0")
            #expect(request.first("From").hasPrefix("<sip:127.0.0.1:5170>;tag="))
            #expect(request.first("To") == "<sip:127.0.0.1:5070>")
            #expect(request.first("CSeq") == "\(number + 1) OPTIONS")
            world.reply(request, code)
            #expect(world.scene.counter(.probesAnswered) == UInt64(number + 1))
            // A copy of the answer is none.
            world.reply(request, code)
            #expect(world.scene.counter(.probesAnswered) == UInt64(number + 1))
        }
        _ = world.scene.advance(s: 10)
        #expect(world.scene.counter(.probesMissed) == 0)
        #expect(world.scene.gauge(.mainDown) == 0)
    }

    @Test func `are repeated by Timer E, and not counted for it`() throws {
        let world = World(1)
        world.scene.advance(ms: 5_000)
        let request = try world.next()
        var copies: [UInt64] = []
        let start = world.scene.now
        while world.scene.now < start + 9_000 {
            let sent = world.scene.advance(ms: 100, step: 100).filter { $0.socket == ownSocket }
            for copy in sent {
                #expect(copy == request)
                copies.append(world.scene.now - start)
            }
        }
        #expect(copies == [500, 1_500, 3_500, 7_500])
        #expect(world.scene.counter(.probesSent) == 1)
        world.reply(request)
        #expect(world.scene.counter(.probesAnswered) == 1)
        #expect(world.scene.counter(.probesMissed) == 0)
    }

    @Test(arguments: [0, 2])
    func `two without an answer are down, one with an answer is up, in an idle night`(
        phones: Int
    ) throws {
        let world = World(phones)
        world.scene.advance(ms: 5_000)
        try world.probe()
        // One that is lost is not enough, and is forgotten with the next that is answered.
        let lost = try world.next()
        _ = world.scene.advance(ms: 9_800)
        try world.probe()
        #expect(world.scene.counter(.probesMissed) == 1)
        world.scene.advance(ms: 9_000)
        let silent = world.scene.now
        while world.scene.gauge(.mainDown) == 0, world.scene.now < silent + 40_000 {
            world.scene.advance(ms: 100, step: 100)
        }
        #expect(world.scene.now - silent < 22_000)
        #expect(world.scene.counter(.mainWentDown) == 1)
        #expect(world.scene.counter(.probesMissed) == 3)
        #expect(world.scene.counter(.resyncs) == 0)
        _ = world.scene.advance(s: 60)
        #expect(world.scene.counter(.mainWentDown) == 1, "it is told once")
        // Also a late answer says that it is there again.
        let answered = world.scene.counter(.probesAnswered)
        world.reply(lost)
        #expect(world.scene.counter(.probesAnswered) == answered)
        #expect(world.scene.gauge(.mainDown) == 0)
        #expect(world.scene.counter(.resyncs) == 1)
        #expect(world.scene.events.contains { $0.kind == .mainUp })
    }

    @Test func `a period longer than 64·T1 ends with it`() throws {
        let world = World(0) { $0.probeMs = 60_000 }
        _ = world.scene.advance(s: 91)
        #expect(world.scene.counter(.probesMissed) == 0)
        _ = world.scene.advance(s: 2)
        #expect(world.scene.counter(.probesMissed) == 1)
        _ = world.scene.advance(s: 60)
        #expect(world.scene.counter(.probesMissed) == 2)
        #expect(world.scene.gauge(.mainDown) == 1)
    }

    @Test func `what relays show counts as well: one answered, and it is not down`() {
        let world = World(3)
        for _ in 0..<10 {
            world.scene.advance(ms: 9_000)
            world.phones[0].sequence += 1 << 21
            #expect(world.register(0))
        }
        #expect(world.scene.counter(.probesMissed) >= 8)
        #expect(world.scene.counter(.mainWentDown) == 0)
    }

    @Test func `one that answers everybody else and no probe is not down, whatever the lull`() {
        let world = World(3)
        _ = world.scene.advance(s: 120)
        #expect(world.scene.counter(.probesMissed) > 8)
        #expect(world.scene.counter(.mainWentDown) == 0 && world.scene.counter(.resyncs) == 0)
    }

    @Test func `answers count from the main side only`() throws {
        let world = World(0)
        let request = try world.next()
        world.reply(request, from: stranger)
        #expect(world.scene.counter(.probesAnswered) == 0)
        #expect(world.scene.counter(.droppedForeignResponse) == 1)
    }

    @Test func `of several workers take turns, and each gets its own answers`() throws {
        var branches: [String] = []
        for worker in 0..<3 {
            let scene = Scene(
                Scene.options {
                    $0.probeMs = 9_000
                    ($0.worker, $0.workers) = (worker, 3)
                })
            let sent = scene.advance(ms: 9_000, step: 100).filter { $0.method == "OPTIONS" }
            #expect(scene.counter(.probesSent) == 1)
            branches.append(sent[0].first("Via"))
            scene.advance(ms: 1)
            // Sent at 3, 6 and 9 seconds.
            let copies = sent.count
            #expect(copies == [4, 3, 1][worker])
            for other in 0..<3 {
                let reader = Scene(
                    Scene.options {
                        $0.probeMs = 9_000
                        ($0.worker, $0.workers) = (other, 3)
                    })
                reader.deliver(answer(sent[0]), from: mainServer, socket: ownSocket)
                #expect(reader.disposition == (other == worker ? .done : .handOver(to: worker)))
            }
        }
        #expect(Set(branches).count == 3)
    }

    @Test func `are left out while nobody was there to send them`() throws {
        let world = World(0)
        try world.probe()
        world.scene.now += 3_600_000
        #expect(world.scene.advance(ms: 1).count == 1)
        #expect(world.scene.advance(ms: 400).isEmpty)
        #expect(world.scene.counter(.probesSent) == 2)
    }
}

@Suite("A canary that the main registrar does not have any more")
struct CanaryTests {
    static let forms: [(MainContact.Placement, RegistrationMode)] = [
        (.parameter, .throttleByContact), (.user, .throttleByContact), (.path, .throttleByContact),
        (.parameter, .throttleByAOR),
    ]

    @Test(arguments: forms)
    func `and the next one at once: it has forgotten`(
        placement: MainContact.Placement, mode: RegistrationMode
    ) throws {
        let world = World(20, placement: placement) { $0.mode = mode }
        world.scene.advance(ms: 5_000)
        for _ in 0..<5 { try world.probe() }
        #expect(world.scene.counter(.mainMissing) == 0)
        world.scene.advance(ms: 3_000)
        world.forget()
        let restarted = world.scene.now
        let first = try world.next()
        let more = world.reply(first)
        try #require(more.count == 1)
        #expect(isFetch(more[0]) && more[0].first("To") != first.first("To"))
        #expect(world.scene.counter(.mainForgot) == 0)
        #expect(world.reply(more[0]).isEmpty)
        #expect(world.scene.now - restarted <= 10_000)
        #expect(world.scene.counter(.mainForgot) == 1 && world.scene.counter(.resyncs) == 1)
        #expect(world.scene.counter(.mainWentDown) == 0)
        #expect(world.scene.counter(.probesSent) == 7)
        #expect(world.scene.counter(.mainMissing) == 2)
        // Each phone's refresh is relayed within the minute, once.
        world.scene.advance(ms: 1)
        var relayed = 0
        for _ in 0..<4 {
            for number in world.phones.indices where world.register(number) { relayed += 1 }
            world.pass(ms: 20_500)
        }
        #expect(relayed == 20)
    }

    @Test(arguments: forms)
    func `while the next one is there: it alone is doubted, also after a restart`(
        placement: MainContact.Placement, mode: RegistrationMode
    ) throws {
        let world = World(20, placement: placement) { $0.mode = mode }
        world.scene.advance(ms: 5_000)
        let first = try world.probe()
        let user = try #require(
            world.phones.firstIndex { first.first("To").contains("\($0.user)@") })
        world.held[first.first("To")] = nil
        let again = try world.next()
        let more = world.reply(again)
        try #require(more.count == 1)
        #expect(world.reply(more[0]).isEmpty)
        #expect(world.scene.counter(.mainForgot) == 0 && world.scene.counter(.mainMissing) == 1)
        world.scene.restart()
        for number in world.phones.indices {
            #expect(world.register(number) == (number == user))
        }
        // It is a canary again when it has been confirmed, and nobody is missed.
        world.scene.advance(ms: 5_000)
        for _ in 0..<3 { try world.probe() }
        #expect(world.scene.counter(.mainMissing) == 0)
    }

    @Test func `and another one probes later: it has forgotten too`() throws {
        let world = World(1)
        world.scene.advance(ms: 5_000)
        try world.probe()
        world.forget()
        #expect(world.reply(try world.next()).isEmpty, "there is no other")
        #expect(try world.probe().method == "OPTIONS")
        world.phones.append(Phone(user: "late", from: phoneB, callID: "late@phone"))
        #expect(world.register(1))
        world.forget()
        for _ in 0..<2 { world.reply(try world.next()) }
        #expect(world.scene.counter(.mainForgot) == 1)
    }

    @Test func `and one that was listed in between: two users have gone by other ways`() throws {
        let world = World(20)
        world.scene.advance(ms: 5_000)
        for _ in 0..<10 {
            let request = try world.next()
            world.held[request.first("To")] = nil
            let more = world.reply(request)
            try #require(more.count == 1)
            #expect(world.reply(more[0]).isEmpty)
        }
        #expect(world.scene.counter(.mainMissing) == 10 && world.scene.counter(.mainForgot) == 0)
    }

    @Test func `and all contacts of the same address of record: it alone is doubted`() throws {
        let world = World(0)
        for number in 1...3 {
            world.phones.append(
                Phone(
                    from: address("192.0.2.\(number):5062"),
                    contact: "<sip:alice@192.0.2.\(number):5062>", callID: "call-\(number)@phone"))
            #expect(world.register(number - 1))
        }
        world.held = ["<sip:alice@example.test>": ["<sip:other@192.0.2.9>;expires=60"]]
        world.scene.advance(ms: 5_000)
        for _ in 0..<3 { #expect(world.reply(try world.next()).isEmpty) }
        #expect(world.scene.counter(.mainMissing) == 3 && world.scene.counter(.mainForgot) == 0)
        #expect(try world.next().method == "OPTIONS")
    }

    @Test func `is told by 404 as well`() throws {
        let world = World(20)
        world.scene.advance(ms: 5_000)
        let more = world.reply(try world.next(), 404)
        try #require(more.count == 1)
        world.reply(more[0], 404)
        #expect(world.scene.counter(.mainForgot) == 1)
    }

    @Test(arguments: ["in flight", "refreshed", "removed", "refused", "failed"])
    func `says nothing if its REGISTER was relayed meanwhile`(what: String) throws {
        let world = World(1)
        world.scene.advance(ms: 5_000)
        try world.probe()
        let request = try world.next()
        world.forget()
        world.phones[0].sequence += 1 << 21
        let expires = what == "removed" ? 0 : 600
        let relayed = try #require(
            world.scene.send(world.phones[0].register(expires: expires), from: phoneA).first)
        #expect(relayed.to == mainServer)
        switch what {
        case "refreshed", "removed":
            world.scene.advance(ms: 1)
            world.scene.send(answer(relayed), from: mainServer, socket: mainSocket)
            // Long enough for it to be one again.
            world.scene.advance(ms: 6_000)
        case "refused":
            world.scene.send(answer(relayed, 403), from: mainServer, socket: mainSocket)
        case "failed":
            world.scene.send(answer(relayed, 500), from: mainServer, socket: mainSocket)
        default: break
        }
        #expect(world.reply(request).isEmpty)
        #expect(world.scene.counter(.mainMissing) == 0)
    }

    @Test func `is never one of which the main registrar need not know`() throws {
        // Registered a moment ago.
        var world = World(1)
        world.scene.advance(ms: 9_000)
        world.phones.append(Phone(user: "new", from: phoneB, callID: "new@phone"))
        world.register(1)
        #expect(try world.probe().first("To").contains("user0"))
        // Relayed and not answered.
        world = World(1)
        world.phones[0].sequence += 1 << 21
        world.scene.send(world.phones[0].register(), from: phoneA)
        #expect(try world.probe().method == "OPTIONS")
        // The main lease is running out.
        world = World(1) {
            ($0.mainSeconds, $0.maxSeconds) = (120, 110)
            $0.removesExpired = false
        }
        var fetches = 0
        for _ in 0..<11 where isFetch(try world.probe()) { fetches += 1 }
        #expect(fetches == 8)
        // To be confirmed anew.
        world = World(1)
        world.scene.sync(over: 600)
        #expect(try world.probe().method == "OPTIONS")
        // The store does not have it.
        world = World(0)
        world.scene.commits = false
        world.phones.append(Phone())
        world.register(0)
        #expect(try world.probe().method == "OPTIONS")
        // Gone.
        world = World(2)
        try world.probe()
        for number in 0..<2 {
            world.scene.advance(ms: 50)
            let leave = world.scene.send(
                world.phones[number].register(expires: 0), from: world.phones[number].from)
            world.scene.send(answer(leave[0]), from: mainServer, socket: mainSocket)
        }
        #expect(try world.probe().method == "OPTIONS")
    }

    @Test func `is believed of one that lists, each time`() throws {
        let world = World(20)
        for round in 1...3 as ClosedRange<UInt64> {
            world.pass(ms: 25_000)
            world.forget()
            world.pass(ms: 10_000)
            #expect(world.scene.counter(.mainForgot) == round)
            for _ in 0..<4 {
                for number in world.phones.indices { world.register(number) }
                world.pass(ms: 20_500)
            }
        }
        #expect(world.scene.counter(.resyncs) == 3)
        #expect(!world.scene.events.contains { $0.kind == .fetchUseless })
    }

    /// What it says while it is being told again is no news.
    @Test func `is not believed twice within a minute`() throws {
        let world = World(20)
        world.pass(ms: 15_000)
        world.forget()
        world.pass(ms: 10_000)
        #expect(world.scene.counter(.mainForgot) == 1)
        world.scene.advance(ms: 1)
        for number in world.phones.indices {
            world.phones[number].sequence += 1 << 21
            world.register(number)
        }
        world.forget()
        world.pass(ms: 20_000)
        #expect(world.scene.counter(.mainMissing) >= 4)
        #expect(world.scene.counter(.mainForgot) == 1)
    }

    @Test func `is believed of one that never lists to us, but once`() throws {
        let world = World(20)
        world.lists = false
        world.scene.advance(ms: 5_000)
        let second = world.reply(try world.next())
        try #require(second.count == 1)
        world.reply(second[0])
        #expect(world.scene.counter(.mainForgot) == 1)
        for _ in 0..<5 {
            world.pass(ms: 20_500)
            for number in world.phones.indices { world.register(number) }
        }
        #expect(world.scene.counter(.mainForgot) == 1 && world.scene.counter(.resyncs) == 1)
        #expect(world.scene.events.filter { $0.kind == .fetchUseless }.count == 1)
        world.pass(ms: 5_000)
        for _ in 0..<2 { #expect(try world.probe().method == "OPTIONS") }
        #expect(world.scene.counter(.mainMissing) == 4)
    }

    @Test func `is looked for from a place that nobody can foresee`() throws {
        var users: Set<String> = []
        for start in 0..<20 as Range<UInt64> {
            let world = World(
                20, now: 1_000_000 + start * 7, Scene.options { $0.probeMs = 10_000 })
            for number in world.phones.indices { world.register(number) }
            world.scene.advance(ms: 5_000)
            users.insert(try world.probe().first("To"))
        }
        #expect(users.count > 8)
    }
}

@Suite("A fetch that the main registrar will not answer")
struct FetchRefusalTests {
    @Test(arguments: [401, 407, 400, 403, 405, 420, 501, 603])
    func `is OPTIONS for an hour, then tried again`(code: Int) throws {
        let world = World(2) { $0.maxSeconds = 3_000 }
        for number in 0..<2 {
            world.phones[number].sequence += 1 << 21
            world.register(number)
        }
        world.scene.advance(ms: 5_000)
        let request = try world.next()
        #expect(isFetch(request))
        #expect(
            world.reply(request, code, extra: ["WWW-Authenticate: Digest realm=\"r\", nonce=\"n\""])
                .isEmpty)
        let told = world.scene.events.filter { $0.kind == .fetchRefused }
        #expect(told.map(\.number) == [code])
        #expect(world.scene.counter(.mainMissing) == 0)
        #expect(world.scene.counter(.probesAnswered) == 1)
        let until = world.scene.now + 3_500_000
        while world.scene.now < until {
            #expect(try world.probe().method == "OPTIONS")
            for number in 0..<2 { world.register(number) }
        }
        var methods: [String] = []
        for _ in 0..<12 {
            methods.append(try world.probe().method)
            for number in 0..<2 { world.register(number) }
        }
        #expect(methods.contains("REGISTER"), "\(methods)")
    }

    @Test(arguments: [408, 429, 480, 500, 502, 503, 504])
    func `for the moment says nothing`(code: Int) throws {
        let world = World(2)
        world.scene.advance(ms: 5_000)
        for _ in 0..<3 {
            let request = try world.next()
            #expect(isFetch(request))
            #expect(world.reply(request, code).isEmpty)
        }
        #expect(world.scene.counter(.mainMissing) == 0)
        #expect(world.scene.counter(.probesAnswered) == 3)
    }

    @Test func `is tried again when the main registrar has come up`() throws {
        let world = World(2)
        world.scene.advance(ms: 5_000)
        world.reply(try world.next(), 403)
        _ = world.scene.advance(s: 40)
        #expect(world.scene.gauge(.mainDown) == 1)
        try world.probe()
        #expect(world.scene.gauge(.mainDown) == 0)
        for _ in 0..<4 {
            world.pass(ms: 20_000)
            for number in 0..<2 { world.register(number) }
        }
        world.pass(ms: 5_000)
        var methods: [String] = []
        for _ in 0..<2 { methods.append(try world.probe().method) }
        #expect(methods.contains("REGISTER"))
    }

    @Test(arguments: [(401, "Authorization"), (407, "Proxy-Authorization")])
    func `without credentials gets them`(code: Int, field: String) throws {
        let name = code == 401 ? "WWW-Authenticate" : "Proxy-Authenticate"
        func challenge(_ more: String) -> [String] {
            ["\(name): Digest realm=\"r.test\", qop=\"auth\", \(more)"]
        }
        let account = CoreOptions.Account(user: "midreg", password: Array("secret".utf8))
        let world = World(20) { $0.account = account }
        world.scene.advance(ms: 5_000)
        let request = try world.next()
        var sent = world.reply(request, code, extra: challenge("nonce=\"n1\""))
        try #require(sent.count == 1)
        #expect(sent[0].startLine == request.startLine)
        #expect(sent[0].first("To") == request.first("To"))
        #expect(sent[0].first("Call-ID") == request.first("Call-ID"))
        #expect(sent[0].first("CSeq") == "2 REGISTER")
        #expect(sent[0].first("Via") != request.first("Via"))
        #expect(sent[0].contacts.isEmpty)
        #expect(sent[0].first(field).contains("username=\"midreg\""))
        #expect(sent[0].first(field).contains("uri=\"sip:example.test\""))
        // Only the nonce was too old.
        sent = world.reply(sent[0], code, extra: challenge("nonce=\"n2\", stale=true"))
        try #require(sent.count == 1)
        #expect(sent[0].first(field).contains("nonce=\"n2\""))
        // Its answer counts: the canary is gone, and so is the next one.
        world.forget()
        let more = world.reply(sent[0])
        try #require(more.count == 1)
        #expect(more[0].all(field).isEmpty)
        sent = world.reply(more[0], code, extra: challenge("nonce=\"n3\""))
        try #require(sent.count == 1)
        world.reply(sent[0])
        #expect(world.scene.counter(.mainForgot) == 1)
        #expect(world.scene.counter(.probesSent) == 5 && world.scene.counter(.probesMissed) == 0)
    }

    @Test func `with credentials is refused, and its secret is told to nobody else`() throws {
        let other = address("127.0.0.9:5070")
        let account = CoreOptions.Account(user: "midreg", password: Array("secret".utf8))
        let challenge = ["WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\""]
        for source in [mainServer, other] {
            let world = World(2) {
                $0.account = account
                $0.mainSide = MainSide([mainServer, other])
            }
            world.scene.advance(ms: 5_000)
            var sent = world.reply(try world.next(), 401, extra: challenge, from: source)
            #expect(sent.count == (source == mainServer ? 1 : 0))
            if let retry = sent.first { sent = world.reply(retry, 401, extra: challenge) }
            #expect(sent.isEmpty)
            #expect(world.scene.events.contains { $0.kind == .fetchRefused && $0.number == 401 })
            #expect(try world.probe().method == "OPTIONS")
        }
    }
}
