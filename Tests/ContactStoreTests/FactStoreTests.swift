import Bytes
import CMallocCount
import Glibc
import Registration
import Testing

@testable import ContactStore

@Suite("Facts in the store")
struct FactStoreTests {
    @Test(arguments: [Durability.commit, .process])
    func `are there after a restart, with the next number above them`(
        durability: Durability
    ) throws {
        let folder = StateFolder()
        do {
            let store = try folder.store(durability: durability)
            #expect(store.openedAside == nil)
            #expect(try store.forEachFact { _, _ in } == LoadResult(facts: 0, damaged: 0))
            try store.start { _ in }
            var worker = store.location(forWorker: 0)
            let first = worker.nextRecordNumber()
            #expect(first == RecordNumber(1))
            worker.stageFact(first)
            worker.stageFact(worker.nextRecordNumber(), bytes: 20_000)
            worker.stageFact(worker.nextRecordNumber(), bytes: 0)
            let ticket = worker.handOver()
            #expect(ticket == CommitTicket(1))
            store.close()
            let outcomes = worker.takeOutcomes()
            #expect(outcomes.decidedThrough == CommitTicket(1))
            #expect(outcomes.failed.isEmpty)
        }
        let store = try folder.store()
        #expect(
            try facts(in: store) == [
                RecordNumber(1): fact(RecordNumber(1)),
                RecordNumber(2): fact(RecordNumber(2), bytes: 20_000),
                RecordNumber(3): fact(RecordNumber(3), bytes: 0),
            ])
        var worker = store.location(forWorker: 0)
        let next = worker.nextRecordNumber()
        #expect(next == RecordNumber(4))
        let read = worker.bytes(of: RecordNumber(2))
        #expect(read == fact(RecordNumber(2), bytes: 20_000))
    }

    @Test
    func `are read as staged before and after hand-over and commit`() throws {
        let folder = StateFolder()
        let store = try folder.store()
        let bell = Bell()
        var worker = store.location(forWorker: 0)
        let number = worker.nextRecordNumber()
        var found = worker.bytes(of: number)
        #expect(found == nil)
        worker.stageFact(number, 1)
        found = worker.bytes(of: number)
        #expect(found == fact(number, 1))
        _ = worker.handOver()
        found = worker.bytes(of: number)
        #expect(found == fact(number, 1))
        worker.stageFact(number, 2)
        found = worker.bytes(of: number)
        #expect(found == fact(number, 2))
        // The committer starts only now, so nothing above came from LMDB.
        try store.start(wake: bell.ring)
        #expect(bell.heard())
        let outcomes = worker.takeOutcomes()
        #expect(outcomes.decidedThrough == CommitTicket(1))
        found = worker.bytes(of: number)
        #expect(found == fact(number, 2), "the later stage is not taken for committed")
        #expect(try facts(in: store) == [number: fact(number, 1)])
        worker.stageRemoval(of: number)
        found = worker.bytes(of: number)
        #expect(found == nil)
        let second = worker.handOver()
        #expect(second == CommitTicket(2))
        #expect(bell.heard())
        let after = worker.takeOutcomes()
        #expect(after.decidedThrough == CommitTicket(2))
        found = worker.bytes(of: number)
        #expect(found == nil)
        #expect(try facts(in: store).isEmpty)
        store.close()
    }

    @Test
    func `are read in the new snapshot as soon as they are known to be durable`() throws {
        let folder = StateFolder()
        let store = try folder.store()
        let bell = Bell()
        try store.start(wake: bell.ring)
        var worker = store.location(forWorker: 0)
        let number = worker.nextRecordNumber()
        let missing = worker.bytes(of: number)  // opens this round's snapshot
        #expect(missing == nil)
        worker.stageFact(number, 1)
        _ = worker.handOver()
        #expect(bell.heard())
        let outcomes = worker.takeOutcomes()
        #expect(outcomes.decidedThrough == CommitTicket(1))
        let found = worker.bytes(of: number)
        #expect(found == fact(number, 1))
        store.close()
    }

    @Test
    func `of several workers lie side by side, and each hears of its own tickets`() throws {
        let folder = StateFolder()
        let store = try folder.store(workers: 3)
        var a = store.location(forWorker: 0)
        var b = store.location(forWorker: 1)
        var c = store.location(forWorker: 2)
        var expected: [RecordNumber: [UInt8]] = [:]
        for round in 0..<50 {
            // Drawn in one order and handed over in another, so that not all are appended.
            let first = a.nextRecordNumber()
            let second = b.nextRecordNumber()
            a.stageFact(first, round)
            b.stageFact(second, round)
            expected[first] = fact(first, round)
            expected[second] = fact(second, round)
            _ = b.handOver()
            if round % 5 == 0 { _ = a.handOver() }
            if round == 25 { try store.start { _ in } }
        }
        _ = a.handOver()
        _ = c.handOver()
        store.close()
        let (ofA, ofB, ofC) = (a.takeOutcomes(), b.takeOutcomes(), c.takeOutcomes())
        #expect(ofA.decidedThrough == CommitTicket(11))
        #expect(ofB.decidedThrough == CommitTicket(50))
        #expect(ofC.decidedThrough == CommitTicket(0))
        #expect(ofA.failed.isEmpty && ofB.failed.isEmpty && ofC.failed.isEmpty)
        #expect(try facts(in: store) == expected)
    }

    @Test
    func `end as the last change of a batch says`() throws {
        let folder = StateFolder()
        let store = try folder.store()
        var worker = store.location(forWorker: 0)
        let numbers = (0..<4).map { _ in worker.nextRecordNumber() }
        worker.stageFact(numbers[0], 1)
        worker.stageFact(numbers[0], 2)
        worker.stageFact(numbers[1], 1)
        _ = worker.handOver()
        worker.stageRemoval(of: numbers[1])
        worker.stageRemoval(of: numbers[2])
        worker.stageFact(numbers[2], 3)
        worker.stageRemoval(of: numbers[3])
        _ = worker.handOver()
        try store.start { _ in }
        store.close()
        #expect(
            try facts(in: store) == [
                numbers[0]: fact(numbers[0], 2), numbers[2]: fact(numbers[2], 3),
            ])
        #expect(store.figures.factsPut == 2)
        #expect(store.figures.factsRemoved == 0)
        #expect(store.figures.entries == 2)
    }

    @Test
    func `are in the file once they are acknowledged, as kill -9 would leave it`() throws {
        for durability in [Durability.commit, .process] {
            let folder = StateFolder()
            let store = try folder.store(durability: durability)
            let bell = Bell()
            try store.start(wake: bell.ring)
            var worker = store.location(forWorker: 0)
            for _ in 0..<5_000 { worker.stageFact(worker.nextRecordNumber()) }
            _ = worker.handOver()
            #expect(bell.heard())
            for value in stride(from: UInt64(1), to: 5_000, by: 7) {
                worker.stageFact(RecordNumber(value), 1)
            }
            _ = worker.handOver()
            #expect(bell.heard())
            // What the kernel has is what a killed process leaves behind; LMDB's lock file is not.
            let left = StateFolder()
            mkdir(left.path + "/contacts", 0o700)
            writeFile(left.data, readFile(folder.data))
            store.close()
            let after = try left.store()
            #expect(after.openedAside == nil)
            let found = try facts(in: after)
            #expect(found.count == 5_000)
            #expect(found[RecordNumber(1)] == fact(RecordNumber(1), 1))
            #expect(found[RecordNumber(2)] == fact(RecordNumber(2)))
        }
    }

    /// Unoptimised code takes memory for what optimised code keeps in registers.
    @Test(.disabled(if: isDebugBuild, "only optimised code is counted"))
    func `are read and staged without a call for memory`() throws {
        let folder = StateFolder()
        try fill(folder, 1_000)
        let store = try folder.store()
        var worker = store.location(forWorker: 0)
        worker.stageFact(RecordNumber(500), 1)
        func readAll(_ worker: inout WorkerLocation) -> Int {
            var bytes = 0
            for value in 1...1_000 as ClosedRange<UInt64> {
                bytes += worker.read(RecordNumber(value), { $0.count }) ?? 0
                if value % 100 == 0 { worker.endRound() }
            }
            return bytes
        }
        #expect(readAll(&worker) == 200_000)
        let staged = fact(RecordNumber(500), 2)
        let before = midreg_mallocs_of_thread()
        let bytes = readAll(&worker)
        worker.stage(RecordNumber(500), staged.span)
        let outcomes = worker.takeOutcomes()
        let after = midreg_mallocs_of_thread()
        #expect(after == before)
        #expect(bytes == 200_000 && outcomes.failed.isEmpty)
    }

    @Test
    func `carry the timeline over restarts`() throws {
        let folder = StateFolder()
        func clock(_ boot: UInt64, _ bootMs: UInt64, _ wallMs: UInt64) -> StoreClock {
            StoreClock {
                ClockReading(bootHigh: boot, bootLow: boot, bootMs: bootMs, wallMs: wallMs)
            }
        }
        func run(_ clock: StoreClock) throws -> Timeline {
            let store = try folder.store(clock: clock)
            try store.start { _ in }
            store.close()
            return store.timeline
        }
        #expect(try run(clock(1, 1_000, 500_000)).startMs == 500_000)
        #expect(try run(clock(1, 4_000, 1)).startMs == 503_000)
        // The note of the last close says wall 1, so the wall clock has only gone on since.
        #expect(try run(clock(2, 10, 61)).startMs == 503_060)
        let last = try run(clock(3, 10, 60))
        #expect(last.startMs == 503_060)
        #expect(last.leasesDoubtful)
    }

    @Test
    func `of a store that is open are not opened again`() throws {
        let folder = StateFolder()
        let store = try folder.store()
        #expect {
            _ = try folder.store()
        } throws: { error in
            (error as? StoreError)?.reason == .inUse
        }
        store.close()
    }

    @Test
    func `beyond the queue's bound are volatile, and readable until they are superseded`() throws {
        let folder = StateFolder()
        let store = try folder.store()
        var worker = store.location(forWorker: 0)
        var tickets = 0
        var refused: RecordNumber?
        // Nobody commits yet, so the queue fills.
        for _ in 0..<80 where refused == nil {
            let number = worker.nextRecordNumber()
            worker.stageFact(number, 1, bytes: 1 << 20)
            if worker.handOver() == nil { refused = number } else { tickets += 1 }
        }
        let number = try #require(refused)
        #expect(tickets >= 60)
        let found = worker.bytes(of: number)
        #expect(found == fact(number, 1, bytes: 1 << 20))
        let volatileBytes = worker.volatileBytes
        #expect(volatileBytes > 1 << 20)
        let bell = Bell()
        try store.start(wake: bell.ring)
        #expect(bell.heard())
        store.close()
    }

    @Test
    func `cost no memory and no snapshot between rounds`() throws {
        let folder = StateFolder()
        try fill(folder, 1_000)
        let store = try folder.store()
        let bell = Bell()
        try store.start(wake: bell.ring)
        var worker = store.location(forWorker: 0)
        // 600 rounds of one page each, in a map that one held snapshot would fill.
        for round in 1...600 {
            let number = RecordNumber(UInt64(round % 1_000 + 1))
            let before = worker.bytes(of: number)
            #expect(before != nil)
            worker.stageFact(number, round)
            _ = worker.handOver()
            #expect(bell.heard())
            let outcomes = worker.takeOutcomes()
            #expect(outcomes.decidedThrough == CommitTicket(UInt64(round)))
            #expect(outcomes.failed.isEmpty)
            worker.endRound()
        }
        #expect(store.figures.usedBytes < 2 << 20)
        #expect(store.figures.commits == 600)
        #expect(store.figures.commitsWithin.reduce(0, +) == 600)
        #expect(store.figures.queuedBytes == 0)
        #expect(store.figures.queuedChanges == 0)
        #expect(store.figures.cpuMicroseconds > 0)
        store.close()
        #expect(store.figures.commits == 601)
    }
}

private var isDebugBuild: Bool {
    #if DEBUG
        true
    #else
        false
    #endif
}
