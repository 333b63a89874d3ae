import MidRegistrarCore
import Registration
import Testing

@Suite("Tickets, when the store's queue refuses some")
struct TicketBookTests {
    /// Hand-overs in order, whether the store took each; what it has decided; what that means here.
    @Test(
        arguments: [
            ([true, true, true], 2, 2), ([true, false, true], 0, 0), ([true, false, true], 1, 2),
            ([true, false, true], 2, 3), ([false], 0, 1), ([false, false, true], 0, 2),
            ([true, false, false, true, false], 1, 3), ([true, false, false, true, false], 2, 5),
        ] as [([Bool], UInt64, UInt64)])
    func `are settled in our own order`(taken: [Bool], store: UInt64, expected: UInt64) {
        var book = TicketBook()
        for isTaken in taken { _ = book.note(isTaken: isTaken) }
        #expect(book.settle(through: CommitTicket(store)).value == expected)
        #expect(book.settle(through: CommitTicket(store)).value == expected)
    }

    @Test func `name ours for each of the store's`() {
        var book = TicketBook()
        for isTaken in [true, false, true, true] { _ = book.note(isTaken: isTaken) }
        #expect((1...3).map { book.ours(CommitTicket($0)).value } == [1, 3, 4])
        _ = book.settle(through: CommitTicket(1))
        #expect((2...3).map { book.ours(CommitTicket($0)).value } == [3, 4])
    }
}
