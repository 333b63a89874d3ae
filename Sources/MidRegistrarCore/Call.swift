internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage
internal import SIPTransaction

/// A server transaction and its response context (RFC 3261 §16.2): a request that was accepted, and
/// what has become of it on its branches.
struct Call: BitwiseCopyable {
    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16
        static let invite = Flags(rawValue: 1)
        /// The caller has cancelled.
        static let cancelled = Flags(rawValue: 2)
        /// A final response has been sent.
        static let answered = Flags(rawValue: 4)
        /// The server transaction is over; the branches may not be.
        static let ended = Flags(rawValue: 16)
        /// No further branch is opened: a 6xx came, or the caller cancelled.
        static let closed = Flags(rawValue: 32)
        static let fromMain = Flags(rawValue: 64)
        /// The ACK of its 2xx has come by.
        static let acknowledged = Flags(rawValue: 128)
        /// That the ACK is missing has been said.
        static let ackMissing = Flags(rawValue: 512)
        /// Its answer is to be sent when there is room in the outbox again.
        static let answerOwed = Flags(rawValue: 2_048)
        /// Its branches stay until it is answered: what a redirect names is compared with them.
        static let keepsBranches = Flags(rawValue: 1_024)
    }

    var flags: Flags = []
    var key = TransactionKey(value: 0)
    /// By which the ACK of its 2xx is known; 0 before there was one.
    var ackKey = TransactionKey(value: 0)
    var invite = InviteServerTransaction()
    var other = NonInviteServerTransaction(now: Instant(milliseconds: 0))
    var peer = TransportAddress.none
    var socket: UInt16 = 0
    /// Of responses of our own.
    var tag: UInt64 = 0
    /// As it came; kept until it is answered.
    var request = BytesHandle.none
    /// What of its Route goes on.
    var route = RouteCut.nothing
    /// What a copy of the request is answered with.
    var response = BytesHandle.none
    /// The CANCEL as it came, for its reasons.
    var cancel = BytesHandle.none
    var best = BestResponse()
    var firstBranch = SlotHandle.none
    /// Branches whose final response has not come.
    var unanswered: UInt16 = 0
    /// Branches there are.
    var branches: UInt16 = 0
    /// Branches there have been.
    var opened: UInt16 = 0
    var breadth: MaxBreadth?
    /// What it is routed by, in the Vias of its branches.
    var loop: LoopPart?
    /// The first of the targets that were not tried yet, in their order.
    var firstTarget = SlotHandle.none

    init() {}

    /// Whether it can be forgotten.
    var isOver: Bool { flags.contains([.ended, .answered]) && branches == 0 }

    /// When it is to be looked at: also to be forgotten.
    var nextTimer: Instant {
        if isOver || flags.contains(.answerOwed) { return Instant(milliseconds: 0) }
        if flags.contains(.ended) { return .never }
        return flags.contains(.invite) ? invite.nextTimer : other.nextTimer
    }
}

/// Where a branch of a call may go.
struct CallTarget: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable {
        /// The phone of a contact ID, wherever it is then.
        case contact
        /// A flow that a Route named; the request-URI stays.
        case flow
        /// The main registrar; the request-URI stays.
        case main
        /// The main registrar, with a URI that a redirect named.
        case redirected
    }

    var kind = Kind.main
    /// Those of equal rank are called at once, lower ranks first.
    var rank: Int16 = 0
    /// What is tried because of one redirect is a chain, which has the number of the branch that was
    /// redirected; 0 is that of the location service.
    var origin = Target.Origin()
    var hasID = false
    var id = ContactID(high: 0, low: 0)
    /// Which of the contact's flows, newest first.
    var attempt: UInt8 = 0
    /// Of a flow that a Route named: its binding, if it is bound.
    var place: BindingIndex?
    var peer = TransportAddress.none
    var socket: UInt16 = 0
    var uri = BytesHandle.none
    var next = SlotHandle.none

    init() {}

    init(_ kind: Kind, _ id: ContactID?) {
        self.kind = kind
        if let id {
            self.id = id
            hasID = true
        }
    }
}

/// A client transaction of a call, to one target.
struct Branch: BitwiseCopyable {
    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16
        static let invite = Flags(rawValue: 1)
        /// A provisional response came; before that it cannot be cancelled (§9.1).
        static let provisional = Flags(rawValue: 2)
        /// To be cancelled as soon as a provisional response comes.
        static let cancelOwed = Flags(rawValue: 4)
        static let cancelled = Flags(rawValue: 8)
        /// The CANCEL's own transaction is over.
        static let cancelEnded = Flags(rawValue: 16)
        /// Its final response is in, or counts as in.
        static let answered = Flags(rawValue: 32)
        static let ended = Flags(rawValue: 64)
        static let toMain = Flags(rawValue: 128)
        /// To the phone of a contact ID, which may have other flows.
        static let toContact = Flags(rawValue: 256)
        /// Stays until its call is answered.
        static let kept = Flags(rawValue: 512)
    }

    var flags: Flags = []
    var invite = InviteClientTransaction(
        now: Instant(milliseconds: 0), timerCMs: 0)
    var other = NonInviteClientTransaction(now: Instant(milliseconds: 0))
    var cancel = NonInviteClientTransaction(now: Instant(milliseconds: 0))
    var call = SlotHandle.none
    var next = SlotHandle.none
    var peer = TransportAddress.none
    var socket: UInt16 = 0
    /// From 1, in the order of their opening.
    var number: UInt16 = 0
    var origin = Target.Origin()
    var attempt: UInt8 = 0
    /// Its share of Max-Breadth.
    var breadth: UInt32 = 0
    /// Why it was cancelled; `nil` if its caller did it.
    var why: CancelCause?
    /// How many 2xx were passed back.
    var successes: UInt16 = 0
    var hasID = false
    var id = ContactID(high: 0, low: 0)
    /// As it was sent; a completed one has its ACK here.
    var sent = BytesHandle.none
    /// The CANCEL as it was sent.
    var sentCancel = BytesHandle.none
    /// The final response as it came, while it may be passed back.
    var response = BytesHandle.none

    init() {}

    /// Whether it can be forgotten: its transactions are over, and its response is not needed.
    var isOver: Bool {
        flags.contains([.ended, .answered]) && response == .none && !flags.contains(.kept)
            && (!flags.contains(.cancelled) || flags.contains(.cancelEnded))
    }

    /// Whether a CANCEL may be sent and was not: there was no room for it.
    var owesCancel: Bool {
        flags.contains([.cancelOwed, .provisional]) && !flags.contains(.answered)
    }

    /// When it is to be looked at: also to be forgotten.
    var nextTimer: Instant {
        if isOver || owesCancel { return Instant(milliseconds: 0) }
        let own =
            flags.contains(.ended)
            ? .never
            : flags.contains(.invite) ? invite.nextTimer : other.nextTimer
        return flags.contains(.cancelled) && !flags.contains(.cancelEnded)
            ? min(own, cancel.nextTimer) : own
    }
}
