import Bytes
import Forwarding
import Keys
import MidRegistrarCore
import Registration
import StoreInMemory

/// One history of calls: a main registrar that calls and is called, phones, a network, one worker with
/// its store, all moved by one seed, and a judge that looks at every message that leaves the worker.
final class CallWorld {
    enum Event {
        case toMidreg([UInt8], from: TransportAddress, socket: UInt16)
        case toParty([UInt8], at: TransportAddress, socket: UInt16)
        case begin
        /// A caller's copy of its request, and the interval after it.
        case repeatRequest(Int, ms: UInt64)
        case giveUp(Int)
        /// The next step of who is called.
        case answer(Int, code: Int)
        case repeatFinal(Int, ms: UInt64)
        case hangUp(Int, byCaller: Bool)
        case move(Int)
        case leave(Int)
        case refresh(Int)
        case mischief
        case restart
    }

    let seed: UInt64
    let plan: CallPlan
    var chance: Chance
    let start: UInt64 = 1_000_000
    var now: UInt64 = 1_000_000
    var agenda = Agenda<Event>()
    var phones: [CalledPhone] = []
    var servers: [CallServer] = []
    var serverOfBranch: [String: Int] = [:]
    private(set) var steps = 0
    private(set) var violation: String?
    private(set) var broken: CallInvariant?
    private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    var tally = CallTally()

    // The judge's memory.
    var requests: [CallRequest] = []
    var requestOfBranch: [String: Int] = [:]
    var branches: [CallBranch] = []
    var branchOfVia: [String: Int] = [:]
    var openBranches: [Int] = []
    /// What is to leave in this step.
    var owed: [Owed] = []
    /// Who is sending what must have no effect.
    var mischief: TransportAddress?
    private var rungs: [(ms: UInt64, way: String, peer: TransportAddress, bytes: [UInt8])] = []

    // The worker.
    private let options: CoreOptions
    private var core: WorkerCore
    private var store = MemoryStore()
    private var outbox: Outbox
    private var carried = ByteBuffer(bytesMax: WorkerCore.carriedBytesMax)
    private var firedMs: UInt64 = 0

    static let us = TransportAddress(ipv4: 0x0A00_0001, port: 5_060)
    static let mainServer = TransportAddress(ipv4: 0x0A00_0002, port: 5_070)
    static let stranger = TransportAddress(ipv4: 0xCB00_7109, port: 5_060)
    static let listener: UInt16 = 0
    static let mainSocket: UInt16 = 1
    static let ownSocket: UInt16 = 2

    init(seed: UInt64) {
        self.seed = seed
        chance = Chance(seed: seed)
        plan = CallPlan(&chance)
        options = Self.options(plan)
        core = WorkerCore(options, now: Instant(milliseconds: now))
        core.setDate(wallSeconds: 1_700_000_000)
        outbox = Outbox(bytesMax: 1 << 18, messagesMax: plan.outboxMessages)
        populate()
    }

    private static func options(_ plan: CallPlan) -> CoreOptions {
        let secret = (0..<32).map { UInt8($0 + 1) }
        let own = us.withPort(5_170)
        let side = us.withPort(5_160)
        var options = CoreOptions(
            keys: KeyRing(secret: secret.span),
            sockets: [
                .init(role: .listener, local: us, advertised: us),
                .init(role: .mainSide, local: side, advertised: side),
                .init(role: .own, local: own, advertised: own),
            ], mainSocket: mainSocket, ownSocket: ownSocket, mainServer: mainServer,
            mainSide: MainSide([mainServer]), ownAddresses: OwnAddresses([us]),
            contact: MainContact(placement: plan.placement, advertised: us))
        options.mode = plan.registration
        options.bindingsMax = 100
        options.relaysMax = 256
        options.heldBytesMax = 128 << 10
        options.natPing = .off
        options.jitter = 0
        options.forkOrder = plan.isByQ ? .byQ : .allAtOnce
        options.branchesMax = plan.branchesMax
        options.callsMax = plan.callsMax
        options.callBytesMax = plan.callBytesMax
        options.timerCMs = UInt64(plan.timerCMs)
        return options
    }

    private func populate() {
        for (aor, count) in plan.phones.enumerated() {
            for _ in 0..<count {
                phones.append(CalledPhone(number: phones.count, aor: aor, &chance))
            }
        }
        for phone in phones.indices { register(phone, expires: chance.pick([60, 600, 3_600])) }
        func sometime() -> UInt64 { UInt64(chance.below(plan.spanMs)) }
        for _ in 0..<plan.calls { later(sometime(), .begin) }
        for _ in 0..<plan.moves { later(sometime(), .move(chance.below(phones.count))) }
        for _ in 0..<plan.leaves { later(sometime(), .leave(chance.below(phones.count))) }
        for _ in 0..<plan.mischiefs { later(sometime(), .mischief) }
        for _ in 0..<plan.restarts { later(sometime(), .restart) }
    }

    // MARK: Running

    /// Lets something happen later, at a tick of the worker's timers, which come to the moment then.
    func later(_ ms: UInt64, _ event: Event) {
        agenda.add((now + max(ms, 1) + 9) / 10 * 10, event)
    }

    /// Plays the history to its end, or to the first broken invariant.
    func run() {
        while violation == nil {
            steps += 1
            let turn = max(core.nextTimer.milliseconds, firedMs + 1)
            // What is over but for the refreshes of bindings is over.
            let isQuiet = agenda.nextMs == .max && core.counters[.callsHeld] == 0
            if isQuiet { break }
            if turn <= agenda.nextMs {
                now = max(now, turn)
                fire()
            } else if let event = nextEvent() {
                happen(event)
            }
            if steps > 60_000 || now > start + 3_600_000 {
                fail(
                    .ends,
                    "\(gauge(.callsHeld)) calls, \(gauge(.branchesHeld)) branches are still held",
                    about: nil)
            }
        }
        if violation == nil { judgeEnd() }
        tally.histories += 1
        tally.steps += steps
    }

    private func nextEvent() -> Event? {
        now = max(now, agenda.nextMs)
        return agenda.next()
    }

    private func fire() {
        firedMs = now
        age()
        core.fire(at: Instant(milliseconds: now), location: &store, outbox: &outbox)
        endRound()
        judgeStep()
    }

    /// Gives a datagram to the worker and judges what it does.
    func give(_ bytes: [UInt8], from source: TransportAddress, socket: UInt16) {
        age()
        note(bytes, "-> midreg", source)
        let message = CallMessage(bytes)
        arrive(message, from: source)
        deliver(bytes, from: source, socket: socket)
        endRound()
        judgeStep()
    }

    private func deliver(_ bytes: [UInt8], from source: TransportAddress, socket: UInt16) {
        let padded = bytes + [UInt8](repeating: 0, count: 64)
        _ = core.receive(
            padded.span, length: bytes.count, from: source, socket: socket,
            arrivedNs: now * 1_000_000, now: Instant(milliseconds: now), mayHandOver: true,
            carried: &carried, location: &store, outbox: &outbox)
    }

    private func endRound() {
        let held = gauge(.callsHeld)
        defer {
            if held != gauge(.callsHeld) {
                note(Array("\(gauge(.callsHeld)) calls".utf8), "", .none)
            }
        }
        core.finishRound(at: Instant(milliseconds: now), location: &store, outbox: &outbox)
        core.recordAbsorbed(sentNs: now * 1_000_000)
        settle()
        for message in drain() { leave(message.bytes, to: message.to, socket: message.socket) }
    }

    private func settle() {
        guard store.hasHanded else { return }
        let outcomes = store.decide()
        core.settle(
            through: outcomes.through, failed: outcomes.failed, storeDown: false,
            at: Instant(milliseconds: now), outbox: &outbox)
    }

    private func drain() -> [(to: TransportAddress, socket: UInt16, bytes: [UInt8])] {
        guard outbox.count > 0 else { return [] }
        var sent: [(to: TransportAddress, socket: UInt16, bytes: [UInt8])] = []
        for number in 0..<outbox.count {
            let message = outbox.message(number)
            var bytes: [UInt8] = []
            bytes.reserveCapacity(message.count)
            let span = outbox.bytes(of: message)
            for at in span.indices { bytes.append(span[at]) }
            for byte in bytes { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01B3 }
            digest = (digest ^ now) &* 0x100_0000_01B3
            sent.append((message.destination, message.socket, bytes))
        }
        outbox.clear()
        return sent
    }

    func restart() {
        tally.restarts += 1
        note(Array("midreg restarts".utf8), "", .none)
        noteRestart()
        store.restart()
        core = freshCore()
        firedMs = now
    }

    private func freshCore() -> WorkerCore {
        var core = WorkerCore(options, now: Instant(milliseconds: now))
        core.setDate(wallSeconds: 1_700_000_000)
        core.resume(store.resync)
        for (number, bytes) in store.durable.sorted(by: { $0.key < $1.key }) {
            _ = core.load(
                RecordNumber(number), bytes.span, leasesDoubtful: false,
                now: Instant(milliseconds: now))
        }
        return core
    }

    func gauge(_ gauge: Gauge) -> UInt64 { core.counters[gauge] }

    // MARK: Registering

    /// Registers a phone by way of the main registrar, at once and without a fault.
    func register(_ number: Int, expires: Int) {
        phones[number].sequence += 1
        let phone = phones[number]
        let request = CallMessage.bytes(
            "REGISTER sip:example.test SIP/2.0",
            [
                (
                    "Via",
                    "SIP/2.0/UDP \(phone.host):5060;branch=z9hG4bK-r\(number)-\(phone.sequence);rport"
                ), ("Max-Forwards", "70"), ("From", "<\(phone.aorURI)>;tag=r"),
                ("To", "<\(phone.aorURI)>"), ("Call-ID", "r\(number)@phone"),
                ("CSeq", "\(phone.sequence) REGISTER"),
                ("Contact", "<\(phone.contact)>;q=\(phone.qText)"), ("Expires", "\(expires)"),
                ("Authorization", "Digest username=\"a\""),
            ])
        for relayed in exchange(request, from: phone.address, socket: Self.listener) {
            let message = CallMessage(relayed.bytes)
            guard relayed.to == Self.mainServer, message.method == "REGISTER" else { continue }
            if expires > 0 {
                phones[number].mainURI = CallMessage.address(message["Contact"])
                phones[number].mainRoute = message.values("Path")
            }
            let asked = CallMessage.parameter("expires", of: message["Contact"])
            let contact = "<\(CallMessage.address(message["Contact"]))>"
            let lease = asked.isEmpty ? message["Expires"] : asked
            let extra = lease == "0" ? [] : [("Contact", "\(contact);expires=\(lease)")]
            let answer = message.response(200, tag: "main", contact: "", extra: extra)
            for reply in exchange(answer, from: Self.mainServer, socket: relayed.socket)
            where CallMessage(reply.bytes).code != 200 {
                fail(.sane, "a REGISTER is answered 200", about: nil)
            }
        }
        phones[number].spanMs = UInt64(expires) * 1_000
        phones[number].boundUntil = expires > 0 ? now + phones[number].spanMs : 0
        phones[number].graceUntil = 0
        phones[number].boundSince = expires > 0 ? min(phones[number].boundSince, now) : .max
    }

    /// Gives a datagram to the worker and returns what it sends, which is for nobody else.
    private func exchange(_ bytes: [UInt8], from source: TransportAddress, socket: UInt16)
        -> [(to: TransportAddress, socket: UInt16, bytes: [UInt8])]
    {
        deliver(bytes, from: source, socket: socket)
        core.finishRound(at: Instant(milliseconds: now), location: &store, outbox: &outbox)
        settle()
        return drain()
    }

    // MARK: The network

    func travel(_ event: Event) {
        if chance.happens(plan.lossPercent) { return }
        let copies = chance.happens(plan.doublePercent) ? 2 : 1
        for _ in 0..<copies {
            var delay = chance.between(1, 30)
            if chance.happens(plan.reorderPercent) {
                delay += chance.pick([50, 300, 1_000, 4_000])
            }
            later(UInt64((delay / plan.quantumMs + 1) * plan.quantumMs), event)
        }
    }

    /// A message leaves the worker.
    private func leave(_ bytes: [UInt8], to: TransportAddress, socket: UInt16) {
        guard violation == nil else { return }
        note(bytes, "<- midreg", to)
        if socket == Self.ownSocket {
            // A removal of its own is agreed to.
            let answer = CallMessage(bytes).response(200, tag: "main", contact: "")
            later(1, .toMidreg(answer, from: to, socket: socket))
            return
        }
        let message = CallMessage(bytes)
        judge(message, to: to, socket: socket)
        travel(.toParty(bytes, at: to, socket: socket))
    }

    // MARK: The end

    /// How many requests reach a phone when as many calls are opened as there is room for.
    private func fill(_ core: inout WorkerCore) -> Int {
        var reached = 0
        var store = store
        for call in 0..<plan.callsMax + 2 {
            let phone = phones[0]
            guard let uri = phone.mainURI else { continue }
            let bytes = CallMessage.bytes(
                "INVITE \(uri) SIP/2.0",
                [("Via", "SIP/2.0/UDP 10.0.0.2:5070;branch=z9hG4bK-fill\(call)")]
                    + phone.mainRoute.map { ("Route", $0) } + [
                        ("Max-Forwards", "70"), ("From", "<sip:bob@example.test>;tag=f"),
                        ("To", "<\(phone.aorURI)>"), ("Call-ID", "fill\(call)"),
                        ("CSeq", "1 INVITE"), ("Contact", "<sip:bob@10.0.0.2:5070>"),
                    ])
            let padded = bytes + [UInt8](repeating: 0, count: 64)
            _ = core.receive(
                padded.span, length: bytes.count, from: Self.mainServer, socket: Self.listener,
                arrivedNs: now * 1_000_000, now: Instant(milliseconds: now), mayHandOver: true,
                carried: &carried, location: &store, outbox: &outbox)
            for sent in drain() where CallMessage(sent.bytes).method == "INVITE" {
                if CallMessage(sent.bytes).code == 0 { reached += 1 }
            }
        }
        return reached
    }

    /// Takes the worker apart: it has as much room as a new one.
    func roomAtEnd() -> (used: Int, fresh: Int) {
        // Two phones that are called one after the other keep a target each call, whatever their order.
        let second = phones.firstIndex { $0.aor == phones[0].aor && $0.q != phones[0].q }
        for phone in phones.indices where phone != 0 && phone != second {
            if phones[phone].mayBeBound(at: now) { register(phone, expires: 0) }
        }
        for phone in [0, second ?? 0] { register(phone, expires: 600) }
        var fresh = freshCore()
        let room = fill(&fresh)
        return (fill(&core), room)
    }

    // MARK: Telling

    func note(_ bytes: [UInt8], _ way: String, _ peer: TransportAddress) {
        rungs.append((now - start, way, peer, bytes))
    }

    private func text(_ number: Int) -> String {
        let rung = rungs[number]
        let message = CallMessage(rung.bytes)
        guard !message.startLine.isEmpty else {
            return "  \(rung.ms) \(String(decoding: rung.bytes, as: UTF8.self))"
        }
        let peer =
            rung.peer == Self.mainServer ? "main" : "\(rung.peer.low & 0xFF):\(rung.peer.port)"
        var text = "  \(rung.ms) \(rung.way) \(peer) \(message.startLine) [\(message["Call-ID"])"
        text += " \(message["CSeq"]) \(message.branch().suffix(12)) \(message.toTag)]"
        for reason in message.reasons { text += " " + reason }
        return text
    }

    func fail(_ invariant: CallInvariant, _ text: String, about request: Int?) {
        guard violation == nil else { return }
        broken = invariant
        let callID = request.map { requests[$0].callID }
        let told = rungs.indices.filter { number in
            let message = CallMessage(rungs[number].bytes)
            return callID == nil || message["Call-ID"] == callID || message.startLine.isEmpty
        }
        violation =
            "seed \(seed), \(now - start) ms\n  broken: \(invariant.name) \(text)\n  \(plan)\n"
            + told.suffix(80).map { self.text($0) }.joined(separator: "\n")
    }
}

/// What a number of histories of calls did.
public struct CallTally: Sendable {
    public var histories = 0
    public var steps = 0
    public var requests = 0
    public var branches = 0
    public var answered = 0
    public var refused = 0
    public var cancels = 0
    public var restarts = 0
    public var full = 0

    mutating func add(_ other: CallTally) {
        histories += other.histories
        steps += other.steps
        requests += other.requests
        branches += other.branches
        answered += other.answered
        refused += other.refused
        cancels += other.cancels
        restarts += other.restarts
        full += other.full
    }

    public var text: String {
        "\(histories) histories, \(steps) steps: \(requests) requests, \(branches) branches, "
            + "\(answered) answered, \(refused) refused, \(cancels) branches cancelled, "
            + "\(full) times no room, \(restarts) restarts"
    }
}

/// A number of histories of calls, each with a seed of its own.
public struct CallCampaign: Sendable {
    public struct Result: Sendable {
        public var tally = CallTally()
        public var violations: [String] = []
        public var digest: UInt64 = 0
    }

    let seeds: [UInt64]

    public init(seeds: [UInt64]) { self.seeds = seeds }

    public init(seed: UInt64, count: Int) {
        var chance = Chance(seed: seed)
        seeds = (0..<count).map { _ in chance.next() >> 16 }
    }

    /// Plays them one after the other.
    ///
    /// - Parameter past: how many broken ones are gone past before it stops.
    public func run(past: Int = 0) -> Result {
        var result = Result()
        for seed in seeds {
            let world = CallWorld(seed: seed)
            world.run()
            result.tally.add(world.tally)
            result.digest = result.digest &* 31 &+ world.digest
            if let violation = world.violation {
                result.violations.append(violation)
                if result.violations.count > past { break }
            }
        }
        return result
    }
}
