import Bytes
import CoreScene

/// Somebody that midreg talks with: the main registrar, a phone, or anybody else.
struct Peer {
    let name: String
    /// Where its packets come from.
    let source: TransportAddress
    /// The address that it believes to have, as text.
    let claimed: String
    /// Its address of record, once it has registered one.
    var aor: String
    /// The URI of its own Contact.
    var contact: String
    /// The URI by which the main registrar reaches it, and the Route for it.
    var atMain: String?
    var routeAtMain: [String] = []
    var registrations = 0

    init(_ name: String, source: TransportAddress, claimed: String, user: String? = nil) {
        self.name = name
        self.source = source
        self.claimed = claimed
        aor = "sip:\(user ?? name)@example.test"
        contact = "sip:\(user ?? name)@\(claimed)"
    }
}

extension TransportAddress {
    /// As it stands in a scenario, if it is an IPv4 address.
    var text: String {
        guard isIPv4 else { return "\(self)" }
        let bytes = [24, 16, 8, 0].map { String(low >> UInt64($0) & 0xFF) }
        return bytes.joined(separator: ".") + ":\(port)"
    }
}

/// A message that went one way or the other.
struct Letter {
    let peer: String
    /// Whether the peer sent it.
    let isOut: Bool
    let at: UInt64
    let message: Message
    let bytes: [UInt8]
    let socket: UInt16
    var isExpected: Bool

    var callID: String { message["Call-ID"] }
}
