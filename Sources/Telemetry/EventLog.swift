package import Bytes
package import Logging
internal import Synchronization

/// The log: lines with an event and fields, and a limit on how many lines an event may fill.
///
/// What the network can cause, the network can cause often. So each event gets
/// ``linesPerSecondMax`` lines in any second; the rest is counted, and the event's next line says how many
/// there were (`suppressed=N`). Never called for an absorbed REGISTER.
package final class EventLog: Sendable {
    /// Lines of one event in any 1,000 ms: enough to see what happens, too few to fill a disk.
    package static let linesPerSecondMax = 10
    /// Events that are limited each on its own; more share one limit. The code has a few dozen.
    package static let eventsMax = 256

    /// Less important lines are not written and not counted.
    package let minimum: Logger.Level
    private let line: LogLine
    private let write: @Sendable (String) -> Void
    private let limits = Mutex<[String: Limit]>([:])

    /// - Parameter write: takes one line with its end; must not wait.
    package init(
        line: LogLine, minimum: Logger.Level = .info, write: @escaping @Sendable (String) -> Void
    ) {
        self.line = line
        self.minimum = minimum
        self.write = write
    }

    /// A log on standard error.
    package convenience init(standardError: StandardError, minimum: Logger.Level = .info) {
        self.init(line: standardError.line, minimum: minimum, write: { standardError.write($0) })
    }

    /// Writes a line, unless the event has had its share.
    ///
    /// - Parameters:
    ///   - event: the stable name that operators search for, `like_this`.
    ///   - fields: names and values in the order in which they are shown; not made for a line that
    ///     is not written.
    ///   - now: what the limit is measured by.
    ///   - time: what the line shows.
    package func log(
        _ level: Logger.Level, event: String, fields: @autoclosure () -> [(String, String)] = [],
        at now: Instant, time: @autoclosure () -> UnixTime = .now()
    ) {
        guard level >= minimum else { return }
        let verdict = limits.withLock { limits in
            let key = limits[event] != nil || limits.count < Self.eventsMax ? event : ""
            return limits[key, default: Limit()].admit(at: now, level: level)
        }
        guard case .write(let suppressed) = verdict else { return }
        var all = fields()
        if suppressed > 0 { all.append(("suppressed", String(suppressed))) }
        write(line.text(at: time(), level: level, event: event, fields: all))
    }

    /// Tells what was left out of events that have gone quiet since. To be called now and then.
    package func tellSuppressed(at now: Instant, time: @autoclosure () -> UnixTime = .now()) {
        let due = limits.withLock { limits in
            var due: [(event: String, level: Logger.Level, count: UInt64)] = []
            for event in limits.keys.sorted() {
                guard let limit = limits[event], let count = limits[event]?.tell(at: now)
                else { continue }
                due.append((event, limit.level, count))
            }
            return due
        }
        for (event, level, count) in due {
            write(
                line.text(
                    at: time(), level: level, event: event.isEmpty ? "other" : event,
                    fields: [("suppressed", String(count))]))
        }
    }

    /// Lines left out since start, by event, in alphabetical order.
    package var suppressedLines: [(event: String, count: UInt64)] {
        limits.withLock { limits in
            limits.filter { $0.value.total > 0 }
                .map { ($0.key.isEmpty ? "other" : $0.key, $0.value.total) }
                .sorted { $0.0 < $1.0 }
        }
    }
}

/// When an event's latest lines were written, and what was left out.
private struct Limit {
    private var written: [Instant] = []
    /// Where the oldest of `written` stands.
    private var oldest = 0
    /// Left out since the last line.
    private(set) var pending: UInt64 = 0
    /// Left out since start.
    private(set) var total: UInt64 = 0
    /// The level of what was left out last.
    private(set) var level = Logger.Level.info

    enum Verdict {
        case write(suppressed: UInt64)
        case leaveOut
    }

    mutating func admit(at now: Instant, level: Logger.Level) -> Verdict {
        guard hasRoom(at: now) else {
            pending &+= 1
            total &+= 1
            self.level = level
            return .leaveOut
        }
        return .write(suppressed: take(at: now))
    }

    /// What was left out, if there is something to tell and room for a line that tells it.
    mutating func tell(at now: Instant) -> UInt64? {
        guard pending > 0, hasRoom(at: now) else { return nil }
        return take(at: now)
    }

    private func hasRoom(at now: Instant) -> Bool {
        written.count < EventLog.linesPerSecondMax
            || now.millisecondsSince(written[oldest]) >= 1_000
    }

    /// Fills a place that ``hasRoom(at:)`` found, and gives what the line has to tell.
    private mutating func take(at now: Instant) -> UInt64 {
        if written.count < EventLog.linesPerSecondMax {
            written.append(now)
        } else {
            written[oldest] = now
            oldest = (oldest + 1) % EventLog.linesPerSecondMax
        }
        defer { pending = 0 }
        return pending
    }
}
