public import Bytes
internal import Forwarding
internal import Keys
public import Registration
internal import SIPMessage
internal import SIPTransaction

/// One worker's whole behaviour as a machine without clock, sockets or files: bytes and time in,
/// bytes out.
///
/// The order of a round is the caller's:
/// ``receive(_:length:from:socket:arrivedNs:now:mayHandOver:isVouched:carried:location:outbox:)``
/// for each datagram, ``fire(at:location:outbox:)``, ``finishRound(at:location:outbox:)``, and
/// ``settle(committed:failed:at:location:outbox:)`` when the store has answered.
public struct WorkerCore: ~Copyable {
    /// What became of a datagram.
    public enum Disposition: Equatable, Sendable {
        case done
        /// Another worker owns it: to be given to its mailbox, nothing was decided.
        case handOver(to: Int)
        /// The same, but its sender has been found to be a phone of ours: to be received there as
        /// vouched for.
        case handOverVouched(to: Int)
    }

    /// Room for what a Via carries, in bytes.
    public static let carriedBytesMax = 24_576

    /// What one UDP datagram carries, over IPv6 too, in bytes.
    static let datagramBytesMax = 65_487

    let options: CoreOptions
    public var counters = Counters()
    public var events: [CoreEvent] = []

    var table: BindingTable
    var filter: RelayFilter
    var blocks: ReplyBlocks
    var held: HeldReplies
    /// Owners of contacts that were imported with a number, by it; filled at the start only.
    var importedSteering: [UInt64: UInt32] = [:]
    var removals: RemovalPool
    var brake = LapseBrake()
    /// The last step of the ping walk that was made, and when the next ones are due.
    var pingStep: UInt64 = 0
    var pingTimer = Instant(milliseconds: 0)
    var isPinging = false
    var ownCredentials: OwnCredentials?
    var aside: AsideStates
    var calls: CallTable
    var rooms = RecallRooms()
    let fingerprints: Fingerprints
    var policy: RefreshPolicy
    var health = MainHealth()
    var probe: MainProbe
    /// Whether the store has yet to be told what is to be confirmed anew.
    var isResyncOwed = false
    let spread: GrantSpread
    var date = DateLine()

    /// The mode of the AOR at hand.
    var mode: RegistrationMode
    /// Whether the answer at hand tells of GRUUs.
    var givesGRUUs = false

    // Rooms that are used again for every message.
    var index = MessageIndex()
    var meaning = RegisterMeaning()
    var aorText = ByteBuffer(bytesMax: 512)
    /// An address of record read from a user part.
    var sharedUser = ByteBuffer(bytesMax: AddressOfRecord.userPartBytesMax + 8)
    var scratch = ByteBuffer(bytesMax: 24_576)
    var sealed = ByteBuffer(bytesMax: 24_576)
    var factBytes = ByteBuffer(bytesMax: RegistrationLimits.factBytesMax)
    var block = ByteBuffer(bytesMax: 4_096)
    /// Fingerprints of the contacts of the REGISTER at hand.
    var contactHashes = InlineArray<16, UInt64>(repeating: 0)
    /// How the REGISTER at hand came, its way behind an edge, and the Path at hand.
    var passage = Passage.direct
    var way: UInt64 = 0
    var path = ByteBuffer(bytesMax: RegistrationLimits.pathBytesMax)
    /// Where a redirect is looked at beside what its call has tried.
    var redirect = RedirectTargets()
    var targetSet = TargetSet(targetsMax: 256, bytesMax: 65_536)
    var work = Outbox(bytesMax: 65_536, messagesMax: 4)

    /// Hand-overs so far, and what of them the store has answered.
    var handedOver: UInt64 = 0
    var committed = CommitTicket(0)
    var hasStaged = false
    /// Bindings whose facts were staged in this round.
    var staged: [BindingIndex] = []
    public private(set) var storeIsDown = false
    /// The lifetime asked of the main registrar; it may have taught us a longer one.
    var mainSeconds: UInt32

    /// Arrival times of what was absorbed in this round, in nanoseconds.
    private var absorbedArrivals: RigidBuffer<UInt64>
    private var absorbedCount = 0

    public init(_ options: CoreOptions, now: Instant) {
        self.options = options
        table = BindingTable(bindingsMax: options.bindingsMax, now: now)
        filter = RelayFilter(entriesMax: options.relaysMax, now: now)
        blocks = ReplyBlocks(options.keys)
        held = HeldReplies(bytesMax: options.heldBytesMax, repliesMax: 16_384)
        removals = RemovalPool(
            bindingsMax: options.bindingsMax, perSecond: options.removalsPerSecond, now: now)
        ownCredentials = options.account.flatMap { OwnCredentials($0) }
        probe = MainProbe(options, now: now)
        aside = AsideStates()
        calls = CallTable(callsMax: options.callsMax, bytesMax: options.callBytesMax, now: now)
        fingerprints = Fingerprints(options.keys)
        policy = RefreshPolicy(mainSeconds: options.mainSeconds)
        spread = GrantSpread(fraction: options.jitter)
        mainSeconds = options.mainSeconds
        mode = options.mode
        absorbedArrivals = RigidBuffer(count: 4_096, zeroed: 0)
        events.reserveCapacity(64)
        staged.reserveCapacity(1_024)
    }

    /// Tells the date that answers carry.
    public mutating func setDate(wallSeconds: UInt64) { date.set(wallSeconds: wallSeconds) }

    // MARK: Messages

    /// Deals with one datagram.
    ///
    /// - Parameters:
    ///   - bytes: the datagram, and padding behind it.
    ///   - length: how many bytes the datagram has.
    ///   - arrivedNs: when it arrived, on a clock of the caller's.
    ///   - carried: room of ``carriedBytesMax`` for what the Via of an answer carried.
    ///   - mayHandOver: `false` for one that came from another worker's mailbox.
    ///   - isVouched: whether that worker has found its sender to be a phone of ours.
    public mutating func receive<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, length: Int, from source: TransportAddress, socket: UInt16,
        arrivedNs: UInt64, now: Instant, mayHandOver: Bool, isVouched: Bool = false,
        carried: inout ByteBuffer, location: inout Location, outbox: inout Outbox
    ) -> Disposition {
        counters.add(.receivedBytes, UInt64(length))
        guard source.port != 0, !source.isMulticastOrBroadcast else {
            counters.add(.droppedBadAddress)
            return .done
        }
        if length >= BindingRequest.bytesMin, bytes[0] == 0 {
            answerBinding(bytes, length: length, source, socket, &outbox)
            return .done
        }
        switch MessageParser().parse(bytes, length: length, into: &index) {
        case .message: break
        case .keepAlive:
            counters.add(.receivedKeepAlives)
            if length == 4 {
                outbox.begin()
                outbox.write("\r\n")
                outbox.end(to: source, from: socket)
            }
            return .done
        case .bad(let error):
            answerBad(bytes, error, source, socket, &outbox)
            return .done
        }
        let via: ViaValue
        do throws(SIPParseError) {
            via = try index.topVia(bytes)
            try index.checkViaCount(bytes, top: via)
        } catch {
            answerBad(bytes, error, source, socket, &outbox)
            return .done
        }
        guard index.isRequest else {
            counters.add(.receivedResponses)
            return receiveResponse(
                bytes, length: length, via, from: source, socket: socket, now: now,
                mayHandOver: mayHandOver,
                carried: &carried, location: &location, outbox: &outbox)
        }
        counters.add(.receivedRequests)
        guard options.sockets[Int(socket)].role != .own else {
            counters.add(.droppedNoRoute)
            return .done
        }
        if index.method == .register {
            return receiveRegister(
                bytes, via, from: source, socket: socket, arrivedNs: arrivedNs, now: now,
                mayHandOver: mayHandOver, location: &location, outbox: &outbox)
        }
        return receiveRequest(
            bytes, length: length, via, from: source, socket: socket, now: now,
            mayHandOver: mayHandOver, isVouched: isVouched, location: &location, outbox: &outbox)
    }

    private mutating func receiveResponse<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, length: Int, _ via: ViaValue, from source: TransportAddress,
        socket: UInt16, now: Instant, mayHandOver: Bool, carried: inout ByteBuffer,
        location: inout Location,
        outbox: inout Outbox
    ) -> Disposition {
        let branch = bytes.extracting(via.branch.start..<via.branch.end)
        if options.workers > 1, let peek = SealedVia.peek(branch: branch, scratch: &scratch),
            peek.kind != .request
        {
            let owner = peek.steering.owner(among: options.workers)
            if owner != options.worker {
                guard mayHandOver else {
                    counters.add(.droppedSealBroken)
                    return .done
                }
                return .handOver(to: owner)
            }
        }
        guard let seal = SealedVia(branch: branch, under: options.keys, into: &carried) else {
            let isForeign = SealedVia.peek(branch: branch, scratch: &scratch) == nil
            counters.add(isForeign ? .droppedForeignResponse : .droppedSealBroken)
            return .done
        }
        switch seal.kind {
        case .register, .registerAside:
            if seal.kind == .registerAside, !aside.find(seal.transaction, into: &carried) {
                // The phone's next copy is relayed again and brings its state along.
                counters.add(.droppedSealBroken)
                return .done
            }
            receiveMainAnswer(
                bytes, via, seal, from: source, carried: carried, now: now, location: &location,
                outbox: &outbox)
        case .request: forwardResponse(bytes, via, seal, carried: carried, &outbox)
        case .branch:
            receiveBranchResponse(
                bytes, length: length, via, seal, from: source, now: now, location: &location,
                outbox: &outbox)
        case .own:
            receiveRemovalAnswer(
                bytes, seal, from: source, now: now, location: &location, outbox: &outbox)
        case .ping: receivePingAnswer(seal, from: source)
        case .probe:
            receiveProbeAnswer(
                bytes, seal, from: source, now: now, location: &location, outbox: &outbox)
        }
        return .done
    }

    /// A keep-alive of a phone that is behind NAT (RFC 5626 §4.4.2).
    private mutating func answerBinding(
        _ bytes: Span<UInt8>, length: Int, _ source: TransportAddress, _ socket: UInt16,
        _ outbox: inout Outbox
    ) {
        guard let request = BindingRequest(bytes, length: length),
            options.sockets[Int(socket)].role == .listener
        else {
            counters.add(.droppedMalformed)
            return
        }
        counters.add(.receivedKeepAlives)
        outbox.begin()
        request.writeAnswer(bytes, source: source, &outbox)
        if !outbox.end(to: source, from: socket) { counters.add(.droppedOutboxFull) }
    }

    // MARK: Answers of our own

    /// The tag of our own answers: the same for every copy of a request (RFC 3261 §8.2.7).
    func tag(_ bytes: Span<UInt8>, _ via: ViaValue) -> UInt64 {
        fingerprints.transaction(
            bytes, callID: index.value(.callID) ?? .none, sequence: index.sequenceNumber, via: via)
    }

    /// Answers a request with a final response that has no more to say.
    mutating func refuse(
        _ code: UInt32, _ reason: StaticString, _ bytes: Span<UInt8>, _ via: ViaValue,
        _ source: TransportAddress, _ socket: UInt16, _ counter: Counter,
        retryAfter: UInt32? = nil, _ outbox: inout Outbox
    ) {
        counters.add(counter)
        if index.method == .register { counters.add(.registerRejected) }
        guard index.method != .ack else { return }
        outbox.begin()
        ResponseWriter.begin(
            code, reason, to: bytes, index, source: source, toTag: tag(bytes, via), &outbox)
        if let retryAfter {
            outbox.write("Retry-After: ")
            outbox.write(decimal: retryAfter)
            outbox.write("\r\n")
        }
        ResponseWriter.finish(&outbox)
        if !outbox.end(to: source, from: socket) { counters.add(.droppedOutboxFull) }
    }

    /// Ends a request that is passed on. One that, with our Via, fits no datagram any more is
    /// answered 513 (RFC 3261 §21.5.7) and not sent.
    @discardableResult
    mutating func endForwarded(
        to destination: TransportAddress, from socket: UInt16, _ bytes: Span<UInt8>,
        _ via: ViaValue, _ flow: Flow, _ outbox: inout Outbox
    ) -> Bool {
        guard outbox.overflowed || outbox.openCount <= Self.datagramBytesMax else {
            outbox.abandon()
            refuse(
                513, "Message Too Large", bytes, via, flow.peer, flow.socket, .rejectTooLarge,
                &outbox)
            return false
        }
        guard outbox.end(to: destination, from: socket) else {
            counters.add(.droppedOutboxFull)
            return false
        }
        return true
    }

    /// A refusal where its sender can make something of an answer; silence else.
    ///
    /// A topmost Via that cannot be read is answered too, to where the packet came from as always,
    /// if everything else that matches an answer to a request is there (§8.2.6.2): whoever wrote
    /// `SIP/7.0` into a request line does so in its Via as well (RFC 4475 §3.1.2.16).
    private mutating func answerBad(
        _ bytes: Span<UInt8>, _ error: SIPParseError, _ source: TransportAddress,
        _ socket: UInt16, _ outbox: inout Outbox
    ) {
        note(.malformed, source, error)
        let via = try? index.topVia(bytes)
        let isWhole =
            index.has(.via) && index.has(.from) && index.has(.to) && index.has(.callID)
            && index.has(.cseq)
        guard index.isRequest, index.method != .ack, via != nil || isWhole else {
            counters.add(via == nil ? .droppedNoVia : .droppedMalformed)
            return
        }
        if index.method == .register { counters.add(.registerRejected) }
        let refusal = Refusal(of: index, for: error)
        counters.add(refusal.counter)
        let toTag =
            via.map { tag(bytes, $0) } ?? fingerprints.text(bytes, index.value(.callID) ?? .none)
        outbox.begin()
        ResponseWriter.begin(
            refusal.code, refusal.text, to: bytes, index, source: source, toTag: toTag, &outbox)
        ResponseWriter.finish(&outbox)
        if !outbox.end(to: source, from: socket) { counters.add(.droppedOutboxFull) }
    }

    mutating func note(_ kind: CoreEvent.Kind, _ source: TransportAddress, _ error: SIPParseError) {
        guard events.count < 64 else { return }
        events.append(
            CoreEvent(kind, source: source, number: error.offset, text: error.reason.text))
    }

    mutating func note(_ event: CoreEvent) {
        if events.count < 64 { events.append(event) }
    }

    // MARK: The round

    mutating func countAbsorbed(arrivedNs: UInt64) {
        guard absorbedCount < absorbedArrivals.count else { return }
        absorbedArrivals[absorbedCount] = arrivedNs
        absorbedCount += 1
    }

    /// Puts the time that absorbed REGISTERs of this round took into the histogram.
    public mutating func recordAbsorbed(sentNs: UInt64) {
        for number in 0..<absorbedCount {
            let microseconds = (sentNs &- absorbedArrivals[number]) / 1_000
            counters.add(.absorbedMicroseconds, microseconds)
            switch microseconds {
            case ...50: counters.add(.absorbedUnder50us)
            case ...100: counters.add(.absorbedUnder100us)
            case ...250: counters.add(.absorbedUnder250us)
            case ...500: counters.add(.absorbedUnder500us)
            case ...1_000: counters.add(.absorbedUnder1ms)
            case ...2_500: counters.add(.absorbedUnder2500us)
            case ...5_000: counters.add(.absorbedUnder5ms)
            case ...10_000: counters.add(.absorbedUnder10ms)
            case ...25_000: counters.add(.absorbedUnder25ms)
            case ...100_000: counters.add(.absorbedUnder100ms)
            case ...1_000_000: counters.add(.absorbedUnder1s)
            default: counters.add(.absorbedSlower)
            }
        }
        absorbedCount = 0
    }

    mutating func recordRelayed(milliseconds: UInt64) {
        counters.add(.relayedMilliseconds, milliseconds)
        switch milliseconds {
        case ...1: counters.add(.relayedUnder1ms)
        case ...2: counters.add(.relayedUnder2500us)
        case ...5: counters.add(.relayedUnder5ms)
        case ...10: counters.add(.relayedUnder10ms)
        case ...25: counters.add(.relayedUnder25ms)
        case ...50: counters.add(.relayedUnder50ms)
        case ...100: counters.add(.relayedUnder100ms)
        case ...250: counters.add(.relayedUnder250ms)
        case ...500: counters.add(.relayedUnder500ms)
        case ...1_000: counters.add(.relayedUnder1s)
        case ...4_000: counters.add(.relayedUnder4s)
        default: counters.add(.relayedSlower)
        }
    }

    /// Hands over what was staged, and tells the gauges.
    public mutating func finishRound<Location: LocationService & ~Copyable>(
        at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        if isResyncOwed {
            isResyncOwed = false
            location.keep(policy.resync)
        }
        if hasStaged {
            hasStaged = false
            if let ticket = location.handOver() {
                // The number of the hand-over before means that there was nothing to commit.
                if ticket.value <= handedOver { held.retag(nextTicket, as: ticket) }
                handedOver = max(handedOver, ticket.value)
            } else {
                keepVolatile()
                release(through: committed, at: now, &outbox)
            }
            staged.removeAll(keepingCapacity: true)
        }
        counters.add(.rounds)
        counters.set(.bindings, UInt64(table.liveCount))
        counters.set(.addressesOfRecord, UInt64(table.liveAORCount))
        counters.set(.relaysInFlight, UInt64(filter.waitingCount))
        counters.set(.repliesHeld, UInt64(held.count))
        counters.set(.removalsOwed, UInt64(removals.queued + removals.active))
        counters.set(.callsHeld, UInt64(calls.count))
        counters.set(.branchesHeld, UInt64(calls.branchCount))
        counters.set(.callBytes, UInt64(calls.bytes.bytesUsed))
        counters.set(.storeDown, storeIsDown ? 1 : 0)
        counters.set(.mainDown, health.isDown ? 1 : 0)
    }

    /// The store's queue is full: what was staged in this round stays in RAM only, and its answers
    /// leave with those of the hand-over before.
    private mutating func keepVolatile() {
        counters.add(.commitsFailed)
        note(CoreEvent(.commitFailed, number: Int(nextTicket.value)))
        for place in staged where table[place].ticket == nextTicket {
            table[place].ticket = CommitTicket(handedOver)
            table[place].flags.insert(.volatile)
            counters.add(.bindingsVolatile)
        }
        held.retag(nextTicket, as: CommitTicket(handedOver))
    }

    /// The ticket that what is staged now will have.
    var nextTicket: CommitTicket { CommitTicket(handedOver + 1) }

    /// Takes in what the store has answered: held answers go out.
    ///
    /// - Parameters:
    ///   - through: every hand-over up to this ticket is decided.
    ///   - failed: those among them that could not be committed.
    public mutating func settle(
        through: CommitTicket, failed: [CommitTicket], storeDown: Bool, at now: Instant,
        outbox: inout Outbox
    ) {
        storeIsDown = storeDown
        for ticket in failed { settleFailed(ticket) }
        guard through > committed else { return }
        counters.add(.commitsAcknowledged, through.value - committed.value)
        committed = through
        release(through: through, at: now, &outbox)
    }

    /// Facts that could not be committed stay in RAM only; nobody is refused for it.
    private mutating func settleFailed(_ ticket: CommitTicket) {
        counters.add(.commitsFailed)
        note(CoreEvent(.commitFailed, number: Int(ticket.value)))
        failedTickets.append(ticket)
    }

    /// Tickets whose facts are volatile; short, since a failing store is asked rarely.
    private var failedTickets: [CommitTicket] = []

    private mutating func release(
        through ticket: CommitTicket, at now: Instant, _ outbox: inout Outbox
    ) {
        while let reply = held.oldest(through: ticket) {
            guard outbox.hasRoom(for: reply.count) else { break }
            if !failedTickets.isEmpty, failedTickets.contains(reply.ticket) {
                var next = table.first(of: reply.aor)
                while let index = next {
                    next = table.next(after: index)
                    guard table[index].ticket == reply.ticket else { continue }
                    table[index].flags.insert(.volatile)
                    counters.add(.bindingsVolatile)
                }
            }
            outbox.begin()
            outbox.write(held.message(of: reply))
            outbox.end(to: reply.destination, from: reply.socket)
            filter.set(.accepted, reply.aor, reply.transaction)
            recordRelayed(milliseconds: now.millisecondsSince(reply.first))
            held.releaseOldest()
        }
        if held.isEmpty { failedTickets.removeAll(keepingCapacity: true) }
    }

    /// Answers that wait for their commit.
    public var heldReplies: Int { held.count }

    /// Facts that the store could not take have been staged again.
    public mutating func noteRestaged() { hasStaged = true }

    /// Whether answers wait that could go out.
    public var hasReleasable: Bool { held.oldest(through: committed) != nil }

    /// When ``fire(at:location:outbox:)`` has something to do next.
    public var nextTimer: Instant {
        min(
            min(table.nextTurn, nextPing),
            min(
                min(calls.nextTimer, probe.nextTimer),
                min(removals.nextTimer, removals.nextSend)))
    }

    /// Ends what is due: lapsed bindings, timers of our own requests. Bounded work per call.
    public mutating func fire<Location: LocationService & ~Copyable>(
        at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        if hasReleasable { release(through: committed, at: now, &outbox) }
        var budget = 512
        while budget > 0, let index = table.nextDue(at: now, budget: &budget) {
            end(index, at: now, location: &location)
        }
        fireRemovals(at: now, &outbox)
        sendRemovals(at: now, location: &location, outbox: &outbox)
        firePings(at: now, location: &location, outbox: &outbox)
        fireProbe(at: now, location: &location, outbox: &outbox)
        fireCalls(at: now, location: &location, outbox: &outbox)
    }
}
