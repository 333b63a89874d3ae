public import Bytes
public import Keys
public import SIPMessage

/// Which values of a request's Route go on with it: those between two offsets of its bytes.
///
/// Small, so that a call keeps it with the bytes of its request.
public struct RouteCut: Equatable, BitwiseCopyable, Sendable {
    /// Where the first value that goes on begins; past the end of everything if none does.
    public let start: UInt32

    /// Everything goes on.
    public static var nothing: RouteCut { RouteCut(start: 0) }

    /// The first value that goes on; `nil` if none does.
    public func first(_ bytes: Span<UInt8>, _ index: borrowing MessageIndex) -> SIPURI? {
        var cursor = AddressCursor(.route, of: index)
        while let value = try? cursor.next(bytes, index) {
            if value.whole.start >= Int(start) { return try? SIPURI(bytes, value.uri) }
        }
        return nil
    }

    /// Writes what goes on of one Route field, as it came.
    func write(_ bytes: Span<UInt8>, _ field: HeaderField, _ outbox: inout Outbox) {
        let start = Int(self.start)
        if field.value.end <= start { return }
        guard field.value.start < start else {
            outbox.write(bytes, field.line)
            return
        }
        outbox.write("Route: ")
        outbox.write(bytes, ByteRange(start, field.value.end))
        outbox.write("\r\n")
    }
}

/// The Route of a request as it came, and what of it is ours (RFC 3261 §16.4).
///
/// We write two Record-Route values where the two sides of a call know us by different addresses
/// (RFC 5658): the same flow token at both, so what comes back has both at its top, and both are taken
/// away. A value is ours by its token, or, without one, by its address.
public struct RequestRoute: Sendable {
    /// The way to a phone, by the first of our values that has a token.
    public private(set) var token: FlowToken?
    /// Whether the topmost value is ours.
    public private(set) var isOurs = false
    /// Whether the topmost value may be ours by a name that we need not know: it is no address.
    public private(set) var mayBeOurs = false
    /// The first value that is not ours.
    public private(set) var following: SIPURI?
    private var kept = UInt32.max
    private var second = UInt32.max
    /// Whether both values of the token have been seen.
    private var isDoubled = false

    /// Reads all Route values of a request.
    ///
    /// - Parameter scratch: is overwritten.
    /// - Throws: a ``SIPParseError`` at a value that cannot be read, wherever it stands.
    public init(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, own: OwnAddresses,
        under keys: KeyRing, scratch: inout ByteBuffer
    ) throws(SIPParseError) {
        guard index.has(.route) else { return }
        var cursor = AddressCursor(.route, of: index)
        var number = 0
        var tokenURI: SIPURI?
        while let value = try cursor.next(bytes, index) {
            let uri = try SIPURI(bytes, value.uri)
            number += 1
            if number == 2 { second = UInt32(value.whole.start) }
            guard following == nil else { continue }
            if takes(uri, bytes, own, keys, &tokenURI, &scratch) {
                isOurs = true
            } else {
                following = uri
                kept = UInt32(value.whole.start)
                mayBeOurs = number == 1 && !Self.isAddress(uri, bytes)
            }
        }
    }

    /// Whether a value behind none but ours is ours as well.
    private mutating func takes(
        _ uri: SIPURI, _ bytes: Span<UInt8>, _ own: OwnAddresses, _ keys: KeyRing,
        _ tokenURI: inout SIPURI?, _ scratch: inout ByteBuffer
    ) -> Bool {
        guard
            let found = FlowToken(
                bytes.extracting(uri.user.start..<uri.user.end), under: keys, scratch: &scratch)
        else {
            // Led back to us it would say no more than it does here.
            return own.contains(bytes.extracting(uri.host.start..<uri.host.end), port: uri.port)
        }
        guard let token, let tokenURI else {
            self.token = found
            tokenURI = uri
            return true
        }
        // Another token, or the same at the same address, belongs to another passage of the request
        // through us: a phone that calls another, or itself, by a main registrar without a
        // Record-Route of its own.
        guard !isDoubled, found == token, !Self.isSameAddress(uri, tokenURI, bytes) else {
            return false
        }
        isDoubled = true
        return true
    }

    private static func isSameAddress(_ a: SIPURI, _ b: SIPURI, _ bytes: Span<UInt8>) -> Bool {
        guard a.port == b.port, a.host.count == b.host.count else { return false }
        for at in 0..<a.host.count
        where bytes[a.host.start + at].lowercased != bytes[b.host.start + at].lowercased {
            return false
        }
        return true
    }

    private static func isAddress(_ uri: SIPURI, _ bytes: Span<UInt8>) -> Bool {
        TransportAddress(host: bytes.extracting(uri.host.start..<uri.host.end), port: 0) != nil
    }

    /// What goes on.
    ///
    /// - Parameter leavesOutTop: whether the topmost value stays behind even if it only may be ours.
    public func cut(leavesOutTop: Bool) -> RouteCut {
        RouteCut(start: leavesOutTop && !isOurs ? second : kept)
    }
}
