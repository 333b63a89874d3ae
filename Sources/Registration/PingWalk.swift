internal import Bytes

/// Which bindings are kept reachable by pings, and the order in which their turns come: each has one
/// turn a round, and those of neighbours lie far apart.
///
/// A round has as many steps as there are places, rounded up to a power of two; a bit for each place.
public struct PingWalk: ~Copyable, Sendable {
    private var bits: RigidBuffer<UInt64>
    /// How many have a turn.
    public private(set) var count = 0
    /// Steps of a round.
    public let steps: UInt64
    /// Undoes the spreading of places over steps, modulo `steps`.
    private let stride: UInt64

    /// - Parameter places: numbers below it can have a turn.
    public init(places: Int) {
        var steps: UInt64 = 64
        while steps < UInt64(places) { steps *= 2 }
        self.steps = steps
        bits = RigidBuffer(count: Int(steps / 64), zeroed: 0)
        // Multiples of the golden section lie as far apart as they can; its inverse by Newton.
        let spread = UInt64(Double(steps) * 0.618_033_988_75) | 1
        var inverse = spread
        for _ in 0..<6 { inverse = inverse &* (2 &- spread &* inverse) }
        stride = inverse
    }

    public mutating func set(_ place: Int, _ isPinged: Bool) {
        let bit: UInt64 = 1 << UInt64(place & 63)
        let old = bits[place >> 6]
        guard (old & bit != 0) != isPinged else { return }
        bits[place >> 6] = old ^ bit
        count += isPinged ? 1 : -1
    }

    /// The place whose turn comes at a step, if it has one; steps of later rounds may be given.
    public func place(atStep step: UInt64) -> Int? {
        let place = Int(truncatingIfNeeded: (step &* stride) & (steps - 1))
        return bits[place >> 6] & (1 << UInt64(place & 63)) != 0 ? place : nil
    }
}
