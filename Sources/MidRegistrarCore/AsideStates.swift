public import Bytes

/// Relay states that are too long for a Via: a ring of a fixed number, found by transaction hash.
/// Losing one costs the phone a copy that is then answered 503.
public struct AsideStates: ~Copyable {
    /// At a time: REGISTERs with several long contacts are rare.
    private static let statesMax = 256
    private static let stateBytesMax = 20_480

    private var bytes: RigidBuffer<UInt8>
    private var hashes: RigidBuffer<UInt64>
    private var counts: RigidBuffer<Int>
    private var nextPlace = 0

    public init() {
        bytes = RigidBuffer(count: Self.statesMax * Self.stateBytesMax, zeroed: 0)
        hashes = RigidBuffer(count: Self.statesMax, zeroed: 0)
        counts = RigidBuffer(count: Self.statesMax, zeroed: 0)
    }

    /// Keeps a state in place of the oldest; a copy finds its own place again.
    public mutating func keep(_ state: borrowing ByteBuffer, _ hash: UInt64) -> Bool {
        guard state.count <= Self.stateBytesMax else { return false }
        var place = nextPlace
        for index in 0..<Self.statesMax where hashes[index] == hash && counts[index] > 0 {
            place = index
        }
        if place == nextPlace { nextPlace = (nextPlace + 1) % Self.statesMax }
        bytes.copy(state.span, to: place * Self.stateBytesMax)
        hashes[place] = hash
        counts[place] = state.count
        return true
    }

    /// Copies the state of a transaction; `false` if it is gone.
    public func find(_ hash: UInt64, into buffer: inout ByteBuffer) -> Bool {
        for index in 0..<Self.statesMax where hashes[index] == hash && counts[index] > 0 {
            let start = index * Self.stateBytesMax
            buffer.clear()
            buffer.append(bytes.span(ByteRange(start, start + counts[index])))
            return true
        }
        return false
    }
}
