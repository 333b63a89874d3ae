public import Bytes
public import Keys
public import Registration
public import SIPTransaction

/// The REGISTERs of our own that are under way, and the lapsed bindings that wait for theirs; both
/// bounded, paced by a rate.
public struct RemovalPool: ~Copyable {
    /// Under way at a time: at 200 a second and a round trip below a second there is never more.
    public static let transactionsMax = 256
    /// The largest: the strings of a fact and the fixed parts.
    public static let messageBytesMax = 9_216

    public struct Slot: BitwiseCopyable {
        public var isUsed = false
        public var id = ContactID(high: 0, low: 0)
        public var generation: UInt32 = 0
        public var count = 0
        public var removal = OwnRemoval()
        /// Challenges that were answered.
        public var answers: UInt8 = 0
        public var transaction = NonInviteClientTransaction(now: Instant(milliseconds: 0))

        public init() {}
    }

    public var slots: RigidBuffer<Slot>
    private var messages: RigidBuffer<UInt8>
    private var queue: RigidBuffer<ContactID>
    private var head = 0
    private var tail = 0
    public private(set) var active = 0
    private var tokens: UInt64
    private var refilled: Instant
    private let perSecond: UInt64
    /// None is sent before this.
    private var heldUntil = Instant(milliseconds: 0)

    public init(bindingsMax: Int, perSecond: Int, now: Instant) {
        slots = RigidBuffer(count: Self.transactionsMax, zeroed: Slot())
        messages = RigidBuffer(count: Self.transactionsMax * Self.messageBytesMax, zeroed: 0)
        queue = RigidBuffer(count: bindingsMax + 1, zeroed: ContactID(high: 0, low: 0))
        self.perSecond = UInt64(max(1, perSecond))
        tokens = self.perSecond * 1_000
        refilled = now
    }

    public var queued: Int { tail - head }

    /// When the next one may be sent by the rate; never if none waits or none more may be under way.
    public var nextSend: Instant {
        guard queued > 0, active < Self.transactionsMax else {
            return Instant(milliseconds: .max)
        }
        guard tokens < 1_000 else { return max(refilled, heldUntil) }
        return max(
            heldUntil,
            refilled.advanced(byMilliseconds: (1_000 - tokens + perSecond - 1) / perSecond))
    }

    /// Keeps what waits in the queue from being sent before `until`.
    public mutating func hold(until: Instant) { heldUntil = until }

    /// Puts a lapsed binding at the end of the queue; `false` if it is full (it is asked again later).
    public mutating func enqueue(_ id: ContactID) -> Bool {
        guard queued < queue.count else { return false }
        queue[tail % queue.count] = id
        tail += 1
        return true
    }

    /// The next one that may be sent now by the rate.
    public mutating func dequeue(at now: Instant) -> ContactID? {
        let passed = now.millisecondsSince(refilled)
        if passed > 0 {
            tokens = min(perSecond * 1_000, tokens + passed * perSecond)
            refilled = now
        }
        guard now >= heldUntil, queued > 0, tokens >= 1_000, active < Self.transactionsMax else {
            return nil
        }
        tokens -= 1_000
        let id = queue[head % queue.count]
        head += 1
        // Begins at the start again, so that only as much memory is touched as was ever in use.
        if head == tail {
            head = 0
            tail = 0
        }
        return id
    }

    /// A free slot; there is one whenever ``dequeue(at:)`` gave something.
    ///
    /// - Parameter generation: tells it from what was in that slot before, also before a restart.
    public mutating func open(_ id: ContactID, generation: UInt32, now: Instant) -> Int? {
        for index in 0..<slots.count where !slots[index].isUsed {
            var slot = slots[index]
            slot.isUsed = true
            slot.id = id
            slot.generation = generation
            slot.answers = 0
            slot.transaction = NonInviteClientTransaction(now: now)
            slots[index] = slot
            active += 1
            return index
        }
        return nil
    }

    /// The same removal begins again, as a request of its own (RFC 3261 §22.2).
    public mutating func reopen(_ slot: Int, generation: UInt32, now: Instant) {
        slots[slot].generation = generation
        slots[slot].answers += 1
        slots[slot].removal.sequence += 1
        slots[slot].transaction = NonInviteClientTransaction(now: now)
    }

    /// Keeps a request for its copies; `false`, and nothing is kept, if it is too long.
    public mutating func keep(_ message: Span<UInt8>, in slot: Int) -> Bool {
        guard !message.isEmpty, message.count <= Self.messageBytesMax else { return false }
        messages.copy(message, to: slot * Self.messageBytesMax)
        slots[slot].count = message.count
        return true
    }

    @_lifetime(borrow self)
    public func message(_ slot: Int) -> Span<UInt8> {
        let start = slot * Self.messageBytesMax
        return messages.span(ByteRange(start, start + slots[slot].count))
    }

    public mutating func close(_ slot: Int) {
        slots[slot].isUsed = false
        active -= 1
    }

    /// The slot in which a removal of this contact is under way.
    public func slot(of id: ContactID) -> Int? {
        guard active > 0 else { return nil }
        for index in 0..<slots.count where slots[index].isUsed && slots[index].id == id {
            return index
        }
        return nil
    }

    /// The earliest timer of those under way.
    public var nextTimer: Instant {
        var next = Instant(milliseconds: .max)
        guard active > 0 else { return next }
        for index in 0..<slots.count where slots[index].isUsed {
            next = min(next, slots[index].transaction.nextTimer)
        }
        return next
    }
}
