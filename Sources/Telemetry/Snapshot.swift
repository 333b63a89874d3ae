internal import MidRegistrarCore

/// Everything that is shown to an operator, as it was at one time.
package struct Snapshot: Sendable {
    package var build: BuildInfo
    /// Seconds since the Unix epoch.
    package var startTimeSeconds: Double
    package var workers: WorkerFigures
    /// `nil` when midreg runs without a store.
    package var store: StoreSnapshot?
    /// `nil` when the system does not tell.
    package var process: ProcessFigures?
    /// Log lines left out since start, by event.
    package var suppressedLines: [(event: String, count: UInt64)]

    package init(
        build: BuildInfo, startTimeSeconds: Double, workers: WorkerFigures,
        store: StoreSnapshot? = nil, process: ProcessFigures? = nil,
        suppressedLines: [(event: String, count: UInt64)] = []
    ) {
        self.build = build
        self.startTimeSeconds = startTimeSeconds
        self.workers = workers
        self.store = store
        self.process = process
        self.suppressedLines = suppressedLines
    }

    /// The number of REGISTER requests that were decided: absorbed, relayed or rejected.
    package var decidedRegisters: UInt64 {
        workers.total(.registerAbsorbed) &+ workers.total(.registerRelayed)
            &+ workers.total(.registerRejected)
    }

    /// The share of decided REGISTER requests that were answered here; `nil` before the first.
    package var absorbedRatio: Double? {
        let decided = decidedRegisters
        guard decided > 0 else { return nil }
        return Double(workers.total(.registerAbsorbed)) / Double(decided)
    }
}

/// What runs.
package struct BuildInfo: Sendable {
    package let version: String
    /// The compiler's version.
    package let swift: String

    package init(version: String, swift: String = BuildInfo.compiler) {
        self.version = version
        self.swift = swift
    }

    /// The compiler that built this room, as far as the language lets one ask.
    package static var compiler: String {
        #if compiler(>=6.5)
            "6.5 or later"
        #elseif compiler(>=6.4)
            "6.4"
        #elseif compiler(>=6.3)
            "6.3"
        #else
            "6.2"
        #endif
    }
}

/// What the contact store has done since start and how full it is.
package struct StoreSnapshot: Sendable {
    package var commitsDone: UInt64
    package var commitsFailed: UInt64
    package var commitDuration: Histogram
    package var factsWritten: UInt64
    package var factsRemoved: UInt64
    /// Facts read at start.
    package var factsLoaded: UInt64
    package var usedBytes: UInt64
    /// What the store may grow to.
    package var sizeBytes: UInt64
    package var committerCPUSeconds: Double

    package init(
        commitsDone: UInt64, commitsFailed: UInt64, commitDuration: Histogram,
        factsWritten: UInt64, factsRemoved: UInt64, factsLoaded: UInt64, usedBytes: UInt64,
        sizeBytes: UInt64, committerCPUSeconds: Double
    ) {
        self.commitsDone = commitsDone
        self.commitsFailed = commitsFailed
        self.commitDuration = commitDuration
        self.factsWritten = factsWritten
        self.factsRemoved = factsRemoved
        self.factsLoaded = factsLoaded
        self.usedBytes = usedBytes
        self.sizeBytes = sizeBytes
        self.committerCPUSeconds = committerCPUSeconds
    }
}
