public import Bytes

/// The client side of an INVITE transaction as a proxy has it (RFC 3261 §17.1.1 as amended by
/// RFC 6026 §7.2 and §8.4, Timer C of §16.6 to §16.8), under simulated or real time: it says when to
/// send, what to pass on and when it is over; bytes and sockets are the caller's.
///
/// A phone that was cancelled and says nothing for 64·T1 counts as unanswered (§9.1). It may answer all
/// the same: for 64·T1 more the transaction is `overdue`, so that such a 2xx is passed on (§16.7 step 5)
/// and whoever called can end the call, and a refusal gets its ACK. After that, 128·T1 from the CANCEL
/// on, what comes is stray (RFC 6026 §7.3). So no branch outlives its CANCEL by more than 64 s, or a
/// 2xx that came within them by more than 32 s.
///
/// A request that cannot be sent is the caller's to judge as a 503 (§16.9); it lets go of the
/// machine then.
public struct InviteClientTransaction: BitwiseCopyable, Sendable {
    public enum State: UInt8, BitwiseCopyable, CaseIterable, Sendable {
        case calling, proceeding, completed, accepted, overdue, terminated
    }

    public enum Event: Equatable, Sendable {
        /// 100 to 199; a 100 does not restart Timer C.
        case provisional(is100: Bool)
        /// 200 to 299.
        case success
        /// 300 to 699.
        case failure
        case timerA, timerB, timerC, timerD, timerM
        /// 64·T1 have passed since the INVITE was cancelled.
        case cancelExpired
        /// 64·T1 more have passed.
        case overdueExpired
    }

    public enum Action: Equatable, Sendable {
        case nothing
        /// Send the request again.
        case send
        /// The response is for the response context.
        case deliver
        /// The response is for the response context, and an ACK for it must be sent.
        case deliverAndAck
        /// A copy of the final response: send the ACK again, and do not pass the response on.
        case ackAgain
        /// Another 2xx, or a copy of one: pass it on as well.
        case passSuccess
        /// No final response came, and none is waited for any more: it counts as a 408. Unless the state
        /// is terminated, the transaction is not over.
        case timeOut
        /// A refusal of what counted as unanswered: send an ACK, and do not pass it on.
        case ackOnly
        /// A provisional response came and nothing after it: send a CANCEL (§16.8). It is noted
        /// already.
        case timerC
        /// The transaction is over and can be forgotten.
        case end
    }

    public private(set) var state = State.calling
    private let isReliable: Bool
    private var intervalMs = TransactionTimers.t1Ms
    private let timerCMs: UInt64
    private var timerA: Instant
    private var timerC: Instant
    /// Timer B, D or M by state; while proceeding, when a cancelled INVITE counts as unanswered, and
    /// then when nobody waits for it any more.
    private var deadline: Instant

    /// A transaction whose request is sent at `now`.
    ///
    /// - Parameters:
    ///   - isReliable: whether it is sent over a stream: no copies, and none are waited for.
    ///   - timerCMs: Timer C, more than ``TransactionTimers/timerCAboveMs``.
    public init(now: Instant, isReliable: Bool = false, timerCMs: UInt64) {
        self.isReliable = isReliable
        self.timerCMs = timerCMs
        timerA =
            isReliable ? .never : now.advanced(byMilliseconds: TransactionTimers.t1Ms)
        timerC = now.advanced(byMilliseconds: timerCMs)
        deadline = now.advanced(byMilliseconds: TransactionTimers.timeoutMs)
    }

    /// Whether a CANCEL may be sent now: a provisional response came, a final one did not (§9.1).
    public var mayCancel: Bool { state == .proceeding }

    /// Whether ``noteCancelled(at:)`` or Timer C has set the end of waiting.
    public var isCancelled: Bool { state == .proceeding && deadline != .never }

    /// Says that a CANCEL has been sent: if no final response comes within 64·T1, the transaction
    /// counts as unanswered (§9.1). Has an effect once, and only while ``mayCancel``.
    public mutating func noteCancelled(at now: Instant) {
        guard mayCancel, !isCancelled else { return }
        timerC = .never
        deadline = now.advanced(byMilliseconds: TransactionTimers.timeoutMs)
    }

    /// When ``fire(at:)`` is to be called next.
    public var nextTimer: Instant {
        switch state {
        case .calling: min(timerA, timerC, deadline)
        case .proceeding: min(timerC, deadline)
        case .completed, .accepted, .overdue: deadline
        case .terminated: .never
        }
    }

    /// Lets one timer that is due do its work.
    public mutating func fire(at now: Instant) -> Action {
        switch state {
        case .calling:
            if deadline <= now { return receive(.timerB, at: now) }
            if timerC <= now { return receive(.timerC, at: now) }
            return timerA <= now ? receive(.timerA, at: now) : .nothing
        case .proceeding:
            if deadline <= now { return receive(.cancelExpired, at: now) }
            return timerC <= now ? receive(.timerC, at: now) : .nothing
        case .completed: return deadline <= now ? receive(.timerD, at: now) : .nothing
        case .accepted: return deadline <= now ? receive(.timerM, at: now) : .nothing
        case .overdue: return deadline <= now ? receive(.overdueExpired, at: now) : .nothing
        case .terminated: return .nothing
        }
    }

    /// Moves on by an event and says what the caller is to do.
    public mutating func receive(_ event: Event, at now: Instant) -> Action {
        switch (state, event) {
        case (.calling, .provisional(let is100)):
            state = .proceeding
            deadline = .never
            if !is100 { timerC = now.advanced(byMilliseconds: timerCMs) }
            return .deliver
        case (.proceeding, .provisional(let is100)):
            if !is100, !isCancelled { timerC = now.advanced(byMilliseconds: timerCMs) }
            return .deliver
        case (.calling, .success), (.proceeding, .success), (.overdue, .success):
            state = .accepted
            deadline = now.advanced(byMilliseconds: TransactionTimers.timeoutMs)
            return .deliver
        case (.accepted, .success): return .passSuccess
        case (.calling, .failure), (.proceeding, .failure):
            state = .completed
            deadline = isReliable ? now : now.advanced(byMilliseconds: TransactionTimers.timerDMs)
            return .deliverAndAck
        case (.completed, .failure): return .ackAgain
        case (.overdue, .failure):
            state = .completed
            deadline = isReliable ? now : now.advanced(byMilliseconds: TransactionTimers.timerDMs)
            return .ackOnly
        case (.calling, .timerA):
            // Doubles without a bound but Timer B's.
            intervalMs *= 2
            timerA = now.advanced(byMilliseconds: intervalMs)
            return .send
        case (.calling, .timerB), (.calling, .timerC):
            state = .terminated
            return .timeOut
        case (.proceeding, .timerC):
            guard !isCancelled else { return .nothing }
            noteCancelled(at: now)
            return .timerC
        case (.proceeding, .cancelExpired):
            guard isCancelled else { return .nothing }
            state = .overdue
            deadline = now.advanced(byMilliseconds: TransactionTimers.timeoutMs)
            return .timeOut
        case (.completed, .timerD), (.accepted, .timerM), (.overdue, .overdueExpired):
            state = .terminated
            return .end
        case (.calling, .timerD), (.calling, .timerM), (.calling, .cancelExpired),
            (.calling, .overdueExpired),
            (.proceeding, .timerA), (.proceeding, .timerB), (.proceeding, .timerD),
            (.proceeding, .timerM), (.proceeding, .overdueExpired),
            (.completed, .provisional), (.completed, .success), (.completed, .timerA),
            (.completed, .timerB), (.completed, .timerC), (.completed, .timerM),
            (.completed, .cancelExpired), (.completed, .overdueExpired),
            (.accepted, .provisional), (.accepted, .failure), (.accepted, .timerA),
            (.accepted, .timerB), (.accepted, .timerC), (.accepted, .timerD),
            (.accepted, .cancelExpired), (.accepted, .overdueExpired),
            (.overdue, .provisional), (.overdue, .timerA), (.overdue, .timerB), (.overdue, .timerC),
            (.overdue, .timerD), (.overdue, .timerM), (.overdue, .cancelExpired),
            (.terminated, _):
            return .nothing
        }
    }
}
