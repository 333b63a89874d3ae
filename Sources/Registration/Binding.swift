package import Bytes
package import Keys

/// The way a phone's packets take: our socket and its address (RFC 5626 §2 for UDP).
package struct Flow: Hashable, BitwiseCopyable, Sendable {
    package let peer: TransportAddress
    /// The local socket, as an index into the worker's sockets.
    package let socket: UInt16

    package init(peer: TransportAddress, socket: UInt16) {
        self.peer = peer
        self.socket = socket
    }
}

/// What a worker keeps in RAM of one binding: hashes, times and the flow, no strings.
///
/// Times marked (heartbeat) change with every refresh; the rest changes with the fact.
package struct Binding: BitwiseCopyable, Sendable {
    package enum State: UInt8, BitwiseCopyable, Sendable {
        case free = 0
        case live
        /// Past its local expiry; the main registrar still has to be told.
        case lapsed
        /// The main registrar would not be told; kept until it forgets by itself.
        case refused
        /// Removed; kept for 64·T1 so that an old answer does not bring it back.
        case tombstone
    }

    package struct Flags: OptionSet, BitwiseCopyable, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Not to be absorbed before the main registrar has confirmed it again (P8).
        package static let dirty = Flags(rawValue: 1)
        /// The store could not take its fact.
        package static let volatile = Flags(rawValue: 2)
        /// Came through another proxy: never absorbed.
        package static let indirect = Flags(rawValue: 4)
        /// Its repeated header fields are only in its fact.
        package static let ownBlock = Flags(rawValue: 8)
    }

    package var aor: AORKey
    package var id: ContactID
    package var identity: UInt64
    package var contact: UInt64
    package var callID: UInt64
    /// Transaction hash of the last request heard (heartbeat).
    package var transaction: UInt64
    package var record: RecordNumber
    /// The hand-over that carries its fact.
    package var ticket: CommitTicket
    /// When it ends here, or when its present state ends (heartbeat).
    package var deadline: Instant
    package var mainExpiry: Instant
    /// (heartbeat)
    package var lastHeard: Instant
    /// When the request arrived whose 2xx was committed last.
    package var arrival: Instant
    package var dirtyUntil: Instant
    package var flow: Flow
    package var state: State
    package var flags: Flags
    package var sequenceRelayed: UInt32
    /// (heartbeat)
    package var sequenceHeard: UInt32
    /// The most a refresh is granted, before jitter.
    package var grantedSeconds: UInt32
    package var block: UInt32
    /// Of a relayed request that touches it and whose answer has not come: the lower half of its
    /// transaction hash; 0 is none. What the main registrar holds is not known meanwhile.
    package var unanswered: UInt32
    /// The next binding of the same AOR, and the neighbours in the timing wheel; 0 is none.
    var next: UInt32
    var wheelNext: UInt32
    var wheelPrevious: UInt32

    package init() {
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
        sequenceRelayed = 0
        sequenceHeard = 0
        grantedSeconds = 0
        block = 0
        unanswered = 0
        next = 0
        wheelNext = 0
        wheelPrevious = 0
    }
}

extension Binding {
    /// A request that touches it goes to the main registrar: until that has answered, or has
    /// confirmed a later one, nobody knows how long it holds the binding.
    package mutating func noteRelay(_ transaction: UInt64, at now: Instant) {
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
    package mutating func noteAnswer(_ transaction: UInt64) {
        if unanswered == Self.mark(transaction) { unanswered = 0 }
    }

    private static func mark(_ transaction: UInt64) -> UInt32 {
        max(1, UInt32(truncatingIfNeeded: transaction))
    }
}

/// The place of a binding in a worker's table.
package struct BindingIndex: Hashable, BitwiseCopyable, Sendable {
    let value: UInt32
    init(_ value: UInt32) { self.value = value }
}
