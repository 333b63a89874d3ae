import Bytes
import SIPTransaction
import Testing

@Suite("A client transaction other than INVITE (RFC 3261 §17.1.2, figure 6)")
struct NonInviteClientTransactionTests {
    typealias Machine = NonInviteClientTransaction

    private func machine(in state: Machine.State) -> Machine {
        var machine = Machine(now: Instant(milliseconds: 0))
        switch state {
        case .trying: break
        case .proceeding: _ = machine.receive(.provisional, at: Instant(milliseconds: 0))
        case .completed: _ = machine.receive(.final, at: Instant(milliseconds: 0))
        case .terminated: _ = machine.receive(.timerF, at: Instant(milliseconds: 0))
        }
        return machine
    }

    @Test(
        arguments: [
            (.trying, .provisional, .proceeding, .nothing),
            (.trying, .final, .completed, .deliver), (.trying, .timerE, .trying, .send),
            (.trying, .timerF, .terminated, .timeOut), (.trying, .timerK, .trying, .nothing),
            (.proceeding, .provisional, .proceeding, .nothing),
            (.proceeding, .final, .completed, .deliver),
            (.proceeding, .timerE, .proceeding, .send),
            (.proceeding, .timerF, .terminated, .timeOut),
            (.proceeding, .timerK, .proceeding, .nothing),
            (.completed, .provisional, .completed, .nothing),
            (.completed, .final, .completed, .nothing),
            (.completed, .timerE, .completed, .nothing),
            (.completed, .timerF, .completed, .nothing),
            (.completed, .timerK, .terminated, .end),
            (.terminated, .provisional, .terminated, .nothing),
            (.terminated, .final, .terminated, .nothing),
            (.terminated, .timerE, .terminated, .nothing),
            (.terminated, .timerF, .terminated, .nothing),
            (.terminated, .timerK, .terminated, .nothing),
        ] as [(Machine.State, Machine.Event, Machine.State, Machine.Action)])
    func `shows every cell`(
        state: Machine.State, event: Machine.Event, next: Machine.State, action: Machine.Action
    ) {
        var machine = machine(in: state)
        #expect(machine.state == state)
        #expect(machine.receive(event, at: Instant(milliseconds: 1)) == action)
        #expect(machine.state == next)
    }

    @Test func `sends at 500 ms, then twice as long up to 4 s, and ends after 32 s`() {
        var machine = Machine(now: Instant(milliseconds: 0))
        var sent: [UInt64] = []
        for ms in 0...32_000 as ClosedRange<UInt64> {
            switch machine.fire(at: Instant(milliseconds: ms)) {
            case .send: sent.append(ms)
            case .timeOut: #expect(ms == 32_000)
            case .nothing, .deliver, .end: break
            }
        }
        #expect(
            sent == [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500])
        #expect(machine.nextTimer == Instant(milliseconds: .max))
    }

    @Test func `after a provisional response sends every 4 s`() {
        var machine = Machine(now: Instant(milliseconds: 0))
        _ = machine.receive(.provisional, at: Instant(milliseconds: 100))
        var sent: [UInt64] = []
        for ms in 0...9_000 as ClosedRange<UInt64>
        where machine.fire(at: Instant(milliseconds: ms)) == .send {
            sent.append(ms)
        }
        #expect(sent == [500, 4_500, 8_500])
    }

    @Test func `over a stream sends nothing, gives up after 32 s and ends with its response`() {
        var machine = Machine(now: at(0), isReliable: true)
        #expect(
            happenings(until: 200_000, machine.nextTimer, { machine.fire(at: $0) }) {
                machine.nextTimer
            } == ["32000 timeOut"])
        machine = Machine(now: at(0), isReliable: true)
        _ = machine.receive(.provisional, at: at(100))
        #expect(machine.nextTimer == at(32_000))
        #expect(machine.receive(.final, at: at(200)) == .deliver)
        #expect(machine.nextTimer == at(200))
        #expect(machine.fire(at: at(200)) == .end)
    }

    @Test func `over UDP absorbs copies of the response for 5 s`() {
        var machine = Machine(now: at(0))
        _ = machine.receive(.final, at: at(200))
        #expect(machine.nextTimer == at(5_200))
        #expect(machine.fire(at: at(5_199)) == .nothing)
        #expect(machine.fire(at: at(5_200)) == .end)
        #expect(machine.nextTimer == .never)
    }
}
