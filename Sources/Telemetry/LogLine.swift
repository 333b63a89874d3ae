package import Logging

/// How log lines are written.
package enum LogFormat: Sendable {
    case logfmt, json
}

/// One log line: time, level and event first, then fields in the order given.
///
/// Values come from the network among other places, so nothing in them can end the line, start a
/// second one, look like another field, or steer a terminal.
package struct LogLine: Sendable {
    /// Bytes of a whole line, its end among them: what a pipe takes in one piece (`PIPE_BUF`).
    package static let lineBytesMax = 4_096
    /// Bytes of one value, as given; what follows is cut and `…` stands for it.
    package static let valueBytesMax = 1_024

    package let format: LogFormat
    /// Whether `<n>` with the syslog priority stands in front, for journald (sd-daemon(3)).
    package let hasPriority: Bool

    package init(format: LogFormat, hasPriority: Bool) {
        self.format = format
        self.hasPriority = hasPriority
    }

    /// The line with its end. Fields that no longer fit are left out, and the line says so.
    package func text(
        at time: UnixTime, level: Logger.Level, event: String, fields: [(String, String)]
    ) -> String {
        var line = hasPriority ? "<\(priority(level))>" : ""
        if format == .json { line += "{" }
        line += field("ts", time.text)
        line += separator + field("level", name(level))
        line += separator + field("event", event)
        let cut = separator + field("truncated", "true")
        let room = Self.lineBytesMax - cut.utf8.count - 2
        for (key, value) in fields {
            let next = separator + field(key, value)
            guard line.utf8.count + next.utf8.count <= room else {
                line += cut
                break
            }
            line += next
        }
        line += format == .json ? "}\n" : "\n"
        return line
    }

    private var separator: String { format == .json ? "," : " " }

    private func field(_ key: String, _ value: String) -> String {
        switch format {
        case .logfmt: Self.key(key) + "=" + Self.value(value)
        case .json: "\"" + Self.key(key) + "\":\"" + Self.escaped(value) + "\""
        }
    }

    /// A field's name: whatever is not a letter, a digit, `_`, `.` or `-` becomes `_`.
    static func key(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars.prefix(64) {
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "_", ".", "-":
                result.unicodeScalars.append(scalar)
            default: result += "_"
            }
        }
        return result.isEmpty ? "_" : result
    }

    /// A field's value, in quotes unless it is plain.
    package static func value(_ text: String) -> String {
        let isPlain =
            !text.isEmpty && text.utf8.count <= valueBytesMax && text.utf8.allSatisfy(plain)
        return isPlain ? text : "\"" + escaped(text) + "\""
    }

    /// Printable ASCII except blank, `"`, `=`, `\` and the comma that lists are made with.
    private static func plain(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x22, 0x2C, 0x3D, 0x5C: false
        case 0x21...0x7E: true
        default: false
        }
    }

    /// The inside of a quoted value, by JSON's rules (RFC 8259 §7) in both formats.
    ///
    /// Beyond what JSON asks, DEL and C1 controls, line and paragraph separators and the marks that
    /// reorder text are escaped: a terminal or a viewer would act on them.
    package static func escaped(_ text: String) -> String {
        var result = ""
        var bytes = 0
        for scalar in text.unicodeScalars {
            bytes += UTF8.width(scalar)
            guard bytes <= valueBytesMax else {
                result += "…"
                break
            }
            switch scalar.value {
            case 0x22: result += "\\\""
            case 0x5C: result += "\\\\"
            case 0x0A: result += "\\n"
            case 0x0D: result += "\\r"
            case 0x09: result += "\\t"
            case 0..<0x20, 0x7F...0x9F, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069,
                0xFEFF:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private func name(_ level: Logger.Level) -> String {
        switch level {
        case .trace: "trace"
        case .debug: "debug"
        case .info: "info"
        case .notice: "notice"
        case .warning: "warn"
        case .error: "error"
        case .critical: "critical"
        }
    }

    /// RFC 5424 §6.2.1.
    private func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
