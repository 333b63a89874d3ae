public import Bytes

// A whole address of record as the user part of another URI: how the one contact is named that
// stands at the main registrar for all phones of an AOR.
extension AddressOfRecord {
    /// The longest user part that ``writeAsUserPart(_:_:)`` makes, in bytes.
    public static let userPartBytesMax = 3 * bytesMax

    /// Writes a canonical address of record without its `sip:`, with everything escaped that a user
    /// part may not hold: `alice@example.test` becomes `alice%40example.test`.
    public static func writeAsUserPart(_ aor: Span<UInt8>, _ outbox: inout Outbox) {
        var at = min(4, aor.count)
        while at < aor.count {
            let byte = aor[at]
            at += 1
            // `;`, `?` and `/` are allowed there, yet many take the user to end at them.
            if byte.isUserByte, byte != 0x3B, byte != 0x3F, byte != 0x2F, byte != 0x23 {
                outbox.write(byte)
            } else {
                outbox.write(0x25)
                let (high, low) = (byte >> 4, byte & 15)
                outbox.write(high < 10 ? 0x30 + high : 0x37 + high)
                outbox.write(low < 10 ? 0x30 + low : 0x37 + low)
            }
        }
    }

    /// Reads such a user part back into the canonical form.
    ///
    /// - Returns: whether it is one: some escaped `@` with something on both sides of it, no control
    ///   bytes, and not too long. Whether there is such an AOR is another question.
    public static func read(
        userPart range: ByteRange, of bytes: Span<UInt8>, into buffer: inout ByteBuffer
    ) -> Bool {
        buffer.clear()
        guard range.count <= userPartBytesMax else { return false }
        buffer.append("sip:")
        var at = range.start
        var separators = 0
        while at < range.end {
            var byte = bytes[at]
            at += 1
            if byte == 0x25 {
                guard at + 1 < range.end, let high = bytes[at].hexDigitValue,
                    let low = bytes[at + 1].hexDigitValue
                else { return false }
                byte = high << 4 | low
                at += 2
            }
            guard byte > 0x20, byte != 0x7F else { return false }
            if byte == 0x40 {
                guard separators == 0, buffer.count > 4, at < range.end else { return false }
                separators = 1
            }
            buffer.append(byte)
        }
        return separators == 1 && buffer.count <= bytesMax
    }
}
