public import Bytes
public import Keys
public import SIPMessage

/// Keyed hashes by which a refresh is recognised without its strings.
public struct Fingerprints: Sendable {
    private let key: HashKey

    public init(_ keys: KeyRing) { key = keys.fingerprint }

    /// Of a contact as the phone sent it, with the expiry it asks for: whatever the main registrar
    /// could see of it (P7). A change of anything here is no refresh.
    ///
    /// - Parameter way: behind the edge it came by, see ``way(_:path:last:)``; 0 for none.
    public func contact(
        _ bytes: Span<UInt8>, element: ByteRange, askedSeconds: UInt32, way: UInt64 = 0
    ) -> UInt64 {
        var hash = KeyedHash(key)
        hash.update(bytes, element)
        hash.update(word: UInt64(askedSeconds))
        if way != 0 { hash.update(word: way) }
        return hash.finish()
    }

    /// Of the way a request took before it came to an edge (P4): the Path in every byte, and where it
    /// began by sent-by, `received` and `rport` of the last Via. Never 0.
    public func way(_ bytes: Span<UInt8>, path: Span<UInt8>, last via: ViaValue) -> UInt64 {
        var hash = KeyedHash(key)
        hash.update(path)
        hash.update(word: UInt64(path.count))
        update(&hash, host: via.host, of: bytes)
        hash.update(word: UInt64(via.port))
        update(&hash, host: bytes.parameter("received", in: via.parameters) ?? .none, of: bytes)
        let port = bytes.parameter("rport", in: via.parameters) ?? .none
        hash.update(bytes, port)
        hash.update(word: UInt64(port.count))
        return max(1, hash.finish())
    }

    /// A host by its address if it is one, so that `::ffff:192.0.2.1` is `192.0.2.1`; else by its
    /// name without regard to case.
    private func update(_ hash: inout KeyedHash, host: ByteRange, of bytes: Span<UInt8>) {
        if let address = TransportAddress(
            host: bytes.extracting(host.start..<host.end), port: 0)
        {
            hash.update(1)
            hash.update(word: address.high)
            hash.update(word: address.low)
            return
        }
        hash.update(2)
        for at in host.start..<host.end { hash.update(bytes[at].lowercased) }
        hash.update(word: UInt64(host.count))
    }

    /// Of what makes a contact itself: its instance ID, else what a push finds it by, else its URI
    /// (RFC 5626 §6, RFC 8599 §4.1, RFC 3261 §10.2.4).
    ///
    /// - Parameter separatesFlows: whether each flow of an instance is a contact of its own.
    public func identity(
        _ bytes: Span<UInt8>, _ contact: ContactRequest, separatesFlows: Bool
    ) -> UInt64 {
        var hash = KeyedHash(key)
        if !contact.instance.isEmpty {
            hash.update(1)
            hash.update(bytes, contact.instance)
            if separatesFlows, !contact.flowNumber.isEmpty {
                hash.update(UInt8(ascii: ";"))
                hash.update(bytes, contact.flowNumber)
            }
            return hash.finish()
        }
        if let push = PushIdentity(bytes, contact.uri) {
            hash.update(3)
            hash.update(bytes, push.provider)
            hash.update(0x20)
            hash.update(bytes, push.parameter)
            hash.update(0x20)
            hash.update(bytes, push.id)
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

    /// By which a binding is found again: the same contact by the same flow. The upper 48 bits are
    /// the contact's ``identity(_:_:separatesFlows:)``, all its flows in one; the lower 16 are its
    /// `reg-id` (RFC 5626 §4.2), 0 without one.
    public func flowIdentity(_ bytes: Span<UInt8>, _ contact: ContactRequest) -> UInt64 {
        let whole = identity(bytes, contact, separatesFlows: false) & ~0xFFFF
        guard !contact.instance.isEmpty, !contact.flowNumber.isEmpty else { return whole }
        let number =
            (try? bytes.number(in: contact.flowNumber, max: UInt64(Int32.max)))
            ?? text(bytes, contact.flowNumber)
        return whole | (number % 0xFFFF + 1)
    }

    /// Whether two bindings of an AOR are flows of one contact, by their flow identities.
    public static func isSameContact(_ a: UInt64, _ b: UInt64) -> Bool { a >> 16 == b >> 16 }

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

/// By what a push service finds a phone (RFC 8599 §4.1): it stays the same when its address changes.
public struct PushIdentity: Sendable {
    public let provider: ByteRange
    /// `pn-param`; empty if there is none.
    public let parameter: ByteRange
    public let id: ByteRange

    /// `nil` without `pn-provider` and `pn-prid`, both with a value.
    public init?(_ bytes: Span<UInt8>, _ uri: SIPURI) {
        guard let provider = bytes.parameter("pn-provider", in: uri.parameters), !provider.isEmpty,
            let id = bytes.parameter("pn-prid", in: uri.parameters), !id.isEmpty
        else { return nil }
        self.provider = provider
        self.id = id
        parameter = bytes.parameter("pn-param", in: uri.parameters) ?? .none
    }
}
