/// A part of some bytes, as offsets from their first; what the parser hands out instead of copies.
///
/// An absent part is ``none``, which is empty and starts at 0.
public struct ByteRange: Equatable, Hashable, BitwiseCopyable, Sendable {
    private let first: UInt32
    private let past: UInt32

    /// The offset of the first byte.
    public var start: Int { Int(first) }
    /// The offset after the last byte.
    public var end: Int { Int(past) }
    public var count: Int { Int(past &- first) }
    public var isEmpty: Bool { past == first }

    /// - Precondition: `0 <= start <= end < 2³²`.
    public init(_ start: Int, _ end: Int) {
        // Read without sign, a negative number is larger than every bound.
        precondition(
            UInt(bitPattern: start) <= UInt(bitPattern: end)
                && UInt(bitPattern: end) <= UInt(UInt32.max),
            "a range runs forward")
        first = UInt32(truncatingIfNeeded: start)
        past = UInt32(truncatingIfNeeded: end)
    }

    public static var none: ByteRange { ByteRange(0, 0) }
}
