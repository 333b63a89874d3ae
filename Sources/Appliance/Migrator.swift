internal import Bytes
internal import ContactStore
internal import Keys
package import Migration
internal import Registration
internal import Transport

/// Takes the bindings of another registrar into a store, and writes out those of a store.
package enum Migrator {
    /// What became of a dump.
    package struct Report: Sendable {
        package struct Refused: Sendable {
            package var count = 0
            /// The first ones: their line, and the column that shows it.
            package var examples: [String] = []
        }

        package fileprivate(set) var rows = 0
        package fileprivate(set) var taken = 0
        /// Rows that took the place of an earlier one of the same contact.
        package fileprivate(set) var replaced = 0
        package fileprivate(set) var refused: [(Refusal.Reason, Refused)] = []
        package fileprivate(set) var milliseconds: UInt64 = 0

        fileprivate mutating func refuse(_ refusal: Refusal, line: Int) {
            let place =
                refused.firstIndex { $0.0 == refusal.reason }
                ?? {
                    refused.append((refusal.reason, Refused()))
                    return refused.count - 1
                }()
            refused[place].1.count += 1
            guard refused[place].1.examples.count < 3 else { return }
            refused[place].1.examples.append(
                "line \(line)" + (refusal.column.map { " (\($0.name))" } ?? ""))
        }
    }

    /// Facts handed over at once; the committer makes one transaction of them.
    private static let handOverFacts = 5_000

    /// Reads a dump into the store of a state folder that no daemon has open.
    ///
    /// - Parameters:
    ///   - quarantine: a file that gets each refused row as it stands, under a line with the reason.
    ///   - isDryRun: only the report, and the quarantine file if there is one.
    /// - Throws: for a file that cannot be read or written, and a store that is in use.
    package static func importDump(
        _ path: String, from source: DumpSource, state: String, options: FactMaker.Options,
        quarantine: String?, isDryRun: Bool
    ) throws(ApplianceError) -> Report {
        do {
            return try run(path, source, state, options, quarantine, isDryRun)
        } catch let error as ApplianceError {
            throw error
        } catch let error as StoreError {
            throw ApplianceError(error.description)
        } catch let error as TransportError {
            throw ApplianceError(error.description)
        } catch {
            throw ApplianceError("\(error)")
        }
    }

    private static func run(
        _ path: String, _ source: DumpSource, _ state: String, _ options: FactMaker.Options,
        _ quarantine: String?, _ isDryRun: Bool
    ) throws -> Report {
        let begin = Clock.monotonicNanoseconds()
        // A dry run must not make keys; any will do to find doubles.
        let keys =
            isDryRun
            ? KeyRing(secret: Entropy.bytes(KeyRing.secretBytes).span)
            : try SecretFile.load(state: state, makesNew: false)
        let wallSeconds = Clock.wallMilliseconds() / 1_000
        let refusedRows = try quarantine.map { path throws(TransportError) in
            try OutputFile(path)
        }
        let input = try InputFile(path)
        guard !isDryRun else {
            let now = Instant(milliseconds: wallSeconds * 1_000)
            var maker = FactMaker(options, keys: keys, now: now, wallSeconds: wallSeconds)
            var report = try read(input, source, &maker, refusedRows) { _, _ in }
            try refusedRows?.finish()
            report.milliseconds = (Clock.monotonicNanoseconds() - begin) / 1_000_000
            return report
        }
        let store = try FactStore.open(
            state: state, mapBytes: 64 << 30, durability: .commit, workers: 1,
            asideStamp: String(wallSeconds))
        if let aside = store.openedAside {
            throw ApplianceError(
                "the store in \(state) was damaged (\(aside.problem)) and is now in \(aside.folder)."
                    + " Import again to begin a new one")
        }
        let now = store.timeline.instant(atBootMs: Clock.bootMilliseconds())
        var maker = FactMaker(options, keys: keys, now: now, wallSeconds: wallSeconds)
        var numbers: [RecordNumber] = []
        var known: [(RecordNumber, Fact)] = []
        let fingerprints = Fingerprints(keys)
        _ = try store.forEachFact { number, bytes in
            guard var fact = Fact(bytes) else { return }
            fact.migrate(bytes, fingerprints)
            known.append((number, fact))
        }
        for (number, fact) in known {
            let place = maker.know(fact)
            if place < numbers.count { numbers[place] = number } else { numbers.append(number) }
        }
        known = []
        try store.start { _ in }
        var location = store.location(forWorker: 0)
        var staged = 0
        var hasFailed = false
        func settle() {
            guard let ticket = location.handOver() else {
                hasFailed = true
                return
            }
            staged = 0
            // No more than one hand-over waits, so that memory has a bound.
            while true {
                let outcomes = location.takeOutcomes()
                if !outcomes.failed.isEmpty { hasFailed = true }
                if hasFailed || outcomes.decidedThrough.value >= ticket.value { return }
                Clock.pause(milliseconds: 1)
            }
        }
        var report = try read(input, source, &maker, refusedRows) { number, fact in
            if number == numbers.count { numbers.append(location.nextRecordNumber()) }
            location.stage(numbers[number], fact)
            staged += 1
            if staged == handOverFacts { settle() }
        }
        if staged > 0 { settle() }
        store.close()
        guard !hasFailed else {
            throw ApplianceError(
                "the store in \(state) could not take everything; is the disk full? What was "
                    + "committed stays, and importing again goes on")
        }
        try refusedRows?.finish()
        report.milliseconds = (Clock.monotonicNanoseconds() - begin) / 1_000_000
        return report
    }

    private static func read(
        _ input: InputFile, _ source: DumpSource, _ maker: inout FactMaker,
        _ refusedRows: OutputFile?, _ take: (Int, Span<UInt8>) -> Void
    ) throws -> Report {
        var reader = DumpReader(source)
        var report = Report()
        var pending: [DumpRow] = []
        while let piece = try input.next() {
            reader.read(piece) { pending.append($0) }
            for row in pending { try one(row, &maker, &report, refusedRows, take) }
            pending.removeAll(keepingCapacity: true)
        }
        reader.finish { pending.append($0) }
        for row in pending { try one(row, &maker, &report, refusedRows, take) }
        return report
    }

    private static func one(
        _ row: DumpRow, _ maker: inout FactMaker, _ report: inout Report,
        _ refusedRows: OutputFile?, _ take: (Int, Span<UInt8>) -> Void
    ) throws {
        report.rows += 1
        do throws(Refusal) {
            let (number, isNew) = try maker.make(row)
            if isNew { report.taken += 1 } else { report.replaced += 1 }
            take(number, maker.fact)
        } catch {
            report.refuse(error, line: row.line)
            guard let refusedRows else { return }
            let column = error.column.map { " (\($0.name))" } ?? ""
            try refusedRows.write(
                Array("# line \(row.line)\(column): \(error.reason.rawValue)\n".utf8))
            try refusedRows.write(row.raw + [0x0A])
        }
    }

    /// Calls `output` with the lines of an export, the head first.
    package static func export(
        state: String, asJSON: Bool, _ output: (String) -> Void
    ) throws(ApplianceError) {
        do throws(StoreError) {
            let reader = try StoreReader.open(state: state)
            let timeline = Timeline(after: try reader.timeNote(), now: StoreClock.machine().read())
            let now = timeline.instant(atBootMs: Clock.bootMilliseconds())
            let wallSeconds = Clock.wallMilliseconds() / 1_000
            var isFirst = true
            output(asJSON ? "[" : ExportLine.head)
            _ = try reader.forEachFact { _, bytes in
                // What has lapsed is on its way out.
                guard let fact = Fact(bytes), fact.marks.isDisjoint(with: [.removalOwed, .refused])
                else { return }
                if asJSON {
                    let line = ExportLine.json(fact, bytes, now: now, wallSeconds: wallSeconds)
                    output((isFirst ? "" : ",") + line)
                } else {
                    output(ExportLine.csv(fact, bytes, now: now, wallSeconds: wallSeconds))
                }
                isFirst = false
            }
            if asJSON { output("]") }
        } catch {
            throw ApplianceError(error.description)
        }
    }
}
