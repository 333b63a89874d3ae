public import Bytes
public import Keys

/// All bindings of one worker: found by AOR and by contact ID, ended by a timing wheel; everything
/// in memory taken at start.
public struct BindingTable: ~Copyable, Sendable {
    /// Seconds after which the wheel comes round.
    private static let wheelSlots = 4_096

    private var entries: RigidBuffer<PackedBinding>
    /// What IPv6 peers need beside their entries; untouched memory where phones use IPv4.
    private var widePeers: RigidBuffer<PackedBinding.WidePeer>
    /// The largest ticket a binding was given.
    private var newestTicket: UInt64 = 0
    /// Open addressing: the lower bits of a cell are an index, as many as indices need, the rest
    /// part of the hash; 0 is free.
    private var byAOR: RigidBuffer<UInt32>
    private var byID: RigidBuffer<UInt32>
    private let indexMask: UInt32
    private let mask: Int
    private var freeHead: UInt32 = 0
    private var used: UInt32 = 0
    private var wheel: RigidBuffer<UInt32>
    private var wheelSecond: UInt64
    /// Bindings whose slot has come up and that wait to be looked at.
    private var due: UInt32 = 0

    /// Bindings that are kept reachable by pings.
    public private(set) var pings: PingWalk

    /// Bindings of any state.
    public private(set) var count = 0
    /// AORs with a binding of any state.
    public private(set) var aorCount = 0
    /// AORs with a live binding.
    public private(set) var liveAORCount = 0
    public private(set) var liveCount = 0
    public let bindingsMax: Int

    /// - Parameters:
    ///   - bindingsMax: how many bindings it holds.
    ///   - now: where the wheel begins.
    public init(bindingsMax: Int, now: Instant) {
        precondition(bindingsMax > 0 && bindingsMax < 1 << 30, "a table has a size")
        self.bindingsMax = bindingsMax
        entries = RigidBuffer(count: bindingsMax + 1, zeroed: PackedBinding())
        widePeers = RigidBuffer(count: bindingsMax + 1, zeroed: PackedBinding.WidePeer())
        indexMask = UInt32.max >> UInt32(UInt32(bindingsMax).leadingZeroBitCount)
        var cells = 16
        while cells < bindingsMax * 2 { cells *= 2 }
        byAOR = RigidBuffer(count: cells, zeroed: 0)
        byID = RigidBuffer(count: cells, zeroed: 0)
        mask = cells - 1
        pings = PingWalk(places: bindingsMax + 1)
        wheel = RigidBuffer(count: Self.wheelSlots, zeroed: 0)
        wheelSecond = now.milliseconds / 1_000
    }

    public var isFull: Bool { count >= bindingsMax }

    public subscript(index: BindingIndex) -> Binding {
        get {
            let entry = entries[Int(index.value)]
            let wide =
                entry.peerForm == .wide ? widePeers[Int(index.value)] : PackedBinding.WidePeer()
            return entry.unpacked(wide, newest: newestTicket)
        }
        set {
            let old = entries[Int(index.value)]
            precondition(
                old.aor == newValue.aor && old.id == newValue.id, "a binding keeps its keys")
            if (old.state == .live) != (newValue.state == .live) {
                countLive(index.value, old.aor, by: newValue.state == .live ? 1 : -1)
            }
            if old.isPinged != newValue.isPinged {
                pings.set(Int(index.value), newValue.isPinged)
            }
            var entry = pack(newValue, at: index.value)
            entry.next = old.next
            entry.wheelNext = old.wheelNext
            entry.wheelPrevious = old.wheelPrevious
            entries[Int(index.value)] = entry
        }
    }

    private mutating func pack(_ binding: Binding, at slot: UInt32) -> PackedBinding {
        let entry = PackedBinding(binding)
        if entry.peerForm == .wide {
            widePeers[Int(slot)] = PackedBinding.WidePeer(binding.flow.peer)
        }
        newestTicket = max(newestTicket, binding.ticket.value)
        return entry
    }

    // Parts of a binding, without the rest of it.

    /// The fingerprint of its contact.
    public func contact(_ index: BindingIndex) -> UInt64 { entries[Int(index.value)].contact }
    public func id(_ index: BindingIndex) -> ContactID { entries[Int(index.value)].id }
    public func identity(_ index: BindingIndex) -> UInt64 { entries[Int(index.value)].identity }
    public func state(_ index: BindingIndex) -> Binding.State { entries[Int(index.value)].state }
    public func isLive(_ index: BindingIndex) -> Bool { entries[Int(index.value)].state == .live }

    // MARK: Finding

    /// The first binding of an AOR; the others follow by ``next(after:)``.
    public func first(of aor: AORKey) -> BindingIndex? {
        var at = Int(truncatingIfNeeded: aor.low) & mask
        let tag = tag(of: aor)
        while byAOR[at] != 0 {
            if byAOR[at] & ~indexMask == tag {
                let index = byAOR[at] & indexMask
                if entries[Int(index)].aor == aor { return BindingIndex(index) }
            }
            at = (at + 1) & mask
        }
        return nil
    }

    public func next(after index: BindingIndex) -> BindingIndex? {
        let next = entries[Int(index.value)].next
        return next == 0 ? nil : BindingIndex(next)
    }

    /// A binding with a contact ID; others, flows of the same contact, are of the same AOR.
    public func find(_ id: ContactID) -> BindingIndex? {
        var at = Int(truncatingIfNeeded: id.high) & mask
        let tag = tag(of: id)
        while byID[at] != 0 {
            if byID[at] & ~indexMask == tag {
                let index = byID[at] & indexMask
                if entries[Int(index)].id == id { return BindingIndex(index) }
            }
            at = (at + 1) & mask
        }
        return nil
    }

    private func tag(of aor: AORKey) -> UInt32 {
        UInt32(truncatingIfNeeded: aor.low >> 32) & ~indexMask
    }

    private func tag(of id: ContactID) -> UInt32 {
        UInt32(truncatingIfNeeded: id.low >> 16) & ~indexMask
    }

    /// The binding whose turn for a ping comes at a step of ``pings``.
    public func pinged(atStep step: UInt64) -> BindingIndex? {
        pings.place(atStep: step).map { BindingIndex(UInt32($0)) }
    }

    /// The largest ``BindingIndex/number`` that any binding has had.
    public var numberMax: UInt32 { used }

    /// The binding with a number that ``BindingIndex/number`` once was, or another one by now.
    public func binding(numbered number: UInt32) -> BindingIndex? {
        guard number > 0, number <= used, entries[Int(number)].state != .free else { return nil }
        return BindingIndex(number)
    }

    // MARK: Adding and taking away

    /// Puts a binding in; `nil` if the table is full.
    ///
    /// - Precondition: no binding of another AOR has its contact ID.
    public mutating func insert(_ binding: Binding) -> BindingIndex? {
        guard !isFull else { return nil }
        let index: UInt32
        if freeHead != 0 {
            index = freeHead
            freeHead = entries[Int(index)].next
        } else {
            used += 1
            index = used
        }
        var entry = pack(binding, at: index)
        if let head = first(of: binding.aor) {
            entry.next = entries[Int(head.value)].next
            entries[Int(head.value)].next = index
        } else {
            var at = Int(truncatingIfNeeded: binding.aor.low) & mask
            while byAOR[at] != 0 { at = (at + 1) & mask }
            byAOR[at] = tag(of: binding.aor) | index
            aorCount += 1
        }
        var at = Int(truncatingIfNeeded: binding.id.high) & mask
        while byID[at] != 0 { at = (at + 1) & mask }
        byID[at] = tag(of: binding.id) | index
        entries[Int(index)] = entry
        count += 1
        if entry.state == .live { countLive(index, entry.aor, by: 1) }
        if entry.isPinged { pings.set(Int(index), true) }
        enterWheel(index)
        return BindingIndex(index)
    }

    public mutating func remove(_ index: BindingIndex) {
        let slot = index.value
        let entry = entries[Int(slot)]
        precondition(entry.state != .free, "the binding is there")
        if entry.state == .live { countLive(slot, entry.aor, by: -1) }
        if entry.isPinged { pings.set(Int(slot), false) }
        leaveWheel(slot)
        removeFromAOR(slot, entry)
        removeCell(ofID: slot, entry)
        var free = PackedBinding()
        free.next = freeHead
        entries[Int(slot)] = free
        freeHead = slot
        count -= 1
    }

    /// Counts a binding that becomes live, or ceases to be, and its AOR if no other one is.
    private mutating func countLive(_ slot: UInt32, _ aor: AORKey, by change: Int) {
        liveCount += change
        var next = first(of: aor)
        while let place = next {
            if place.value != slot, entries[Int(place.value)].state == .live { return }
            next = self.next(after: place)
        }
        liveAORCount += change
    }

    private mutating func removeFromAOR(_ slot: UInt32, _ entry: PackedBinding) {
        guard let head = first(of: entry.aor) else { preconditionFailure("a binding has an AOR") }
        if head.value != slot {
            var before = head.value
            while entries[Int(before)].next != slot { before = entries[Int(before)].next }
            entries[Int(before)].next = entry.next
            return
        }
        var at = Int(truncatingIfNeeded: entry.aor.low) & mask
        while byAOR[at] & indexMask != slot { at = (at + 1) & mask }
        if entry.next != 0 {
            byAOR[at] = tag(of: entry.aor) | entry.next
            return
        }
        aorCount -= 1
        Self.closeGap(&byAOR, entries, at, indexMask) { $0.aor.low }
    }

    private mutating func removeCell(ofID slot: UInt32, _ entry: PackedBinding) {
        var at = Int(truncatingIfNeeded: entry.id.high) & mask
        while byID[at] & indexMask != slot { at = (at + 1) & mask }
        Self.closeGap(&byID, entries, at, indexMask) { $0.id.high }
    }

    /// Frees a cell and moves later ones of its run back, so that no run is cut.
    private static func closeGap(
        _ cells: inout RigidBuffer<UInt32>, _ entries: borrowing RigidBuffer<PackedBinding>,
        _ start: Int, _ indexMask: UInt32, _ hash: (PackedBinding) -> UInt64
    ) {
        let mask = cells.count - 1
        var gap = start
        var at = (gap + 1) & mask
        while cells[at] != 0 {
            let index = Int(cells[at] & indexMask)
            let home = Int(truncatingIfNeeded: hash(entries[index])) & mask
            if (at &- home) & mask >= (at &- gap) & mask {
                cells[gap] = cells[at]
                gap = at
            }
            at = (at + 1) & mask
        }
        cells[gap] = 0
    }

    // MARK: The timing wheel

    /// Moves a binding to where its deadline belongs; needed only if that has come nearer.
    public mutating func reschedule(_ index: BindingIndex) {
        leaveWheel(index.value)
        enterWheel(index.value)
    }

    private mutating func enterWheel(_ slot: UInt32) {
        // One second past the deadline, so that a binding is never ended early.
        let second = entries[Int(slot)].deadline.milliseconds / 1_000 + 1
        let ahead = min(max(second, wheelSecond + 1), wheelSecond + UInt64(Self.wheelSlots) - 1)
        let place = Int(truncatingIfNeeded: ahead) & (Self.wheelSlots - 1)
        let head = wheel[place]
        entries[Int(slot)].wheelNext = head
        // The head of a slot points back at its slot, marked by the top bit.
        entries[Int(slot)].wheelPrevious = 0x8000_0000 | UInt32(place)
        if head != 0 { entries[Int(head)].wheelPrevious = slot }
        wheel[place] = slot
    }

    private mutating func leaveWheel(_ slot: UInt32) {
        let next = entries[Int(slot)].wheelNext
        let previous = entries[Int(slot)].wheelPrevious
        if previous == 0xFFFF_FFFF {
            due = next
        } else if previous & 0x8000_0000 != 0 {
            wheel[Int(previous & 0x7FFF_FFFF)] = next
        } else {
            entries[Int(previous)].wheelNext = next
        }
        if next != 0 { entries[Int(next)].wheelPrevious = previous }
    }

    /// The next binding whose deadline has passed; `nil` when there is none up to `now`.
    ///
    /// The caller must change or remove it, then call ``reschedule(_:)`` if it stays.
    public mutating func nextDue(at now: Instant, budget: inout Int) -> BindingIndex? {
        let second = now.milliseconds / 1_000
        while budget > 0 {
            if due == 0 {
                guard wheelSecond < second else { return nil }
                if second - wheelSecond > UInt64(Self.wheelSlots) {
                    wheelSecond = second - UInt64(Self.wheelSlots)
                }
                wheelSecond += 1
                let place = Int(truncatingIfNeeded: wheelSecond) & (Self.wheelSlots - 1)
                due = wheel[place]
                wheel[place] = 0
                if due != 0 { entries[Int(due)].wheelPrevious = 0xFFFF_FFFF }
                continue
            }
            budget -= 1
            let index = BindingIndex(due)
            if entries[Int(due)].deadline <= now { return index }
            reschedule(index)
        }
        return nil
    }

    /// When the wheel has to be turned again.
    public var nextTurn: Instant {
        Instant(milliseconds: due != 0 ? 0 : (wheelSecond + 1) * 1_000)
    }
}
