internal import Synchronization

/// What the store has done and how it is, for the counters page.
package struct StoreFigures: Sendable, Equatable {
    /// The upper bounds of `commitsWithin`, in microseconds; the last is without bound.
    package static let boundsMicroseconds: [UInt64] = [
        1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, .max,
    ]

    package var commits: UInt64 = 0
    package var commitsFailed: UInt64 = 0
    package var factsPut: UInt64 = 0
    package var factsRemoved: UInt64 = 0
    /// Commits by how long they took; each in the first bucket that holds it.
    package var commitsWithin: [UInt64] = []
    package var commitMicroseconds: UInt64 = 0
    /// What the committer thread has used of a CPU.
    package var cpuMicroseconds: UInt64 = 0
    package var mapBytes: UInt64 = 0
    /// Bytes of the map up to the last page that was ever used.
    package var usedBytes: UInt64 = 0
    package var entries: UInt64 = 0
    /// Bytes and changes that wait for the committer or are being committed.
    package var queuedBytes: UInt64 = 0
    package var queuedChanges: UInt64 = 0
    /// Damaged records found while loading, and records a read found damaged.
    package var damaged: UInt64 = 0
    /// Whether the last commit failed and nothing has worked since.
    package var storeDown = false
    /// What it failed of: an errno or one of LMDB's codes; 0 if it did not.
    package var lastError: Int32 = 0
}

/// The cells behind ``StoreFigures``.
final class StoreCells: Sendable {
    let commits = Atomic<UInt64>(0)
    let commitsFailed = Atomic<UInt64>(0)
    let factsPut = Atomic<UInt64>(0)
    let factsRemoved = Atomic<UInt64>(0)
    let commitMicroseconds = Atomic<UInt64>(0)
    let cpuMicroseconds = Atomic<UInt64>(0)
    let mapBytes = Atomic<UInt64>(0)
    let usedBytes = Atomic<UInt64>(0)
    let entries = Atomic<UInt64>(0)
    let damaged = Atomic<UInt64>(0)
    let down = Atomic<Bool>(false)
    let lastError = Atomic<Int32>(0)
    private let buckets = Mutex<[UInt64]>(
        [UInt64](repeating: 0, count: StoreFigures.boundsMicroseconds.count))

    func commitTook(_ microseconds: UInt64) {
        commitMicroseconds.wrappingAdd(microseconds, ordering: .relaxed)
        buckets.withLock { buckets in
            var bucket = 0
            while microseconds > StoreFigures.boundsMicroseconds[bucket] { bucket += 1 }
            buckets[bucket] += 1
        }
    }

    func snapshot(queue: CommitQueue) -> StoreFigures {
        var figures = StoreFigures()
        figures.commits = commits.load(ordering: .relaxed)
        figures.commitsFailed = commitsFailed.load(ordering: .relaxed)
        figures.factsPut = factsPut.load(ordering: .relaxed)
        figures.factsRemoved = factsRemoved.load(ordering: .relaxed)
        figures.commitsWithin = buckets.withLock { $0 }
        figures.commitMicroseconds = commitMicroseconds.load(ordering: .relaxed)
        figures.cpuMicroseconds = cpuMicroseconds.load(ordering: .relaxed)
        figures.mapBytes = mapBytes.load(ordering: .relaxed)
        figures.usedBytes = usedBytes.load(ordering: .relaxed)
        figures.entries = entries.load(ordering: .relaxed)
        let queued = queue.waiting
        figures.queuedBytes = UInt64(queued.bytes)
        figures.queuedChanges = UInt64(queued.changes)
        figures.damaged = damaged.load(ordering: .relaxed)
        figures.storeDown = down.load(ordering: .relaxed)
        figures.lastError = lastError.load(ordering: .relaxed)
        return figures
    }
}
