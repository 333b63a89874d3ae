internal import Bytes

/// Finds a transaction's slot by its key: open addressing in memory taken at start, at most half
/// full, without tombstones.
public struct TransactionIndex: ~Copyable, Sendable {
    struct Cell: BitwiseCopyable {
        var key: UInt64
        var slot: UInt32
        /// 0 if the cell is free: no handle that was given out has it.
        var generation: UInt32
    }

    private var cells: RigidBuffer<Cell>
    private let mask: Int
    /// How many keys it holds at most.
    public let capacity: Int
    /// Keys it holds.
    public private(set) var count = 0

    /// - Parameter capacity: how many keys it holds, 1…2³⁰; each costs 32 to 64 bytes of addresses.
    public init(capacity: Int) {
        precondition(capacity > 0 && capacity <= 1 << 30, "an index has a size")
        self.capacity = capacity
        var number = 16
        while number < 2 * capacity { number *= 2 }
        cells = RigidBuffer(count: number, zeroed: Cell(key: 0, slot: 0, generation: 0))
        mask = number - 1
    }

    public func find(_ key: TransactionKey) -> SlotHandle? {
        let at = cell(of: key)
        guard cells[at].generation != 0 else { return nil }
        return SlotHandle(slot: cells[at].slot, generation: cells[at].generation)
    }

    /// Adds a key; `false` if the index is full.
    ///
    /// - Precondition: the key is not in it, and `handle` was given out by a ``SlotPool``.
    public mutating func insert(_ key: TransactionKey, _ handle: SlotHandle) -> Bool {
        precondition(handle.generation != 0, "a slot was taken")
        guard count < capacity else { return false }
        let at = cell(of: key)
        precondition(cells[at].generation == 0, "a transaction is begun once")
        cells[at] = Cell(key: key.value, slot: handle.slot, generation: handle.generation)
        count += 1
        return true
    }

    /// Takes a key out; what it stood for, or `nil` if it was not in it.
    @discardableResult
    public mutating func remove(_ key: TransactionKey) -> SlotHandle? {
        var hole = cell(of: key)
        guard cells[hole].generation != 0 else { return nil }
        let found = SlotHandle(slot: cells[hole].slot, generation: cells[hole].generation)
        // What stands behind moves up, unless it would come before the place it is looked for from.
        var at = (hole + 1) & mask
        while cells[at].generation != 0 {
            let home = Int(truncatingIfNeeded: cells[at].key) & mask
            if (at - home) & mask >= (at - hole) & mask {
                cells[hole] = cells[at]
                hole = at
            }
            at = (at + 1) & mask
        }
        cells[hole].generation = 0
        count -= 1
        return found
    }

    /// Where a key stands, or the free cell where it would.
    private func cell(of key: TransactionKey) -> Int {
        var at = Int(truncatingIfNeeded: key.value) & mask
        while cells[at].generation != 0, cells[at].key != key.value { at = (at + 1) & mask }
        return at
    }
}
