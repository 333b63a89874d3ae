internal import Bytes
internal import CLMDB
internal import Glibc
internal import Registration
internal import Synchronization

/// The one thread that writes: everything the workers handed over since the last commit becomes one
/// transaction, so that the cost of reaching the disk is shared by all that waited for it.
@safe struct Committer: ~Copyable {
    /// What it shares with the rest of the store.
    struct Room: Sendable {
        let environment: Environment
        let queue: CommitQueue
        let channels: [WorkerChannel]
        let cells: StoreCells
        let damaged: DamagedRecords
        let resyncNote: ResyncNote
        let timeline: Timeline
        let clock: StoreClock
        let durability: Durability
        let wake: @Sendable (Int) -> Void
        /// Asked before each commit, for tests: an errno to fail with, or 0.
        let fault: (@Sendable () -> Int32)?
    }

    /// A change and its place in the order in which changes were handed over.
    private struct Step {
        let number: UInt64
        let order: UInt32
        let item: UInt32
        let change: UInt32
    }

    private let room: Room
    private var batch: [CommitQueue.Item] = []
    private var steps: [Step] = []
    /// The highest number ever put; higher ones are appended.
    private var highest: UInt64
    /// What the transaction at hand has put and removed.
    private var puts: UInt64 = 0
    private var removed: UInt64 = 0
    private var unsynced = false
    private var lastSecond: UInt64 = 0
    private var lastReaderCheck: UInt64 = 0

    init(room: Room, highest: UInt64) {
        self.room = room
        self.highest = highest
    }

    /// Commits until the queue is closed and empty.
    consuming func run() {
        var closed = false
        while true {
            closed = room.queue.take(into: &batch, waitingMs: 1_000)
            if batch.isEmpty && closed { break }
            if !batch.isEmpty { decideBatch() }
            let now = milliseconds(CLOCK_MONOTONIC)
            if now >= lastSecond + 1_000 {
                lastSecond = now
                everySecond(now)
            }
            tellCPU()
        }
        // The last note, so that a start after this one knows when we were last here.
        _ = unsafe commit(probing: false) { _, _ in 0 }
        syncIfOwed()
        tellCPU()
    }

    private func tellCPU() {
        room.cells.cpuMicroseconds.store(
            microseconds(CLOCK_THREAD_CPUTIME_ID), ordering: .relaxed)
    }

    // MARK: A batch

    private mutating func decideBatch() {
        order()
        let code = unsafe commit(probing: false) { committer, transaction in
            unsafe committer.apply(transaction, removalsOnly: false)
        }
        room.cells.down.store(code != 0, ordering: .relaxed)
        if code != 0 {
            room.cells.lastError.store(code, ordering: .relaxed)
            room.cells.commitsFailed.wrappingAdd(1, ordering: .relaxed)
            if code == MDB_MAP_FULL {
                // A full store must be able to become emptier, whatever else is asked with it. To
                // the workers the batch has failed all the same.
                _ = unsafe commit(probing: false) { committer, transaction in
                    unsafe committer.apply(transaction, removalsOnly: true)
                }
            }
        }
        publish(failed: code != 0)
    }

    /// Sorts the changes by number: neighbours share pages, and of several of one record the last
    /// one handed over counts.
    private mutating func order() {
        steps.removeAll(keepingCapacity: true)
        for (item, handOver) in batch.enumerated() {
            for (change, entry) in handOver.block.changes.enumerated() {
                steps.append(
                    Step(
                        number: entry.number, order: UInt32(steps.count), item: UInt32(item),
                        change: UInt32(change)))
            }
        }
        steps.sort { ($0.number, $0.order) < ($1.number, $1.order) }
    }

    /// Makes the batch's changes in a transaction; returns LMDB's code.
    private mutating func apply(_ transaction: OpaquePointer, removalsOnly: Bool) -> Int32 {
        var cursor: OpaquePointer?
        var code = unsafe mdb_cursor_open(transaction, room.environment.facts, &cursor)
        guard code == 0, let cursor = unsafe cursor else { return code }
        var key = unsafe MDB_val()
        var value = unsafe MDB_val()
        var number: UInt64 = 0
        var removals = 0
        // SAFETY: the blocks are ours to read until their tickets are published, and LMDB copies
        // keys and values before each call returns.
        code = unsafe withUnsafeMutableBytes(of: &number) { name in
            unsafe key = unsafe MDB_val(mv_size: 8, mv_data: name.baseAddress)
            for index in steps.indices {
                let step = steps[index]
                if index + 1 < steps.count, steps[index + 1].number == step.number { continue }
                let block = batch[Int(step.item)].block
                let change = block.changes[Int(step.change)]
                if change.count < 0 {
                    removals += 1
                    continue
                }
                if removalsOnly { continue }
                unsafe name.storeBytes(of: step.number, as: UInt64.self)
                unsafe value = unsafe MDB_val(
                    mv_size: change.count, mv_data: block.unsafeAddress(of: change))
                let append = step.number > highest
                let result = unsafe mdb_cursor_put(
                    cursor, &key, &value, append ? UInt32(MDB_APPEND) : 0)
                if result != 0 { return result }
                if append { highest = step.number }
                puts += 1
            }
            return 0
        }
        unsafe mdb_cursor_close(cursor)
        guard code == 0 else { return code }
        if removals > 0 {
            for index in steps.indices {
                let step = steps[index]
                if index + 1 < steps.count, steps[index + 1].number == step.number { continue }
                guard batch[Int(step.item)].block.changes[Int(step.change)].count < 0 else {
                    continue
                }
                code = unsafe remove(transaction, step.number)
                guard code == 0 else { return code }
            }
        }
        return 0
    }

    private mutating func remove(_ transaction: OpaquePointer, _ number: UInt64) -> Int32 {
        var number = number
        // SAFETY: LMDB reads the key during the call only.
        let code = unsafe withUnsafeMutableBytes(of: &number) { name in
            var key = unsafe MDB_val(mv_size: 8, mv_data: name.baseAddress)
            return unsafe mdb_del(transaction, room.environment.facts, &key, nil)
        }
        if code == 0 { removed += 1 }
        return code == MDB_NOTFOUND ? 0 : code
    }

    /// Tells each worker through which of its tickets everything is decided, and wakes it.
    private mutating func publish(failed: Bool) {
        var bytes = 0
        var changes = 0
        for (worker, channel) in room.channels.enumerated() {
            var first: UInt64 = .max
            var last: UInt64 = 0
            for item in batch where item.worker == worker {
                first = min(first, item.block.ticket)
                last = max(last, item.block.ticket)
                bytes += item.block.bytes
                changes += item.block.changes.count
            }
            guard last > 0 else { continue }
            if failed { channel.fail(first...last) }
        }
        room.queue.release(bytes: bytes, changes: changes)
        // From the store below on a worker may use its blocks again, so nothing of them is touched.
        var last = [UInt64](repeating: 0, count: room.channels.count)
        for item in batch { last[item.worker] = max(last[item.worker], item.block.ticket) }
        batch.removeAll(keepingCapacity: true)
        for (worker, ticket) in last.enumerated() where ticket > 0 {
            room.channels[worker].decided.store(ticket, ordering: .releasing)
            room.wake(worker)
        }
    }

    // MARK: A commit

    /// One write transaction with the note of time in it; returns 0 or why nothing was written.
    ///
    /// - Parameter probing: whether it is only to be seen if the store works again.
    private mutating func commit(
        probing: Bool, _ body: (inout Committer, OpaquePointer) -> Int32
    ) -> Int32 {
        let started = microseconds(CLOCK_MONOTONIC)
        let highestBefore = highest
        puts = 0
        removed = 0
        var damaged: [UInt64] = []
        var transaction: OpaquePointer?
        var code = unsafe mdb_txn_begin(room.environment.handle, nil, 0, &transaction)
        guard code == 0, let transaction = unsafe transaction else { return code }
        if probing { code = unsafe probe(transaction) }
        if code == 0 { code = unsafe body(&self, transaction) }
        if code == 0 && room.damaged.any.load(ordering: .relaxed) {
            damaged = room.damaged.all()
            for number in damaged where code == 0 { code = unsafe remove(transaction, number) }
        }
        if code == 0 { code = unsafe noteTime(transaction) }
        let resync = room.resyncNote.owed
        if code == 0, let resync { code = unsafe note(resync, transaction) }
        var stat = MDB_stat()
        if code == 0 { code = unsafe mdb_stat(transaction, room.environment.facts, &stat) }
        if code == 0, let fault = room.fault { code = fault() }
        if code == 0 {
            code = room.environment.cause(of: unsafe mdb_txn_commit(transaction))
        } else {
            unsafe mdb_txn_abort(transaction)
        }
        guard code == 0 else {
            highest = highestBefore
            return code
        }
        unsynced = true
        room.damaged.forget(damaged)
        if let resync { room.resyncNote.settle(resync) }
        let cells = room.cells
        cells.commits.wrappingAdd(1, ordering: .relaxed)
        cells.factsPut.wrappingAdd(puts, ordering: .relaxed)
        cells.factsRemoved.wrappingAdd(removed, ordering: .relaxed)
        cells.entries.store(UInt64(stat.ms_entries), ordering: .relaxed)
        cells.commitTook(microseconds(CLOCK_MONOTONIC) - started)
        cells.tellSize(of: room.environment)
        return 0
    }

    private func noteTime(_ transaction: OpaquePointer) -> Int32 {
        let clocks = room.clock.read()
        let note = TimeNote(
            clocks: clocks,
            timelineMs: room.timeline.instant(atBootMs: clocks.bootMs).milliseconds)
        let framed = RecordFrame.framed(note.bytes, number: Environment.timeKey)
        return unsafe Environment.put(
            transaction, room.environment.notes, key: Environment.timeKey, framed)
    }

    private func note(_ resync: Resync, _ transaction: OpaquePointer) -> Int32 {
        var bytes: [UInt8] = []
        for word in resync.words {
            for byte in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * byte))) }
        }
        let framed = RecordFrame.framed(bytes, number: Environment.resyncKey)
        return unsafe Environment.put(
            transaction, room.environment.notes, key: Environment.resyncKey, framed)
    }

    /// Sees whether a few dozen pages can be had, and takes them back.
    private func probe(_ transaction: OpaquePointer) -> Int32 {
        let ballastKey: UInt64 = 3
        let code = unsafe Environment.put(
            transaction, room.environment.notes, key: ballastKey,
            [UInt8](repeating: 0, count: 128 << 10))
        guard code == 0 else { return code }
        var number = ballastKey
        // SAFETY: LMDB reads the key during the call only.
        return unsafe withUnsafeMutableBytes(of: &number) { name in
            var key = unsafe MDB_val(mv_size: 8, mv_data: name.baseAddress)
            return unsafe mdb_del(transaction, room.environment.notes, &key, nil)
        }
    }

    // MARK: Between batches

    private mutating func everySecond(_ now: UInt64) {
        // Nothing else may come along for long.
        if room.resyncNote.owed != nil { _ = unsafe commit(probing: false) { _, _ in 0 } }
        let synced = syncIfOwed()
        if synced && room.cells.down.load(ordering: .relaxed) {
            let code = unsafe commit(probing: true) { _, _ in 0 }
            if code == 0 {
                room.cells.down.store(false, ordering: .relaxed)
                for worker in room.channels.indices { room.wake(worker) }
            } else {
                room.cells.lastError.store(code, ordering: .relaxed)
            }
        }
        if now >= lastReaderCheck + 60_000 {
            lastReaderCheck = now
            // A reader that was killed would hold its pages for ever.
            unsafe mdb_reader_check(room.environment.handle, nil)
        }
    }

    /// Brings to the disk what `process` durability has left with the kernel; `false` if that fails.
    @discardableResult
    private mutating func syncIfOwed() -> Bool {
        guard unsynced, room.durability == .process else { return true }
        let code = unsafe mdb_env_sync(room.environment.handle, 1)
        if code == 0 {
            unsynced = false
            return true
        }
        room.cells.down.store(true, ordering: .relaxed)
        room.cells.lastError.store(code, ordering: .relaxed)
        return false
    }
}

/// Numbers of records that were found damaged; the next commit takes them away.
final class DamagedRecords: Sendable {
    /// More than this are a broken disk's; the rest is found at the next start.
    static let recordsMax = 65_536

    let any = Atomic<Bool>(false)
    private let numbers = Mutex<Set<UInt64>>([])

    /// Adds one; several threads find the same ones.
    ///
    /// - Returns: whether nobody had found it before.
    func add(_ number: UInt64) -> Bool {
        let isNew = numbers.withLock { numbers in
            numbers.count < Self.recordsMax && numbers.insert(number).inserted
        }
        if isNew { any.store(true, ordering: .relaxed) }
        return isNew
    }

    func all() -> [UInt64] { numbers.withLock { Array($0) } }

    func forget(_ gone: [UInt64]) {
        if gone.isEmpty { return }
        numbers.withLock { numbers in
            numbers.subtract(gone)
            any.store(!numbers.isEmpty, ordering: .relaxed)
        }
    }
}

extension StoreCells {
    func tellSize(of environment: Environment) {
        var information = unsafe MDB_envinfo()
        var stat = MDB_stat()
        guard unsafe mdb_env_info(environment.handle, &information) == 0,
            unsafe mdb_env_stat(environment.handle, &stat) == 0
        else { return }
        unsafe mapBytes.store(UInt64(information.me_mapsize), ordering: .relaxed)
        unsafe usedBytes.store(
            UInt64(information.me_last_pgno + 1) * UInt64(stat.ms_psize), ordering: .relaxed)
    }
}
