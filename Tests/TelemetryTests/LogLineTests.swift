import Glibc
import Logging
import Testing

@testable import Telemetry

@Suite("A log line")
struct LogLineTests {
    let time = UnixTime(milliseconds: 1_795_400_045_120)
    let logfmt = LogLine(format: .logfmt, hasPriority: false)
    let json = LogLine(format: .json, hasPriority: false)

    @Test func `opens with time, level and event, and keeps the order of the fields`() {
        let fields = [("workers", "8"), ("listen", "udp:0.0.0.0:5060"), ("again", "a b")]
        #expect(
            logfmt.text(at: time, level: .info, event: "started", fields: fields)
                == "ts=2026-11-23T02:14:05.120Z level=info event=started workers=8"
                + " listen=udp:0.0.0.0:5060 again=\"a b\"\n")
        #expect(
            json.text(at: time, level: .info, event: "started", fields: fields)
                == #"{"ts":"2026-11-23T02:14:05.120Z","level":"info","event":"started","#
                + #""workers":"8","listen":"udp:0.0.0.0:5060","again":"a b"}"# + "\n")
    }

    @Test(
        arguments: [
            ("plain", "plain"), ("", #""""#), ("a b", #""a b""#), ("a=b", #""a=b""#),
            ("a,b", #""a,b""#), (#"say "hi""#, #""say \"hi\"""#),
            (#"back\slash"#, #""back\\slash""#),
            ("<sip:a@b;c>", "<sip:a@b;c>"), ("two\nlines", #""two\nlines""#),
            ("\r\n", #""\r\n""#), ("\t", #""\t""#), ("\0", #""\u0000""#),
            ("\u{1B}[2J", #""\u001b[2J""#), ("\u{7F}", #""\u007f""#), ("\u{9B}2J", #""\u009b2J""#),
            ("\u{2028}", #""\u2028""#), ("\u{202E}gnp", #""\u202egnp""#), ("jürgen", #""jürgen""#),
            ("tcp:198.51.100.7:51072", "tcp:198.51.100.7:51072"),
        ])
    func `escapes a value`(value: String, expected: String) {
        #expect(LogLine.value(value) == expected)
    }

    @Test func `is one line, whatever the value`() {
        for format in [LogFormat.logfmt, .json] {
            for scalar in UInt32(0)...0x2FFF {
                let value = Unicode.Scalar(scalar).map { "x" + String($0) + " level=error" } ?? ""
                let text = LogLine(format: format, hasPriority: false)
                    .text(at: time, level: .info, event: "e", fields: [("v", value)])
                let inside = text.unicodeScalars.dropLast()
                #expect(text.hasSuffix("\n"))
                #expect(!inside.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) })
            }
        }
    }

    @Test(
        arguments: [
            ("ok_1.a-b", "ok_1.a-b"), ("", "_"), ("a b", "a_b"), ("a\n", "a_"), ("a=b", "a_b"),
            ("ü", "_"),
        ])
    func `mends a field's name`(key: String, expected: String) {
        #expect(LogLine.key(key) == expected)
    }

    @Test func `cuts long values and leaves out what does not fit, and says so`() {
        let long = String(repeating: "x", count: 1_025)
        #expect(LogLine.value(long) == "\"" + String(repeating: "x", count: 1_024) + "…\"")
        #expect(LogLine.value(String(long.dropLast())) == String(long.dropLast()))
        let worst = String(repeating: "\u{1}", count: 600)
        for line in [logfmt, json] {
            let text = line.text(
                at: time, level: .info, event: "e", fields: (0..<50).map { ("k\($0)", worst) })
            #expect(text.utf8.count <= LogLine.lineBytesMax)
            #expect(
                text.contains("truncated") && text.hasSuffix(line.format == .json ? "}\n" : "\n"))
        }
    }

    @Test(
        arguments: [
            (.trace, "<7>", "trace"), (.debug, "<7>", "debug"), (.info, "<6>", "info"),
            (.notice, "<5>", "notice"), (.warning, "<4>", "warn"), (.error, "<3>", "error"),
            (.critical, "<2>", "critical"),
        ] as [(Logger.Level, String, String)])
    func `carries a priority for journald`(level: Logger.Level, prefix: String, name: String) {
        let text = LogLine(format: .logfmt, hasPriority: true)
            .text(at: time, level: level, event: "e", fields: [])
        #expect(text == "\(prefix)ts=2026-11-23T02:14:05.120Z level=\(name) event=e\n")
    }

    @Test(
        arguments: [
            ("8:1234", true), ("8:1235", false), ("9:1234", false), ("", false), ("8", false),
        ])
    func `takes standard error for journald's only if it is`(stream: String, expected: Bool) {
        #expect(StandardError.isJournal(stream: stream, device: 8, inode: 1_234) == expected)
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] as [(Int64, String)])
    func `shows the time in UTC`(milliseconds: Int64, expected: String) {
        #expect(UnixTime(milliseconds: milliseconds).text == expected)
    }

    @Test func `goes to a pipe whole or not at all, and losses are told`() {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { ends.forEach { close($0) } }
        let output = StandardError(file: ends[1], line: logfmt)
        let line = String(repeating: "x", count: 4_095) + "\n"
        for _ in 0..<40 { output.write(line) }
        let lost = output.lostLines
        #expect(lost > 0 && lost < 40)

        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        #expect(read(ends[0], &buffer, buffer.count) == Int(40 - lost) * 4_096)
        output.write("next\n")
        #expect(output.lostLines == 0)
        let count = read(ends[0], &buffer, buffer.count)
        let said = String(decoding: buffer.prefix(count), as: UTF8.self)
        #expect(said.hasSuffix(" level=warn event=log_lines_lost count=\(lost)\nnext\n"))
    }
}

@Suite("The handler for swift-log")
struct LogfmtHandlerTests {
    private func line(_ message: Logger.Message, _ metadata: Logger.Metadata = [:]) -> String {
        let lines = Lines()
        let logger = Logger(label: "nio") { label in
            LogfmtHandler(
                label: label, line: LogLine(format: .logfmt, hasPriority: false),
                time: { UnixTime(milliseconds: 0) }, write: { lines.append($0) })
        }
        logger.debug("not shown")
        logger.warning(message, metadata: metadata)
        return lines.all.joined()
    }

    @Test(
        arguments: [
            ("reload_failed", "event=reload_failed a=1 b=\"x y\" logger=nio"),
            ("it broke", "event=note what=\"it broke\" a=1 b=\"x y\" logger=nio"),
            ("x\nevent=forged", "event=note what=\"x\\nevent=forged\" a=1 b=\"x y\" logger=nio"),
        ])
    func `takes a message for the event or for what happened`(message: String, expected: String) {
        let text = line("\(message)", ["b": "x y", "a": "1"])
        #expect(text == "ts=1970-01-01T00:00:00.000Z level=warn \(expected)\n")
    }
}
