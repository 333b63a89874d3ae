public import Bytes

/// Base 64 with the alphabet that URLs and SIP tokens allow (RFC 4648 §5), without padding.
public enum Base64URL {
    public static func write(_ bytes: Span<UInt8>, to outbox: inout Outbox) {
        var at = 0
        while at + 3 <= bytes.count {
            let group =
                UInt32(bytes[at]) << 16 | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2])
            for part in 0..<4 { outbox.write(character(group >> UInt32(18 - 6 * part))) }
            at += 3
        }
        switch bytes.count - at {
        case 1:
            let group = UInt32(bytes[at]) << 16
            outbox.write(character(group >> 18))
            outbox.write(character(group >> 12))
        case 2:
            let group = UInt32(bytes[at]) << 16 | UInt32(bytes[at + 1]) << 8
            for part in 0..<3 { outbox.write(character(group >> UInt32(18 - 6 * part))) }
        default: break
        }
    }

    private static func character(_ bits: UInt32) -> UInt8 {
        let value = UInt8(truncatingIfNeeded: bits & 63)
        return switch value {
        case 0..<26: 0x41 + value
        case 26..<52: 0x61 + value - 26
        case 52..<62: 0x30 + value - 52
        case 62: UInt8(ascii: "-")
        default: UInt8(ascii: "_")
        }
    }

    private static func value(_ character: UInt8) -> UInt32? {
        switch character {
        case 0x41...0x5A: UInt32(character - 0x41)
        case 0x61...0x7A: UInt32(character - 0x61) + 26
        case 0x30...0x39: UInt32(character - 0x30) + 52
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        default: nil
        }
    }

    /// Appends what `text` stands for; `false` if it has a character or length that cannot be.
    public static func read(_ text: Span<UInt8>, into buffer: inout ByteBuffer) -> Bool {
        var group: UInt32 = 0
        var bits: UInt32 = 0
        guard text.count & 3 != 1 else { return false }
        for index in text.indices {
            guard let value = value(text[index]) else { return false }
            group = group << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                buffer.append(UInt8(truncatingIfNeeded: group >> bits))
                group &= (1 << bits) - 1
            }
        }
        return group == 0 && !buffer.overflowed
    }
}
