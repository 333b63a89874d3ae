internal import Bytes
internal import CLMDB
internal import Glibc
package import Registration

/// Reads the facts of a store from another process, beside a running daemon or without one.
@safe package struct StoreReader: ~Copyable {
    private let environment: Environment

    /// Facts that are read in one transaction.
    private static let slice = 1_000

    /// - Parameter state: the state directory, as the daemon has it.
    /// - Throws: ``StoreError`` in the operator's words, `notThere` if there is no store.
    package static func open(state: String) throws(StoreError) -> StoreReader {
        let folder = state + "/contacts"
        let data = folder + "/data.mdb"
        // SAFETY: both calls only read the paths, which live as long as they take.
        guard unsafe access(data, F_OK) == 0 else {
            if errno != ENOENT && errno != ENOTDIR {
                throw StoreError(code: errno, "cannot read \(data)")
            }
            throw StoreError(
                .notThere,
                "there is no store in \(state). Give the state directory that the daemon uses.")
        }
        // A running daemon has inspected its file; without one it may be anything.
        let lock = unsafe Glibc.open(state + "/contacts.lock", O_RDONLY | O_CLOEXEC)
        if lock >= 0 {
            defer { _ = close(lock) }
            if flock(lock, LOCK_SH | LOCK_NB) == 0,
                let problem = try StoreInspection.problem(inFile: data)
            {
                throw StoreError(
                    .damaged,
                    "the store in \(state) is damaged: \(problem). The daemon sets it aside at its "
                        + "next start.")
            }
        }
        return StoreReader(
            environment: try Environment.open(
                folder: folder, mapBytes: 0, flags: 0, readersMax: 100, readOnly: true, lock: nil))
    }

    /// Calls `body` with a copy of every sound fact, in the order of numbers.
    ///
    /// Facts come in slices, each of one moment: what `body` does takes its time, and a snapshot that
    /// is held for long makes the daemon's file grow.
    package func forEachFact(
        _ body: (RecordNumber, Span<UInt8>) -> Void
    ) throws(StoreError) -> LoadResult {
        var facts = 0
        var damaged = 0
        var first: UInt64? = 0
        while let from = first {
            var slice: [(RecordNumber, [UInt8])] = []
            let found = try environment.facts(from: from, atMost: Self.slice) { number, fact in
                var copy: [UInt8] = []
                copy.reserveCapacity(fact.count)
                for index in fact.indices { copy.append(fact[index]) }
                slice.append((number, copy))
            }
            for (number, fact) in slice { body(number, fact.span) }
            facts += found.sound
            damaged += found.damaged.count
            first = found.next
        }
        return LoadResult(facts: facts, damaged: damaged)
    }

    /// What the daemon last noted of time; `nil` before its first commit.
    package func timeNote() throws(StoreError) -> TimeNote? { try environment.timeNote() }
}
