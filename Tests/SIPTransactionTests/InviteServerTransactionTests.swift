import Bytes
import SIPTransaction
import Testing

@Suite("A server transaction of INVITE (RFC 3261 §17.2.1, RFC 6026 figure 7)")
struct InviteServerTransactionTests {
    typealias Machine = InviteServerTransaction

    static let events: [Machine.Event] = [
        .request, .ack, .provisional, .success, .failure, .timerG, .timerH, .timerI, .timerL,
    ]

    private func machine(in state: Machine.State, isReliable: Bool = false) -> Machine {
        var machine = Machine(isReliable: isReliable)
        switch state {
        case .proceeding: break
        case .completed: _ = machine.receive(.failure, at: at(0))
        case .confirmed:
            _ = machine.receive(.failure, at: at(0))
            _ = machine.receive(.ack, at: at(0))
        case .accepted: _ = machine.receive(.success, at: at(0))
        case .terminated:
            _ = machine.receive(.failure, at: at(0))
            _ = machine.receive(.timerH, at: at(0))
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
                state: .proceeding,
                cells: [
                    (.proceeding, .answerAgain), (.proceeding, .nothing), (.proceeding, .send),
                    (.accepted, .send), (.completed, .send), (.proceeding, .nothing),
                    (.proceeding, .nothing), (.proceeding, .nothing), (.proceeding, .nothing),
                ]),
            Row(
                state: .completed,
                cells: [
                    (.completed, .answerAgain), (.confirmed, .nothing), (.completed, .drop),
                    (.completed, .send), (.completed, .drop), (.completed, .answerAgain),
                    (.terminated, .ackMissing), (.completed, .nothing), (.completed, .nothing),
                ]),
            Row(
                state: .confirmed,
                cells: [
                    (.confirmed, .nothing), (.confirmed, .nothing), (.confirmed, .drop),
                    (.confirmed, .send), (.confirmed, .drop), (.confirmed, .nothing),
                    (.confirmed, .nothing), (.terminated, .end), (.confirmed, .nothing),
                ]),
            Row(
                state: .accepted,
                cells: [
                    (.accepted, .nothing), (.accepted, .passAck), (.accepted, .drop),
                    (.accepted, .send), (.accepted, .drop), (.accepted, .nothing),
                    (.accepted, .nothing), (.accepted, .nothing), (.terminated, .end),
                ]),
            Row(
                state: .terminated,
                cells: [
                    (.terminated, .nothing), (.terminated, .nothing), (.terminated, .drop),
                    (.terminated, .send), (.terminated, .drop), (.terminated, .nothing),
                    (.terminated, .nothing), (.terminated, .nothing), (.terminated, .nothing),
                ]),
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

    @Test func `waits without a timer until it is answered`() {
        #expect(machine(in: .proceeding).nextTimer == .never)
    }

    @Test func `repeats a refusal up to every 4 s and gives up after 32 s`() {
        var machine = machine(in: .completed)
        #expect(
            happenings(until: 200_000, machine.nextTimer, { machine.fire(at: $0) }) {
                machine.nextTimer
            } == [
                "500 answerAgain", "1500 answerAgain", "3500 answerAgain", "7500 answerAgain",
                "11500 answerAgain", "15500 answerAgain", "19500 answerAgain",
                "23500 answerAgain", "27500 answerAgain", "31500 answerAgain",
                "32000 ackMissing",
            ])
    }

    @Test func `over a stream repeats nothing and still waits for the ACK`() {
        var machine = machine(in: .completed, isReliable: true)
        #expect(
            happenings(until: 200_000, machine.nextTimer, { machine.fire(at: $0) }) {
                machine.nextTimer
            } == ["32000 ackMissing"])
    }

    @Test(arguments: [(false, 6_000), (true, 1_000)] as [(Bool, UInt64)])
    func `the ACK ends the copies, and further ones are absorbed for 5 s or not at all`(
        isReliable: Bool, expected: UInt64
    ) {
        var machine = machine(in: .completed, isReliable: isReliable)
        #expect(machine.receive(.ack, at: at(1_000)) == .nothing)
        #expect(machine.receive(.ack, at: at(1_000)) == .nothing)
        #expect(machine.nextTimer == at(expected))
        #expect(machine.fire(at: at(expected - 1)) == .nothing)
        #expect(machine.fire(at: at(expected)) == .end)
        #expect(machine.nextTimer == .never)
    }

    @Test(arguments: [false, true])
    func `an accepted INVITE is remembered for 32 s, whatever else is passed on`(isReliable: Bool) {
        var machine = machine(in: .proceeding, isReliable: isReliable)
        #expect(machine.receive(.success, at: at(1_000)) == .send)
        #expect(machine.receive(.success, at: at(2_000)) == .send)
        #expect(machine.receive(.ack, at: at(3_000)) == .passAck)
        #expect(machine.nextTimer == at(33_000))
        #expect(machine.fire(at: at(32_999)) == .nothing)
        #expect(machine.fire(at: at(33_000)) == .end)
        #expect(machine.nextTimer == .never)
    }

    @Test func `a 2xx behind a refusal changes nothing about the refusal`() {
        var machine = machine(in: .completed)
        #expect(machine.receive(.success, at: at(100)) == .send)
        #expect(machine.nextTimer == at(500))
        #expect(machine.fire(at: at(500)) == .answerAgain)
    }
}
