public import Bytes
public import Keys

/// The header fields of a 2xx that absorbed answers repeat (Service-Route, P-Associated-URI and the
/// like), each distinct block kept once; bindings name it by number.
public struct ReplyBlocks: ~Copyable, Sendable {
    /// Distinct blocks: a few per main registrar; phones with one of their own fill it up, and
    /// those that come later have theirs read from the fact.
    public static let blocksMax = 4_096
    private static let bytesMax = 2 << 20

    private var bytes: RigidBuffer<UInt8>
    private var used = 0
    private var ranges: RigidBuffer<ByteRange>
    private var hashes: RigidBuffer<UInt64>
    private var cells: RigidBuffer<UInt32>
    private var count: UInt32 = 0
    private let key: HashKey

    public init(_ keys: KeyRing) {
        key = keys.fingerprint
        bytes = RigidBuffer(count: Self.bytesMax, zeroed: 0)
        ranges = RigidBuffer(count: Self.blocksMax + 1, zeroed: .none)
        hashes = RigidBuffer(count: Self.blocksMax + 1, zeroed: 0)
        cells = RigidBuffer(count: Self.blocksMax * 2, zeroed: 0)
    }

    /// The number of a block, which is 0 for an empty one; `nil` if there is no room for another.
    public mutating func intern(_ block: borrowing ByteBuffer) -> UInt32? { intern(block.span) }

    /// The number of a block, which is 0 for an empty one; `nil` if there is no room for another.
    public mutating func intern(_ block: Span<UInt8>) -> UInt32? {
        guard !block.isEmpty else { return 0 }
        var hash = KeyedHash(key)
        hash.update(block)
        let value = hash.finish()
        let mask = cells.count - 1
        var at = Int(truncatingIfNeeded: value) & mask
        while cells[at] != 0 {
            let number = Int(cells[at])
            if hashes[number] == value, bytes.span(ranges[number]).same(as: block) {
                return cells[at]
            }
            at = (at + 1) & mask
        }
        guard count < UInt32(Self.blocksMax), block.count <= Self.bytesMax - used else {
            return nil
        }
        count += 1
        bytes.copy(block, to: used)
        ranges[Int(count)] = ByteRange(used, used + block.count)
        hashes[Int(count)] = value
        used += block.count
        cells[at] = count
        return count
    }

    /// The bytes of a block: whole header fields with their line ends.
    @_lifetime(borrow self)
    public func block(_ number: UInt32) -> Span<UInt8> { bytes.span(ranges[Int(number)]) }
}
