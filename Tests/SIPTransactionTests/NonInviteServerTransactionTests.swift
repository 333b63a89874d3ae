import Bytes
import SIPTransaction
import Testing

@Suite("A server transaction other than INVITE (RFC 3261 §17.2.2, RFC 4320 §4)")
struct NonInviteServerTransactionTests {
    typealias Machine = NonInviteServerTransaction

    private func machine(in state: Machine.State, isReliable: Bool = false) -> Machine {
        var machine = Machine(now: at(0), isReliable: isReliable)
        switch state {
        case .trying: break
        case .proceeding: _ = machine.receive(.timerTrying, at: at(0))
        case .completed: _ = machine.receive(.final, at: at(0))
        case .terminated: _ = machine.receive(.expired, at: at(0))
        }
        return machine
    }

    @Test(
        arguments: [
            (.trying, .request, .trying, .nothing), (.trying, .provisional, .trying, .drop),
            (.trying, .final, .completed, .send),
            (.trying, .timerTrying, .proceeding, .sendTrying),
            (.trying, .expired, .terminated, .timeOut), (.trying, .timerJ, .trying, .nothing),
            (.proceeding, .request, .proceeding, .answerAgain),
            (.proceeding, .provisional, .proceeding, .drop),
            (.proceeding, .final, .completed, .send),
            (.proceeding, .timerTrying, .proceeding, .nothing),
            (.proceeding, .expired, .terminated, .timeOut),
            (.proceeding, .timerJ, .proceeding, .nothing),
            (.completed, .request, .completed, .answerAgain),
            (.completed, .provisional, .completed, .drop),
            (.completed, .final, .completed, .drop),
            (.completed, .timerTrying, .completed, .nothing),
            (.completed, .expired, .completed, .nothing),
            (.completed, .timerJ, .terminated, .end),
            (.terminated, .request, .terminated, .nothing),
            (.terminated, .provisional, .terminated, .drop),
            (.terminated, .final, .terminated, .drop),
            (.terminated, .timerTrying, .terminated, .nothing),
            (.terminated, .expired, .terminated, .nothing),
            (.terminated, .timerJ, .terminated, .nothing),
        ] as [(Machine.State, Machine.Event, Machine.State, Machine.Action)])
    func `shows every cell`(
        state: Machine.State, event: Machine.Event, next: Machine.State, action: Machine.Action
    ) {
        for isReliable in [false, true] {
            var machine = machine(in: state, isReliable: isReliable)
            #expect(machine.state == state)
            #expect(machine.receive(event, at: at(1)) == action)
            #expect(machine.state == next)
        }
    }

    @Test func `is expired when its client has given up without an answer`() {
        var machine = machine(in: .proceeding, isReliable: false)
        #expect(!machine.isExpired(at: at(31_999)))
        #expect(machine.isExpired(at: at(32_000)))
        _ = machine.receive(.final, at: at(1))
        #expect(!machine.isExpired(at: at(40_000)))
    }

    @Test(arguments: [false, true])
    func `is answered with 100 after 3.5 s, and after 32 s with nothing at all`(isReliable: Bool) {
        var machine = machine(in: .trying, isReliable: isReliable)
        #expect(
            happenings(until: 200_000, machine.nextTimer, { machine.fire(at: $0) }) {
                machine.nextTimer
            } == ["3500 sendTrying", "32000 timeOut"])
        #expect(machine.receive(.final, at: at(32_001)) == .drop)
    }

    @Test(arguments: [(false, 33_000), (true, 1_000)] as [(Bool, UInt64)])
    func `a final response is repeated for 32 s or not at all`(isReliable: Bool, end: UInt64) {
        var machine = machine(in: .trying, isReliable: isReliable)
        #expect(machine.receive(.final, at: at(1_000)) == .send)
        #expect(machine.nextTimer == at(end))
        #expect(machine.fire(at: at(end - 1)) == .nothing)
        #expect(machine.fire(at: at(end)) == .end)
        #expect(machine.nextTimer == .never)
    }
}
