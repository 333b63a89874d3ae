public import Bytes

/// Base 64 with the alphabet that URLs and SIP tokens allow (RFC 4648 §5), without padding.
public enum Base64URL {
    public static func write(_ bytes: Span<UInt8>, to outbox: inout Outbox) {
        var at = 0
        while at + 3 <= bytes.count {
            let group =
                UInt32(bytes[at]) << 16 | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2])
            outbox.write(
                four: UInt32(character(group >> 18)) | UInt32(character(group >> 12)) << 8
                    | UInt32(character(group >> 6)) << 16 | UInt32(character(group)) << 24)
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
        alphabet[Int(bits & 63)]
    }

    /// Appends what `text` stands for; `false` if it has a character or length that cannot be.
    public static func read(_ text: Span<UInt8>, into buffer: inout ByteBuffer) -> Bool {
        var at = 0
        guard text.count & 3 != 1 else { return false }
        while text.count - at >= 4 {
            let first = values[Int(text[at])]
            let second = values[Int(text[at + 1])]
            let third = values[Int(text[at + 2])]
            let fourth = values[Int(text[at + 3])]
            guard (first | second | third | fourth) & 0x80 == 0 else { return false }
            let group =
                UInt32(first) << 18 | UInt32(second) << 12 | UInt32(third) << 6 | UInt32(fourth)
            buffer.append(three: group.byteSwapped >> 8)
            at += 4
        }
        var group: UInt32 = 0
        var bits: UInt32 = 0
        while at < text.count {
            let value = values[Int(text[at])]
            guard value & 0x80 == 0 else { return false }
            group = group << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                buffer.append(UInt8(truncatingIfNeeded: group >> bits))
                group &= (1 << bits) - 1
            }
            at += 1
        }
        return group == 0 && !buffer.overflowed
    }
}

/// The character of each value.
private let alphabet: InlineArray<64, UInt8> = [
    65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80,
    81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 97, 98, 99, 100, 101, 102,
    103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118,
    119, 120, 121, 122, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 45, 95,
]

/// The value of each character; 128 for one that has none.
private let values: InlineArray<256, UInt8> = [
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 62, 128, 128,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 128, 128, 128, 128, 128, 128,
    128, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 128, 128, 128, 128, 63,
    128, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 128, 128, 128, 128, 128,
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
]
