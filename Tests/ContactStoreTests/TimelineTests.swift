import Bytes
import Testing

@testable import ContactStore

@Suite("The timeline over a restart (ruling 11)")
struct TimelineTests {
    struct Case: Sendable {
        let name: String
        let note: TimeNote?
        let now: ClockReading
        let startMs: UInt64
        var doubtful = false
    }

    static func clocks(_ boot: UInt64, _ bootMs: UInt64, _ wallMs: UInt64) -> ClockReading {
        ClockReading(bootHigh: boot, bootLow: boot, bootMs: bootMs, wallMs: wallMs)
    }

    static let note = TimeNote(clocks: clocks(1, 50_000, 900_000), timelineMs: 800_000)

    @Test(
        arguments: [
            Case(name: "new store", note: nil, now: clocks(1, 5, 900_000), startMs: 900_000),
            Case(name: "same boot", note: note, now: clocks(1, 57_000, 907_000), startMs: 807_000),
            Case(
                name: "same boot, wall set back", note: note, now: clocks(1, 57_000, 1),
                startMs: 807_000),
            Case(
                name: "same boot, wall ten years on", note: note,
                now: clocks(1, 50_001, 315_360_900_000), startMs: 800_001),
            Case(
                name: "same boot, clock behind", note: note, now: clocks(1, 49_999, 900_000),
                startMs: 800_000, doubtful: true),
            Case(name: "other boot", note: note, now: clocks(2, 10, 960_000), startMs: 860_000),
            Case(
                name: "other boot, same moment", note: note, now: clocks(2, 10, 900_000),
                startMs: 800_000),
            Case(
                name: "other boot, wall behind", note: note, now: clocks(2, 10, 899_999),
                startMs: 800_000, doubtful: true),
            Case(
                name: "boot not known",
                note: TimeNote(clocks: clocks(0, 50_000, 900_000), timelineMs: 5),
                now: clocks(0, 70_000, 901_000), startMs: 1_005),
            Case(
                name: "end of time",
                note: TimeNote(clocks: clocks(1, 0, 0), timelineMs: .max - 1),
                now: clocks(1, 9, 9), startMs: .max),
        ])
    func `goes on from the last note`(given: Case) {
        let timeline = Timeline(after: given.note, now: given.now)
        #expect(timeline.startMs == given.startMs, "\(given.name)")
        #expect(timeline.leasesDoubtful == given.doubtful, "\(given.name)")
        #expect(
            timeline.instant(atBootMs: given.now.bootMs)
                == Instant(milliseconds: given.startMs), "\(given.name)")
    }

    @Test
    func `runs with the boot clock and never backward`() {
        let timeline = Timeline(after: Self.note, now: Self.clocks(1, 57_000, 0))
        #expect(timeline.instant(atBootMs: 57_250).milliseconds == 807_250)
        #expect(timeline.instant(atBootMs: 56_000).milliseconds == 807_000)
    }

    @Test
    func `is noted in bytes that read back`() {
        let bytes = Self.note.bytes
        #expect(TimeNote(bytes.span) == Self.note)
        let short = Array(bytes.dropLast())
        #expect(TimeNote(short.span) == nil)
    }

    @Test
    func `knows this run of the machine`() {
        let clock = StoreClock.machine()
        let first = clock.read()
        let second = clock.read()
        #expect((first.bootHigh | first.bootLow) != 0)
        #expect(second.sameBoot(as: first))
        #expect(second.bootMs >= first.bootMs)
        #expect(first.wallMs > 1_600_000_000_000)
    }
}
