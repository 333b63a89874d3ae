internal import Bytes
internal import Glibc
internal import Registration

/// Changes that one worker stages and hands over together, and their bytes.
///
/// A worker fills it alone; from hand-over to decision worker and committer only read it; then it is
/// the worker's again. That order, which the queue's lock and the ticket's atomic publish, is what
/// makes it safe to share.
@safe final class ChangeBlock: @unchecked Sendable {
    struct Change {
        let number: UInt64
        let offset: Int
        /// Bytes with their frame; -1 for a removal.
        let count: Int
    }

    /// Which of its worker's blocks it is.
    let slot: Int
    private(set) var changes: [Change] = []
    private var base: UnsafeMutablePointer<UInt8>
    private(set) var capacity: Int
    private var end = 0
    /// How many of its changes are what its worker's index points at.
    var live = 0
    /// Its place among its worker's hand-overs.
    var ticket: UInt64 = 0

    init(slot: Int, capacity: Int) {
        self.slot = slot
        self.capacity = capacity
        guard let memory = unsafe malloc(capacity) else {
            preconditionFailure("memory for a hand-over is there")
        }
        unsafe base = memory.bindMemory(to: UInt8.self, capacity: capacity)
        changes.reserveCapacity(64)
    }

    deinit { unsafe free(base) }

    /// What it takes of the queue's bound.
    var bytes: Int { end + changes.count * MemoryLayout<Change>.stride }

    func append(removalOf number: UInt64) {
        changes.append(Change(number: number, offset: 0, count: -1))
    }

    /// Adds `fact` in its frame.
    func append(_ number: UInt64, _ fact: Span<UInt8>) {
        let count = RecordFrame.bytes + fact.count
        reserve(count)
        let sum = RecordFrame.sum(fact, number: number)
        // SAFETY: `reserve` has made room for `count` bytes at `end`; the source is another's.
        unsafe base[end] = RecordFrame.version
        for byte in 0..<8 {
            unsafe base[end + 1 + byte] = UInt8(truncatingIfNeeded: sum &>> UInt64(8 * byte))
        }
        unsafe fact.withUnsafeBufferPointer { bytes in
            guard let source = bytes.baseAddress else { return }
            unsafe memcpy(base + end + RecordFrame.bytes, source, bytes.count)
        }
        changes.append(Change(number: number, offset: end, count: count))
        end += count
    }

    private func reserve(_ count: Int) {
        guard end + count > capacity else { return }
        let larger = max(capacity * 2, end + count)
        guard let memory = unsafe realloc(base, larger) else {
            preconditionFailure("memory for a hand-over is there")
        }
        unsafe base = memory.bindMemory(to: UInt8.self, capacity: larger)
        capacity = larger
    }

    /// The fact of a change that is no removal, without its frame.
    @_lifetime(borrow self)
    func fact(of change: Change) -> Span<UInt8> {
        precondition(change.count >= RecordFrame.bytes, "a removal has no bytes")
        let start = unsafe base + change.offset + RecordFrame.bytes
        let span = unsafe Span(_unsafeStart: start, count: change.count - RecordFrame.bytes)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// Where a change's framed bytes are; it holds while nothing is appended.
    func unsafeAddress(of change: Change) -> UnsafeMutablePointer<UInt8> {
        unsafe base + change.offset
    }

    func clear() {
        changes.removeAll(keepingCapacity: true)
        end = 0
        live = 0
        ticket = 0
    }
}
