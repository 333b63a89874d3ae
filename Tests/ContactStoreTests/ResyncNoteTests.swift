import Bytes
import Registration
import Synchronization
import Testing

@testable import ContactStore

@Suite("What has to be confirmed anew, in the store")
struct ResyncNoteTests {
    private func begun(_ moments: UInt64...) -> Resync {
        var resync = Resync()
        for moment in moments { resync.begin(at: Instant(milliseconds: moment), over: 60) }
        return resync
    }

    @Test func `is there after a restart: of several workers', the one that began last`() throws {
        let folder = StateFolder()
        do {
            let store = try folder.store(workers: 2)
            #expect(store.resync.words == [0, 0, 0, 0])
            try store.start { _ in }
            var first = store.location(forWorker: 0)
            var second = store.location(forWorker: 1)
            first.keep(begun(5_000, 9_000))
            second.keep(begun(7_000))
            store.close()
        }
        do {
            let store = try folder.store(workers: 1)
            #expect(store.resync.words == [9_000, 60_000, 5_000, 60_000])
            try store.start { _ in }
            store.close()
        }
        // A run without any leaves it as it was.
        #expect(try folder.store().resync.words == [9_000, 60_000, 5_000, 60_000])
    }

    @Test func `is written by the next commit that works`() throws {
        let folder = StateFolder()
        do {
            let bell = Bell()
            let failures = Atomic<Int>(1)
            let store = try folder.store()
            try store.start(
                wake: bell.ring,
                fault: { failures.wrappingSubtract(1, ordering: .relaxed).oldValue > 0 ? 5 : 0 })
            var worker = store.location(forWorker: 0)
            worker.keep(begun(5_000))
            worker.stageFact(worker.nextRecordNumber())
            #expect(worker.handOver() != nil)
            #expect(bell.heard())
            store.close()
        }
        #expect(try folder.store().resync.words == [5_000, 60_000, 0, 0])
    }

    @Test(
        arguments: [
            [], [1], [1, 2, 3, 4, 5], [1, .max, 0, 0], [1, 1, 1, 4_294_967_295_001],
        ] as [[UInt64]])
    func `is nothing if its words cannot be`(words: [UInt64]) {
        #expect(Resync(words: words) == nil)
    }
}
