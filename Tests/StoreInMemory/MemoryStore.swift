package import Registration

/// The location service in memory: commits are decided late, may fail, and a restart finds only what
/// was committed. What could not be committed is staged again when the store works again.
package struct MemoryStore: LocationService {
    private struct Change {
        let number: UInt64
        let bytes: [UInt8]?
    }

    private var next: UInt64 = 0
    /// What a reader of this worker sees.
    package private(set) var visible: [UInt64: [UInt8]] = [:]
    /// What a restart finds.
    package private(set) var durable: [UInt64: [UInt8]] = [:]
    private var open: [Change] = []
    private var handed: [[Change]] = []
    private var ticket: UInt64 = 0
    private var decided: UInt64 = 0
    private var kept: [Change] = []
    /// Records whose newest change was promised without being durable.
    package private(set) var volatile: Set<UInt64> = []
    /// Hand-overs are refused, as by a full queue.
    package var isFull = false
    package var isFailing = false
    /// Whether the last commit failed.
    package private(set) var isDown = false

    package init() {}

    package var hasHanded: Bool { !handed.isEmpty }

    package mutating func nextRecordNumber() -> RecordNumber {
        next += 1
        return RecordNumber(next)
    }

    package mutating func read<Result>(
        _ number: RecordNumber, _ body: (Span<UInt8>) -> Result
    ) -> Result? {
        guard let fact = visible[number.value] else { return nil }
        return body(fact.span)
    }

    package mutating func stage(_ number: RecordNumber, _ fact: Span<UInt8>) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(fact.count)
        for at in fact.indices { bytes.append(fact[at]) }
        visible[number.value] = bytes
        kept.removeAll { $0.number == number.value }
        open.append(Change(number: number.value, bytes: bytes))
    }

    package mutating func stageRemoval(of number: RecordNumber) {
        visible[number.value] = nil
        kept.removeAll { $0.number == number.value }
        open.append(Change(number: number.value, bytes: nil))
    }

    /// What has to be confirmed anew; durable at once.
    package private(set) var resync = Resync()

    package mutating func keep(_ resync: Resync) { self.resync = self.resync.later(resync) }

    package mutating func handOver() -> CommitTicket? {
        if open.isEmpty { return CommitTicket(ticket) }
        let changes = open
        open = []
        if isFull {
            for change in changes {
                volatile.insert(change.number)
                kept.removeAll { $0.number == change.number }
                kept.append(change)
            }
            return nil
        }
        handed.append(changes)
        ticket += 1
        return CommitTicket(ticket)
    }

    private mutating func keep(_ changes: [Change]) {
        var newer = Set((open + kept).map(\.number))
        for changes in handed { newer.formUnion(changes.map(\.number)) }
        for change in changes.reversed() {
            volatile.insert(change.number)
            if newer.insert(change.number).inserted { kept.append(change) }
        }
    }

    /// Decides what was handed over; says up to which ticket, and what failed of it.
    package mutating func decide() -> (through: CommitTicket, failed: [CommitTicket]) {
        var failed: [CommitTicket] = []
        while !handed.isEmpty {
            let changes = handed.removeFirst()
            decided += 1
            isDown = isFailing
            if isFailing {
                failed.append(CommitTicket(decided))
                keep(changes)
            } else {
                for change in changes {
                    durable[change.number] = change.bytes
                    if !kept.contains(where: { $0.number == change.number }) {
                        volatile.remove(change.number)
                    }
                }
            }
        }
        return (CommitTicket(decided), failed)
    }

    /// A commit without anything in it has worked.
    package mutating func comeUp() { isDown = false }

    /// Stages what failed again, the newest change of each record; says how many changes that were.
    package mutating func restage() -> Int {
        let old = kept
        kept = []
        open += old
        return old.count
    }

    /// As it is after a restart; returns the contacts (AOR and Contact) whose newest state is lost
    /// though it was promised.
    @discardableResult
    package mutating func restart() -> [[UInt8]] {
        var lost: [[UInt8]] = []
        for number in volatile.sorted() {
            if let bytes = visible[number] { lost.append(bytes) }
            if let bytes = durable[number] { lost.append(bytes) }
        }
        visible = durable
        open = []
        handed = []
        kept = []
        volatile = []
        ticket = 0
        decided = 0
        isDown = false
        return lost
    }
}
