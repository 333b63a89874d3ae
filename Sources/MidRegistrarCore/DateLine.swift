internal import Bytes

/// The Date header field (RFC 3261 §20.17), written anew once a second.
public struct DateLine: ~Copyable {
    private var line = ByteBuffer(bytesMax: 64)
    private var second: UInt64 = .max

    public init() {}

    /// - Parameter wallSeconds: seconds since 1970, UTC.
    public mutating func set(wallSeconds: UInt64) {
        guard wallSeconds != second else { return }
        second = wallSeconds
        line.clear()
        let days = wallSeconds / 86_400
        let rest = wallSeconds % 86_400
        let (year, month, day) = Self.civil(days)
        line.append("Date: ")
        line.append(Self.weekday(days))
        line.append(", ")
        two(day)
        line.append(" ")
        line.append(Self.month(month))
        line.append(" ")
        two(year / 100)
        two(year % 100)
        line.append(" ")
        two(rest / 3_600)
        line.append(":")
        two(rest / 60 % 60)
        line.append(":")
        two(rest % 60)
        line.append(" GMT\r\n")
    }

    public var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        get { line.span }
    }

    private mutating func two(_ number: UInt64) {
        line.append(UInt8(truncatingIfNeeded: 0x30 + number / 10 % 10))
        line.append(UInt8(truncatingIfNeeded: 0x30 + number % 10))
    }

    /// Year, month and day of a day since 1970, by the Gregorian calendar.
    private static func civil(_ days: UInt64) -> (UInt64, UInt64, UInt64) {
        // Counted from 1 March of year 0, so that the leap day is a year's last.
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let part = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * part + 2) / 5 + 1
        let month = part < 10 ? part + 3 : part - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func weekday(_ days: UInt64) -> StaticString {
        switch days % 7 {
        case 0: "Thu"
        case 1: "Fri"
        case 2: "Sat"
        case 3: "Sun"
        case 4: "Mon"
        case 5: "Tue"
        default: "Wed"
        }
    }

    private static func month(_ number: UInt64) -> StaticString {
        switch number {
        case 1: "Jan"
        case 2: "Feb"
        case 3: "Mar"
        case 4: "Apr"
        case 5: "May"
        case 6: "Jun"
        case 7: "Jul"
        case 8: "Aug"
        case 9: "Sep"
        case 10: "Oct"
        case 11: "Nov"
        default: "Dec"
        }
    }
}
