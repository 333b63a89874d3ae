public import Bytes

/// The server side of an INVITE transaction (RFC 3261 §17.2.1 as amended by RFC 6026 §7.1, §8.5 to
/// §8.7), under simulated or real time; bytes and sockets are the caller's.
///
/// The caller sends a 100 when it makes one, so there is always a last response. A response that
/// cannot be sent changes nothing (RFC 6026 §8.8).
public struct InviteServerTransaction: BitwiseCopyable, Sendable {
    public enum State: UInt8, BitwiseCopyable, CaseIterable, Sendable {
        case proceeding, completed, confirmed, accepted, terminated
    }

    public enum Event: Equatable, Sendable {
        /// A copy of the INVITE came.
        case request
        /// An ACK of this transaction came.
        case ack
        /// We have a response of 100 to 199, 200 to 299, 300 to 699.
        case provisional, success, failure
        case timerG, timerH, timerI, timerL
    }

    public enum Action: Equatable, Sendable {
        case nothing
        /// Send the response.
        case send
        /// The response comes too late and must not be sent.
        case drop
        /// Send the last response again: while proceeding the newest provisional one, after that
        /// the one of 300 to 699, whatever 2xx was passed on since.
        case answerAgain
        /// The ACK is for who accepted the call: pass it on.
        case passAck
        /// No ACK ever came; the transaction is over and can be forgotten.
        case ackMissing
        /// The transaction is over and can be forgotten.
        case end
    }

    public private(set) var state = State.proceeding
    private let isReliable: Bool
    private var intervalMs = TransactionTimers.t1Ms
    private var timerG = Instant.never
    /// Timer H, I or L, by state.
    private var deadline = Instant.never

    /// A transaction whose request has come.
    ///
    /// - Parameter isReliable: whether it came over a stream: no copies, and none are waited for.
    public init(isReliable: Bool = false) { self.isReliable = isReliable }

    /// When ``fire(at:)`` is to be called next.
    public var nextTimer: Instant {
        switch state {
        case .proceeding, .terminated: .never
        case .completed: min(timerG, deadline)
        case .confirmed, .accepted: deadline
        }
    }

    /// Lets one timer that is due do its work.
    public mutating func fire(at now: Instant) -> Action {
        switch state {
        case .completed:
            if deadline <= now { return receive(.timerH, at: now) }
            return timerG <= now ? receive(.timerG, at: now) : .nothing
        case .confirmed: return deadline <= now ? receive(.timerI, at: now) : .nothing
        case .accepted: return deadline <= now ? receive(.timerL, at: now) : .nothing
        case .proceeding, .terminated: return .nothing
        }
    }

    /// Moves on by an event and says what the caller is to do.
    public mutating func receive(_ event: Event, at now: Instant) -> Action {
        switch (state, event) {
        case (.proceeding, .request), (.completed, .request): return .answerAgain
        case (.proceeding, .provisional): return .send
        case (.proceeding, .success):
            state = .accepted
            deadline = now.advanced(byMilliseconds: TransactionTimers.timeoutMs)
            return .send
        // A 2xx is passed on even behind another final response (§16.7 step 5), by nobody repeated.
        // Other branches may have one when this transaction is over.
        case (.accepted, .success), (.completed, .success), (.confirmed, .success),
            (.terminated, .success):
            return .send
        case (.proceeding, .failure):
            state = .completed
            timerG = isReliable ? .never : now.advanced(byMilliseconds: intervalMs)
            deadline = now.advanced(byMilliseconds: TransactionTimers.timeoutMs)
            return .send
        case (.completed, .timerG):
            intervalMs = min(intervalMs * 2, TransactionTimers.t2Ms)
            timerG = now.advanced(byMilliseconds: intervalMs)
            return .answerAgain
        case (.completed, .ack):
            state = .confirmed
            deadline = isReliable ? now : now.advanced(byMilliseconds: TransactionTimers.t4Ms)
            return .nothing
        case (.accepted, .ack): return .passAck
        case (.completed, .timerH):
            state = .terminated
            return .ackMissing
        case (.confirmed, .timerI), (.accepted, .timerL):
            state = .terminated
            return .end
        case (.completed, .provisional), (.completed, .failure), (.confirmed, .provisional),
            (.confirmed, .failure), (.accepted, .provisional), (.accepted, .failure),
            (.terminated, .provisional), (.terminated, .failure):
            return .drop
        case (.proceeding, .ack), (.proceeding, .timerG), (.proceeding, .timerH),
            (.proceeding, .timerI), (.proceeding, .timerL),
            (.completed, .timerI), (.completed, .timerL),
            (.confirmed, .request), (.confirmed, .ack), (.confirmed, .timerG),
            (.confirmed, .timerH), (.confirmed, .timerL),
            (.accepted, .request), (.accepted, .timerG), (.accepted, .timerH),
            (.accepted, .timerI),
            (.terminated, .request), (.terminated, .ack), (.terminated, .timerG),
            (.terminated, .timerH), (.terminated, .timerI), (.terminated, .timerL):
            return .nothing
        }
    }
}
