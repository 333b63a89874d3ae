import Bytes
import Glibc
import Registration
import Synchronization
import Testing

@testable import ContactStore

@Suite("A store that breaks")
struct StoreFaultTests {
    @Test
    func `fails a batch when its map is full, and takes batches again when it is emptier`() throws {
        let folder = StateFolder()
        let store = try folder.store(mapBytes: 1 << 20)
        let bell = Bell()
        try store.start(wake: bell.ring)
        var worker = store.location(forWorker: 0)
        var stored: [RecordNumber] = []
        var failure: CommitOutcomes?
        var lost: RecordNumber?
        for _ in 0..<2_000 where failure == nil {
            let number = worker.nextRecordNumber()
            worker.stageFact(number, bytes: 10_000)
            _ = worker.handOver()
            #expect(bell.heard())
            let outcomes = worker.takeOutcomes()
            if outcomes.failed.isEmpty {
                stored.append(number)
            } else {
                failure = outcomes
                lost = number
            }
        }
        let failed = try #require(failure)
        let number = try #require(lost)
        #expect(failed.failed == [failed.decidedThrough])
        #expect(store.isDown)
        #expect(store.figures.commitsFailed == 1)
        var found = worker.bytes(of: number)
        #expect(found == fact(number, bytes: 10_000), "what failed is volatile, not gone")
        #expect(try facts(in: store).count == stored.count)

        for gone in stored.prefix(40) { worker.stageRemoval(of: gone) }
        _ = worker.handOver()
        #expect(bell.heard())
        // Pages of a commit are free for the one after the next.
        worker.stageRemoval(of: stored[40])
        _ = worker.handOver()
        #expect(bell.heard())
        let removals = worker.takeOutcomes()
        #expect(removals.failed.isEmpty)
        #expect(!store.isDown)

        let again = worker.restageVolatile()
        #expect(again == 1)
        _ = worker.handOver()
        #expect(bell.heard())
        let last = worker.takeOutcomes()
        #expect(last.failed.isEmpty)
        let volatileBytes = worker.volatileBytes
        #expect(volatileBytes == 0)
        found = worker.bytes(of: number)
        #expect(found == fact(number, bytes: 10_000))
        store.close()
        #expect(try facts(in: store).count == stored.count - 41 + 1)
    }

    @Test
    func `full, makes the removals of a batch that fails`() throws {
        let folder = StateFolder()
        let store = try folder.store(mapBytes: 1 << 20)
        let bell = Bell()
        try store.start(wake: bell.ring)
        var worker = store.location(forWorker: 0)
        for _ in 0..<50 { worker.stageFact(worker.nextRecordNumber(), bytes: 10_000) }
        _ = worker.handOver()
        #expect(bell.heard())
        for value in 1...40 { worker.stageRemoval(of: RecordNumber(UInt64(value))) }
        for _ in 0..<200 { worker.stageFact(worker.nextRecordNumber(), bytes: 10_000) }
        _ = worker.handOver()
        #expect(bell.heard())
        let outcomes = worker.takeOutcomes()
        #expect(outcomes.failed == [CommitTicket(2)])
        #expect(try facts(in: store).count == 10)
        store.close()
    }

    /// Stands for R18.
    @Test(arguments: [ENOSPC, EIO])
    func `is down until a write works, and each ticket says which failed`(code: Int32) throws {
        let folder = StateFolder()
        let store = try folder.store(workers: 2)
        let bell = Bell()
        let fault = SharedCode()
        try store.start(wake: bell.ring, fault: { fault.value.load(ordering: .relaxed) })
        var worker = store.location(forWorker: 0)
        var other = store.location(forWorker: 1)
        let numbers = (0..<4).map { _ in worker.nextRecordNumber() }
        func commit(_ number: RecordNumber, failing: Bool) -> Bool {
            fault.value.store(failing ? code : 0, ordering: .relaxed)
            worker.stageFact(number)
            return worker.handOver() != nil && bell.heard()
        }
        #expect(commit(numbers[0], failing: false))
        #expect(commit(numbers[1], failing: true))
        #expect(store.isDown)
        #expect(store.figures.lastError == code)
        #expect(commit(numbers[2], failing: true))
        fault.value.store(0, ordering: .relaxed)
        // Within a second the committer tries by itself, and wakes both workers when it works.
        #expect(bell.heard() && bell.heard())
        #expect(!store.isDown)
        #expect(commit(numbers[3], failing: false))
        let outcomes = worker.takeOutcomes()
        #expect(outcomes.decidedThrough == CommitTicket(4))
        #expect(outcomes.failed == [CommitTicket(2), CommitTicket(3)])
        let again = worker.takeOutcomes()
        #expect(again.failed.isEmpty)
        let others = other.takeOutcomes()
        #expect(others.failed.isEmpty)
        #expect(try facts(in: store).keys.sorted() == [numbers[0], numbers[3]])
        for number in numbers {
            let found = worker.bytes(of: number)
            #expect(found == fact(number))
        }
        worker.stageRemoval(of: numbers[1])
        _ = worker.handOver()
        #expect(bell.heard())
        let volatileBytes = worker.volatileBytes
        #expect(volatileBytes > 0, "one of two failed facts is superseded")
        store.close()
    }

    /// Stands for #729.
    @Test
    func `skips and counts a record whose bytes are wrong, and takes it away`() throws {
        let folder = StateFolder()
        try fill(folder, 100)
        var bytes = readFile(folder.data)
        // Old copies of pages may hold the same bytes; all of them are spoilt.
        #expect(spoil(&bytes, "fact 50 version"))
        writeFile(folder.data, bytes)
        do {
            let store = try folder.store()
            #expect(store.openedAside == nil)
            #expect(try store.forEachFact { _, _ in } == LoadResult(facts: 99, damaged: 1))
            #expect(try store.forEachFact { _, _ in } == LoadResult(facts: 99, damaged: 1))
            #expect(store.figures.damaged == 1, "it is counted once, however many look")
            var worker = store.location(forWorker: 0)
            let found = worker.bytes(of: RecordNumber(50))
            #expect(found == nil)
            worker.endRound()
            try store.start { _ in }
            store.close()
        }
        let store = try folder.store()
        #expect(try store.forEachFact { _, _ in } == LoadResult(facts: 99, damaged: 0))
    }

    enum Harm: String, CaseIterable, Sendable {
        case garbage, shortHead, cutInHalf, zeroedPages, wrongLength, foreign, otherSchema, textFile
    }

    @Test(arguments: Harm.allCases)
    func `that cannot be read is set aside, and starts empty`(harm: Harm) throws {
        let folder = StateFolder()
        try fill(folder, 2_000)
        var bytes = readFile(folder.data)
        switch harm {
        case .garbage:
            for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: index &* 131) }
        case .shortHead: bytes.removeLast(bytes.count - 5_000)
        case .cutInHalf: bytes.removeLast(bytes.count / 2)
        case .zeroedPages:
            for index in (bytes.count / 3)..<(bytes.count / 2) { bytes[index] = 0 }
        case .wrongLength:
            // Before a fact stand its frame, its key and the node's head, which begins with a length.
            let text = Array("fact 50 version".utf8)
            let at = try #require(bytes.indices.first { bytes[$0...].starts(with: text) })
            bytes[at - RecordFrame.bytes - 16] -= 2
        case .foreign: #expect(spoil(&bytes, "facts"))
        case .otherSchema:
            // The schema note: its version byte, and the checksum over it.
            let note = RecordFrame.framed([], number: Environment.schemaKey)
            #expect(spoil(&bytes, String(decoding: [], as: UTF8.self), raw: note))
        case .textFile: bytes = Array("This is no store.\n".utf8)
        }
        writeFile(folder.data, bytes)
        let store = try folder.store()
        let aside = try #require(store.openedAside)
        #expect(aside.folder == folder.path + "/contacts.aside-20260102T030405")
        #expect(!aside.problem.isEmpty)
        #expect(readFile(aside.folder + "/data.mdb") == bytes)
        #expect(try facts(in: store).isEmpty)
        try store.start { _ in }
        var worker = store.location(forWorker: 0)
        let number = worker.nextRecordNumber()
        worker.stageFact(number)
        _ = worker.handOver()
        store.close()
        #expect(try facts(in: store) == [number: fact(number)])
    }

    @Test
    func `set aside twice in a second keeps both`() throws {
        let folder = StateFolder()
        for expected in ["contacts.aside-20260102T030405", "contacts.aside-20260102T030405-2"] {
            mkdir(folder.path + "/contacts", 0o700)
            writeFile(folder.data, Array("no store".utf8))
            let store = try folder.store()
            #expect(store.openedAside?.folder == folder.path + "/" + expected)
        }
    }

    /// A page, or a few bytes of one, overwritten anywhere in the file. The process must neither end
    /// nor believe a fact that was not stored.
    @Test
    func `scrambled anywhere never brings the process down or a wrong fact up`() throws {
        let source = StateFolder()
        try fill(source, 3_000)
        do {
            let store = try source.store()
            try store.start { _ in }
            var worker = store.location(forWorker: 0)
            for value in stride(from: UInt64(1), to: 3_000, by: 11) {
                worker.stageRemoval(of: RecordNumber(value))
            }
            _ = worker.handOver()
            store.close()
        }
        let sound = readFile(source.data)
        var state: UInt64 = 42
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        var aside = 0
        var damaged = 0
        for seed in 0..<150 {
            var bytes = sound
            let page = random(bytes.count / 4_096) * 4_096
            switch seed % 3 {
            case 0: for index in page..<(page + 4_096) { bytes[index] = UInt8(random(256)) }
            case 1: for _ in 0..<8 { bytes[page + random(4_096)] = UInt8(random(256)) }
            default: for _ in 0..<4 { bytes[page + random(64)] = UInt8(random(256)) }
            }
            let folder = StateFolder()
            mkdir(folder.path + "/contacts", 0o700)
            writeFile(folder.data, bytes)
            let store = try folder.store(durability: .process)
            if store.openedAside != nil { aside += 1 }
            let result = try store.forEachFact { number, bytes in
                if copied(bytes) != fact(number) { Issue.record("seed \(seed): a wrong fact") }
            }
            damaged += result.damaged
            try store.start { _ in }
            var worker = store.location(forWorker: 0)
            for value in stride(from: UInt64(2), to: 3_000, by: 13) {
                worker.stageRemoval(of: RecordNumber(value))
            }
            for _ in 0..<50 { worker.stageFact(worker.nextRecordNumber()) }
            _ = worker.handOver()
            store.close()
        }
        #expect(aside > 25)
        #expect(damaged > 25)
    }

    /// LMDB writes its lock file through a map; a hole in it would be a SIGBUS on a full disk.
    @Test
    func `has no hole in the file that LMDB writes through a map`() throws {
        let folder = StateFolder()
        let store = try folder.store(workers: 200)
        var information = stat()
        #expect(stat(folder.path + "/contacts/lock.mdb", &information) == 0)
        #expect(information.st_size >= 64 * 216)
        #expect(information.st_blocks * 512 >= information.st_size)
        store.close()
    }

    @Test
    func `in a folder that is not there or not writable says so`() throws {
        #expect {
            _ = try FactStore.open(
                state: "/nonexistent/midreg", mapBytes: 1 << 20, durability: .commit, workers: 1,
                asideStamp: "x")
        } throws: { error in
            (error as? StoreError)?.reason == .notThere
                && "\(error)".contains("/nonexistent/midreg")
        }
        #expect {
            _ = try FactStore.open(
                state: "/proc/self", mapBytes: 1 << 20, durability: .commit, workers: 1,
                asideStamp: "x")
        } throws: { error in
            error is StoreError
        }
    }
}

/// A code that a test and the committer share.
final class SharedCode: Sendable {
    let value = Atomic<Int32>(0)
}

/// Flips a bit in every place where `text` stands; `false` if it stands nowhere.
private func spoil(_ bytes: inout [UInt8], _ text: String, raw: [UInt8]? = nil) -> Bool {
    let pattern = raw ?? Array(text.utf8)
    var found = false
    var at = 0
    while at + pattern.count <= bytes.count {
        if bytes[at] == pattern[0], Array(bytes[at..<(at + pattern.count)]) == pattern {
            bytes[at] ^= 0x01
            found = true
            at += pattern.count
        }
        at += 1
    }
    return found
}
