public import Bytes
public import SIPMessage

/// Why a branch is cancelled, when the caller did not do it.
public enum CancelCause: Equatable, BitwiseCopyable, Sendable {
    /// Another branch has a 2xx, whichever.
    case answeredElsewhere
    /// Nobody answered in time (Timer C, or the caller's patience with a group).
    case unanswered
    /// Another branch refused for all, with this 6xx.
    case refusedForAll(UInt32)
    /// Another branch was redirected, with this 3xx, and the rest is given up for it.
    case redirected(UInt32)
}

/// What the CANCEL of a branch says about why (RFC 3326 §2): by it a phone tells a call that was taken
/// elsewhere from one that was missed.
public struct ReasonPolicy: Sendable {
    /// What becomes of the Reason fields of a CANCEL that came.
    public enum Handling: Sendable {
        /// They go along, all of them, of whatever protocol. Without one it says `ORIGINATOR_CANCEL`.
        case pass
        /// It says `ORIGINATOR_CANCEL`.
        case replace
        /// It says nothing.
        case drop
    }

    /// Of a CANCEL from the main side.
    public var fromMain = Handling.pass
    /// Of one from anybody else: a caller could say 200, and the missed call would not be seen.
    public var fromOthers = Handling.replace
    private var unansweredCause: UInt32 = 480
    private var unansweredText = Array("NO_ANSWER".utf8)

    public init() {}

    /// Sets what a branch is told that nobody answered; else 480 and `NO_ANSWER`.
    ///
    /// - Returns: `false`, and nothing is changed, if `text` has quotes, backslashes or control
    ///   characters, or `cause` is no status.
    public mutating func setUnanswered(cause: UInt32, text: String) -> Bool {
        guard cause >= 300, cause < 700,
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C && $0 != 0x7F })
        else { return false }
        unansweredCause = cause
        unansweredText = Array(text.utf8)
        return true
    }

    /// Writes the Reason of a CANCEL of our own.
    public func write(_ cause: CancelCause, _ outbox: inout Outbox) {
        switch cause {
        case .answeredElsewhere:
            ReasonWriter.write("SIP", cause: 200, text: "Call completed elsewhere", &outbox)
        case .unanswered:
            outbox.write("Reason: SIP;cause=")
            outbox.write(decimal: unansweredCause)
            outbox.write(";text=\"")
            outbox.write(unansweredText.span)
            outbox.write("\"\r\n")
        case .refusedForAll(let status), .redirected(let status):
            ReasonWriter.write("SIP", cause: status, text: Self.phrase(of: status), &outbox)
        }
    }

    /// Writes the Reason of a CANCEL that is passed on to a branch.
    public func writeCallers(
        _ cancel: Span<UInt8>, _ index: borrowing MessageIndex, from source: SourceClass,
        _ outbox: inout Outbox
    ) {
        switch source == .main ? fromMain : fromOthers {
        case .pass where Self.hasReasons(cancel, index):
            ReasonWriter.copy(cancel, index, &outbox)
        case .pass, .replace:
            ReasonWriter.write("SIP", cause: 487, text: "ORIGINATOR_CANCEL", &outbox)
        case .drop: break
        }
    }

    /// Whether there are reasons, and each can be read.
    private static func hasReasons(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex
    ) -> Bool {
        var cursor = ReasonCursor(of: index)
        var found = false
        do throws(SIPParseError) {
            while try cursor.next(bytes, index) != nil { found = true }
        } catch { return false }
        return found
    }

    /// The reason phrase of RFC 3261 §21.3 and §21.6, RFC 8197 and RFC 8688.
    private static func phrase(of status: UInt32) -> StaticString {
        switch status {
        case 300: "Multiple Choices"
        case 301: "Moved Permanently"
        case 302: "Moved Temporarily"
        case ..<400: "Redirected"
        case 600: "Busy Everywhere"
        case 603: "Decline"
        case 604: "Does Not Exist Anywhere"
        case 606: "Not Acceptable"
        case 607: "Unwanted"
        case 608: "Rejected"
        default: "Global Failure"
        }
    }
}
