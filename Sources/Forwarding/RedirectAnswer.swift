public import Bytes
public import SIPMessage

/// The answer of a redirect server (RFC 3261 §8.3): who calls is told where to, instead of being
/// forwarded. Stateless: its ACK is absorbed by whoever knows that no transaction is his.
///
/// ``begin(_:to:_:source:toTag:_:)``, a contact for each binding (``beginContact(_:)``, its URI,
/// ``endContact(q:expires:_:)``), then `ResponseWriter.finish`.
public enum RedirectAnswer {
    /// What may be answered (§21.3).
    public enum Code: UInt32, CaseIterable, Sendable {
        case multipleChoices = 300
        case movedPermanently = 301
        case movedTemporarily = 302
        case useProxy = 305
        case alternativeService = 380

        var phrase: StaticString {
            switch self {
            case .multipleChoices: "Multiple Choices"
            case .movedPermanently: "Moved Permanently"
            case .movedTemporarily: "Moved Temporarily"
            case .useProxy: "Use Proxy"
            case .alternativeService: "Alternative Service"
            }
        }
    }

    /// Writes the response up to its contacts.
    public static func begin(
        _ code: Code, to bytes: Span<UInt8>, _ index: borrowing MessageIndex,
        source: TransportAddress, toTag: UInt64, _ outbox: inout Outbox
    ) {
        ResponseWriter.begin(
            code.rawValue, code.phrase, to: bytes, index, source: source, toTag: toTag, &outbox)
    }

    /// Writes what stands before the URI of a contact, which comes without angle brackets.
    public static func beginContact(_ outbox: inout Outbox) { outbox.write("Contact: <") }

    /// Writes what stands behind it.
    ///
    /// - Parameters:
    ///   - q: in thousandths; `nil` if the binding has none.
    ///   - expires: how long the binding still holds, in seconds; `nil` leaves it out.
    public static func endContact(q: UInt16?, expires: UInt32?, _ outbox: inout Outbox) {
        outbox.write(">")
        if let q {
            outbox.write(";q=")
            write(q, &outbox)
        }
        if let expires {
            outbox.write(";expires=")
            outbox.write(decimal: expires)
        }
        outbox.write("\r\n")
    }

    /// Writes thousandths as a `qvalue`, without noughts at its end.
    private static func write(_ q: UInt16, _ outbox: inout Outbox) {
        precondition(q <= 1_000, "a preference is at most 1")
        outbox.write(q == 1_000 ? "1" : "0")
        var rest = q % 1_000
        guard rest > 0 else { return }
        outbox.write(".")
        while rest > 0 {
            outbox.write(0x30 + UInt8(truncatingIfNeeded: rest / 100))
            rest = rest % 100 * 10
        }
    }
}
