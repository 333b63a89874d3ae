package import Bytes
internal import Glibc

/// One reading of the clocks that outlive a process.
package struct ClockReading: Equatable, Sendable {
    /// The machine's run, from `/proc/sys/kernel/random/boot_id`: two halves of a UUID.
    package let bootHigh: UInt64
    package let bootLow: UInt64
    /// Milliseconds since the machine started, sleep included.
    package let bootMs: UInt64
    /// Milliseconds since 1970 by the wall clock, which anybody may set.
    package let wallMs: UInt64

    package init(bootHigh: UInt64, bootLow: UInt64, bootMs: UInt64, wallMs: UInt64) {
        self.bootHigh = bootHigh
        self.bootLow = bootLow
        self.bootMs = bootMs
        self.wallMs = wallMs
    }

    /// Whether both were read in the same run of the machine; an unknown run equals none.
    func sameBoot(as other: ClockReading) -> Bool {
        (bootHigh | bootLow) != 0 && bootHigh == other.bootHigh && bootLow == other.bootLow
    }
}

/// What the store notes of time at each commit.
package struct TimeNote: Equatable, Sendable {
    package let clocks: ClockReading
    /// The moment on midreg's own timeline, in milliseconds.
    package let timelineMs: UInt64

    package init(clocks: ClockReading, timelineMs: UInt64) {
        self.clocks = clocks
        self.timelineMs = timelineMs
    }

    var bytes: [UInt8] {
        var all: [UInt8] = []
        for word in [
            clocks.bootHigh, clocks.bootLow, clocks.bootMs, clocks.wallMs, timelineMs,
        ] {
            for byte in 0..<8 { all.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * byte))) }
        }
        return all
    }

    init?(_ bytes: Span<UInt8>) {
        guard bytes.count == 40 else { return nil }
        clocks = ClockReading(
            bootHigh: bytes.load64(at: 0), bootLow: bytes.load64(at: 8),
            bootMs: bytes.load64(at: 16), wallMs: bytes.load64(at: 24))
        timelineMs = bytes.load64(at: 32)
    }
}

/// How the boot clock of this run becomes midreg's timeline, on which all stored moments lie.
///
/// Within one run of the machine the boot clock counts. Over a reboot only the wall clock can tell
/// how long the machine was off, and where it says less than nothing, no lease can be believed.
package struct Timeline: Equatable, Sendable {
    /// The moment at which the clocks were read, in milliseconds on the timeline.
    package let startMs: UInt64
    /// The boot clock at that moment.
    package let startBootMs: UInt64
    /// Whether time may have passed that no clock shows: every lease is dirty.
    package let leasesDoubtful: Bool

    /// - Parameters:
    ///   - note: what the last commit noted; `nil` if there was none.
    ///   - now: the clocks.
    package init(after note: TimeNote?, now: ClockReading) {
        startBootMs = now.bootMs
        guard let note else {
            startMs = now.wallMs
            leasesDoubtful = false
            return
        }
        let (since, before) =
            now.sameBoot(as: note.clocks)
            ? (now.bootMs, note.clocks.bootMs) : (now.wallMs, note.clocks.wallMs)
        let passed = since > before ? since - before : 0
        let (sum, overflow) = note.timelineMs.addingReportingOverflow(passed)
        startMs = overflow ? .max : sum
        leasesDoubtful = since < before
    }

    private init(startMs: UInt64, startBootMs: UInt64, leasesDoubtful: Bool) {
        self.startMs = startMs
        self.startBootMs = startBootMs
        self.leasesDoubtful = leasesDoubtful
    }

    var doubtful: Timeline {
        Timeline(startMs: startMs, startBootMs: startBootMs, leasesDoubtful: true)
    }

    /// The moment at which the boot clock shows `bootMs`.
    package func instant(atBootMs bootMs: UInt64) -> Instant {
        let passed = bootMs > startBootMs ? bootMs - startBootMs : 0
        return Instant(milliseconds: startMs).advanced(byMilliseconds: passed)
    }
}

/// Where the store reads the time for its notes.
package struct StoreClock: Sendable {
    package let read: @Sendable () -> ClockReading

    package init(read: @escaping @Sendable () -> ClockReading) { self.read = read }

    /// The machine's own clocks.
    package static func machine() -> StoreClock {
        let (high, low) = bootID()
        return StoreClock {
            ClockReading(
                bootHigh: high, bootLow: low, bootMs: milliseconds(CLOCK_BOOTTIME),
                wallMs: milliseconds(CLOCK_REALTIME))
        }
    }
}

/// The clock in whole milliseconds; 0 if it shows a time before its start.
func milliseconds(_ clock: clockid_t) -> UInt64 { microseconds(clock) / 1_000 }

/// The clock in whole microseconds.
func microseconds(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    // SAFETY: the kernel writes into a local value.
    guard unsafe clock_gettime(clock, &time) == 0, time.tv_sec >= 0 else { return 0 }
    return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1_000
}

/// The UUID of this run of the machine; 0 where the kernel does not tell.
private func bootID() -> (UInt64, UInt64) {
    let file = unsafe open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return (0, 0) }
    defer { _ = close(file) }
    var text = [UInt8](repeating: 0, count: 64)
    // SAFETY: the kernel writes at most the array's 64 bytes.
    let count = unsafe text.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, 64) }
    var digits = 0
    var high: UInt64 = 0
    var low: UInt64 = 0
    for byte in text.prefix(max(0, count)) {
        guard let digit = byte.hexDigitValue else { continue }
        if digits < 16 { high = high << 4 | UInt64(digit) } else { low = low << 4 | UInt64(digit) }
        digits += 1
    }
    return digits == 32 ? (high, low) : (0, 0)
}
