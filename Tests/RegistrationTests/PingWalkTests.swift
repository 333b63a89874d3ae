import Registration
import Testing

@Suite("The walk of pings")
struct PingWalkTests {
    @Test(arguments: [1, 64, 65, 1_000, 100_001])
    func `comes to each place once a round, at the same step of each`(places: Int) {
        var walk = PingWalk(places: places)
        for place in 0..<places { walk.set(place, true) }
        #expect(walk.count == places)
        let rounds = (0..<2 as Range<UInt64>).map { round in
            (0..<walk.steps).map { walk.place(atStep: round * walk.steps + $0) }
        }
        #expect(Set(rounds[0].compactMap(\.self)).count == places)
        #expect(rounds[0].compactMap(\.self).count == places)
        #expect(rounds[0] == rounds[1])
    }

    @Test(arguments: [10, 100, 1_000])
    func `spreads the first places over the whole round`(used: Int) {
        var walk = PingWalk(places: 100_000)
        for place in 1...used { walk.set(place, true) }
        let turns = (0..<walk.steps).filter { walk.place(atStep: $0) != nil }
        let gaps = zip(turns, turns.dropFirst()).map { $1 - $0 }
        #expect(gaps.allSatisfy { $0 < 2 * walk.steps / UInt64(used) })
        // No second of the 25 has much more than its share.
        let seconds = Dictionary(grouping: turns) { $0 * 25 / walk.steps }
        #expect(seconds.values.allSatisfy { $0.count <= used / 25 + used / 100 + 1 })
    }

    @Test func `comes to nobody who was taken out`() {
        var walk = PingWalk(places: 200)
        walk.set(7, true)
        walk.set(7, true)
        walk.set(100, true)
        walk.set(7, false)
        walk.set(8, false)
        #expect(walk.count == 1)
        #expect((0..<walk.steps).compactMap { walk.place(atStep: $0) } == [100])
    }
}
