package import Logging

/// swift-log's way into the log, for libraries that speak it (SwiftNIO); midreg itself uses
/// ``EventLog``.
///
/// A message that reads like an event's name is the event; any other is the field `what` of the
/// event `note`. Metadata follow in alphabetical order, since they have none of their own.
package struct LogfmtHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var logLevel: Logger.Level
    package var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let line: LogLine
    private let time: @Sendable () -> UnixTime
    private let write: @Sendable (String) -> Void

    /// - Parameters:
    ///   - label: the logger's name, shown as the field `logger`.
    ///   - write: takes one line with its end; must not wait.
    package init(
        label: String, line: LogLine, level: Logger.Level = .info,
        time: @escaping @Sendable () -> UnixTime = UnixTime.now,
        write: @escaping @Sendable (String) -> Void
    ) {
        self.label = label
        self.line = line
        self.logLevel = level
        self.time = time
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        let message = event.message.description
        var fields: [(String, String)] = []
        if !Self.isEventName(message) { fields.append(("what", message)) }
        var all = metadataProvider?.get() ?? [:]
        all.merge(metadata) { $1 }
        if let own = event.metadata { all.merge(own) { $1 } }
        for key in all.keys.sorted() { fields.append((key, all[key]?.description ?? "")) }
        fields.append(("logger", label))
        write(
            line.text(
                at: time(), level: event.level, event: fields.first?.0 == "what" ? "note" : message,
                fields: fields))
    }

    private static func isEventName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 64
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }
}
