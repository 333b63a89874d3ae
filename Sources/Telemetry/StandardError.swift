internal import Glibc
internal import Logging
internal import Synchronization

/// Standard error as the place where log lines go.
///
/// A reader that has stopped reading must not stop a worker: a line for which there is no room is
/// lost and counted, and the next line that gets through is preceded by one that says so.
package final class StandardError: Sendable {
    /// How lines that go there are written.
    package let line: LogLine

    private let file: Int32
    private let lost = Mutex<UInt64>(0)

    /// Lines get a priority if journald reads them.
    package convenience init(format: LogFormat = .logfmt) {
        self.init(file: STDERR_FILENO, line: LogLine(format: format, hasPriority: Self.isJournal))
    }

    /// - Parameter file: a descriptor that stays open; another one than 2 in tests only.
    init(file: Int32, line: LogLine) {
        self.file = file
        self.line = line
    }

    /// Lines lost since the last one that got through.
    package var lostLines: UInt64 { lost.withLock { $0 } }

    /// Writes one line in one piece, or not at all.
    ///
    /// - Parameter text: the line with its end, at most ``LogLine/lineBytesMax`` bytes.
    package func write(_ text: String) {
        lost.withLock { lost in
            // The whole line has room in a pipe that is ready for writing (pipe(7)).
            guard isReady else {
                lost &+= 1
                return
            }
            if lost > 0 {
                writeNow(
                    line.text(
                        at: .now(), level: .warning, event: "log_lines_lost",
                        fields: [("count", String(lost))]))
                lost = 0
                guard isReady else {
                    lost = 1
                    return
                }
            }
            writeNow(text)
        }
    }

    private var isReady: Bool {
        var query = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
        // SAFETY: one entry, which lives through the call.
        return unsafe poll(&query, 1, 0) == 1 && query.revents & Int16(POLLOUT) != 0
    }

    private func writeNow(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var written = 0
            while written < bytes.count {
                // SAFETY: `written` stays below the number of bytes.
                let count = unsafe Glibc.write(
                    file, bytes.baseAddress.map { unsafe $0 + written }, bytes.count - written)
                guard count > 0 || errno == EINTR else { return }
                written += max(0, count)
            }
        }
    }

    /// Whether standard error leads to journald, which understands priorities.
    ///
    /// systemd sets `JOURNAL_STREAM` to the device and inode of the stream it gave. A child that has
    /// redirected its standard error inherits the variable but not the stream (systemd.exec(5)).
    private static var isJournal: Bool {
        // SAFETY: the pointer is read before anything could change the environment.
        guard let value = unsafe getenv("JOURNAL_STREAM") else { return false }
        var status = stat()
        // SAFETY: the call fills in `status` and keeps no pointer to it.
        guard unsafe fstat(STDERR_FILENO, &status) == 0 else { return false }
        return unsafe isJournal(
            stream: String(cString: value), device: UInt64(status.st_dev),
            inode: UInt64(status.st_ino))
    }

    static func isJournal(stream: String, device: UInt64, inode: UInt64) -> Bool {
        stream == "\(device):\(inode)"
    }
}
