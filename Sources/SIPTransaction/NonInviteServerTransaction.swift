public import Bytes

/// The server side of a transaction other than INVITE (RFC 3261 §17.2.2 as amended by RFC 4320 §4),
/// under simulated or real time; bytes and sockets are the caller's.
///
/// It has one provisional response, a 100 that it asks for when Timer E of the client would be set
/// to T2, and an end without any response: after 64·T1 the client has given up, and a 408 would
/// only find the next transaction.
public struct NonInviteServerTransaction: BitwiseCopyable, Sendable {
    public enum State: UInt8, BitwiseCopyable, CaseIterable, Sendable {
        case trying, proceeding, completed, terminated
    }

    public enum Event: Equatable, Sendable {
        /// A copy of the request came.
        case request
        /// We have a response of 100 to 199, 200 to 699.
        case provisional, final
        /// The 100 is due.
        case timerTrying
        /// 64·T1 have passed since the request came.
        case expired
        case timerJ
    }

    public enum Action: Equatable, Sendable {
        case nothing
        /// Send the response.
        case send
        /// The response must not be sent: it is provisional, comes too late, or is a second one.
        case drop
        /// Make a 100 and send it.
        case sendTrying
        /// Send the last response again, the 100 or the final one.
        case answerAgain
        /// No final response came while anybody waited for it. Nothing is sent; the transaction is
        /// over and can be forgotten.
        case timeOut
        /// The transaction is over and can be forgotten.
        case end
    }

    public private(set) var state = State.trying
    private let isReliable: Bool
    private var timerTrying: Instant
    /// When the client gives up; then Timer J.
    private var deadline: Instant

    /// A transaction whose request has come at `now`.
    ///
    /// - Parameter isReliable: whether it came over a stream: no copies are waited for.
    public init(now: Instant, isReliable: Bool = false) {
        self.isReliable = isReliable
        timerTrying = now.advanced(byMilliseconds: TransactionTimers.tryingMs)
        deadline = now.advanced(byMilliseconds: TransactionTimers.timeoutMs)
    }

    /// Whether the client has given up by now: what is sent from here on is not heard.
    public func isExpired(at now: Instant) -> Bool {
        switch state {
        case .trying, .proceeding: deadline <= now
        case .completed, .terminated: false
        }
    }

    /// When ``fire(at:)`` is to be called next.
    public var nextTimer: Instant {
        switch state {
        case .trying: min(timerTrying, deadline)
        case .proceeding, .completed: deadline
        case .terminated: .never
        }
    }

    /// Lets one timer that is due do its work.
    public mutating func fire(at now: Instant) -> Action {
        switch state {
        case .trying:
            if deadline <= now { return receive(.expired, at: now) }
            return timerTrying <= now ? receive(.timerTrying, at: now) : .nothing
        case .proceeding: return deadline <= now ? receive(.expired, at: now) : .nothing
        case .completed: return deadline <= now ? receive(.timerJ, at: now) : .nothing
        case .terminated: return .nothing
        }
    }

    /// Moves on by an event and says what the caller is to do.
    public mutating func receive(_ event: Event, at now: Instant) -> Action {
        switch (state, event) {
        case (.trying, .timerTrying):
            state = .proceeding
            return .sendTrying
        case (.trying, .final), (.proceeding, .final):
            state = .completed
            deadline = isReliable ? now : now.advanced(byMilliseconds: TransactionTimers.timeoutMs)
            return .send
        case (.proceeding, .request), (.completed, .request): return .answerAgain
        case (.trying, .expired), (.proceeding, .expired):
            state = .terminated
            return .timeOut
        case (.completed, .timerJ):
            state = .terminated
            return .end
        case (.trying, .provisional), (.proceeding, .provisional), (.completed, .provisional),
            (.completed, .final), (.terminated, .provisional), (.terminated, .final):
            return .drop
        case (.trying, .request), (.trying, .timerJ),
            (.proceeding, .timerTrying), (.proceeding, .timerJ),
            (.completed, .timerTrying), (.completed, .expired),
            (.terminated, .request), (.terminated, .timerTrying), (.terminated, .expired),
            (.terminated, .timerJ):
            return .nothing
        }
    }
}
