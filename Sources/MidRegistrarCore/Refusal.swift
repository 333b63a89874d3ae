internal import Bytes
internal import SIPMessage

/// How a request that cannot be read is refused: each limit with its own counter, and with its own
/// status where RFC 3261 has one.
struct Refusal {
    let code: UInt32
    let text: StaticString
    let counter: Counter

    init(of index: borrowing MessageIndex, for error: SIPParseError) {
        switch error.reason {
        // §21.4.15 is about the request-URI alone.
        case .uriTooLong where error.offset < index.startLine.end:
            (code, text, counter) = (414, "Request-URI Too Long", .rejectURITooLong)
            return
        case .uriTooLong: (code, counter) = (400, .rejectURITooLong)
        case .messageTooLarge: (code, counter) = (513, .rejectTooLarge)
        case .version: (code, counter) = (505, .rejectVersion)
        case .tooManyVias: (code, counter) = (400, .rejectTooManyVias)
        case .tooManyHeaders: (code, counter) = (400, .rejectTooManyHeaders)
        case .lineTooLong: (code, counter) = (400, .rejectHeaderTooLong)
        case .tooManyContacts: (code, counter) = (400, .rejectTooManyContacts)
        default: (code, counter) = (400, .rejectMalformed)
        }
        text = error.reason.text
    }
}

extension WorkerCore {
    /// Refuses a request of which something cannot be read, and notes it.
    mutating func refuse(
        _ error: SIPParseError, _ bytes: Span<UInt8>, _ via: ViaValue,
        _ source: TransportAddress, _ socket: UInt16, _ outbox: inout Outbox
    ) {
        note(.malformed, source, error)
        let refusal = Refusal(of: index, for: error)
        refuse(
            refusal.code, refusal.text, bytes, via, source, socket, refusal.counter, &outbox)
    }
}
