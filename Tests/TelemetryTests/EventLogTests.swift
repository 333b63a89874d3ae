import Bytes
import Logging
import Testing

@testable import Telemetry

@Suite("The limit on log lines")
struct EventLogTests {
    let lines = Lines()
    let log: EventLog

    init() {
        let lines = lines
        log = EventLog(
            line: LogLine(format: .logfmt, hasPriority: false), write: { lines.append($0) })
    }

    private func write(_ event: String = "dropped", at ms: UInt64) {
        log.log(
            .warning, event: event, fields: [("n", String(ms))], at: Instant(milliseconds: ms),
            time: UnixTime(milliseconds: 0))
    }

    private let start = "ts=1970-01-01T00:00:00.000Z level=warn event="

    @Test func `is ten a second for each event, and the next line tells the rest`() {
        for _ in 0..<25 { write(at: 5_000) }
        #expect(lines.all.count == 10)
        write(at: 5_999)
        #expect(lines.all.count == 10)
        write(at: 6_000)
        #expect(lines.all.count == 11)
        #expect(lines.all.last == start + "dropped n=6000 suppressed=16\n")
        write(at: 6_001)
        #expect(lines.all.last == start + "dropped n=6001\n")
        #expect(log.suppressedLines.map(\.count) == [16])
    }

    @Test func `holds for any second, not for those of the clock`() {
        for ms in stride(from: UInt64(0), to: 10_000, by: 10) { write(at: ms) }
        let times = lines.all.compactMap { line in
            line.dropLast().split(separator: " ").first { $0.hasPrefix("n=") }
                .flatMap { UInt64($0.dropFirst(2)) }
        }
        #expect(times.count == 100)
        for (early, late) in zip(times, times.dropFirst(10)) { #expect(late - early >= 1_000) }
    }

    @Test func `of one event leaves the others alone`() {
        for _ in 0..<11 { write("dropped", at: 0) }
        write("reload_failed", at: 0)
        #expect(lines.all.count == 11)
        #expect(lines.all.last == start + "reload_failed n=0\n")
    }

    @Test func `is told later for an event that has gone quiet`() {
        for _ in 0..<12 { write(at: 0) }
        log.tellSuppressed(at: Instant(milliseconds: 500), time: UnixTime(milliseconds: 0))
        #expect(lines.all.count == 10)
        log.tellSuppressed(at: Instant(milliseconds: 1_000), time: UnixTime(milliseconds: 0))
        #expect(lines.all.last == start + "dropped suppressed=2\n")
        log.tellSuppressed(at: Instant(milliseconds: 9_000), time: UnixTime(milliseconds: 0))
        #expect(lines.all.count == 11)
        #expect(log.suppressedLines.map(\.event) == ["dropped"])
        #expect(log.suppressedLines.map(\.count) == [2])
    }

    @Test func `is shared by what comes after the first 256 events`() {
        for number in 0..<300 { write("event_\(number)", at: 0) }
        #expect(lines.all.count == 266)
        #expect(log.suppressedLines.map(\.event) == ["other"])
        #expect(log.suppressedLines.map(\.count) == [34])
    }

    @Test func `makes no fields for a line that is not written`() {
        var made = 0
        func fields() -> [(String, String)] {
            made += 1
            return []
        }
        let now = Instant(milliseconds: 0)
        log.log(.debug, event: "quiet", fields: fields(), at: now)
        #expect(made == 0 && lines.all.isEmpty)
        for _ in 0..<50 { log.log(.info, event: "loud", fields: fields(), at: now) }
        #expect(made == 10)
    }

    @Test func `holds for all threads together`() async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask { for _ in 0..<100 { write(at: 0) } }
            }
        }
        #expect(lines.all.count == 10)
        #expect(log.suppressedLines.map(\.count) == [790])
    }
}
