public import Bytes

/// A header field by which the next hop is told where a request really came from, so that it can ban
/// a phone and not us; worth nothing if a phone could write it.
public struct SourceHeader: Sendable {
    /// Names no header field that means something to anybody else: `X-…`.
    private let name: [UInt8]

    public init(name: String) { self.name = Array(name.utf8) }

    public func write(_ source: TransportAddress, _ outbox: inout Outbox) {
        outbox.write(name.span)
        outbox.write(": ")
        outbox.write(source)
        outbox.write("\r\n")
    }

    /// Whether a field has its name, in either case.
    public func isNamed(_ bytes: Span<UInt8>, by field: HeaderField) -> Bool {
        guard field.name == .other, field.line.count > name.count else { return false }
        for at in 0..<name.count
        where bytes[field.line.start + at].lowercased != name[at].lowercased {
            return false
        }
        let next = bytes[field.line.start + name.count]
        return next == UInt8(ascii: ":") || next == 0x20 || next == 0x09
    }
}
