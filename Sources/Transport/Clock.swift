internal import Glibc

/// The clocks of this host. Only the rim reads them; below it, time is an argument.
package enum Clock {
    /// Nanoseconds since the boot, sleep included; it goes on steadily, whoever sets the time.
    package static func bootNanoseconds() -> UInt64 { read(CLOCK_BOOTTIME) }

    /// Milliseconds since the boot, sleep included.
    package static func bootMilliseconds() -> UInt64 { bootNanoseconds() / 1_000_000 }

    /// Nanoseconds on a clock that stands still while the host sleeps, for measuring.
    package static func monotonicNanoseconds() -> UInt64 { read(CLOCK_MONOTONIC) }

    /// Milliseconds since 1970 (UTC). It jumps when it is set, so nothing is timed by it.
    package static func wallMilliseconds() -> UInt64 { read(CLOCK_REALTIME) / 1_000_000 }

    /// Which boot of the host this is, as sixteen bytes: boot times of another one mean nothing now.
    ///
    /// - Throws: ``TransportError`` if the kernel's file is missing or no UUID.
    package static func bootID() throws(TransportError) -> [UInt8] {
        let path = "/proc/sys/kernel/random/boot_id"
        let text = try Files.read(path, bytesMax: 64)
        var bytes: [UInt8] = []
        var half: UInt8?
        for character in text where character != UInt8(ascii: "-") && character != 0x0A {
            let digit: UInt8
            switch character {
            case 0x30...0x39: digit = character - 0x30
            case 0x61...0x66: digit = character - 0x57
            default: throw .unexpectedContent(path: path)
            }
            if let high = half {
                bytes.append(high << 4 | digit)
                half = nil
            } else {
                half = digit
            }
        }
        guard bytes.count == 16, half == nil else { throw .unexpectedContent(path: path) }
        return bytes
    }

    /// Lets this thread rest.
    package static func pause(milliseconds: UInt32) { usleep(milliseconds * 1_000) }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var now = timespec()
        // SAFETY: the call writes into a local.
        let error = unsafe clock_gettime(clock, &now)
        precondition(error == 0, "the kernel has this clock")
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }
}
