public import Bytes

/// Requests of our own (RFC 3261 §8.1.1), written in pieces, since what stands between them, branch
/// and Call-ID, is the caller's: ``begin(_:to:from:_:)``, the branch,
/// ``continue(from:tag:to:_:)``, the Call-ID, ``writeSequence(_:_:_:)``, other fields, ``finish(_:)``.
public enum OwnRequest {
    /// Request line and Via, up to where the branch belongs.
    ///
    /// - Parameters:
    ///   - target: the request-URI.
    ///   - sentBy: where answers are expected; the transport is UDP.
    public static func begin(
        _ method: Method, to target: Span<UInt8>, from sentBy: TransportAddress,
        _ outbox: inout Outbox
    ) {
        outbox.write(method.name)
        outbox.write(" ")
        outbox.write(target)
        outbox.write(" SIP/2.0\r\nVia: SIP/2.0/UDP ")
        outbox.write(sentBy)
        outbox.write(";branch=")
    }

    /// What stands between the branch and the Call-ID.
    ///
    /// - Parameters:
    ///   - from: a URI; to a REGISTER who registers, else who asks.
    ///   - tag: new with each dialog or registration.
    ///   - to: a URI; to a REGISTER the address of record.
    public static func `continue`(
        from: Span<UInt8>, tag: UInt64, to: Span<UInt8>, _ outbox: inout Outbox
    ) {
        outbox.write(";rport\r\nMax-Forwards: 70\r\nFrom: <")
        outbox.write(from)
        outbox.write(">;tag=")
        ResponseWriter.writeTag(tag, &outbox)
        outbox.write("\r\nTo: <")
        outbox.write(to)
        outbox.write(">\r\nCall-ID: ")
    }

    /// What stands behind the Call-ID.
    public static func writeSequence(
        _ number: UInt32, _ method: Method, _ outbox: inout Outbox
    ) {
        outbox.write("\r\nCSeq: ")
        outbox.write(decimal: number)
        outbox.write(" ")
        outbox.write(method.name)
        outbox.write("\r\n")
    }

    /// A Contact of a REGISTER and the seconds asked for it; 0 takes it out (§10.2.2).
    public static func writeContact(
        _ uri: Span<UInt8>, seconds: UInt32, _ outbox: inout Outbox
    ) {
        outbox.write("Contact: <")
        outbox.write(uri)
        outbox.write(">;expires=")
        outbox.write(decimal: seconds)
        outbox.write("\r\n")
    }

    /// Ends a request that has no body.
    public static func finish(_ outbox: inout Outbox) {
        outbox.write("User-Agent: midreg\r\nContent-Length: 0\r\n\r\n")
    }

    /// Everything behind the branch of an OPTIONS that asks whether anybody is there (§11.1).
    ///
    /// - Parameters:
    ///   - target: request-URI and To.
    ///   - sentBy: stands in Via and From.
    public static func writeProbe(
        of target: Span<UInt8>, from sentBy: TransportAddress, tag: UInt64, callID: UInt64,
        sequence: UInt32, _ outbox: inout Outbox
    ) {
        outbox.write(";rport\r\nMax-Forwards: 70\r\nFrom: <sip:")
        outbox.write(sentBy)
        outbox.write(">;tag=")
        ResponseWriter.writeTag(tag, &outbox)
        outbox.write("\r\nTo: <")
        outbox.write(target)
        outbox.write(">\r\nCall-ID: ")
        writeProbeID(callID, &outbox)
        writeSequence(sequence, .options, &outbox)
        outbox.write("Accept: application/sdp\r\n")
        finish(&outbox)
    }

    /// The Call-ID of requests that only ask, and bind nothing.
    public static func writeProbeID(_ callID: UInt64, _ outbox: inout Outbox) {
        ResponseWriter.writeTag(callID, &outbox)
        outbox.write("-probe")
    }
}
