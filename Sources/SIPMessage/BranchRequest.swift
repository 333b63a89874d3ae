public import Bytes

/// CANCEL and ACK for one branch: requests that go the way of an earlier one, to the same hop, made
/// from the bytes of that one as it was sent on the branch.
///
/// Each is begun, may get more fields, and is ended with ``finish(_:)``. Like all that is written to
/// an outbox, it is whole or not there.
public enum BranchRequest {
    /// Begins the CANCEL of `request` (RFC 3261 §9.1): its request-URI, Route, From, To, Call-ID and
    /// CSeq number, and of its Vias the topmost alone. Require and Proxy-Require do not come along.
    ///
    /// Why it is cancelled may follow, by ``ReasonWriter``.
    ///
    /// - Throws: if the topmost Via of `request` cannot be read; nothing is written then.
    public static func beginCancel(
        of request: Span<UInt8>, _ index: borrowing MessageIndex, _ outbox: inout Outbox
    ) throws(SIPParseError) {
        precondition(
            index.isRequest && index.method != .ack && index.method != .cancel,
            "neither ACK nor CANCEL is cancelled")
        let via = try index.topVia(request)
        begin("CANCEL", of: request, index, via, &outbox)
        if let to = index.first(.to) { outbox.write(request, index[to].line) }
        writeSequence("CANCEL", of: request, index, &outbox)
    }

    /// Begins the ACK of a response of 300 to 699 to `request`, an INVITE (RFC 3261 §17.1.1.3): as a
    /// CANCEL, but with the To of the response, which has the tag of who refused.
    ///
    /// - Throws: if the topmost Via of `request` cannot be read; nothing is written then.
    public static func beginAck(
        of request: Span<UInt8>, _ index: borrowing MessageIndex, answeredBy response: Span<UInt8>,
        _ responseIndex: borrowing MessageIndex, _ outbox: inout Outbox
    ) throws(SIPParseError) {
        precondition(
            index.isRequest && index.method == .invite && responseIndex.statusCode >= 300,
            "an INVITE was refused")
        let via = try index.topVia(request)
        begin("ACK", of: request, index, via, &outbox)
        if let to = responseIndex.first(.to) { outbox.write(response, responseIndex[to].line) }
        writeSequence("ACK", of: request, index, &outbox)
    }

    /// Ends a request that has no body.
    public static func finish(_ outbox: inout Outbox) {
        outbox.write("Content-Length: 0\r\n\r\n")
    }

    private static func begin(
        _ method: StaticString, of request: Span<UInt8>, _ index: borrowing MessageIndex,
        _ via: ViaValue, _ outbox: inout Outbox
    ) {
        outbox.write(method)
        outbox.write(" ")
        outbox.write(request, index.requestURI)
        outbox.write(" SIP/2.0\r\nVia: ")
        outbox.write(request, via.whole)
        outbox.write("\r\n")
        var number = 0
        while number < index.count {
            if index[number].name == .route { outbox.write(request, index[number].line) }
            number += 1
        }
        // Of each hop of its own (§8.1.1.6).
        outbox.write("Max-Forwards: 70\r\n")
        if let from = index.first(.from) { outbox.write(request, index[from].line) }
        if let callID = index.first(.callID) { outbox.write(request, index[callID].line) }
    }

    private static func writeSequence(
        _ method: StaticString, of request: Span<UInt8>, _ index: borrowing MessageIndex,
        _ outbox: inout Outbox
    ) {
        outbox.write("CSeq: ")
        outbox.write(request, index.sequenceDigits)
        outbox.write(" ")
        outbox.write(method)
        outbox.write("\r\n")
    }
}

/// Reason fields (RFC 3326) of a message that is being written.
public enum ReasonWriter {
    /// Copies all Reason fields of a message, byte for byte: a CANCEL that is passed on says why as
    /// the one that came.
    public static func copy(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ outbox: inout Outbox
    ) {
        var number = 0
        while number < index.count {
            if index[number].name == .reason { outbox.write(bytes, index[number].line) }
            number += 1
        }
    }

    /// Writes one Reason field.
    ///
    /// - Parameters:
    ///   - name: the protocol, a token: `SIP`, `Q.850`.
    ///   - text: has neither quotes nor backslashes.
    public static func write(
        _ name: StaticString, cause: UInt32, text: StaticString, _ outbox: inout Outbox
    ) {
        outbox.write("Reason: ")
        outbox.write(name)
        outbox.write(";cause=")
        outbox.write(decimal: cause)
        outbox.write(";text=\"")
        outbox.write(text)
        outbox.write("\"\r\n")
    }
}
