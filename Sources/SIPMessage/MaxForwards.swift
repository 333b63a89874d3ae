public import Bytes

/// The hops a request may still take (RFC 3261 §16.6 step 3, §20.22).
public enum MaxForwards {
    /// Writes the field with one hop less; 0 stays 0.
    public static func writeLowered(
        _ bytes: Span<UInt8>, _ field: HeaderField, _ outbox: inout Outbox
    ) {
        let value = (try? bytes.number(in: field.value, max: 255)) ?? 70
        outbox.write("Max-Forwards: ")
        outbox.write(decimal: value > 0 ? value - 1 : 0)
        outbox.write("\r\n")
    }
}
