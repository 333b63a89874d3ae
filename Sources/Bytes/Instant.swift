/// A moment on midreg's own timeline, in milliseconds.
///
/// The timeline runs on while the machine sleeps and across restarts, and never backward; the rim
/// derives it from the boot clock and the store. Nothing below the rim reads a clock.
public struct Instant: Comparable, Hashable, BitwiseCopyable, Sendable {
    public let milliseconds: UInt64

    public init(milliseconds: UInt64) { self.milliseconds = milliseconds }

    /// After every other moment: of a timer that is not set.
    public static var never: Instant { Instant(milliseconds: .max) }

    public static func < (a: Instant, b: Instant) -> Bool {
        a.milliseconds < b.milliseconds
    }

    public func advanced(byMilliseconds ms: UInt64) -> Instant {
        let (sum, overflow) = milliseconds.addingReportingOverflow(ms)
        return Instant(milliseconds: overflow ? .max : sum)
    }

    public func advanced(bySeconds seconds: UInt32) -> Instant {
        advanced(byMilliseconds: UInt64(seconds) * 1_000)
    }

    /// Milliseconds from `earlier` to this moment; 0 if it is not earlier.
    public func millisecondsSince(_ earlier: Instant) -> UInt64 {
        milliseconds > earlier.milliseconds ? milliseconds - earlier.milliseconds : 0
    }

    /// Whole seconds that are left until this moment, rounded down.
    public func secondsLeft(at now: Instant) -> UInt32 {
        UInt32(clamping: millisecondsSince(now) / 1_000)
    }
}
