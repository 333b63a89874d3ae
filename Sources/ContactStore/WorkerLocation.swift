internal import Bytes
internal import CLMDB
package import Registration
internal import Synchronization

/// What became of a worker's hand-overs.
package struct CommitOutcomes: Sendable {
    /// Every hand-over up to this ticket is decided, and durable unless it is in `failed`.
    package let decidedThrough: CommitTicket
    /// Those that were not made durable and since the last look; their changes are volatile.
    package let failed: [CommitTicket]
}

/// The store as one worker sees it; it belongs to that worker's thread.
///
/// What the worker staged stays readable here until it is durable. What cannot be made durable stays
/// readable as *volatile*, within a bound, until it is staged again or superseded.
@safe package struct WorkerLocation: ~Copyable, LocationService {
    /// Hand-overs that may be undecided: far more than a round trip to any disk takes.
    package static let handOversMax = 4_096
    /// Bytes one worker keeps of changes that could not be made durable; the oldest go first.
    package static let volatileBytesMax = 32 << 20
    /// A fact is at most this long: longer than any message that could have made it.
    package static let factBytesMax = 1 << 20

    private static let blockBytes = 32 << 10
    /// A block that grew larger is given back instead of being kept for the next.
    private static let keptBlockBytes = 1 << 20
    private static let keptBlocks = 8

    private let store: FactStore
    private let worker: Int
    private let channel: WorkerChannel
    private var index = PendingIndex()
    /// All blocks by their slot; a slot without one is in `freeSlots`.
    private var blocks: [ChangeBlock?] = []
    private var freeSlots: [Int] = []
    private var kept: [ChangeBlock] = []
    private var open: ChangeBlock
    /// Handed over and undecided, oldest first.
    private var undecided: [ChangeBlock] = []
    /// Not durable, oldest first.
    private var volatile: [ChangeBlock] = []
    private var handedOver: UInt64 = 0
    private var failuresSeen: UInt64 = 0
    private var reader: OpaquePointer?
    private var reading = false
    /// The number that is looked for, where LMDB can find it.
    private let key: UnsafeMutablePointer<UInt64>

    /// Changes that are readable here, not durable, and not on their way.
    package var volatileBytes: Int { volatile.reduce(0) { $0 + $1.bytes } }
    /// Volatile changes that were given up because there were too many.
    package private(set) var volatileDropped: UInt64 = 0

    init(store: FactStore, worker: Int, channel: WorkerChannel) {
        self.store = store
        self.worker = worker
        self.channel = channel
        open = ChangeBlock(slot: 0, capacity: Self.blockBytes)
        blocks.append(open)
        unsafe key = .allocate(capacity: 1)
    }

    deinit {
        if let reader = unsafe reader { unsafe mdb_txn_abort(reader) }
        unsafe key.deallocate()
    }

    // MARK: LocationService

    package mutating func nextRecordNumber() -> RecordNumber { store.nextRecordNumber() }

    package mutating func read<Result>(
        _ number: RecordNumber, _ body: (Span<UInt8>) -> Result
    ) -> Result? {
        if index.count > 0, let place = index.find(number.value),
            let block = blocks[Int(place.slot)]
        {
            let change = block.changes[Int(place.change)]
            return change.count < 0 ? nil : body(block.fact(of: change))
        }
        guard beginReading(), let transaction = unsafe reader else { return nil }
        unsafe key.pointee = number.value
        var name = unsafe MDB_val(mv_size: 8, mv_data: key)
        var value = unsafe MDB_val()
        // SAFETY: the value lies in the map until the transaction is reset, which `body` cannot do.
        guard unsafe mdb_get(transaction, store.environment.facts, &name, &value) == 0 else {
            return nil
        }
        let framed = unsafe Environment.bytes(of: value)
        guard let fact = RecordFrame.record(in: framed, number: number.value) else {
            store.cells.damaged.wrappingAdd(1, ordering: .relaxed)
            return nil
        }
        return body(fact)
    }

    package mutating func stage(_ number: RecordNumber, _ fact: Span<UInt8>) {
        precondition(number != .none, "a fact has a number")
        precondition(fact.count <= Self.factBytesMax, "a fact is not longer than a message")
        open.append(number.value, fact)
        point(number.value)
    }

    package mutating func stageRemoval(of number: RecordNumber) {
        precondition(number != .none, "a fact has a number")
        open.append(removalOf: number.value)
        point(number.value)
    }

    package mutating func keep(_ resync: Resync) { store.resyncNote.keep(resync) }

    /// Hands everything staged to the committer; with nothing staged, the ticket before holds.
    package mutating func handOver() -> CommitTicket? {
        if open.changes.isEmpty { return CommitTicket(handedOver) }
        let block = open
        block.ticket = handedOver + 1
        // The block may be decided before `offer` returns; it is still ours until outcomes are taken.
        let offered =
            undecided.count < Self.handOversMax && store.queue.offer(block, from: worker)
        open = emptyBlock()
        guard offered else {
            keepVolatile(block)
            return nil
        }
        handedOver += 1
        undecided.append(block)
        return CommitTicket(handedOver)
    }

    // MARK: Outcomes and rounds

    /// What was decided since the last look; allocates only if something failed.
    package mutating func takeOutcomes() -> CommitOutcomes {
        let decided = channel.decided.load(ordering: .acquiring)
        var failed: [UInt64] = []
        let failures = channel.failures.load(ordering: .relaxed)
        if failures != failuresSeen {
            let (tickets, rest) = channel.takeFailed(through: decided)
            failed = tickets
            // Failures of tickets that are not published yet are looked for again.
            if !rest { failuresSeen = failures }
        }
        var count = 0
        var nextFailed = 0
        while count < undecided.count, undecided[count].ticket <= decided {
            let block = undecided[count]
            if nextFailed < failed.count, failed[nextFailed] == block.ticket {
                nextFailed += 1
                keepVolatile(block)
            } else {
                retire(block)
            }
            count += 1
        }
        if count > 0 {
            undecided.removeFirst(count)
            // What was readable here is now readable in the store, but not in an older snapshot.
            endRound()
        }
        return CommitOutcomes(
            decidedThrough: CommitTicket(decided), failed: failed.map(CommitTicket.init))
    }

    /// Whether something is staged and not handed over.
    package var hasStaged: Bool { !open.changes.isEmpty }

    /// Lets go of the snapshot that this round's reads saw, so that no page is held for them.
    package mutating func endRound() {
        guard reading, let transaction = unsafe reader else { return }
        unsafe mdb_txn_reset(transaction)
        reading = false
    }

    /// Stages every volatile change again, for when the store works again.
    ///
    /// - Returns: how many changes that were.
    package mutating func restageVolatile() -> Int {
        let old = volatile
        volatile = []
        var count = 0
        for block in old {
            for (position, change) in block.changes.enumerated() {
                guard let place = index.find(change.number), isAt(place, block, position) else {
                    continue
                }
                if change.count < 0 {
                    stageRemoval(of: RecordNumber(change.number))
                } else {
                    stage(RecordNumber(change.number), block.fact(of: change))
                }
                count += 1
            }
            precondition(block.live == 0, "everything of a block was staged again")
            reuse(block)
        }
        return count
    }

    private mutating func beginReading() -> Bool {
        if reading { return true }
        if let transaction = unsafe reader {
            reading = unsafe mdb_txn_renew(transaction) == 0
        } else if let transaction = unsafe try? store.environment.reading() {
            unsafe reader = unsafe transaction
            reading = true
        }
        return reading
    }

    // MARK: Blocks

    /// Points the index at the change just staged.
    private mutating func point(_ number: UInt64) {
        let place = PendingIndex.Place(
            slot: UInt32(open.slot), change: UInt32(open.changes.count - 1))
        open.live += 1
        guard let before = index.set(number, place), let block = blocks[Int(before.slot)] else {
            return
        }
        block.live -= 1
        if block.live == 0, let at = volatile.firstIndex(where: { $0 === block }) {
            volatile.remove(at: at)
            reuse(block)
        }
    }

    private func isAt(_ place: PendingIndex.Place, _ block: ChangeBlock, _ position: Int) -> Bool {
        Int(place.slot) == block.slot && Int(place.change) == position
    }

    /// Takes what the index says of a block out of it, and the block back.
    private mutating func retire(_ block: ChangeBlock) {
        for (position, change) in block.changes.enumerated() {
            guard let place = index.find(change.number), isAt(place, block, position) else {
                continue
            }
            index.remove(change.number)
        }
        reuse(block)
    }

    private mutating func keepVolatile(_ block: ChangeBlock) {
        guard block.live > 0 else { return reuse(block) }
        volatile.append(block)
        var bytes = volatileBytes
        while bytes > Self.volatileBytesMax, let oldest = volatile.first {
            bytes -= oldest.bytes
            volatileDropped += UInt64(oldest.live)
            volatile.removeFirst()
            retire(oldest)
        }
    }

    private mutating func emptyBlock() -> ChangeBlock {
        if let block = kept.popLast() { return block }
        let slot = freeSlots.popLast() ?? blocks.count
        let block = ChangeBlock(slot: slot, capacity: Self.blockBytes)
        if slot == blocks.count { blocks.append(block) } else { blocks[slot] = block }
        return block
    }

    private mutating func reuse(_ block: ChangeBlock) {
        if kept.count < Self.keptBlocks && block.capacity <= Self.keptBlockBytes {
            block.clear()
            kept.append(block)
        } else {
            blocks[block.slot] = nil
            freeSlots.append(block.slot)
        }
    }
}
