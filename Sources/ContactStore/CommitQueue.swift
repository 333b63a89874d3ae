internal import Glibc
internal import Synchronization

/// What workers hand over and the committer takes: all of it at once, as one commit.
///
/// Taken once per round and worker, never per message, so a lock is fine here.
@safe final class CommitQueue: @unchecked Sendable {
    /// One hand-over.
    struct Item {
        let worker: Int
        let block: ChangeBlock
    }

    /// Changes that may wait: more than ten seconds of a busy appliance, and few enough that one
    /// commit of all of them, each on a page of its own, stays below LMDB's bound of dirty pages.
    static let changesMax = 65_536

    private let bytesMax: Int
    private var items: [Item] = []
    private var bytes = 0
    private var changes = 0
    private var closing = false
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
        unsafe mutex = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        // SAFETY: both live at their addresses until deinit, as pthread asks.
        unsafe pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(condition, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return body()
    }

    /// Takes a hand-over; `false` if there is no room for it or nobody will commit it any more.
    func offer(_ block: ChangeBlock, from worker: Int) -> Bool {
        locked {
            guard !closing, bytes + block.bytes <= bytesMax,
                changes + block.changes.count <= Self.changesMax
            else { return false }
            bytes += block.bytes
            changes += block.changes.count
            items.append(Item(worker: worker, block: block))
            if items.count == 1 { unsafe pthread_cond_signal(condition) }
            return true
        }
    }

    /// Waits until there is something, `milliseconds` have passed or the queue is closed, and swaps
    /// everything there is into `batch`, which is empty; returns whether the queue is closed.
    func take(into batch: inout [Item], waitingMs milliseconds: UInt64) -> Bool {
        let until = microseconds(CLOCK_MONOTONIC) + milliseconds * 1_000
        var deadline = timespec(
            tv_sec: Int(until / 1_000_000), tv_nsec: Int(until % 1_000_000) * 1_000)
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while items.isEmpty && !closing {
            if unsafe pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT { break }
        }
        swap(&items, &batch)
        return closing
    }

    /// Gives back the room of hand-overs that are decided.
    func release(bytes: Int, changes: Int) {
        locked {
            self.bytes -= bytes
            self.changes -= changes
        }
    }

    /// Takes nothing new; what is there is still committed.
    func close() {
        locked {
            closing = true
            unsafe pthread_cond_broadcast(condition)
        }
    }

    var waiting: (bytes: Int, changes: Int) { locked { (bytes, changes) } }
}

/// What the committer tells one worker.
final class WorkerChannel: Sendable {
    /// All hand-overs up to this ticket are decided.
    let decided = Atomic<UInt64>(0)
    /// How many ranges of tickets have failed so far; a worker looks into the list if it moved.
    let failures = Atomic<UInt64>(0)
    private let failed = Mutex<[ClosedRange<UInt64>]>([])
    /// Whether the worker's side has been made.
    let taken = Atomic<Bool>(false)

    func fail(_ tickets: ClosedRange<UInt64>) {
        failed.withLock { ranges in
            if let last = ranges.last, last.upperBound + 1 == tickets.lowerBound {
                ranges[ranges.count - 1] = last.lowerBound...tickets.upperBound
            } else {
                ranges.append(tickets)
            }
        }
        failures.wrappingAdd(1, ordering: .relaxed)
    }

    /// Takes the failed tickets up to `ticket` out of the list, in order; says if others are left.
    func takeFailed(through ticket: UInt64) -> (tickets: [UInt64], rest: Bool) {
        failed.withLock { ranges in
            var tickets: [UInt64] = []
            var rest: [ClosedRange<UInt64>] = []
            for range in ranges {
                if range.lowerBound <= ticket {
                    tickets.append(contentsOf: range.lowerBound...min(range.upperBound, ticket))
                }
                if range.upperBound > ticket {
                    rest.append(max(range.lowerBound, ticket + 1)...range.upperBound)
                }
            }
            ranges = rest
            return (tickets, !rest.isEmpty)
        }
    }
}
