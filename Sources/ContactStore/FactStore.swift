internal import Bytes
internal import CLMDB
internal import Glibc
package import Registration
internal import Synchronization

/// When a fact counts as durable.
package enum Durability: Sendable, Equatable {
    /// On the disk: it survives a loss of power.
    case commit
    /// With the kernel, and on the disk within a second: it survives the end of the process.
    case process
}

/// What a scan of the store found.
package struct LoadResult: Sendable, Equatable {
    package let facts: Int
    /// Records whose version or checksum is wrong; the next commit takes them away.
    package let damaged: Int
}

/// The contact store: facts that outlive the process, in one LMDB environment.
///
/// It is opened once, scanned by the workers, and then written by one thread that commits what all
/// workers handed over. It is a cache of what the main registrar agreed to: what it cannot read it
/// sets aside and starts empty, which costs one relayed REGISTER per phone.
@safe package final class FactStore: Sendable {
    /// A store that was set aside at open.
    package struct Aside: Sendable, Equatable {
        package let folder: String
        package let problem: String
    }

    /// Bytes of hand-overs that may wait for the committer.
    package static let queueBytesMax = 64 << 20
    /// Reader slots beside the workers': scans, the command line, and some for those that died.
    static let readersBeside = 16

    let environment: Environment
    let queue = CommitQueue(bytesMax: FactStore.queueBytesMax)
    let cells = StoreCells()
    private let channels: [WorkerChannel]
    private let damaged = DamagedRecords()
    let resyncNote = ResyncNote()
    private let durability: Durability
    private let clock: StoreClock
    private let next: Atomic<UInt64>
    private let highestAtOpen: UInt64
    private let thread = Mutex<pthread_t?>(nil)

    /// How this run's boot clock becomes the timeline of the stored moments.
    package let timeline: Timeline
    /// What was to be confirmed anew when the last run ended.
    package let resync: Resync
    /// What was found unusable and where it is now.
    package let openedAside: Aside?

    /// Opens the store of a state directory; makes it if there is none.
    ///
    /// - Parameters:
    ///   - state: the state directory, which is there; the store is its folder `contacts`.
    ///   - mapBytes: the upper bound of the store's size; only what is used takes room on the disk.
    ///   - workers: how many workers there will be.
    ///   - asideStamp: what an unusable store's name ends with, `contacts.aside-` before it.
    /// - Throws: ``StoreError`` with words for the operator; nothing is open then.
    package static func open(
        state: String, mapBytes: Int, durability: Durability, workers: Int, asideStamp: String,
        clock: StoreClock = .machine()
    ) throws(StoreError) -> FactStore {
        precondition(workers > 0, "a store has workers")
        let folder = state + "/contacts"
        let lock = try lockedFile(state)
        var aside: Aside?
        if unsafe mkdir(folder, 0o700) != 0 && errno != EEXIST {
            throw StoreError(code: errno, "cannot make \(folder)")
        }
        try refuseRemote(folder)
        if let problem = try StoreInspection.problem(inFile: folder + "/data.mdb") {
            aside = try setAside(folder, stamp: asideStamp, problem: problem)
        }
        while true {
            do throws(StoreError) {
                let environment = try Environment.open(
                    folder: folder, mapBytes: mapBytes,
                    flags: durability == .process ? MDB_NOSYNC : 0,
                    readersMax: workers + readersBeside, readOnly: false, lock: lock)
                return try FactStore(environment, aside, durability, workers, clock)
            } catch {
                guard error.reason == .damaged, aside == nil else { throw error }
                aside = try setAside(folder, stamp: asideStamp, problem: error.description)
            }
        }
    }

    private init(
        _ environment: Environment, _ aside: Aside?, _ durability: Durability, _ workers: Int,
        _ clock: StoreClock
    ) throws(StoreError) {
        let (highest, entries) = try environment.extent()
        let note = try environment.timeNote()
        let timeline = Timeline(after: note, now: clock.read())
        // Facts without a note of time: no lease can be judged.
        self.timeline = note == nil && entries > 0 ? timeline.doubtful : timeline
        self.environment = environment
        self.clock = clock
        self.durability = durability
        openedAside = aside
        resync = try environment.resync()
        highestAtOpen = highest
        next = Atomic(highest + 1)
        channels = (0..<workers).map { _ in WorkerChannel() }
        cells.entries.store(UInt64(entries), ordering: .relaxed)
        cells.tellSize(of: environment)
        // Readers that were killed hold their pages until somebody looks.
        unsafe mdb_reader_check(environment.handle, nil)
    }

    deinit { close() }

    // MARK: Use

    /// Calls `body` with every sound fact in the order of numbers; several threads may do it at once.
    package func forEachFact(
        _ body: (RecordNumber, Span<UInt8>) -> Void
    ) throws(StoreError) -> LoadResult {
        let found = try environment.facts(from: 0, atMost: .max, body)
        for number in found.damaged where damaged.add(number.value) {
            cells.damaged.wrappingAdd(1, ordering: .relaxed)
        }
        return LoadResult(facts: found.sound, damaged: found.damaged.count)
    }

    /// One worker's side; it is made once and stays on that worker's thread.
    package func location(forWorker worker: Int) -> WorkerLocation {
        let wasTaken = channels[worker].taken.exchange(true, ordering: .relaxed)
        precondition(!wasTaken, "a worker has one side of the store")
        return WorkerLocation(store: self, worker: worker, channel: channels[worker])
    }

    func nextRecordNumber() -> RecordNumber {
        RecordNumber(next.wrappingAdd(1, ordering: .relaxed).oldValue)
    }

    package var figures: StoreFigures { cells.snapshot(queue: queue) }

    /// Whether the last commit failed and nothing has worked since; one relaxed load.
    package var isDown: Bool { cells.down.load(ordering: .relaxed) }

    // MARK: The committer's thread

    /// Starts the committer; `wake` is called on its thread with a worker whose outcomes are there.
    package func start(wake: @escaping @Sendable (Int) -> Void) throws(StoreError) {
        try start(wake: wake, fault: nil)
    }

    func start(
        wake: @escaping @Sendable (Int) -> Void, fault: (@Sendable () -> Int32)?
    ) throws(StoreError) {
        let room = Committer.Room(
            environment: environment, queue: queue, channels: channels, cells: cells,
            damaged: damaged, resyncNote: resyncNote, timeline: timeline, clock: clock,
            durability: durability,
            wake: wake, fault: fault)
        let work = ThreadWork(room: room, highest: highestAtOpen)
        let code = thread.withLock { thread -> Int32 in
            precondition(thread == nil, "there is one committer")
            var started = pthread_t()
            let context = unsafe Unmanaged.passRetained(work).toOpaque()
            // SAFETY: the thread takes over the reference that was retained for it.
            let code = unsafe pthread_create(
                &started, nil,
                { context in
                    guard let context = unsafe context else { return nil }
                    let work = unsafe Unmanaged<ThreadWork>.fromOpaque(context)
                        .takeRetainedValue()
                    unsafe midreg_name_this_thread("committer")
                    // Signals are for the threads that wait for them.
                    var all = sigset_t()
                    unsafe sigfillset(&all)
                    unsafe pthread_sigmask(SIG_BLOCK, &all, nil)
                    Committer(room: work.room, highest: work.highest).run()
                    return nil
                }, context)
            if code == 0 {
                thread = started
            } else {
                unsafe Unmanaged<ThreadWork>.fromOpaque(context).release()
            }
            return code
        }
        guard code == 0 else { throw StoreError(code: code, "cannot start the store's thread") }
    }

    /// Commits what is queued, notes the time and ends the thread; what comes later is refused.
    ///
    /// The files are closed when this store and the last worker's side are let go of.
    package func close() {
        queue.close()
        let started = thread.withLock { thread in
            let started = thread
            thread = nil
            return started
        }
        guard let started else { return }
        pthread_join(started, nil)
    }
}

/// What the committer's thread begins with.
private final class ThreadWork: Sendable {
    let room: Committer.Room
    let highest: UInt64

    init(room: Committer.Room, highest: UInt64) {
        self.room = room
        self.highest = highest
    }
}

// MARK: The folder

/// Opens and locks the file that says whose the store is.
///
/// LMDB's own locks break if a process opens a store twice; a flock holds between processes and
/// within one. A command-line reader holds it for the moment of its inspection, hence the patience.
private func lockedFile(_ state: String) throws(StoreError) -> StoreLock {
    let path = state + "/contacts.lock"
    let file = unsafe Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw StoreError(code: errno, "cannot open \(path)") }
    var patience = 100
    while flock(file, LOCK_EX | LOCK_NB) != 0 {
        let code = errno
        patience -= 1
        guard code == EWOULDBLOCK || code == EINTR, patience > 0 else {
            _ = close(file)
            if code != EWOULDBLOCK { throw StoreError(code: code, "cannot lock \(path)") }
            throw StoreError(
                .inUse,
                "another midreg has the store in \(state) open. Stop it, or give this one a state "
                    + "directory of its own.")
        }
        usleep(10_000)
    }
    return StoreLock(file: file)
}

/// LMDB's locks and its map need a file system of this machine.
private func refuseRemote(_ folder: String) throws(StoreError) {
    var information = statfs()
    guard unsafe statfs(folder, &information) == 0 else {
        throw StoreError(code: errno, "cannot look at \(folder)")
    }
    let remote: [UInt32: String] = [
        0x6969: "NFS", 0x517B: "SMB", 0xFF53_4D42: "CIFS", 0xFE53_4D42: "SMB", 0x0102_1997: "9P",
        0x00C3_6400: "Ceph", 0x5346_414F: "AFS", 0x7375_7245: "Coda", 0x0BD0_0BD0: "Lustre",
    ]
    guard let name = remote[UInt32(truncatingIfNeeded: information.f_type)] else { return }
    throw StoreError(
        .notLocal,
        "\(folder) is on \(name); the store needs a disk of this machine. Give another --state.")
}

/// Moves an unusable store out of the way and makes an empty folder in its place.
private func setAside(
    _ folder: String, stamp: String, problem: String
) throws(StoreError) -> FactStore.Aside {
    var target = "\(folder).aside-\(stamp)"
    var attempt = 1
    while unsafe rename(folder, target) != 0 {
        guard errno == ENOTEMPTY || errno == EEXIST, attempt < 100 else {
            throw StoreError(code: errno, "cannot set \(folder) aside")
        }
        attempt += 1
        target = "\(folder).aside-\(stamp)-\(attempt)"
    }
    guard unsafe mkdir(folder, 0o700) == 0 else {
        throw StoreError(code: errno, "cannot make \(folder)")
    }
    return FactStore.Aside(folder: target, problem: problem)
}
