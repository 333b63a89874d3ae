internal import Synchronization
internal import Transport

/// What the workers share: their mailboxes, their wake-ups, and the word that it is time to stop.
final class Switchboard: Sendable {
    let wakeups: [Wakeup]
    /// `mailboxes[to][from]`; none from a worker to itself.
    let mailboxes: [[Mailbox?]]
    /// What operators ask, by worker.
    let orders: [OrderBox]
    private let stopping = Atomic<Bool>(false)
    /// Wakes whoever waits for the workers to have loaded.
    private let loadedWakeup: Wakeup
    private let loaded = Atomic<Int>(0)
    private let failed = Atomic<Bool>(false)
    let facts = Atomic<Int>(0)
    let damagedFacts = Atomic<Int>(0)

    init(workers: Int) throws(TransportError) {
        var wakeups: [Wakeup] = []
        var mailboxes: [[Mailbox?]] = []
        // Many workers have small boxes: there are as many as pairs of workers.
        let bytes = workers <= 8 ? Mailbox.bytesDefault : Mailbox.bytesMin
        for to in 0..<workers {
            let wakeup = try Wakeup()
            wakeups.append(wakeup)
            var row: [Mailbox?] = []
            for from in 0..<workers {
                row.append(from == to ? nil : Mailbox(bytes: bytes, wakeup: wakeup))
            }
            mailboxes.append(row)
        }
        self.wakeups = wakeups
        orders = (0..<workers).map { _ in OrderBox() }
        loadedWakeup = try Wakeup()
        self.mailboxes = mailboxes
    }

    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    func stop() {
        stopping.store(true, ordering: .relaxed)
        for wakeup in wakeups { wakeup.signal() }
    }

    func noteLoaded(failed hasFailed: Bool) {
        if hasFailed { failed.store(true, ordering: .relaxed) }
        _ = loaded.wrappingAdd(1, ordering: .releasing)
        loadedWakeup.signal()
    }

    /// Waits until all workers have read their facts and says whether all can serve.
    func waitUntilLoaded() throws(TransportError) -> Bool {
        var poll = try EventPoll()
        try poll.add(loadedWakeup.fd, tag: 0)
        while loaded.load(ordering: .acquiring) < wakeups.count {
            _ = try poll.wait(timeoutMs: 1_000)
            loadedWakeup.drain()
        }
        return !failed.load(ordering: .relaxed)
    }
}
