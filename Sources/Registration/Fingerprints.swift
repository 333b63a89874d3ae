public import Bytes
public import Keys
public import SIPMessage

/// Keyed hashes by which a refresh is recognised without its strings.
public struct Fingerprints: Sendable {
    private let key: HashKey

    public init(_ keys: KeyRing) { key = keys.fingerprint }

    /// Of a contact as the phone sent it, with the expiry it asks for: whatever the main registrar
    /// could see of it (P7). A change of anything here is no refresh.
    public func contact(
        _ bytes: Span<UInt8>, element: ByteRange, askedSeconds: UInt32
    ) -> UInt64 {
        var hash = KeyedHash(key)
        hash.update(bytes, element)
        hash.update(word: UInt64(askedSeconds))
        return hash.finish()
    }

    /// Of what makes a contact itself: its instance ID, else its URI (RFC 5626 §6, RFC 3261 §10.2.4).
    public func identity(_ bytes: Span<UInt8>, _ contact: ContactRequest) -> UInt64 {
        var hash = KeyedHash(key)
        if !contact.instance.isEmpty {
            hash.update(1)
            hash.update(bytes, contact.instance)
            return hash.finish()
        }
        hash.update(2)
        hash.update(bytes, contact.uri.user)
        hash.update(0x40)
        var at = contact.uri.host.start
        while at < contact.uri.host.end {
            hash.update(bytes[at].lowercased)
            at += 1
        }
        hash.update(word: UInt64(contact.uri.port))
        hash.update(bytes, contact.uri.parameters)
        return hash.finish()
    }

    public func text(_ bytes: Span<UInt8>, _ range: ByteRange) -> UInt64 {
        var hash = KeyedHash(key)
        hash.update(bytes, range)
        return hash.finish()
    }

    /// Of the transaction a request belongs to: Call-ID, CSeq, and branch and sender of its topmost
    /// Via (RFC 3261 §17.2.3).
    public func transaction(
        _ bytes: Span<UInt8>, callID: ByteRange, sequence: UInt32, via: ViaValue
    ) -> UInt64 {
        var hash = KeyedHash(key)
        hash.update(bytes, callID)
        hash.update(word: UInt64(sequence))
        hash.update(bytes, via.sentBy)
        hash.update(bytes, via.branch)
        return hash.finish()
    }
}
