public import Bytes

/// Writes a copy of a message with some parts left out or put in: what is not touched stays the same
/// byte for byte.
///
/// The edits come in the order of the original; each keeps what lies before it.
public struct EditedCopy: BitwiseCopyable, Sendable {
    private var at: Int

    public init(from start: Int) { at = start }

    /// Copies the original up to `offset`.
    public mutating func keep(
        upTo offset: Int, _ bytes: Span<UInt8>, _ outbox: inout Outbox
    ) {
        guard offset > at else { return }
        outbox.write(bytes, ByteRange(at, offset))
        at = offset
    }

    /// Copies up to `range` and leaves `range` out.
    public mutating func drop(
        _ range: ByteRange, _ bytes: Span<UInt8>, _ outbox: inout Outbox
    ) {
        keep(upTo: range.start, bytes, &outbox)
        at = max(at, range.end)
    }
}
