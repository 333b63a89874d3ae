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

/// The topmost Route of a request that is passed on, when it names us (RFC 3261 §16.4).
public enum TopRoute {
    /// Writes the rest of a Route field whose first element stays behind; nothing if that was all.
    public static func writeRest(
        _ bytes: Span<UInt8>, of field: HeaderField, _ outbox: inout Outbox
    ) {
        guard
            let first = try? NameAddress(bytes, from: field.value.start, to: field.value.end)
        else { return }
        let comma = bytes.skipSpace(from: first.whole.end, to: field.value.end)
        guard comma < field.value.end else { return }
        outbox.write("Route: ")
        outbox.write(bytes, bytes.trimmed(ByteRange(comma + 1, field.value.end)))
        outbox.write("\r\n")
    }
}
