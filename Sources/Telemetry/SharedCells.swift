package import MidRegistrarCore
internal import Synchronization

/// The counters and gauges of all workers, where everybody can read them.
///
/// A worker counts in cells of its own and copies them here once a round, so that counting costs an
/// addition and no reader ever makes a worker wait. Only worker `n` writes the cells of worker `n`.
/// Each cell by itself is exact; cells read in one go may be one round apart.
@safe package final class SharedCells: Sendable {
    /// The number of workers.
    package let workers: Int

    private let counters = Counter.allCases
    private let gauges = Gauge.allCases
    /// Cells from one worker's first to the next one's: whole pairs of cache lines.
    private let stride: Int
    // SAFETY: `workers * stride` cells that live as long as `self` and are touched atomically only.
    private nonisolated(unsafe) let cells: UnsafeMutablePointer<Atomic<UInt64>>

    /// - Parameter workers: how many workers publish, at least 1.
    package init(workers: Int) {
        precondition(workers > 0, "there is a worker")
        let line = 128 / MemoryLayout<UInt64>.stride
        stride = (counters.count + gauges.count + line - 1) / line * line
        self.workers = workers
        let count = workers * stride
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: count * MemoryLayout<Atomic<UInt64>>.stride, alignment: 128)
        // SAFETY: room for `count` cells, aligned for them, each initialized before it is read.
        unsafe cells = memory.bindMemory(to: Atomic<UInt64>.self, capacity: count)
        for index in 0..<count { unsafe (cells + index).initialize(to: Atomic(0)) }
    }

    deinit {
        unsafe cells.deinitialize(count: workers * stride)
        unsafe cells.deallocate()
    }

    /// Shows what `worker` has counted: one relaxed store a cell, nothing else.
    package func publish(worker: Int, from source: borrowing Counters) {
        precondition(worker >= 0 && worker < workers, "the worker is one of ours")
        let from = source.counterCells
        let gaugesFrom = source.gaugeCells
        // SAFETY: the worker's cells begin there; the counters' and then the gauges' fit its stride,
        // because both are as many as their enumerations have cases.
        var to = unsafe cells + worker * stride
        for index in from.indices {
            unsafe to.pointee.store(from[index], ordering: .relaxed)
            unsafe to += 1
        }
        for index in gaugesFrom.indices {
            unsafe to.pointee.store(gaugesFrom[index], ordering: .relaxed)
            unsafe to += 1
        }
    }

    /// What all workers have shown so far.
    package func read() -> WorkerFigures {
        var values: [[UInt64]] = []
        values.reserveCapacity(workers)
        for worker in 0..<workers {
            var own: [UInt64] = []
            own.reserveCapacity(counters.count + gauges.count)
            for index in 0..<(counters.count + gauges.count) {
                // SAFETY: as in `publish`.
                own.append(unsafe cells[worker * stride + index].load(ordering: .relaxed))
            }
            values.append(own)
        }
        return WorkerFigures(values: values)
    }
}

/// What the workers had counted at one time, worker by worker.
package struct WorkerFigures: Sendable {
    private let values: [[UInt64]]

    fileprivate init(values: [[UInt64]]) { self.values = values }

    /// The number of workers.
    package var workers: Int { values.count }

    package subscript(counter: Counter, worker worker: Int) -> UInt64 {
        values[worker][counter.rawValue]
    }

    package subscript(gauge: Gauge, worker worker: Int) -> UInt64 {
        values[worker][Counter.allCases.count + gauge.rawValue]
    }

    /// The sum over all workers.
    package func total(_ counter: Counter) -> UInt64 {
        (0..<workers).reduce(0) { $0 &+ self[counter, worker: $1] }
    }

    /// The sum over all workers.
    package func total(_ gauge: Gauge) -> UInt64 {
        (0..<workers).reduce(0) { $0 &+ self[gauge, worker: $1] }
    }

    /// The largest of all workers.
    package func highest(_ gauge: Gauge) -> UInt64 {
        (0..<workers).reduce(0) { max($0, self[gauge, worker: $1]) }
    }
}
