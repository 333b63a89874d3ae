internal import Glibc

/// What the system says about the running process.
package struct ProcessFigures: Sendable {
    package var residentBytes: UInt64
    package var cpuSeconds: Double
    package var openFiles: UInt64

    package init(residentBytes: UInt64, cpuSeconds: Double, openFiles: UInt64) {
        self.residentBytes = residentBytes
        self.cpuSeconds = cpuSeconds
        self.openFiles = openFiles
    }

    /// Asks the system; `nil` if it does not tell, as in a process that may not see `/proc`.
    package static func read() -> ProcessFigures? {
        guard let pages = residentPages(), let files = openFiles() else { return nil }
        var usage = rusage()
        // SAFETY: the call fills in `usage` and keeps no pointer to it.
        guard unsafe getrusage(RUSAGE_SELF.rawValue, &usage) == 0 else { return nil }
        return ProcessFigures(
            residentBytes: pages * UInt64(sysconf(Int32(_SC_PAGESIZE))),
            cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime), openFiles: files)
    }

    private static func seconds(_ time: timeval) -> Double {
        Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000
    }

    /// The second number in `/proc/self/statm` (proc(5)).
    private static func residentPages() -> UInt64? {
        // SAFETY: the path is a constant; the descriptor is closed on every way out.
        let file = unsafe open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = InlineArray<128, UInt8>(repeating: 0)
        var span = bytes.mutableSpan
        // SAFETY: the kernel writes at most `buffer.count` bytes into `buffer`.
        let count = unsafe span.withUnsafeMutableBytes { buffer in
            unsafe Glibc.read(file, buffer.baseAddress, buffer.count)
        }
        guard count > 0 else { return nil }
        var fields = 0
        var value: UInt64 = 0
        for index in 0..<count {
            let byte = bytes[index]
            if byte >= 0x30, byte <= 0x39 {
                if fields == 1 { value = value &* 10 &+ UInt64(byte - 0x30) }
            } else {
                fields += 1
            }
        }
        return fields > 1 ? value : nil
    }

    /// The entries of `/proc/self/fd` but `.`, `..` and the descriptor that reads them.
    private static func openFiles() -> UInt64? {
        // SAFETY: the path is a constant; the stream stays open until it is closed here.
        guard let stream = unsafe opendir("/proc/self/fd") else { return nil }
        defer { unsafe closedir(stream) }
        var entries: UInt64 = 0
        while unsafe readdir(stream) != nil { entries += 1 }
        return entries >= 3 ? entries - 3 : nil
    }
}
