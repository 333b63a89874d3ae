extension TransportAddress {
    /// Reads an IPv4 address or an IPv6 address, the latter with or without brackets.
    ///
    /// Returns `nil` for anything else, a host name among it. The port is set to `port`.
    public init?(host text: Span<UInt8>, port: UInt16) {
        guard !text.isEmpty, text.count <= 47 else { return nil }
        if text[0] == UInt8(ascii: "[") {
            guard text.count > 2, text[text.count - 1] == UInt8(ascii: "]") else { return nil }
            guard let (high, low) = ipv6(text.extracting(1..<(text.count - 1))) else { return nil }
            self.init(high: high, low: low, port: port)
        } else if let address = ipv4(text) {
            self.init(ipv4: address, port: port)
        } else if let (high, low) = ipv6(text) {
            self.init(high: high, low: low, port: port)
        } else {
            return nil
        }
    }

    /// Reads `ADDRESS:PORT`, an IPv6 address in brackets; without a port it is `defaultPort`.
    public init?(hostPort text: Span<UInt8>, defaultPort: UInt16) {
        var colon = text.count
        var at = text.count
        while at > 0 {
            at -= 1
            if text[at] == UInt8(ascii: "]") { break }
            if text[at] == UInt8(ascii: ":") {
                colon = at
                break
            }
        }
        var port = defaultPort
        if colon < text.count {
            var value = 0
            guard colon + 1 < text.count, text.count - colon <= 6 else { return nil }
            for digit in (colon + 1)..<text.count {
                guard text[digit] >= 0x30, text[digit] <= 0x39 else { return nil }
                value = value * 10 + Int(text[digit] - 0x30)
            }
            guard value > 0, value <= 65_535 else { return nil }
            port = UInt16(value)
            if text[0] != UInt8(ascii: "["), ipv4(text.extracting(0..<colon)) == nil { return nil }
        }
        self.init(host: text.extracting(0..<colon), port: port)
    }

    public init?(hostPort text: String, defaultPort: UInt16) {
        let bytes = Array(text.utf8)
        self.init(hostPort: bytes.span, defaultPort: defaultPort)
    }

    /// `a.b.c.d:port` or `[v6]:port`, for logs.
    public var text: String { hostText + ":" + String(port) }

    /// The address alone; an IPv6 address in brackets, in the form of RFC 5952.
    public var hostText: String {
        var scratch = Outbox(bytesMax: 64, messagesMax: 1)
        scratch.begin()
        scratch.write(hostOf: self)
        return scratch.openText
    }
}

/// `a.b.c.d` with each number at most 255 and without leading zeros.
private func ipv4(_ text: Span<UInt8>) -> UInt32? {
    var address: UInt32 = 0
    var part: UInt32 = 0
    var digits = 0
    var parts = 0
    for index in text.indices {
        let byte = text[index]
        if byte == UInt8(ascii: ".") {
            guard digits > 0, parts < 3 else { return nil }
            address = address << 8 | part
            part = 0
            digits = 0
            parts += 1
        } else if byte >= 0x30, byte <= 0x39 {
            guard digits == 0 || part > 0 else { return nil }
            part = part * 10 + UInt32(byte - 0x30)
            digits += 1
            guard digits <= 3, part <= 255 else { return nil }
        } else {
            return nil
        }
    }
    guard parts == 3, digits > 0 else { return nil }
    return address << 8 | part
}

private func isColonBeforeIPv4(_ text: Span<UInt8>, _ at: Int) -> Bool {
    at < text.count && text[at] == UInt8(ascii: ":")
        && ipv4(text.extracting((at + 1)..<text.count)) != nil
}

/// RFC 4291 §2.2: groups of hex digits, one `::`, an IPv4 address as the last two groups.
///
/// `:::` before the IPv4 address is read as `::`: who follows the grammar of RFC 3261 to the letter
/// writes it so (RFC 5118 §4.10; corrected by RFC 5954).
private func ipv6(_ text: Span<UInt8>) -> (UInt64, UInt64)? {
    var groups = InlineArray<8, UInt16>(repeating: 0)
    var count = 0
    var gap = -1
    var at = 0
    guard text.count >= 2 else { return nil }
    if text[0] == UInt8(ascii: ":") {
        guard text[1] == UInt8(ascii: ":") else { return nil }
        gap = 0
        at = 2
        if isColonBeforeIPv4(text, at) { at += 1 }
    }
    while at < text.count {
        guard count < 8 else { return nil }
        var end = at
        while end < text.count, text[end] != UInt8(ascii: ":") { end += 1 }
        guard end > at else { return nil }
        if end == text.count, let tail = ipv4(text.extracting(at..<end)) {
            guard count <= 6 else { return nil }
            groups[count] = UInt16(tail >> 16)
            groups[count + 1] = UInt16(tail & 0xFFFF)
            count += 2
            at = end
            break
        }
        guard end - at <= 4 else { return nil }
        var value: UInt16 = 0
        for index in at..<end {
            guard let digit = text[index].hexDigitValue else { return nil }
            value = value << 4 | UInt16(digit)
        }
        groups[count] = value
        count += 1
        at = end
        if at < text.count {
            at += 1
            if at < text.count, text[at] == UInt8(ascii: ":") {
                guard gap < 0 else { return nil }
                gap = count
                at += 1
                if isColonBeforeIPv4(text, at) { at += 1 }
            } else if at == text.count {
                return nil
            }
        }
    }
    if gap < 0 {
        guard count == 8 else { return nil }
    } else {
        guard count < 8 else { return nil }
    }
    var high: UInt64 = 0
    var low: UInt64 = 0
    let missing = 8 - count
    for index in 0..<8 {
        let value: UInt16
        if gap < 0 || index < gap {
            value = groups[index]
        } else if index < gap + missing {
            value = 0
        } else {
            value = groups[index - missing]
        }
        if index < 4 { high = high << 16 | UInt64(value) } else { low = low << 16 | UInt64(value) }
    }
    return (high, low)
}

extension UInt8 {
    /// The value of an ASCII decimal digit.
    public var digitValue: UInt8? { self >= 0x30 && self <= 0x39 ? self - 0x30 : nil }

    /// The value of an ASCII hexadecimal digit of either case.
    public var hexDigitValue: UInt8? {
        switch self {
        case 0x30...0x39: self - 0x30
        case 0x41...0x46: self - 0x37
        case 0x61...0x66: self - 0x57
        default: nil
        }
    }

    /// An ASCII letter in lower case; everything else as it is.
    public var lowercased: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }
}
