internal import ContactStore
internal import Synchronization
internal import Telemetry
internal import Transport

/// What the counters' pages show, made anew for each reader.
final class Pages: Sendable {
    private let cells: SharedCells
    private let store: FactStore
    private let log: EventLog
    private let switchboard: Switchboard
    private let startedSeconds = Double(Clock.wallMilliseconds()) / 1_000

    init(cells: SharedCells, store: FactStore, log: EventLog, switchboard: Switchboard) {
        self.cells = cells
        self.store = store
        self.log = log
        self.switchboard = switchboard
    }

    func metrics() -> String { PrometheusText.render(snapshot()) }

    func summary() -> String { Summary.render(snapshot()) }

    private func snapshot() -> Snapshot {
        let figures = store.figures
        return Snapshot(
            build: BuildInfo(version: RunningAppliance.version), startTimeSeconds: startedSeconds,
            workers: cells.read(),
            store: StoreSnapshot(
                commitsDone: figures.commits, commitsFailed: figures.commitsFailed,
                commitDuration: Histogram(
                    upperBoundsSeconds: StoreFigures.boundsMicroseconds.dropLast().map {
                        Double($0) / 1_000_000
                    }, counts: figures.commitsWithin,
                    sumSeconds: Double(figures.commitMicroseconds) / 1_000_000),
                factsWritten: figures.factsPut, factsRemoved: figures.factsRemoved,
                factsLoaded: UInt64(switchboard.facts.load(ordering: .relaxed)),
                usedBytes: figures.usedBytes, sizeBytes: figures.mapBytes,
                committerCPUSeconds: Double(figures.cpuMicroseconds) / 1_000_000),
            process: ProcessFigures.read(), suppressedLines: log.suppressedLines)
    }
}
