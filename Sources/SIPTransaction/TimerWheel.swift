public import Bytes

/// One due time each for many items: a hashed wheel (Varghese and Lauck, scheme 6) of which each
/// step takes the same time however many items there are. All memory is taken at start.
///
/// An item never comes early, and late by less than ``tickMs``. What lies further ahead than the
/// wheel is long is passed over once a round. Items come tick by tick, those of one tick in the order
/// in which they were scheduled.
public struct TimerWheel: ~Copyable, Sendable {
    /// Milliseconds between two steps of the wheel.
    public static let tickMs: UInt64 = 10
    /// Steps after which the wheel comes round: 40.96 s, longer than every timer of a transaction
    /// but Timer C. As many as a bitmap of two levels has bits.
    static let ticksPerRound: UInt64 = 4_096

    /// Items stand in rings, each closed by a node of its own: one for each place of the wheel
    /// (1…4,096) and one for what is due. 0 is no node, so links of zeros belong to no ring.
    struct Node: BitwiseCopyable {
        var tick: UInt64
        var next: UInt32
        var previous: UInt32
    }

    private static let dueNode: UInt32 = 4_097
    private static let firstItem: UInt32 = 4_098

    private var nodes: RigidBuffer<Node>
    /// A bit for each place that holds something, and one for each of these words that is not 0.
    private var occupied: RigidBuffer<UInt64>
    private var occupiedWords: UInt64 = 0
    /// The last tick whose items have been moved to those that are due.
    private var current: UInt64
    /// Items that have a due time.
    public private(set) var count = 0

    /// - Parameters:
    ///   - capacity: items are numbered from 0 up to this, at most 2³¹.
    ///   - now: where the wheel begins.
    public init(capacity: Int, now: Instant) {
        precondition(capacity > 0 && capacity <= 1 << 31, "a wheel has a size")
        nodes = RigidBuffer(
            count: Int(Self.firstItem) + capacity, zeroed: Node(tick: 0, next: 0, previous: 0))
        for ring in 1...Self.dueNode {
            nodes[Int(ring)] = Node(tick: 0, next: ring, previous: ring)
        }
        occupied = RigidBuffer(count: Int(Self.ticksPerRound) / 64, zeroed: 0)
        current = now.milliseconds / Self.tickMs
    }

    /// Sets when an item is due, instead of what was set before; ``Instant/never`` cancels.
    public mutating func schedule(_ slot: UInt32, at due: Instant) {
        guard due != .never else {
            cancel(slot)
            return
        }
        let tick = due.milliseconds / Self.tickMs + (due.milliseconds % Self.tickMs > 0 ? 1 : 0)
        let item = node(of: slot)
        if nodes[Int(item)].next != 0 {
            if nodes[Int(item)].tick == tick { return }
            unlink(item)
        } else {
            count += 1
        }
        nodes[Int(item)].tick = tick
        if tick <= current {
            link(item, before: Self.dueNode)
        } else {
            let place = Int(tick % Self.ticksPerRound)
            link(item, before: UInt32(place + 1))
            occupied[place / 64] |= 1 << UInt64(place % 64)
            occupiedWords |= 1 << UInt64(place / 64)
        }
    }

    /// Takes an item's due time away, if it has one.
    public mutating func cancel(_ slot: UInt32) {
        let item = node(of: slot)
        guard nodes[Int(item)].next != 0 else { return }
        unlink(item)
        nodes[Int(item)].next = 0
        count -= 1
    }

    public func isScheduled(_ slot: UInt32) -> Bool { nodes[Int(node(of: slot))].next != 0 }

    /// When ``popDue(at:)`` is to be asked next: when the first item comes, or earlier if the place
    /// where it stands is passed before; ``Instant/never`` if there is none.
    public var nextDue: Instant {
        if nodes[Int(Self.dueNode)].next != Self.dueNode {
            return Instant(milliseconds: current * Self.tickMs)
        }
        guard let distance = distanceToOccupied else { return .never }
        return Instant(milliseconds: (current + distance) * Self.tickMs)
    }

    /// An item that is due, which has no due time then; `nil` if there is none.
    public mutating func popDue(at now: Instant) -> UInt32? {
        advance(to: now.milliseconds / Self.tickMs)
        let item = nodes[Int(Self.dueNode)].next
        guard item != Self.dueNode else { return nil }
        unlink(item)
        nodes[Int(item)].next = 0
        count -= 1
        return item - Self.firstItem
    }

    // MARK: Turning

    private mutating func advance(to target: UInt64) {
        guard target > current else { return }
        while let distance = distanceToOccupied, current + distance <= target {
            current += distance
            collect()
        }
        current = target
    }

    /// Moves the items of the current tick to those that are due; those of later rounds stay.
    private mutating func collect() {
        let ring = UInt32(current % Self.ticksPerRound) + 1
        var item = nodes[Int(ring)].next
        while item != ring {
            let next = nodes[Int(item)].next
            if nodes[Int(item)].tick == current {
                unlink(item)
                link(item, before: Self.dueNode)
            }
            item = next
        }
    }

    /// Ticks from the current one to the next whose place holds something, 1…4,096.
    private var distanceToOccupied: UInt64? {
        guard occupiedWords != 0 else { return nil }
        let from = (current + 1) % Self.ticksPerRound
        let word = from / 64
        let ahead = occupied[Int(word)] & (UInt64.max << (from % 64))
        if ahead != 0 { return 1 + UInt64(ahead.trailingZeroBitCount) - from % 64 }
        // The words behind it, round to the part of its own that lies before.
        let isLast = word == 63
        let behind = isLast ? 0 : occupiedWords & (UInt64.max << (word + 1))
        let words = behind != 0 ? behind : occupiedWords
        let found = UInt64(words.trailingZeroBitCount)
        let place = found * 64 + UInt64(occupied[Int(found)].trailingZeroBitCount)
        return 1 + (place + Self.ticksPerRound - from) % Self.ticksPerRound
    }

    // MARK: Rings

    private func node(of slot: UInt32) -> UInt32 {
        precondition(
            Int(slot) < nodes.count - Int(Self.firstItem), "the item is one of the wheel's")
        return Self.firstItem + slot
    }

    /// Puts an item at the end of the ring that a node closes.
    private mutating func link(_ item: UInt32, before ring: UInt32) {
        let last = nodes[Int(ring)].previous
        nodes[Int(item)].next = ring
        nodes[Int(item)].previous = last
        nodes[Int(last)].next = item
        nodes[Int(ring)].previous = item
    }

    private mutating func unlink(_ item: UInt32) {
        let (next, previous) = (nodes[Int(item)].next, nodes[Int(item)].previous)
        nodes[Int(previous)].next = next
        nodes[Int(next)].previous = previous
        // Both are the ring's own node: the place is empty.
        guard next == previous, next < Self.dueNode else { return }
        let place = Int(next) - 1
        occupied[place / 64] &= ~(1 << UInt64(place % 64))
        if occupied[place / 64] == 0 { occupiedWords &= ~(1 << UInt64(place / 64)) }
    }
}
