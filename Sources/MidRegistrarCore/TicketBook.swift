package import Registration

/// Counts hand-overs, those among them that the store's full queue refused, and says which of ours
/// a ticket of the store means: the store numbers only what it took.
package struct TicketBook: Sendable {
    /// Hand-overs so far, refused ones among them.
    private var last: UInt64 = 0
    /// Refused ones whose number has been settled.
    private var settledRefusals: UInt64 = 0
    /// Refused ones that lie behind something still undecided, rising.
    private var refused: [UInt64] = []

    package init() {}

    /// The ticket that the next hand-over will have.
    package var next: CommitTicket { CommitTicket(last + 1) }

    /// Notes a hand-over.
    package mutating func note(isTaken: Bool) -> CommitTicket {
        last += 1
        if !isTaken { refused.append(last) }
        return CommitTicket(last)
    }

    /// Which of ours the store's ticket is.
    package func ours(_ ticket: CommitTicket) -> CommitTicket {
        var number = ticket.value + settledRefusals
        for refusal in refused where refusal <= number { number += 1 }
        return CommitTicket(number)
    }

    /// Everything up to this of ours is decided, if the store has decided up to `ticket`; refused
    /// ones that follow at once are decided too.
    package mutating func settle(through ticket: CommitTicket) -> CommitTicket {
        var number = ticket.value + settledRefusals
        var settled = 0
        for refusal in refused where refusal <= number + 1 {
            number += 1
            settled += 1
        }
        refused.removeFirst(settled)
        settledRefusals += UInt64(settled)
        return CommitTicket(number)
    }
}
