internal import Bytes
public import Keys
public import SIPMessage

/// What tells a server transaction from all others (RFC 3261 §17.2.3), as a keyed hash: who does not
/// know the key cannot make two requests meet in it.
public struct TransactionKey: Hashable, BitwiseCopyable, Sendable {
    public let value: UInt64

    public init(value: UInt64) { self.value = value }

    /// Of the transaction that a request belongs to; an ACK belongs to its INVITE's.
    ///
    /// - Parameters:
    ///   - via: the topmost Via of the request.
    ///   - key: ``KeyRing/transaction``.
    /// - Throws: if the peer is one of RFC 2543 and From or To cannot be read.
    public init(
        of bytes: Span<UInt8>, _ index: borrowing MessageIndex, via: ViaValue, under key: HashKey
    ) throws(SIPParseError) {
        let method = index.method == .ack ? Method.invite : index.method
        try self.init(bytes, index, via, as: method, key)
    }

    /// Of the INVITE that a CANCEL is for (§9.2): the key which that has by
    /// ``init(of:_:via:under:)``.
    ///
    /// - Throws: as that.
    public init(
        cancelledBy bytes: Span<UInt8>, _ index: borrowing MessageIndex, via: ViaValue,
        under key: HashKey
    ) throws(SIPParseError) {
        precondition(index.method == .cancel, "a CANCEL cancels")
        try self.init(bytes, index, via, as: .invite, key)
    }

    private init(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ via: ViaValue, as method: Method,
        _ key: HashKey
    ) throws(SIPParseError) {
        var hash = KeyedHash(key)
        let hasCookie = via.hasMagicCookie(bytes)
        hash.update(method.rawValue)
        hash.update(hasCookie ? 1 : 0)
        // None of the parts but the last has a space inside.
        if method == .other {
            hash.update(bytes, index.methodName)
            hash.update(0x20)
        }
        if hasCookie {
            // By its bytes, case counting: a client repeats its own, and branches of different ones
            // that differ in case alone are different.
            hash.update(bytes, via.branch)
            hash.update(0x20)
            for at in via.host.start..<via.host.end { hash.update(bytes[at].lowercased) }
            hash.update(0x20)
            hash.update(word: UInt64(via.port))
            value = hash.finish()
            return
        }
        hash.update(bytes, index.requestURI)
        hash.update(0x20)
        hash.update(bytes, try Self.tag(.from, bytes, index))
        hash.update(0x20)
        // The To of an ACK has the tag of the response, which its INVITE had not. So To does not
        // count for the two, nor for the CANCEL that looks for the INVITE. What it would tell apart,
        // the ACK of a 2xx from that of another response, follows from the transaction's state
        // (RFC 6026 §6).
        if method != .invite {
            hash.update(bytes, try Self.tag(.to, bytes, index))
            hash.update(0x20)
        }
        if let callID = index.value(.callID) { hash.update(bytes, callID) }
        hash.update(0x20)
        hash.update(word: UInt64(index.sequenceNumber))
        hash.update(bytes, via.whole)
        value = hash.finish()
    }

    private static func tag(
        _ name: HeaderName, _ bytes: Span<UInt8>, _ index: borrowing MessageIndex
    ) throws(SIPParseError) -> ByteRange {
        guard let value = index.value(name) else { return .none }
        return try NameAddress(bytes, from: value.start, to: value.end).tag
    }
}
