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
/// ``settle(through:failed:storeDown:at:outbox:)`` when the store has answered.
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
    public internal(set) var storeIsDown = false
    /// Tickets whose facts are volatile; short, since a failing store is asked rarely.
    var failedTickets: [CommitTicket] = []
    /// The lifetime asked of the main registrar; it may have taught us a longer one.
    var mainSeconds: UInt32

    /// Arrival times of what was absorbed in this round, in nanoseconds.
    var absorbedArrivals: RigidBuffer<UInt64>
    var absorbedCount = 0

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
}
