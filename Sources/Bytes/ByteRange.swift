/// A part of some bytes, as offsets from their first; what the parser hands out instead of copies.
///
/// An absent part is ``none``, which is empty and starts at 0.
package struct ByteRange: Equatable, Hashable, BitwiseCopyable, Sendable {
    private let first: UInt32
    private let past: UInt32

    /// The offset of the first byte.
    package var start: Int { Int(first) }
    /// The offset after the last byte.
    package var end: Int { Int(past) }
    package var count: Int { Int(past &- first) }
    package var isEmpty: Bool { past == first }

    /// - Precondition: `0 <= start <= end < 2³²`.
    package init(_ start: Int, _ end: Int) {
        precondition(start >= 0 && start <= end && end <= Int(UInt32.max), "a range runs forward")
        first = UInt32(truncatingIfNeeded: start)
        past = UInt32(truncatingIfNeeded: end)
    }

    package static var none: ByteRange { ByteRange(0, 0) }
}
