/// A number with a unit behind it, as in `90s` or `4GiB`: digits, then letters, nothing between.
struct Amount {
    let number: UInt64
    let unit: String

    /// `nil` unless it is a whole number below 10¹² and a unit.
    init?(_ text: String) {
        let digits = text.utf8.prefix { $0 >= 0x30 && $0 <= 0x39 }
        guard !digits.isEmpty, digits.count <= 12, digits.count < text.utf8.count else {
            return nil
        }
        number = digits.reduce(0) { $0 * 10 + UInt64($1 - 0x30) }
        unit = String(decoding: text.utf8.dropFirst(digits.count), as: UTF8.self)
    }

    /// Milliseconds, if the unit is one of time.
    var milliseconds: UInt64? {
        switch unit {
        case "ms": number
        case "s": number * 1_000
        case "m": number * 60_000
        case "h": number * 3_600_000
        case "d": number < 1_000_000_000 ? number * 86_400_000 : nil
        default: nil
        }
    }

    /// Bytes, if the unit is one of size.
    var bytes: UInt64? {
        let shift: UInt64
        switch unit {
        case "B": shift = 0
        case "KiB": shift = 10
        case "MiB": shift = 20
        case "GiB": shift = 30
        case "TiB": shift = 40
        default: return nil
        }
        return number <= UInt64.max >> shift ? number << shift : nil
    }
}

/// Seconds in the largest unit that says them exactly.
func durationText(seconds: UInt32) -> String {
    if seconds > 0, seconds % 3_600 == 0 { return "\(seconds / 3_600)h" }
    if seconds > 0, seconds % 60 == 0 { return "\(seconds / 60)m" }
    return "\(seconds)s"
}

/// Bytes in the largest unit that says them exactly.
func sizeText(bytes: UInt64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] as [(UInt64, String)]
    where bytes > 0 && bytes & ((1 << shift) - 1) == 0 {
        return "\(bytes >> shift)\(unit)"
    }
    return "\(bytes)B"
}
