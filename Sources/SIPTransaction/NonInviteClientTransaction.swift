public import Bytes

/// The client side of a transaction other than INVITE (RFC 3261 §17.1.2), under simulated or real
/// time: it says when to send and when it is over; bytes and sockets are the caller's.
public struct NonInviteClientTransaction: BitwiseCopyable, Sendable {
    public enum State: UInt8, BitwiseCopyable, CaseIterable, Sendable {
        case trying, proceeding, completed, terminated
    }

    public enum Event: Equatable, Sendable {
        case provisional, final, timerE, timerF, timerK
    }

    public enum Action: Equatable, Sendable {
        case nothing
        /// Send the request again.
        case send
        /// The final response is for the caller.
        case deliver
        /// Nobody answered within 64·T1.
        case timeOut
        /// The transaction is over and can be forgotten.
        case end
    }

    public private(set) var state = State.trying
    private let isReliable: Bool
    private var timerE: Instant
    private var intervalMs = TransactionTimers.t1Ms
    private var timerF: Instant
    private var timerK = Instant.never

    /// A transaction whose request is sent at `now`.
    ///
    /// - Parameter isReliable: whether it is sent over a stream: no copies, and none are waited for.
    public init(now: Instant, isReliable: Bool = false) {
        self.isReliable = isReliable
        timerE = isReliable ? .never : now.advanced(byMilliseconds: TransactionTimers.t1Ms)
        timerF = now.advanced(byMilliseconds: TransactionTimers.timeoutMs)
    }

    /// When ``fire(at:)`` is to be called next.
    public var nextTimer: Instant {
        switch state {
        case .trying, .proceeding: min(timerE, timerF)
        case .completed: timerK
        case .terminated: .never
        }
    }

    /// Lets one timer that is due do its work.
    public mutating func fire(at now: Instant) -> Action {
        switch state {
        case .trying, .proceeding:
            if timerF <= now { return receive(.timerF, at: now) }
            if timerE <= now { return receive(.timerE, at: now) }
            return .nothing
        case .completed: return timerK <= now ? receive(.timerK, at: now) : .nothing
        case .terminated: return .nothing
        }
    }

    /// Moves on by an event and says what the caller is to do.
    public mutating func receive(_ event: Event, at now: Instant) -> Action {
        switch (state, event) {
        case (.trying, .provisional):
            state = .proceeding
            return .nothing
        case (.proceeding, .provisional): return .nothing
        case (.trying, .final), (.proceeding, .final):
            state = .completed
            timerK = isReliable ? now : now.advanced(byMilliseconds: TransactionTimers.t4Ms)
            return .deliver
        case (.trying, .timerE):
            intervalMs = min(intervalMs * 2, TransactionTimers.t2Ms)
            timerE = now.advanced(byMilliseconds: intervalMs)
            return .send
        case (.proceeding, .timerE):
            timerE = now.advanced(byMilliseconds: TransactionTimers.t2Ms)
            return .send
        case (.trying, .timerF), (.proceeding, .timerF):
            state = .terminated
            return .timeOut
        case (.completed, .timerK):
            state = .terminated
            return .end
        case (.completed, .provisional), (.completed, .final), (.completed, .timerE),
            (.completed, .timerF), (.trying, .timerK), (.proceeding, .timerK),
            (.terminated, _):
            return .nothing
        }
    }
}
