public import Bytes
internal import Keys
public import Registration

/// A fact as a line that `import --from csv` reads back.
public enum ExportLine {
    public static let head =
        "aor,contact,received,socket,expires_at,callid,cseq,contact_id,asked,granted,path"

    private static let names = head.split(separator: ",").map(String.init)

    /// - Parameters:
    ///   - bytes: of the fact, for its strings.
    ///   - wallSeconds: the moment `now` in seconds since 1970.
    public static func csv(
        _ fact: Fact, _ bytes: Span<UInt8>, now: Instant, wallSeconds: UInt64
    ) -> String {
        values(fact, bytes, now, wallSeconds).map { value in
            guard value.utf8.contains(where: { [0x22, 0x2C, 0x0A, 0x0D].contains($0) }) else {
                return value
            }
            var quoted = "\""
            for scalar in value.unicodeScalars {
                if scalar == "\"" { quoted += "\"" }
                quoted.unicodeScalars.append(scalar)
            }
            return quoted + "\""
        }.joined(separator: ",")
    }

    /// The same as an object of JSON.
    public static func json(
        _ fact: Fact, _ bytes: Span<UInt8>, now: Instant, wallSeconds: UInt64
    ) -> String {
        let parts = zip(names, values(fact, bytes, now, wallSeconds)).map { name, value in
            var text = "\"\(name)\":\""
            for scalar in value.unicodeScalars {
                switch scalar {
                case "\"", "\\":
                    text += "\\"
                    text.unicodeScalars.append(scalar)
                case "\u{0}"..."\u{1F}":
                    let hex = String(scalar.value, radix: 16)
                    text += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
                default: text.unicodeScalars.append(scalar)
                }
            }
            return text + "\""
        }
        return "{" + parts.joined(separator: ",") + "}"
    }

    private static func values(
        _ fact: Fact, _ bytes: Span<UInt8>, _ now: Instant, _ wallSeconds: UInt64
    ) -> [String] {
        [
            text(bytes, .addressOfRecord), text(bytes, .contact), "sip:" + fact.peer.text,
            fact.local == .none ? "" : "udp:" + fact.local.text,
            String(wallSeconds + UInt64(fact.mainExpiry.secondsLeft(at: now))),
            text(bytes, .callID), String(fact.sequence), fact.id.text,
            String(fact.askedSeconds), String(fact.grantedSeconds), text(bytes, .path),
        ]
    }

    private static func text(_ bytes: Span<UInt8>, _ part: Fact.Text) -> String {
        let range = Fact.range(of: part, in: bytes)
        var found: [UInt8] = []
        for offset in range.start..<range.end { found.append(bytes[offset]) }
        return String(decoding: found, as: UTF8.self)
    }
}
