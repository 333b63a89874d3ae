import Bytes
import SIPTransaction
import Testing

@Suite("A client transaction of INVITE (RFC 3261 §17.1.1, RFC 6026 figure 5, Timer C of §16)")
struct InviteClientTransactionTests {
    typealias Machine = InviteClientTransaction

    static let timerCMs: UInt64 = 185_000
    static let events: [Machine.Event] = [
        .provisional(is100: true), .provisional(is100: false), .success, .failure, .timerA,
        .timerB, .timerC, .timerD, .timerM, .cancelExpired, .overdueExpired,
    ]

    private func machine(in state: Machine.State, isReliable: Bool = false) -> Machine {
        var machine = Machine(now: at(0), isReliable: isReliable, timerCMs: Self.timerCMs)
        switch state {
        case .calling: break
        case .proceeding: _ = machine.receive(.provisional(is100: false), at: at(0))
        case .completed: _ = machine.receive(.failure, at: at(0))
        case .accepted: _ = machine.receive(.success, at: at(0))
        case .overdue:
            _ = machine.receive(.provisional(is100: false), at: at(0))
            machine.noteCancelled(at: at(0))
            _ = machine.receive(.cancelExpired, at: at(0))
        case .terminated: _ = machine.receive(.timerB, at: at(0))
        }
        return machine
    }

    struct Row: Sendable {
        let state: Machine.State
        /// What each of ``events`` does: the next state and the action.
        let cells: [(Machine.State, Machine.Action)]
    }

    @Test(
        arguments: [
            Row(
                state: .calling,
                cells: [
                    (.proceeding, .deliver), (.proceeding, .deliver), (.accepted, .deliver),
                    (.completed, .deliverAndAck), (.calling, .send), (.terminated, .timeOut),
                    (.terminated, .timeOut), (.calling, .nothing), (.calling, .nothing),
                    (.calling, .nothing), (.calling, .nothing),
                ]),
            Row(
                state: .proceeding,
                cells: [
                    (.proceeding, .deliver), (.proceeding, .deliver), (.accepted, .deliver),
                    (.completed, .deliverAndAck), (.proceeding, .nothing),
                    (.proceeding, .nothing), (.proceeding, .timerC), (.proceeding, .nothing),
                    (.proceeding, .nothing), (.proceeding, .nothing), (.proceeding, .nothing),
                ]),
            Row(
                state: .completed,
                cells: [
                    (.completed, .nothing), (.completed, .nothing), (.completed, .nothing),
                    (.completed, .ackAgain), (.completed, .nothing), (.completed, .nothing),
                    (.completed, .nothing), (.terminated, .end), (.completed, .nothing),
                    (.completed, .nothing), (.completed, .nothing),
                ]),
            Row(
                state: .accepted,
                cells: [
                    (.accepted, .nothing), (.accepted, .nothing), (.accepted, .passSuccess),
                    (.accepted, .nothing), (.accepted, .nothing), (.accepted, .nothing),
                    (.accepted, .nothing), (.accepted, .nothing), (.terminated, .end),
                    (.accepted, .nothing), (.accepted, .nothing),
                ]),
            Row(
                state: .overdue,
                cells: [
                    (.overdue, .nothing), (.overdue, .nothing), (.accepted, .deliver),
                    (.completed, .ackOnly), (.overdue, .nothing), (.overdue, .nothing),
                    (.overdue, .nothing), (.overdue, .nothing), (.overdue, .nothing),
                    (.overdue, .nothing), (.terminated, .end),
                ]),
            Row(state: .terminated, cells: Array(repeating: (.terminated, .nothing), count: 11)),
        ])
    func `shows every cell`(row: Row) {
        #expect(row.cells.count == Self.events.count)
        for (event, (next, action)) in zip(Self.events, row.cells) {
            for isReliable in [false, true] {
                var machine = machine(in: row.state, isReliable: isReliable)
                #expect(machine.state == row.state)
                #expect(machine.receive(event, at: at(1)) == action, "\(event)")
                #expect(machine.state == next, "\(event)")
            }
        }
    }

    @Test func `after a CANCEL only the end of waiting differs`() {
        for (event, (next, action)) in zip(
            Self.events,
            [
                (.proceeding, .deliver), (.proceeding, .deliver), (.accepted, .deliver),
                (.completed, .deliverAndAck), (.proceeding, .nothing), (.proceeding, .nothing),
                (.proceeding, .nothing), (.proceeding, .nothing), (.proceeding, .nothing),
                (.overdue, .timeOut), (.proceeding, .nothing),
            ] as [(Machine.State, Machine.Action)])
        {
            var machine = machine(in: .proceeding)
            machine.noteCancelled(at: at(0))
            #expect(machine.isCancelled)
            #expect(machine.receive(event, at: at(1)) == action, "\(event)")
            #expect(machine.state == next, "\(event)")
        }
    }

    @Test func `sends at doubling intervals and gives up after 32 s`() {
        var machine = machine(in: .calling)
        #expect(
            happenings(until: 200_000, machine.nextTimer, { machine.fire(at: $0) }) {
                machine.nextTimer
            } == [
                "500 send", "1500 send", "3500 send", "7500 send", "15500 send", "31500 send",
                "32000 timeOut",
            ])
    }

    @Test func `over a stream sends nothing and gives up after 32 s`() {
        var machine = machine(in: .calling, isReliable: true)
        #expect(
            happenings(until: 200_000, machine.nextTimer, { machine.fire(at: $0) }) {
                machine.nextTimer
            } == ["32000 timeOut"])
    }

    @Test func `a provisional response ends the copies`() {
        var machine = machine(in: .calling)
        #expect(machine.fire(at: at(500)) == .send)
        #expect(machine.receive(.provisional(is100: true), at: at(600)) == .deliver)
        #expect(machine.nextTimer == at(Self.timerCMs))
        #expect(machine.fire(at: at(40_000)) == .nothing)
    }

    @Test(
        arguments: [
            ([(true, 100)], 185_000), ([(false, 100)], 185_100),
            ([(false, 100), (true, 5_000)], 185_100), ([(false, 100), (false, 5_000)], 190_000),
            ([(true, 100), (false, 5_000)], 190_000),
        ] as [([(Bool, UInt64)], UInt64)])
    func `Timer C starts with the request and again with each 101 to 199, never with a 100`(
        responses: [(Bool, UInt64)], expected: UInt64
    ) {
        var machine = machine(in: .calling)
        for (is100, ms) in responses {
            _ = machine.receive(.provisional(is100: is100), at: at(ms))
        }
        #expect(machine.nextTimer == at(expected))
        #expect(machine.fire(at: at(expected - 1)) == .nothing)
        #expect(machine.fire(at: at(expected)) == .timerC)
        #expect(machine.isCancelled)
        // The CANCEL it asked for gives the branch 64·T1 more; noting it again gives nothing.
        machine.noteCancelled(at: at(expected + 1_000))
        #expect(machine.nextTimer == at(expected + 32_000))
        #expect(machine.fire(at: at(expected + 31_999)) == .nothing)
        #expect(machine.fire(at: at(expected + 32_000)) == .timeOut)
        #expect(machine.nextTimer == at(expected + 64_000))
        #expect(machine.fire(at: at(expected + 63_999)) == .nothing)
        #expect(machine.fire(at: at(expected + 64_000)) == .end)
        #expect(machine.nextTimer == .never)
    }

    @Test func `a cancelled branch has 32 s, whatever provisional responses come`() {
        var machine = Machine(now: at(0), timerCMs: 15_000)
        _ = machine.receive(.provisional(is100: true), at: at(0))
        machine.noteCancelled(at: at(10_000))
        #expect(machine.receive(.provisional(is100: false), at: at(20_000)) == .deliver)
        #expect(machine.nextTimer == at(42_000))
        #expect(machine.receive(.failure, at: at(30_000)) == .deliverAndAck)
        #expect(!machine.isCancelled)
        #expect(machine.nextTimer == at(62_000))
    }

    @Test(arguments: [.calling, .completed, .accepted, .overdue, .terminated] as [Machine.State])
    func `nothing is cancelled without a provisional response or behind a final one`(
        state: Machine.State
    ) {
        var machine = machine(in: state)
        let before = machine.nextTimer
        #expect(!machine.mayCancel)
        machine.noteCancelled(at: at(10))
        #expect(machine.nextTimer == before)
        #expect(!machine.isCancelled)
    }

    @Test(
        arguments: [
            (.failure, false, 32_100), (.failure, true, 100), (.success, false, 32_100),
            (.success, true, 32_100),
        ] as [(Machine.Event, Bool, UInt64)])
    func `Timer D is 32 s or nothing, Timer M always 32 s`(
        event: Machine.Event, isReliable: Bool, expected: UInt64
    ) {
        var machine = machine(in: .calling, isReliable: isReliable)
        _ = machine.receive(event, at: at(100))
        // Copies move nothing.
        _ = machine.receive(event, at: at(100))
        #expect(machine.nextTimer == at(expected))
        if expected > 100 { #expect(machine.fire(at: at(expected - 1)) == .nothing) }
        #expect(machine.fire(at: at(expected)) == .end)
        #expect(machine.nextTimer == .never)
        #expect(machine.fire(at: at(1_000_000)) == .nothing)
    }

    @Test(
        arguments: [
            (.success, false, .deliver, 72_000), (.success, true, .deliver, 72_000),
            (.failure, false, .ackOnly, 72_000), (.failure, true, .ackOnly, 40_000),
        ] as [(Machine.Event, Bool, Machine.Action, UInt64)])
    func `what comes late in the 32 s after a cancelled one had its time is heard`(
        event: Machine.Event, isReliable: Bool, action: Machine.Action, end: UInt64
    ) {
        var machine = machine(in: .proceeding, isReliable: isReliable)
        machine.noteCancelled(at: at(0))
        #expect(machine.fire(at: at(32_000)) == .timeOut)
        #expect(!machine.mayCancel && !machine.isCancelled)
        #expect(machine.receive(.provisional(is100: false), at: at(33_000)) == .nothing)
        #expect(machine.receive(event, at: at(40_000)) == action)
        #expect(
            machine.receive(event, at: at(40_001)) == (event == .success ? .passSuccess : .ackAgain)
        )
        #expect(machine.nextTimer == at(end))
        #expect(machine.fire(at: at(end)) == .end)
    }

    @Test func `of timers that are due at once the one that ends it comes first`() {
        var machine = machine(in: .calling)
        #expect(machine.fire(at: at(400_000)) == .timeOut)
        machine = self.machine(in: .proceeding)
        machine.noteCancelled(at: at(0))
        #expect(machine.fire(at: at(400_000)) == .timeOut)
    }
}
