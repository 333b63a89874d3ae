import Registration

/// A location service in memory, in which everything is durable at the end of a round.
struct MemoryStore: LocationService {
    private(set) var facts: [UInt64: [UInt8]] = [:]
    private var next: UInt64 = 0
    private var ticket: UInt64 = 0
    private var hasChanges = false
    /// Hand-overs are refused, as by a full queue.
    var isFull = false

    var through: CommitTicket { CommitTicket(ticket) }

    mutating func nextRecordNumber() -> RecordNumber {
        next += 1
        return RecordNumber(next)
    }

    mutating func read<Result>(
        _ number: RecordNumber, _ body: (Span<UInt8>) -> Result
    ) -> Result? {
        guard let fact = facts[number.value] else { return nil }
        return body(fact.span)
    }

    mutating func stage(_ number: RecordNumber, _ fact: Span<UInt8>) {
        facts[number.value] = fact.array
        hasChanges = true
    }

    mutating func stageRemoval(of number: RecordNumber) {
        facts[number.value] = nil
        hasChanges = true
    }

    mutating func handOver() -> CommitTicket? {
        guard hasChanges else { return through }
        hasChanges = false
        if isFull { return nil }
        ticket += 1
        return through
    }

    mutating func restart() {
        ticket = 0
        hasChanges = false
    }
}
