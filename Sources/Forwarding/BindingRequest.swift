public import Bytes

/// A STUN Binding request on a SIP port (RFC 5389 §6, RFC 5626 §4.4.2): by its answer a phone learns
/// that its flow is alive, and whether its NAT has changed the address.
///
/// Nothing else of STUN is understood: a request with attributes is answered as one without, unless
/// one of them must be understood, which a keep-alive has not.
public struct BindingRequest {
    /// A STUN header, in bytes.
    public static let bytesMin = 20
    private static let cookie: (UInt8, UInt8, UInt8, UInt8) = (0x21, 0x12, 0xA4, 0x42)

    /// `nil` for bytes that are none.
    public init?(_ bytes: Span<UInt8>, length: Int) {
        guard length >= Self.bytesMin, bytes[0] == 0, bytes[1] == 1,
            Int(bytes[2]) << 8 | Int(bytes[3]) == length - Self.bytesMin, length & 3 == 0,
            bytes[4] == Self.cookie.0, bytes[5] == Self.cookie.1, bytes[6] == Self.cookie.2,
            bytes[7] == Self.cookie.3
        else { return nil }
        var at = Self.bytesMin
        while at < length {
            guard at + 4 <= length else { return nil }
            // Types below 0x8000 must be understood; we would have to refuse, and stay silent.
            guard bytes[at] & 0x80 != 0 else { return nil }
            at += 4 + ((Int(bytes[at + 2]) << 8 | Int(bytes[at + 3])) + 3) & ~3
        }
        guard at == length else { return nil }
    }

    /// Writes the success response with the address the request came from, XORed (§15.2).
    public func writeAnswer(
        _ bytes: Span<UInt8>, source: TransportAddress, _ outbox: inout Outbox
    ) {
        let isIPv4 = source.isIPv4
        outbox.write(0x01)
        outbox.write(0x01)
        outbox.write(0)
        outbox.write(isIPv4 ? 12 : 24)
        outbox.write(bytes, ByteRange(4, 20))
        outbox.write(0)
        outbox.write(0x20)
        outbox.write(0)
        outbox.write(isIPv4 ? 8 : 20)
        outbox.write(0)
        outbox.write(isIPv4 ? 1 : 2)
        outbox.write(UInt8(truncatingIfNeeded: source.port >> 8) ^ bytes[4])
        outbox.write(UInt8(truncatingIfNeeded: source.port) ^ bytes[5])
        for number in (isIPv4 ? 12 : 0)..<16 {
            let word = number < 8 ? source.high : source.low
            let byte = UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * (number & 7)))
            outbox.write(byte ^ bytes[4 + (isIPv4 ? number - 12 : number)])
        }
    }
}
