/// A number of histories, each with a seed of its own.
public struct Campaign: Sendable {
    public struct Result: Sendable {
        public var tally = Tally()
        public var violations: [String] = []
        public var digest: UInt64 = 0
    }

    let seeds: [UInt64]
    /// One after the other.
    let modes: [Plan.Mode]

    public init(seeds: [UInt64], modes: [Plan.Mode] = Plan.Mode.usual) {
        self.seeds = seeds
        self.modes = modes
    }

    public init(seed: UInt64, count: Int, modes: [Plan.Mode] = Plan.Mode.usual) {
        self.modes = modes
        var chance = Chance(seed: seed)
        seeds = (0..<count).map { _ in chance.next() >> 16 }
    }

    /// Plays them one after the other.
    ///
    /// - Parameter past: how many broken ones are gone past before it stops.
    public func run(past: Int = 0) -> Result {
        var result = Result()
        for (number, seed) in seeds.enumerated() {
            let world = World(seed: seed, mode: modes[number % modes.count])
            world.run()
            result.tally.add(world.tally)
            result.digest = result.digest &* 31 &+ world.digest
            if let violation = world.violation {
                result.violations.append(violation)
                if result.violations.count > past { break }
            }
        }
        return result
    }
}
