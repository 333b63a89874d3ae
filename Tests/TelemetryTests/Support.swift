import Glibc
import MidRegistrarCore
import Synchronization

@testable import Telemetry

/// Figures of workers that counted what `fill` says, one call a worker.
func figures(workers: Int = 1, _ fill: (Int, inout Counters) -> Void) -> WorkerFigures {
    let cells = SharedCells(workers: workers)
    for worker in 0..<workers {
        var counters = Counters()
        fill(worker, &counters)
        cells.publish(worker: worker, from: counters)
    }
    return cells.read()
}

func snapshot(_ workers: WorkerFigures) -> Snapshot {
    Snapshot(
        build: BuildInfo(version: "0.1.0", swift: "6.3"), startTimeSeconds: 1_795_399_307.25,
        workers: workers,
        store: StoreSnapshot(
            commitsDone: 7, commitsFailed: 1,
            commitDuration: Histogram(
                upperBoundsSeconds: [0.001, 0.01, 0.1], counts: [2, 4, 1, 1], sumSeconds: 0.5),
            factsWritten: 20, factsRemoved: 3, factsLoaded: 12, usedBytes: 1_250_000,
            sizeBytes: 1_073_741_824, committerCPUSeconds: 0.125),
        process: ProcessFigures(residentBytes: 9_000_000, cpuSeconds: 1.5, openFiles: 23),
        suppressedLines: [("dropped", 318)])
}

/// Lines, as a log would get them.
final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    func append(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
}
