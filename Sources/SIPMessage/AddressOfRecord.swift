public import Bytes

/// The canonical form of an address of record (RFC 3261 §10.3 step 5): `sip:`, the user unescaped
/// with its case kept, the domain in lower case, an IPv6 address as RFC 5952 writes it; parameters,
/// password, headers and the default port are gone.
public enum AddressOfRecord {
    /// The longest that is kept, in bytes; a longer one is refused.
    public static let bytesMax = 256

    /// Writes the canonical form of the URI of a To header field.
    ///
    /// - Throws: `.addressOfRecord` for a URI that names nobody: no SIP URI, or one too long.
    public static func write(
        _ bytes: Span<UInt8>, _ uri: SIPURI, to buffer: inout ByteBuffer
    ) throws(SIPParseError) {
        guard uri.scheme != .other, !uri.host.isEmpty else {
            throw SIPParseError(.addressOfRecord, at: uri.whole.start)
        }
        let start = buffer.count
        buffer.append("sip:")
        if uri.hasUser {
            writeUnescaped(bytes, uri.user, to: &buffer)
            buffer.append(UInt8(ascii: "@"))
        }
        writeHost(bytes, uri.host, to: &buffer)
        if uri.port != 0, uri.port != (uri.scheme == .sips ? 5061 : 5060) {
            buffer.append(UInt8(ascii: ":"))
            var divisor: UInt16 = 10_000
            while divisor > uri.port { divisor /= 10 }
            var rest = uri.port
            while divisor > 0 {
                buffer.append(UInt8(0x30 + rest / divisor))
                rest %= divisor
                divisor /= 10
            }
        }
        guard !buffer.overflowed, buffer.count - start <= bytesMax else {
            throw SIPParseError(.addressOfRecord, at: uri.whole.start)
        }
    }

    /// A user part with its escapes resolved. What a URI may not hold unescaped ("@", ":" and the
    /// like) stays escaped, in upper case, so that two different users stay two.
    public static func writeUnescaped(
        _ bytes: Span<UInt8>, _ range: ByteRange, to buffer: inout ByteBuffer
    ) {
        var at = range.start
        let escape = bytes.find(0x25, 0x25, 0x25, 0x25, from: at, to: range.end)
        buffer.append(bytes, ByteRange(at, escape))
        at = escape
        while at < range.end {
            let byte = bytes[at]
            guard byte == 0x25, at + 2 < range.end, let high = bytes[at + 1].hexDigitValue,
                let low = bytes[at + 2].hexDigitValue
            else {
                buffer.append(byte)
                at += 1
                continue
            }
            let value = high << 4 | low
            if value.isUserByte {
                buffer.append(value)
            } else {
                buffer.append(0x25)
                buffer.append(high < 10 ? 0x30 + high : 0x37 + high)
                buffer.append(low < 10 ? 0x30 + low : 0x37 + low)
            }
            at += 3
        }
    }

    /// A host in lower case; an IPv6 address in its one form.
    public static func writeHost(
        _ bytes: Span<UInt8>, _ range: ByteRange, to buffer: inout ByteBuffer
    ) {
        if bytes[range.start] == 0x5B,
            let address = TransportAddress(
                host: bytes.extracting(range.start..<range.end), port: 0)
        {
            // Rare enough to be allowed an allocation.
            for byte in address.hostText.utf8 { buffer.append(byte) }
            return
        }
        var at = range.start
        while at < range.end {
            buffer.append(bytes[at].lowercased)
            at += 1
        }
    }
}

extension UInt8 {
    /// `unreserved / user-unreserved` (RFC 3261 §25.1): what a user part may hold unescaped.
    var isUserByte: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x2D, 0x5F, 0x2E, 0x21, 0x7E, 0x2A, 0x27, 0x28, 0x29: true
        case 0x26, 0x3D, 0x2B, 0x24, 0x2C, 0x3B, 0x3F, 0x2F: true
        case 0x23: true  // "#": not in the grammar, but dialled and sent unescaped.
        default: false
        }
    }
}
