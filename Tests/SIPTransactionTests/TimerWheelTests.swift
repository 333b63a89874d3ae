import Bytes
import CMallocCount
import SIPTransaction
import Testing

@Suite("The timer wheel")
struct TimerWheelTests {
    /// Every item that is due, in the order in which they come.
    private func popAll(_ wheel: inout TimerWheel, at now: UInt64) -> [UInt32] {
        var list: [UInt32] = []
        while let slot = wheel.popDue(at: at(now)) { list.append(slot) }
        return list
    }

    @Test(
        arguments: [
            // Started at 1,000: what is due now comes now, the rest at the end of its tick.
            (0, 1_000), (999, 1_000), (1_000, 1_000), (1_001, 1_010), (1_009, 1_010),
            (1_010, 1_010), (1_011, 1_020), (1_640, 1_640), (1_650, 1_650), (33_000, 33_000),
            (41_950, 41_950), (41_960, 41_960), (41_970, 41_970), (186_001, 186_010),
            (10_000_000, 10_000_000),
        ] as [(UInt64, UInt64)])
    func `gives an item at the end of its tick, neither before nor later`(
        due: UInt64, comes: UInt64
    ) {
        var wheel = TimerWheel(capacity: 1, now: at(1_000))
        wheel.schedule(0, at: at(due))
        #expect(wheel.isScheduled(0) == true)
        // As a worker does: it sleeps until it is told to look.
        var looks = 0
        while wheel.nextDue < at(comes) {
            #expect(wheel.popDue(at: wheel.nextDue) == nil)
            looks += 1
        }
        #expect(looks <= comes / 40_960)
        #expect(wheel.nextDue == at(comes))
        if comes > 1_000 { #expect(wheel.popDue(at: at(comes - 1)) == nil) }
        #expect(wheel.popDue(at: at(comes)) == 0)
        #expect(wheel.isScheduled(0) == false)
        #expect(wheel.popDue(at: at(comes)) == nil)
        #expect(wheel.nextDue == .never)
    }

    @Test func `has nothing due when there is nothing`() {
        var wheel = TimerWheel(capacity: 4, now: at(0))
        #expect(wheel.nextDue == .never)
        #expect(wheel.popDue(at: at(1_000_000)) == nil)
        wheel.cancel(3)
        wheel.schedule(2, at: .never)
        #expect(wheel.isScheduled(2) == false)
        #expect(wheel.count == 0)
    }

    @Test func `knows the last due time only`() {
        var wheel = TimerWheel(capacity: 4, now: at(0))
        wheel.schedule(1, at: at(500))
        wheel.schedule(1, at: at(300))
        #expect(wheel.nextDue == at(300))
        wheel.schedule(1, at: at(700))
        #expect(wheel.nextDue == at(700))
        #expect(wheel.count == 1)
        #expect(popAll(&wheel, at: 699) == [])
        wheel.schedule(1, at: .never)
        #expect(wheel.count == 0)
        #expect(popAll(&wheel, at: 1_000) == [])
    }

    @Test func `what is due may still be cancelled or put off`() {
        var wheel = TimerWheel(capacity: 4, now: at(0))
        for slot in 0..<4 as Range<UInt32> { wheel.schedule(slot, at: at(100)) }
        #expect(wheel.popDue(at: at(100)) == 0)
        wheel.cancel(1)
        wheel.schedule(2, at: at(200))
        #expect(popAll(&wheel, at: 100) == [3])
        #expect(popAll(&wheel, at: 200) == [2])
    }

    @Test func `does not turn back`() {
        var wheel = TimerWheel(capacity: 1, now: at(1_000))
        #expect(popAll(&wheel, at: 2_000) == [])
        #expect(popAll(&wheel, at: 500) == [])
        wheel.schedule(0, at: at(1_500))
        #expect(wheel.nextDue == at(2_000))
        #expect(popAll(&wheel, at: 2_000) == [0])
    }

    @Test func `one tick's items come in the order they were scheduled`() {
        var wheel = TimerWheel(capacity: 8, now: at(0))
        for slot in [3, 1, 7, 0] as [UInt32] { wheel.schedule(slot, at: at(95)) }
        wheel.schedule(5, at: at(101))
        wheel.schedule(1, at: at(50))
        #expect(popAll(&wheel, at: 110) == [1, 3, 7, 0, 5])
    }

    @Test func `a long sleep loses nothing and keeps the order`() {
        var wheel = TimerWheel(capacity: 4, now: at(0))
        wheel.schedule(3, at: at(86_400_001))
        wheel.schedule(2, at: at(500_000))
        wheel.schedule(1, at: at(50_000))
        wheel.schedule(0, at: at(100))
        #expect(popAll(&wheel, at: 86_400_000) == [0, 1, 2])
        #expect(popAll(&wheel, at: 86_400_010) == [3])
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func `does what a list of due times does`(seed: UInt64) {
        let capacity = 200
        var chance = Chance(seed: seed)
        var now = chance.next() % 1_000_000
        var wheel = TimerWheel(capacity: capacity, now: at(now))
        var model: [UInt32: UInt64] = [:]
        var wrong: [String] = []
        var popped = 0
        for step in 0..<4_000 {
            let slot = UInt32(chance.below(capacity))
            switch chance.below(10) {
            case 0..<6:
                let ahead: Int
                switch chance.below(4) {
                case 0: ahead = chance.below(40)
                case 1: ahead = chance.below(2_000)
                case 2: ahead = chance.below(45_000)
                default: ahead = chance.below(400_000)
                }
                // Now and then in the past.
                let due = now + UInt64(ahead) - min(now, UInt64(chance.below(20)))
                wheel.schedule(slot, at: at(due))
                model[slot] = due
            case 6:
                wheel.cancel(slot)
                model[slot] = nil
            default:
                // Mostly to when it says, now and then past it, seldom far.
                let next = wheel.nextDue
                switch chance.below(8) {
                case 0: now += UInt64(chance.below(100_000))
                case 1..<4: now += UInt64(chance.below(500))
                default:
                    if next != .never { now = max(now, next.milliseconds) }
                }
                while let item = wheel.popDue(at: at(now)) {
                    popped += 1
                    guard let due = model.removeValue(forKey: item) else {
                        wrong.append("\(step): \(item) is unknown")
                        continue
                    }
                    if due > now { wrong.append("\(step): \(item) is early") }
                }
                for (item, due) in model where due <= now / 10 * 10 {
                    wrong.append("\(step): \(item) is late")
                }
            }
            if wheel.count != model.count { wrong.append("\(step): count") }
            // Nothing comes later than the moment it says, but for a tick.
            let isNextRight =
                model.values.min().map { wheel.nextDue.milliseconds < max($0, now) + 10 }
                ?? (wheel.nextDue == .never)
            if !isNextRight { wrong.append("\(step): next due") }
        }
        #expect(wrong.isEmpty)
        #expect(popped > 1_000)
    }

    @Test func `takes no memory once it is there`() {
        var wheel = TimerWheel(capacity: 64, now: at(0))
        var popped = 0
        func work() {
            for slot in 0..<64 { wheel.schedule(UInt32(slot), at: at(UInt64(slot) * 977)) }
            wheel.cancel(5)
            while wheel.popDue(at: wheel.nextDue) != nil { popped += 1 }
            while wheel.count > 0 { if wheel.popDue(at: wheel.nextDue) != nil { popped += 1 } }
        }
        work()
        let before = midreg_mallocs_of_thread()
        work()
        #expect(midreg_mallocs_of_thread() == before)
        #expect(popped == 126)
    }
}
