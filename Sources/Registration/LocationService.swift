/// The number under which a fact is kept; numbers rise, so new facts are appended.
public struct RecordNumber: Hashable, Comparable, BitwiseCopyable, Sendable {
    public let value: UInt64
    public init(_ value: UInt64) { self.value = value }
    /// No record: numbers start at 1.
    public static var none: RecordNumber { RecordNumber(0) }
    public static func < (a: RecordNumber, b: RecordNumber) -> Bool { a.value < b.value }
}

/// How far a worker's hand-overs to the store have come: the first has ticket 1.
public struct CommitTicket: Hashable, Comparable, BitwiseCopyable, Sendable {
    public let value: UInt64
    public init(_ value: UInt64) { self.value = value }
    public static func < (a: CommitTicket, b: CommitTicket) -> Bool { a.value < b.value }
}

/// Where facts live (RFC 3261 §10: the location service), as one worker sees it.
///
/// Reads are synchronous and see what this worker staged, committed or not. Writes are staged, then
/// handed over together; the store makes everything of one hand-over durable at once or not at all,
/// and says so later by ticket.
public protocol LocationService: ~Copyable {
    /// A number that no fact has had.
    mutating func nextRecordNumber() -> RecordNumber

    /// Calls `body` with the bytes of a fact in place; `nil` if there is none.
    mutating func read<Result>(
        _ number: RecordNumber, _ body: (Span<UInt8>) -> Result
    ) -> Result?

    /// Adds a fact, or puts it in place of the one with its number.
    mutating func stage(_ number: RecordNumber, _ fact: Span<UInt8>)

    /// Takes a fact away.
    mutating func stageRemoval(of number: RecordNumber)

    /// Keeps what the main registrar has to be asked anew, for the next start; durable with the next
    /// commit, or soon.
    mutating func keep(_ resync: Resync)

    /// Hands everything staged to the store as one change; the ticket tells when it is durable.
    ///
    /// `nil` if the store's queue is full; then what was staged stays readable here and is volatile.
    mutating func handOver() -> CommitTicket?
}
