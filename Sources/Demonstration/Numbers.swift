/// Numbers as people read them.
enum Numbers {
    /// With a comma before every three digits.
    static func grouped(_ number: UInt64) -> String {
        let digits = String(number)
        var text = ""
        for (place, digit) in digits.enumerated() {
            if place > 0, (digits.count - place) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return text
    }

    /// With so many decimals, rounded.
    static func decimal(_ value: Double, _ places: Int) -> String {
        var scale: UInt64 = 1
        for _ in 0..<places { scale *= 10 }
        let scaled = UInt64((max(0, value) * Double(scale)).rounded())
        guard places > 0 else { return String(scaled) }
        let rest = String(scaled % scale)
        return String(scaled / scale) + "." + String(repeating: "0", count: places - rest.count)
            + rest
    }

    /// A share with one decimal, rounded down: 100.0 % means all.
    static func percent(_ part: UInt64, of whole: UInt64) -> String {
        guard whole > 0 else { return "0.0 %" }
        let tenths = min(part, whole) * 1_000 / whole
        return "\(tenths / 10).\(tenths % 10) %"
    }

    static func milliseconds(_ nanoseconds: UInt64) -> String {
        decimal(Double(nanoseconds) / 1_000_000, 2) + " ms"
    }
}
