public import Bytes

/// The way to a phone, as it stands in our Record-Route (RFC 5626 §5.2): contact ID and flow with a
/// keyed check, so that it outlives a restart and cannot be made up.
public struct FlowToken: Equatable, Sendable {
    private static let rawBytes = 43
    /// Characters of its text.
    public static let characters = 58

    public let contactID: ContactID
    public let peer: TransportAddress
    /// The local socket of the flow, as an index into the listeners.
    public let socket: UInt16

    public init(contactID: ContactID, peer: TransportAddress, socket: UInt16) {
        self.contactID = contactID
        self.peer = peer
        self.socket = socket
    }

    public func write(
        under keys: KeyRing, scratch: inout ByteBuffer, to outbox: inout Outbox
    ) {
        scratch.clear()
        scratch.append(eight: 0)
        scratch.append(eight: contactID.high)
        scratch.append(four: UInt32(truncatingIfNeeded: contactID.low))
        scratch.append(two: UInt16(truncatingIfNeeded: contactID.low >> 32))
        scratch.append(UInt8(truncatingIfNeeded: contactID.low >> 48))
        scratch.append(eight: peer.high)
        scratch.append(eight: peer.low)
        scratch.append(two: peer.port)
        scratch.append(two: socket)
        let check = Self.check(scratch.span, keys)
        scratch.put(eight: check, at: 0)
        Base64URL.write(scratch.span, to: &outbox)
    }

    private static func check(_ raw: Span<UInt8>, _ keys: KeyRing) -> UInt64 {
        var hash = KeyedHash(keys.flowToken)
        hash.update(raw, ByteRange(8, raw.count))
        return hash.finish()
    }

    /// Reads and checks a token; `nil` if we never made it.
    public init?(_ text: Span<UInt8>, under keys: KeyRing, scratch: inout ByteBuffer) {
        guard text.count == Self.characters else { return nil }
        scratch.clear()
        guard Base64URL.read(text, into: &scratch), scratch.count == Self.rawBytes else {
            return nil
        }
        let raw = scratch.span
        guard raw.load64(at: 0) == Self.check(raw, keys) else { return nil }
        let low =
            UInt64(raw.four(at: 16)) | UInt64(raw.two(at: 20)) << 32 | UInt64(raw[22]) << 48
        contactID = ContactID(high: raw.load64(at: 8), low: low)
        peer = TransportAddress(
            high: raw.load64(at: 23), low: raw.load64(at: 31), port: raw.two(at: 39))
        socket = raw.two(at: 41)
    }
}
