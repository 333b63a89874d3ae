internal import Bytes
internal import Keys
internal import Registration
internal import SIPTransaction

/// The request by which a worker asks how the main registrar is: one at a time, a new one each
/// period; and what earlier ones have shown.
struct MainProbe: ~Copyable {
    enum Request: Sendable {
        /// Whether it is there.
        case options
        /// Whether it still has a binding of ours (RFC 3261 §10.2.3).
        case fetch
    }

    /// What fetches have shown of the main registrar.
    enum Listing: Sendable {
        case unknown
        /// It listed none of two bindings, which was taken for amnesia once.
        case doubted
        /// It has listed a binding.
        case proven
    }

    /// What a timer came to.
    enum Due: Equatable, Sendable {
        case nothing, send, missed
    }

    /// Milliseconds for which there are no fetches after they were refused, or listed nothing.
    private static let pauseMs: UInt64 = 3_600_000

    private let periodMs: UInt64
    /// Of all its requests since the start; the From tag is made of it too.
    let callID: UInt64
    /// Answers find the worker by it, whatever is asked for.
    let steering: SteeringBits
    private(set) var nextStart: Instant

    // The request that is under way, or was last.
    private(set) var isUnderWay = false
    private(set) var request = Request.options
    private(set) var sequence: UInt32 = 0
    /// Challenges to it that were answered.
    private(set) var answers: UInt8 = 0
    private var isAnswered = false
    var transaction: NonInviteClientTransaction
    private(set) var message = ByteBuffer(bytesMax: RemovalPool.messageBytesMax)

    /// The binding that is asked for: its place in the table, and the fact that tells it from another
    /// one there.
    struct Canary: Equatable {
        let place: UInt32
        let record: RecordNumber
    }

    var canary: Canary?
    /// When the request that is under way, or was last, was sent first.
    private(set) var started: Instant
    /// Of the canary before, if the main registrar did not have it.
    var missing: AORKey?
    var listing = Listing.unknown
    private var fetchesFrom: Instant

    init(_ options: CoreOptions, now: Instant) {
        periodMs = options.probeMs
        // One Call-ID for each worker and start, so that CSeq may begin at 1 (§8.1.1.5).
        var hash = KeyedHash(options.keys.fingerprint)
        hash.update(word: UInt64(options.worker))
        hash.update(word: now.milliseconds)
        hash.update(UInt8(ascii: "p"))
        callID = hash.finish()
        steering = SteeringBits(ownedBy: options.worker, among: options.workers)
        // The workers take turns.
        nextStart =
            periodMs == 0
            ? Instant(milliseconds: .max)
            : now.advanced(
                byMilliseconds: periodMs * UInt64(options.worker + 1) / UInt64(options.workers))
        transaction = NonInviteClientTransaction(now: now)
        started = now
        fetchesFrom = now
    }

    /// What the seal of the request says: never the same twice, also after a restart.
    var number: UInt64 { callID &+ UInt64(sequence) }
    var tag: UInt64 { ~callID }

    var nextTimer: Instant {
        isUnderWay ? min(nextStart, transaction.nextTimer) : nextStart
    }

    /// Lets the timers that are due do their work; one that is under way ends with its period.
    mutating func fire(at now: Instant) -> Due {
        guard isUnderWay else { return .nothing }
        if nextStart <= now { return end() }
        switch transaction.fire(at: now) {
        case .nothing, .deliver: return .nothing
        case .send: return .send
        case .timeOut, .end: return end()
        }
    }

    private mutating func end() -> Due {
        isUnderWay = false
        return isAnswered ? .nothing : .missed
    }

    /// The period's request begins; periods that were slept through are left out.
    mutating func advance(at now: Instant) {
        nextStart = nextStart.advanced(byMilliseconds: periodMs)
        if nextStart <= now { nextStart = now.advanced(byMilliseconds: periodMs) }
    }

    /// A request of its own begins (RFC 3261 §22.2 for one that answers a challenge).
    mutating func begin(_ request: Request, answers: UInt8 = 0, at now: Instant) {
        self.request = request
        self.answers = answers
        started = now
        sequence += 1
        isAnswered = false
        isUnderWay = true
        transaction = NonInviteClientTransaction(now: now)
    }

    /// Keeps the request for its copies; `false`, and it is not under way, if it is too long.
    mutating func keep(_ bytes: Span<UInt8>) -> Bool {
        message.clear()
        message.append(bytes)
        if bytes.isEmpty || message.overflowed { isUnderWay = false }
        return isUnderWay
    }

    /// It was never sent.
    mutating func giveUp() { isUnderWay = false }

    /// Something has come back; whether that was the first.
    mutating func noteAnswer() -> Bool {
        defer { isAnswered = true }
        return !isAnswered
    }

    func fetches(at now: Instant) -> Bool { now >= fetchesFrom }

    mutating func pauseFetches(at now: Instant) {
        canary = nil
        missing = nil
        fetchesFrom = now.advanced(byMilliseconds: Self.pauseMs)
    }

    mutating func resumeFetches(at now: Instant) { fetchesFrom = now }
}
