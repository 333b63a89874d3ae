public import Bytes

/// Responses made from a request (RFC 3261 §8.2.6): the parts that must be echoed are echoed byte
/// for byte, the source of the request stands in its Via (§18.2.1, RFC 3581).
public enum ResponseWriter {
    /// Writes status line, Via, From, To, Call-ID and CSeq; more may follow before ``finish(_:)``.
    ///
    /// - Parameters:
    ///   - toTag: is added to a To that has no tag; `nil` for a 100, which needs none (§8.2.6.2).
    public static func begin(
        _ code: UInt32, _ reason: StaticString, to bytes: Span<UInt8>,
        _ index: borrowing MessageIndex, source: TransportAddress, toTag: UInt64?,
        _ outbox: inout Outbox
    ) {
        outbox.write("SIP/2.0 ")
        outbox.write(decimal: code)
        outbox.write(UInt8(ascii: " "))
        outbox.write(reason)
        outbox.write("\r\n")
        var isTop = true
        var field = index.first(.via) ?? index.count
        while field < index.count {
            if index[field].name == .via {
                if isTop {
                    writeStamped(bytes, index[field], source, &outbox)
                } else {
                    outbox.write(bytes, index[field].line)
                }
                isTop = false
            }
            field += 1
        }
        if let from = index.first(.from) { outbox.write(bytes, index[from].line) }
        if let to = index.first(.to) { writeTo(bytes, index[to], toTag, &outbox) }
        if let callID = index.first(.callID) { outbox.write(bytes, index[callID].line) }
        if let sequence = index.first(.cseq) { outbox.write(bytes, index[sequence].line) }
    }

    /// Ends a response that has no body.
    public static func finish(_ outbox: inout Outbox) {
        outbox.write("Content-Length: 0\r\n\r\n")
    }

    private static func writeTo(
        _ bytes: Span<UInt8>, _ field: HeaderField, _ tag: UInt64?, _ outbox: inout Outbox
    ) {
        guard let tag,
            let to = try? NameAddress(bytes, from: field.value.start, to: field.value.end),
            bytes.parameter("tag", in: to.parameters) == nil
        else {
            outbox.write(bytes, field.line)
            return
        }
        outbox.write(bytes, ByteRange(field.line.start, field.value.end))
        outbox.write(";tag=")
        writeTag(tag, &outbox)
        outbox.write("\r\n")
    }

    /// Whether a tag is one that ``writeTag(_:_:)`` wrote.
    public static func isTag(_ tag: UInt64, _ bytes: Span<UInt8>, _ range: ByteRange) -> Bool {
        guard range.count == 16 else { return false }
        for part in 0..<16 {
            let digit = UInt8(truncatingIfNeeded: tag >> UInt64(60 - 4 * part)) & 15
            guard bytes[range.start + part] == (digit < 10 ? 0x30 + digit : 0x57 + digit) else {
                return false
            }
        }
        return true
    }

    /// A tag of 16 hexadecimal digits.
    public static func writeTag(_ tag: UInt64, _ outbox: inout Outbox) {
        for part in 0..<16 {
            let digit = UInt8(truncatingIfNeeded: tag >> UInt64(60 - 4 * part)) & 15
            outbox.write(digit < 10 ? 0x30 + digit : 0x57 + digit)
        }
    }

    /// Writes a Via field whose first element gets `received` and `rport` of where it came from.
    ///
    /// They are added whether or not the sender asked for `rport`: answers go to the source of the
    /// packet, and whoever reads the message is to see where that was.
    public static func writeStamped(
        _ bytes: Span<UInt8>, _ field: HeaderField, _ source: TransportAddress,
        _ outbox: inout Outbox
    ) {
        guard let via = try? ViaValue(bytes, from: field.value.start, to: field.value.end) else {
            outbox.write(bytes, field.line)
            return
        }
        var copy = EditedCopy(from: field.line.start)
        let receivedFirst = via.received.start < via.rport.start
        let first = receivedFirst ? via.received : via.rport
        let second = receivedFirst ? via.rport : via.received
        if !first.isEmpty { copy.drop(first, bytes, &outbox) }
        if !second.isEmpty { copy.drop(second, bytes, &outbox) }
        copy.keep(upTo: via.whole.end, bytes, &outbox)
        outbox.write(";received=")
        if source.isIPv4 {
            outbox.write(hostOf: source)
        } else {
            writeBare(source, &outbox)
        }
        outbox.write(";rport=")
        outbox.write(decimal: UInt64(source.port))
        copy.keep(upTo: field.line.end, bytes, &outbox)
    }

    /// An IPv6 address without brackets, as `received` wants it (§25.1 `via-received`).
    private static func writeBare(_ address: TransportAddress, _ outbox: inout Outbox) {
        for group in 0..<8 {
            let half = group < 4 ? address.high : address.low
            let value = UInt16(truncatingIfNeeded: half >> UInt64(48 - 16 * (group & 3)))
            if group > 0 { outbox.write(UInt8(ascii: ":")) }
            var started = false
            for part in 0..<4 {
                let digit = UInt8(truncatingIfNeeded: value >> UInt16(12 - 4 * part)) & 15
                guard digit > 0 || started || part == 3 else { continue }
                outbox.write(digit < 10 ? 0x30 + digit : 0x57 + digit)
                started = true
            }
        }
    }
}
