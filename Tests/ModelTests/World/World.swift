import Bytes
import Forwarding
import Keys
import MidRegistrarCore
import Registration
import StoreInMemory

/// One history: phones, a network, one worker with its store, and a main registrar, all moved by one
/// seed, and a judge that looks at every message that leaves the worker.
public final class World {
    public let seed: UInt64
    let plan: Plan
    var chance: Chance
    var now: UInt64 = 1_000_000
    var agenda = Agenda<Event>()
    var main: MainRegistrar
    var phones: [Phone] = []
    var ladders: [Ladder]
    var isCalm = false
    var isFarewell = false
    var isOver = false
    public private(set) var steps = 0
    /// The first broken invariant, with what led to it.
    public internal(set) var violation: String?
    public internal(set) var violated: Invariant?
    /// A hash of all that was sent, by which two runs of a seed are compared.
    public private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    public internal(set) var tally = Tally()

    // The judge's memory.
    var asked: [Asked] = []
    var askedByKey: [String: Int] = [:]
    var known: [Known] = []
    var knownByKey: [String: Int] = [:]
    var removalsSeen: [String: OwnRemoval] = [:]
    var lastJudgedMs: UInt64 = 0
    var restartedMs: UInt64 = 0
    var incarnation = 0
    var storeWasBad = false
    /// When a REGISTER of an AOR was relayed last.
    var relayedMs: [Int: UInt64] = [:]
    /// When a phone's removal was agreed to last, or midreg heard of it.
    var removedMs: [Int: UInt64] = [:]
    /// The newest removal of all contacts that was agreed to.
    var voidOrder: [Int: Int] = [:]
    var calmMs: UInt64 = 0

    // The worker.
    private let options: CoreOptions
    private var core: WorkerCore
    var store = MemoryStore()
    private var outbox = Outbox(bytesMax: 1 << 18, messagesMax: 256)
    private var carried = ByteBuffer(bytesMax: WorkerCore.carriedBytesMax)
    private var isSettling = false

    static let us = TransportAddress(ipv4: 0x0A00_0001, port: 5_060)
    static let mainServer = TransportAddress(ipv4: 0x0A00_0002, port: 5_070)
    static let listener: UInt16 = 0
    static let mainSocket: UInt16 = 1
    static let ownSocket: UInt16 = 2

    public init(seed: UInt64, mode: Plan.Mode = .contact) {
        self.seed = seed
        chance = Chance(seed: seed)
        plan = Plan(mode, &chance)
        main = MainRegistrar(plan)
        ladders = Array(repeating: Ladder(), count: plan.aors)
        options = Self.options(plan)
        core = WorkerCore(options, now: Instant(milliseconds: now))
        core.setDate(wallSeconds: 1_700_000_000)
        populate()
    }

    private static func options(_ plan: Plan) -> CoreOptions {
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
        switch plan.mode {
        case .contact, .path, .flows: options.mode = .throttleByContact
        case .mirror: options.mode = .mirror
        case .addressOfRecord: options.mode = .throttleByAOR
        }
        options.bindingsMax = 200
        options.relaysMax = 256
        options.heldBytesMax = 128 << 10
        options.natPing = .off
        options.jitter = plan.jitter
        options.refusesShort = plan.refusesShort
        options.mainSeconds = UInt32(plan.mainSeconds)
        options.removalsPerSecond = plan.removalsPerSecond
        return options
    }

    // MARK: Running

    /// Plays the history to its end, or to the first broken invariant.
    public func run() {
        while violation == nil, !isOver {
            steps += 1
            let turn = max(core.nextTimer.milliseconds, firedMs + 1)
            if turn < agenda.nextMs {
                now = max(now, turn)
                fire()
            } else if let event = nextEvent() {
                happen(event)
            } else {
                break
            }
            judgeTime()
            if steps > 400_000 { broken("the history ends", "it does not") }
        }
        tally.histories += 1
        tally.steps += steps
    }

    private var firedMs: UInt64 = 0

    private func nextEvent() -> Event? {
        now = max(now, agenda.nextMs)
        return agenda.next()
    }

    private func fire() {
        firedMs = now
        core.fire(at: Instant(milliseconds: now), location: &store, outbox: &outbox)
        endRound()
    }

    /// Gives a datagram to the worker; those of the same moment come in the same round.
    func give(_ bytes: [UInt8], from source: TransportAddress, socket: UInt16) {
        deliver(bytes, from: source, socket: socket)
        while agenda.isDatagramToMidreg(at: now),
            case .toMidreg(let bytes, let source, let socket) = agenda.next()
        {
            notice(bytes, from: source, socket: socket)
            deliver(bytes, from: source, socket: socket)
        }
        endRound()
    }

    private func deliver(_ bytes: [UInt8], from source: TransportAddress, socket: UInt16) {
        let padded = bytes + [UInt8](repeating: 0, count: 64)
        _ = core.receive(
            padded.span, length: bytes.count, from: source, socket: socket,
            arrivedNs: now * 1_000_000, now: Instant(milliseconds: now), mayHandOver: true,
            carried: &carried, location: &store, outbox: &outbox)
    }

    private func endRound() {
        core.finishRound(at: Instant(milliseconds: now), location: &store, outbox: &outbox)
        core.recordAbsorbed(sentNs: now * 1_000_000)
        for message in drain() { leave(message.bytes, to: message.to, socket: message.socket) }
        guard store.hasHanded else { return }
        if plan.commitDelayMs == 0 {
            settle()
        } else if !isSettling {
            isSettling = true
            // A slow store is a fault as well.
            let mostMs = isCalm ? min(plan.commitDelayMs, 50) : plan.commitDelayMs
            agenda.add(now + UInt64(chance.between(1, mostMs)), .settle)
        }
    }

    func settle() {
        isSettling = false
        let outcomes = store.decide()
        if !store.isDown, store.restage() > 0 { core.noteRestaged() }
        core.settle(
            through: outcomes.through, failed: outcomes.failed, storeDown: store.isDown,
            at: Instant(milliseconds: now), outbox: &outbox)
        endRound()
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

    /// Asks the worker where a request of the main registrar would go; nothing enters the network.
    func ask(_ bytes: [UInt8]) -> [(to: TransportAddress, socket: UInt16, bytes: [UInt8])] {
        deliver(bytes, from: Self.mainServer, socket: Self.listener)
        return drain()
    }

    func restart() {
        noteRestart(lost: store.restart())
        isSettling = false
        core = WorkerCore(options, now: Instant(milliseconds: now))
        core.setDate(wallSeconds: 1_700_000_000)
        firedMs = now
        core.resume(store.resync)
        for (number, bytes) in store.durable.sorted(by: { $0.key < $1.key }) {
            _ = core.load(
                RecordNumber(number), bytes.span, leasesDoubtful: false,
                now: Instant(milliseconds: now))
        }
    }

    func counter(_ counter: Counter) -> UInt64 { core.counters[counter] }
    func gauge(_ gauge: Gauge) -> UInt64 { core.counters[gauge] }

    // MARK: The network

    func travel(_ event: Event) {
        if !isCalm, chance.happens(plan.lossPercent) { return }
        var copies = 1
        if !isCalm, chance.happens(plan.doublePercent) { copies = 2 }
        for _ in 0..<copies {
            var delay = chance.between(1, 30)
            if !isCalm, chance.happens(plan.reorderPercent) {
                delay += chance.pick([50, 300, 1_000, 4_000])
            }
            delay = (delay / plan.quantumMs + 1) * plan.quantumMs
            let at = (now + UInt64(delay)) / UInt64(plan.quantumMs) * UInt64(plan.quantumMs)
            agenda.add(max(now, at), event)
        }
    }

    /// A message leaves the worker.
    private func leave(_ bytes: [UInt8], to: TransportAddress, socket: UInt16) {
        guard violation == nil else { return }
        let message = SIPText(bytes)
        // Nobody takes the judge's calls: what is repeated of them, and how they end, is not looked at.
        guard !message.callID.hasPrefix("call") else { return }
        if to == Self.mainServer {
            let isOwn = socket == Self.ownSocket
            judgeTowardsMain(message, isOwn: isOwn)
            travel(.toMain(bytes, isOwn: isOwn))
        } else {
            judgeTowardsPhone(message, to: to)
            travel(.toPhone(bytes, to: to))
        }
    }
}

/// What a number of histories did, so that nobody takes an idle model for a good one.
public struct Tally: Sendable {
    public var histories = 0
    public var steps = 0
    public var registers = 0
    public var absorbed = 0
    public var accepted = 0
    public var refused = 0
    public var removals = 0
    public var calls = 0
    public var restarts = 0
    public var hostile = 0

    public init() {}

    public mutating func add(_ other: Tally) {
        histories += other.histories
        steps += other.steps
        registers += other.registers
        absorbed += other.absorbed
        accepted += other.accepted
        refused += other.refused
        removals += other.removals
        calls += other.calls
        restarts += other.restarts
        hostile += other.hostile
    }

    public var text: String {
        "\(histories) histories, \(steps) steps: \(registers) REGISTERs heard (\(hostile) hostile), "
            + "\(absorbed) absorbed, \(accepted) accepted and \(refused) refused by the main registrar, "
            + "\(removals) removals of our own, \(restarts) restarts, \(calls) calls asked after"
    }
}
