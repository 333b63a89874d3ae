import Bytes
import SIPMessage
import Testing

@Suite("The torture messages of RFC 4475 and RFC 5118, at the parser")
struct TortureTests {
    /// What the grammar has to say of a message: `accept`, or the status it is refused with, or
    /// `drop` for a response.
    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        let isRequest: Bool
        let ideal: [String]
        let tolerable: [String]
        var testDescription: String { name }
    }

    /// Decided above the grammar: the message is well formed and what is to be done with it depends
    /// on roles, options or schemes.
    static let decidedElsewhere: Set<String> = [
        "bext01",  // 420: which options a proxy knows
        "unkscm",  // 416: a scheme that is not ours
        "unksm2",  // 400: To and Contact with schemes that nobody can be reached by
        "escruri",  // 400: a request-URI with headers, which other URIs may have
        "zeromf",  // 483
        "bcast",  // where a response goes
    ]

    static func rows() throws -> [Row] {
        let text = String(decoding: try file("Torture/expectations.csv"), as: UTF8.self)
        return text.split(whereSeparator: \.isNewline).dropFirst().map { line in
            var cells: [String] = [""]
            var isQuoted = false
            for character in line {
                switch character {
                case "\"": isQuoted.toggle()
                case "," where !isQuoted: cells.append("")
                default: cells[cells.count - 1].append(character)
                }
            }
            func words(_ cell: String) -> [String] {
                cell.split { $0 == " " || $0 == ";" }.map(String.init)
            }
            return Row(
                name: cells[0], isRequest: cells[4] == "request", ideal: words(cells[8]),
                tolerable: words(cells[9]))
        }
    }

    /// `accept`, a status code, or `drop`.
    static func verdict(_ row: Row) throws -> String {
        let bytes = try file("Torture/\(row.name).sip")
        var reading = WholeReading()
        let result = reading.read(bytes.span, length: bytes.count)
        switch result.outcome {
        case .keepAlive: return "drop"
        case .bad(let error):
            guard result.isRequest else { return "drop" }
            return error.reason == .version ? "505" : "400"
        case .message:
            guard result.error != nil else { return "accept" }
            return result.isRequest ? "400" : "drop"
        }
    }

    /// Whether an outcome of the appliance is still open to it once the grammar has said `verdict`.
    static func meets(_ verdict: String, _ outcomes: [String]) -> Bool {
        guard verdict == "accept" else { return outcomes.contains(verdict) }
        let later = ["forward", "register_ok", "parse_ok", "481", "404", "416", "501", "200"]
        return outcomes.contains { later.contains($0) }
    }

    @Test func `are taken or refused as they should be`() throws {
        let rows = try Self.rows()
        #expect(rows.count == 65)
        var ideal = 0
        var tolerable: [String] = []
        var failed: [String] = []
        for row in rows where !Self.decidedElsewhere.contains(row.name) {
            let verdict = try Self.verdict(row)
            if Self.meets(verdict, row.ideal) {
                ideal += 1
            } else if Self.meets(verdict, row.tolerable) {
                tolerable.append("\(row.name): \(verdict)")
            } else {
                failed.append("\(row.name): \(verdict)")
            }
        }
        print(
            "torture at the parser: \(ideal) ideal, \(tolerable.count) tolerable \(tolerable),",
            "\(failed.count) failed, \(Self.decidedElsewhere.count) decided elsewhere")
        #expect(failed == [])
        #expect(ideal >= 58)
    }

    @Test(arguments: decidedElsewhere.sorted())
    func `are taken where another room decides`(name: String) throws {
        let row = try #require(try Self.rows().first { $0.name == name })
        #expect(try Self.verdict(row) == "accept")
    }

    @Test func `are never taken when cut short within the header`() throws {
        for row in try Self.rows() {
            let bytes = try file("Torture/\(row.name).sip")
            var reading = WholeReading()
            var end = 3
            while end < bytes.count, !bytes[..<end].suffix(4).elementsEqual("\r\n\r\n".utf8) {
                end += 1
            }
            for count in 1..<end {
                let prefix = Array(bytes[..<count])
                let outcome = reading.read(prefix.span, length: count).outcome
                if outcome == .message { Issue.record("\(row.name) at \(count)") }
            }
        }
    }
}
