public import Bytes
public import Keys

/// The way a phone's packets take: our socket and its address (RFC 5626 §2 for UDP).
public struct Flow: Hashable, BitwiseCopyable, Sendable {
    public let peer: TransportAddress
    /// The local socket, as an index into the worker's sockets.
    public let socket: UInt16

    public init(peer: TransportAddress, socket: UInt16) {
        self.peer = peer
        self.socket = socket
    }
}

/// What a worker keeps in RAM of one binding: hashes, times and the flow, no strings.
///
/// Times marked (heartbeat) change with every refresh; the rest changes with the fact.
public struct Binding: BitwiseCopyable, Sendable {
    public enum State: UInt8, BitwiseCopyable, Sendable {
        case free = 0
        case live
        /// Past its local expiry; the main registrar still has to be told.
        case lapsed
        /// The main registrar would not be told; kept until it forgets by itself.
        case refused
        /// Removed; kept for 64·T1 so that an old answer does not bring it back.
        case tombstone
    }

    public struct Flags: OptionSet, BitwiseCopyable, Sendable {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }
        /// Not to be absorbed before the main registrar has confirmed it again (P8).
        public static let dirty = Flags(rawValue: 1)
        /// The store could not take its fact.
        public static let volatile = Flags(rawValue: 2)
        /// Came through another proxy: never absorbed.
        public static let indirect = Flags(rawValue: 4)
        /// Its repeated header fields are only in its fact.
        public static let ownBlock = Flags(rawValue: 8)
        /// What the main registrar holds is one contact for all phones of its AOR; `mainExpiry` is
        /// that one's.
        public static let shared = Flags(rawValue: 16)
        /// Its phone sits behind a NAT that forgets its flow without pings.
        public static let behindNAT = Flags(rawValue: 64)
        /// Came through an edge: its `contact` tells of the way behind the edge too.
        public static let byEdge = Flags(rawValue: 128)
    }

    public var aor: AORKey
    public var id: ContactID
    /// Which contact it is, and which flow of it, see ``Fingerprints/flowIdentity(_:_:)``.
    public var identity: UInt64
    public var contact: UInt64
    /// The lower half of its keyed hash, see ``half(_:)``.
    public var callID: UInt32
    /// The lower half of the transaction hash of the last request heard (heartbeat).
    public var transaction: UInt32
    public var record: RecordNumber
    /// The hand-over that carries its fact.
    public var ticket: CommitTicket
    /// When it ends here, or when its present state ends (heartbeat).
    public var deadline: Instant
    public var mainExpiry: Instant
    /// (heartbeat)
    public var lastHeard: Instant
    /// When the request arrived whose 2xx was committed last.
    public var arrival: Instant
    public var dirtyUntil: Instant
    public var flow: Flow
    public var state: State
    public var flags: Flags
    /// Of a lapsed one: removals that the main registrar did not answer.
    public var unansweredRemovals: UInt8
    /// Of a live one: OPTIONS sent since its phone was heard of last, up to one more than
    /// ``lostPingsMax`` (heartbeat).
    public var unansweredPings: UInt8
    public var sequenceRelayed: UInt32
    /// (heartbeat)
    public var sequenceHeard: UInt32
    /// The most a refresh is granted, before jitter.
    public var grantedSeconds: UInt32
    public var block: UInt32
    /// Of a relayed request that touches it and whose answer has not come: the lower half of its
    /// transaction hash; 0 is none. What the main registrar holds is not known meanwhile.
    public var unanswered: UInt32

    public init() {
        aor = AORKey(high: 0, low: 0)
        id = ContactID(high: 0, low: 0)
        identity = 0
        contact = 0
        callID = 0
        transaction = 0
        record = .none
        ticket = CommitTicket(0)
        deadline = Instant(milliseconds: 0)
        mainExpiry = deadline
        lastHeard = deadline
        arrival = deadline
        dirtyUntil = deadline
        flow = Flow(peer: .none, socket: 0)
        state = .free
        flags = []
        unansweredRemovals = 0
        unansweredPings = 0
        sequenceRelayed = 0
        sequenceHeard = 0
        grantedSeconds = 0
        block = 0
        unanswered = 0
    }
}

extension Binding {
    /// What is kept of a keyed hash that is compared for one contact only.
    public static func half(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash) }

    /// Whether a request came the way the binding did (P4): by the same flow, or from the same
    /// edge, whose port and socket say nothing of the phone. The way behind an edge is in `contact`.
    public func came(by other: Flow, overEdge: Bool) -> Bool {
        guard flags.contains(.byEdge) else { return !overEdge && other == flow }
        return overEdge && other.peer.sameHost(as: flow.peer)
    }

    /// So many OPTIONS lost in a row, and the phone cannot be reached.
    public static let lostPingsMax: UInt8 = 3

    public var isUnreachable: Bool { unansweredPings > Self.lostPingsMax }

    /// Whether it is kept reachable by pings.
    var isPinged: Bool { state == .live && flags.contains(.behindNAT) }

    /// A request that touches it goes to the main registrar: until that has answered, or has
    /// confirmed a later one, nobody knows how long it holds the binding.
    public mutating func noteRelay(_ transaction: UInt64, at now: Instant) {
        let mark = Self.mark(transaction)
        if unanswered != 0, unanswered != mark {
            // Two at a time cannot be told apart afterwards.
            flags.insert(.dirty)
            dirtyUntil = max(
                dirtyUntil, now.advanced(byMilliseconds: RegistrationLimits.transactionMs))
        }
        unanswered = mark
    }

    /// That request was refused, so it has changed nothing, or was accepted, so its effect is known.
    public mutating func noteAnswer(_ transaction: UInt64) {
        if unanswered == Self.mark(transaction) { unanswered = 0 }
    }

    private static func mark(_ transaction: UInt64) -> UInt32 {
        max(1, UInt32(truncatingIfNeeded: transaction))
    }
}

/// The place of a binding in a worker's table.
public struct BindingIndex: Hashable, BitwiseCopyable, Sendable {
    let value: UInt32
    init(_ value: UInt32) { self.value = value }
    /// By which ``BindingTable/binding(numbered:)`` finds it.
    public var number: UInt32 { value }
}
