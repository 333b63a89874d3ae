public import Bytes
public import Keys

/// Knows the relayed REGISTERs of the last half minute, so that copies are neither lost nor
/// multiplied (RFC 3261 §16.11: what repairs a stateless relay over UDP is the phone's copy).
///
/// Losing an entry is harmless. Entries live in two generations of fixed size; each serves for 64·T1,
/// or until it is full, and is then emptied.
public struct RelayFilter: ~Copyable, Sendable {
    public enum State: UInt8, BitwiseCopyable, Sendable {
        case free = 0
        /// Relayed, no final answer yet.
        case waiting
        /// The main registrar has agreed; the store has not answered yet.
        case committing
        /// Answered with a 2xx.
        case accepted
        /// Answered with something else.
        case refused
    }

    /// Thirty-two bytes: two to a cache line.
    public struct Entry: BitwiseCopyable, Sendable {
        var transaction: UInt64 = 0
        public var first: Instant = Instant(milliseconds: 0)
        /// The lower half of the AOR key's lower half; with the transaction it is unmistakable.
        var aor: UInt32 = 0
        public var lifetime = Lifetime()
        /// Milliseconds since `first`, and one; 0 if it has not happened.
        private var removedAfter: UInt32 = 0
        /// Steps of four milliseconds since `first`.
        private var lastSentAfter: UInt16 = 0
        /// The lower two bits are `copies`, the next one is `removesAll`.
        private var bits: UInt8 = 0
        public var state: State = .free

        public init() {}

        var lastSent: Instant {
            get { first.advanced(byMilliseconds: UInt64(lastSentAfter) * 4) }
            set { lastSentAfter = UInt16(clamping: newValue.millisecondsSince(first) / 4) }
        }

        /// Three are as good as more.
        var copies: UInt8 {
            get { bits & 3 }
            set { bits = bits & ~3 | min(newValue, 3) }
        }

        /// It asks for the removal of all contacts.
        var removesAll: Bool {
            get { bits & 4 != 0 }
            set { bits = bits & ~4 | (newValue ? 4 : 0) }
        }

        /// When the main registrar has removed all contacts; the beginning of time if it has not.
        var removedAt: Instant {
            get {
                removedAfter == 0
                    ? Instant(milliseconds: 0)
                    : first.advanced(byMilliseconds: UInt64(removedAfter) - 1)
            }
            set { removedAfter = UInt32(clamping: newValue.millisecondsSince(first) + 1) }
        }
    }

    /// What the main registrar is asked for: a copy asks for the same, whatever has been learnt since.
    public struct Lifetime: Equatable, BitwiseCopyable, Sendable {
        /// From the top: 21 bits of seconds, ten of contacts, one.
        private let value: UInt32

        /// Contacts of a request that ``keeps(_:)`` can be said of: the first ones.
        public static let keptMax = 10

        /// - Parameter kept: a bit for each contact, the lowest for the first.
        public init(seconds: UInt32 = 0, isThrottled: Bool = false, kept: UInt32 = 0) {
            value =
                min(seconds, UInt32.max >> 11) << 11 | (kept & 0x3FF) << 1 | (isThrottled ? 1 : 0)
        }

        /// For each contact at least so many seconds, for the one of an AOR exactly so many: 24 days
        /// at most.
        public var seconds: UInt32 { value >> 11 }
        /// It may be longer than what the phone asks for.
        public var isThrottled: Bool { value & 1 == 1 }
        /// Whether a contact of the request stays although the phone takes away this flow of it.
        public func keeps(_ number: Int) -> Bool {
            number < Self.keptMax && value >> UInt32(1 + number) & 1 == 1
        }
    }

    /// What to do with a REGISTER that is to be relayed.
    public enum Verdict: Equatable, Sendable {
        /// Its first time: relay.
        case relay
        /// A copy whose time has come: relay the same bytes again.
        case relayCopy
        /// A copy, sooner than T1·2ⁿ after the last, or while the store is busy with it: drop.
        case dropTooSoon
        case dropCommitting
        /// A copy of one that was accepted: answer from the table.
        case answerAccepted
        /// Too many of its AOR are under way: refuse.
        case refuse
    }

    private var young: RigidBuffer<Entry>
    private var old: RigidBuffer<Entry>
    private var youngCount = 0
    private var turned: Instant
    private let mask: Int

    /// - Parameter entriesMax: relays in 64·T1; twice as many cells are taken, a power of two.
    public init(entriesMax: Int, now: Instant) {
        var cells = 64
        while cells < entriesMax * 2 { cells *= 2 }
        young = RigidBuffer(count: cells, zeroed: Entry())
        old = RigidBuffer(count: cells, zeroed: Entry())
        mask = cells - 1
        turned = now
    }

    /// Judges a REGISTER that is about to be relayed and remembers it.
    ///
    /// - Parameters:
    ///   - removesAll: it asks for the removal of all contacts.
    ///   - lifetime: what it asks for, remembered at its first time.
    ///   - inFlightMax: relays of one AOR that may wait at a time.
    public mutating func judge(
        _ aor: AORKey, _ transaction: UInt64, removesAll: Bool = false,
        lifetime: Lifetime = Lifetime(), inFlightMax: Int, now: Instant
    ) -> Verdict {
        turn(now)
        if let verdict = Self.judgeCopy(&young, &youngWaiting, aor.low, transaction, now) {
            return verdict
        }
        if let verdict = Self.judgeCopy(&old, &oldWaiting, aor.low, transaction, now) {
            return verdict
        }
        let waiting =
            Self.waiting(young, aor.low, now) + Self.waiting(old, aor.low, now)
        guard waiting < inFlightMax else { return .refuse }
        // A refused one of the same AOR gives its place: nothing is lost by forgetting it, and the
        // run of one AOR stays short however often somebody is challenged for it.
        var at = Int(truncatingIfNeeded: aor.low) & mask
        while young[at].state != .free,
            young[at].aor != Self.short(aor.low) || young[at].state != .refused
        {
            at = (at + 1) & mask
        }
        if young[at].state == .free {
            if youngCount * 2 > mask {
                // More relays than there is room for: the generations change early, so that the
                // newest, whose answers are still to come, are always known.
                change(now)
                at = Int(truncatingIfNeeded: aor.low) & mask
            }
            youngCount += 1
        }
        var entry = Entry()
        entry.aor = Self.short(aor.low)
        entry.transaction = transaction
        entry.first = now
        entry.lastSent = now
        entry.state = .waiting
        entry.removesAll = removesAll
        entry.lifetime = lifetime
        young[at] = entry
        youngWaiting += 1
        return .relay
    }

    private static func judgeCopy(
        _ cells: inout RigidBuffer<Entry>, _ waiting: inout Int, _ aor: UInt64,
        _ transaction: UInt64, _ now: Instant
    ) -> Verdict? {
        guard let at = place(cells, aor, transaction) else { return nil }
        let entry = cells[at]
        switch entry.state {
        case .free: return nil
        case .committing: return .dropCommitting
        case .accepted: return .answerAccepted
        case .refused:
            cells[at].state = .waiting
            cells[at].lastSent = now
            waiting += 1
            return .relayCopy
        case .waiting:
            // Phones send at T1, 2·T1, 4·T1 … T2; a little early is in time.
            let step = RegistrationLimits.t1Ms << UInt64(entry.copies)
            guard now.millisecondsSince(entry.lastSent) + 50 >= step else { return .dropTooSoon }
            cells[at].copies = min(entry.copies + 1, 3)
            cells[at].lastSent = now
            return .relayCopy
        }
    }

    private static func short(_ aor: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: aor) }

    private static func place(
        _ cells: borrowing RigidBuffer<Entry>, _ aor: UInt64, _ transaction: UInt64
    ) -> Int? {
        let mask = cells.count - 1
        var at = Int(truncatingIfNeeded: aor) & mask
        while cells[at].state != .free {
            if cells[at].aor == short(aor), cells[at].transaction == transaction { return at }
            at = (at + 1) & mask
        }
        return nil
    }

    private static func waiting(
        _ cells: borrowing RigidBuffer<Entry>, _ aor: UInt64, _ now: Instant
    ) -> Int {
        let mask = cells.count - 1
        var at = Int(truncatingIfNeeded: aor) & mask
        var count = 0
        while cells[at].state != .free {
            if cells[at].aor == short(aor), cells[at].state == .waiting,
                now.millisecondsSince(cells[at].first) < RegistrationLimits.transactionMs
            {
                count += 1
            }
            at = (at + 1) & mask
        }
        return count
    }

    /// The entry of a relay, if it is still known.
    public func entry(_ aor: AORKey, _ transaction: UInt64) -> Entry? {
        if let at = Self.place(young, aor.low, transaction) { return young[at] }
        if let at = Self.place(old, aor.low, transaction) { return old[at] }
        return nil
    }

    public mutating func set(_ state: State, _ aor: AORKey, _ transaction: UInt64) {
        if let at = Self.place(young, aor.low, transaction) {
            if young[at].state == .waiting { youngWaiting -= 1 }
            if state == .waiting { youngWaiting += 1 }
            young[at].state = state
        } else if let at = Self.place(old, aor.low, transaction) {
            if old[at].state == .waiting { oldWaiting -= 1 }
            if state == .waiting { oldWaiting += 1 }
            old[at].state = state
        }
    }

    /// Whether a relay of the AOR has gone out within 64·T1 and has no answer yet.
    public func isWaiting(_ aor: AORKey, now: Instant) -> Bool {
        waiting(aor, now: now) > 0
    }

    /// How many relays of the AOR have gone out within 64·T1 and have no answer yet.
    public func waiting(_ aor: AORKey, now: Instant) -> Int {
        Self.waiting(young, aor.low, now) + Self.waiting(old, aor.low, now)
    }

    /// The main registrar has removed all contacts of the AOR, as was asked.
    public mutating func noteRemovedAll(_ aor: AORKey, _ transaction: UInt64, at now: Instant) {
        if let at = Self.place(young, aor.low, transaction) {
            young[at].removedAt = now
        } else if let at = Self.place(old, aor.low, transaction) {
            old[at].removedAt = now
        }
    }

    /// Whether a removal of all contacts of the AOR is on its way, or has been answered since: what
    /// was relayed at `first` may have come to the main registrar before it.
    public func mayRemoveAll(_ aor: AORKey, since first: Instant) -> Bool {
        Self.mayRemoveAll(young, aor.low, first) || Self.mayRemoveAll(old, aor.low, first)
    }

    private static func mayRemoveAll(
        _ cells: borrowing RigidBuffer<Entry>, _ aor: UInt64, _ first: Instant
    ) -> Bool {
        let mask = cells.count - 1
        var at = Int(truncatingIfNeeded: aor) & mask
        while cells[at].state != .free {
            if cells[at].aor == short(aor), cells[at].removesAll,
                cells[at].state == .waiting || cells[at].removedAt > first
            {
                return true
            }
            at = (at + 1) & mask
        }
        return false
    }

    /// How many entries the present generation has.
    public var count: Int { youngCount }

    /// Relays without an answer, those of the last generation included.
    public var waitingCount: Int { youngWaiting + oldWaiting }

    private mutating func turn(_ now: Instant) {
        let passed = now.millisecondsSince(turned)
        guard passed >= RegistrationLimits.transactionMs else { return }
        if passed >= 2 * RegistrationLimits.transactionMs {
            // Nothing was relayed for so long that both are history.
            Self.empty(&young, youngCount)
            (youngCount, youngWaiting) = (0, 0)
        }
        change(now)
    }

    private mutating func change(_ now: Instant) {
        turned = now
        swap(&young, &old)
        Self.empty(&young, oldCount)
        (oldCount, oldWaiting) = (youngCount, youngWaiting)
        (youngCount, youngWaiting) = (0, 0)
    }

    /// Empties a generation, if something is in it.
    private static func empty(_ cells: inout RigidBuffer<Entry>, _ count: Int) {
        guard count > 0 else { return }
        for at in 0..<cells.count where cells[at].state != .free { cells[at] = Entry() }
    }

    private var oldCount = 0
    private var youngWaiting = 0
    private var oldWaiting = 0
}
