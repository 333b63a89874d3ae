public import Bytes
public import SIPMessage

/// Where the Contact of a phone behind a NAT says an address that leads nowhere, and is to say the one
/// that its packets come from.
///
/// To be asked for only of what came straight from the phone: a Contact that another proxy has passed
/// on may be right, and "fixed" a second time it leads to that proxy (the ACK goes missing).
public enum ContactFix {
    /// Host and port of the one Contact, if they are another address than `observed`.
    ///
    /// `nil` also for a host name, which whoever wrote it can be expected to mean; for a GRUU
    /// (RFC 5627), which is no address; and for several contacts.
    public static func range(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, observed: TransportAddress
    ) -> ByteRange? {
        var cursor = AddressCursor(.contact, of: index)
        guard let contact = try? cursor.next(bytes, index), (try? cursor.next(bytes, index)) == nil,
            let uri = try? SIPURI(bytes, contact.uri), uri.scheme != .other,
            let said = TransportAddress(
                host: bytes.extracting(uri.host.start..<uri.host.end),
                port: uri.port == 0 ? 5_060 : uri.port), said != observed,
            bytes.parameter("gr", in: uri.parameters) == nil
        else { return nil }
        guard uri.port != 0 else { return uri.host }
        // The colon and its digits, which end the part that is replaced.
        var end = uri.host.end + 1
        while end < uri.whole.end, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[end]) {
            end += 1
        }
        return ByteRange(uri.host.start, end)
    }

    /// Writes a header field with `range` of it replaced.
    static func write(
        _ bytes: Span<UInt8>, _ field: HeaderField, _ range: ByteRange,
        _ observed: TransportAddress,
        _ outbox: inout Outbox
    ) {
        outbox.write(bytes, ByteRange(field.line.start, range.start))
        outbox.write(observed)
        outbox.write(bytes, ByteRange(range.end, field.line.end))
    }
}
