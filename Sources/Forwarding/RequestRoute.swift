public import Bytes
public import Keys
public import SIPMessage

/// The way of a request as it came, and what of it is ours (RFC 3261 §16.4).
///
/// We write two Record-Route values where the two sides of a call know us by different addresses
/// (RFC 5658): the same flow token at both, so what comes back has both at its top, and both are taken
/// away. A value is ours by its token, or, without one, by its address. One that stands as request-URI
/// was put there by a strict router before us: the last Route is what the request is for.
public struct RequestRoute: Sendable {
    /// The way to a phone, by the first of our values that has a token.
    public private(set) var token: FlowToken?
    /// What the request is for: its request-URI, or what stood last in Route.
    public private(set) var target: SIPURI
    /// Whether the topmost value is ours.
    public private(set) var isOurs = false
    /// Whether the topmost value may be ours by a name that we need not know: it is no address.
    public private(set) var mayBeOurs = false
    /// Whether the target's maddr, port and transport named us.
    private var isBare = false
    /// Where our own value with a token stands.
    private var tokenURI: SIPURI?
    /// Whether both values of the token have been seen.
    private var isDoubled = false
    /// The first values that go on: one may yet be left out, and one more is to be skipped then.
    private var first = Value.none
    private var second = Value.none
    private var third = Value.none
    private var end = UInt32.max

    /// A value that goes on.
    private struct Value: BitwiseCopyable, Sendable {
        var start: UInt32
        var uri: ByteRange
        var isStrict: Bool
        static var none: Value { Value(start: .max, uri: .none, isStrict: false) }
        var isThere: Bool { start != .max }
    }

    /// Where a request came in, as far as its request-URI may name it.
    public struct Arrival: Sendable {
        let port: UInt16
        let advertisedPort: UInt16

        public init(port: UInt16, advertisedPort: UInt16) {
            self.port = port
            self.advertisedPort = advertisedPort
        }
    }

    /// Reads all Route values of a request, once.
    ///
    /// - Parameters:
    ///   - uri: its request-URI.
    ///   - scratch: is overwritten.
    /// - Throws: a ``SIPParseError`` at a value that cannot be read, wherever it stands.
    public init(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, for uri: SIPURI,
        at arrival: Arrival, own: OwnAddresses, under keys: KeyRing, scratch: inout ByteBuffer
    ) throws(SIPParseError) {
        target = uri
        if index.has(.route) {
            let isRepaired = takes(uri, bytes, own: nil, keys, &scratch)
            try readRoute(bytes, index, isRepaired: isRepaired, own, keys, &scratch)
        }
        isBare = Self.isBare(target, bytes, arrival, own)
    }

    private mutating func readRoute(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, isRepaired: Bool,
        _ own: OwnAddresses, _ keys: KeyRing, _ scratch: inout ByteBuffer
    ) throws(SIPParseError) {
        var cursor = AddressCursor(.route, of: index)
        var number = 0
        var last = Value.none
        var lastURI = target
        var lastEnd = 0
        var endBefore = 0
        while let value = try cursor.next(bytes, index) {
            let uri = try SIPURI(bytes, value.uri)
            number += 1
            endBefore = lastEnd
            lastEnd = value.whole.end
            lastURI = uri
            last = Value(
                start: UInt32(value.whole.start), uri: value.uri,
                isStrict: uri.scheme != .other && bytes.parameter("lr", in: uri.parameters) == nil)
            if !first.isThere {
                if takes(uri, bytes, own: own, keys, &scratch) {
                    isOurs = true
                    continue
                }
                first = last
                mayBeOurs = number == 1 && !Self.isAddress(uri, bytes)
            } else if !second.isThere {
                second = last
            } else if !third.isThere {
                third = last
            }
        }
        guard isRepaired else { return }
        target = lastURI
        end = UInt32(endBefore)
        if first.start == last.start {
            first = .none
            mayBeOurs = false
        }
        if second.start == last.start { second = .none }
        if third.start == last.start { third = .none }
    }

    /// Whether a value behind none but ours is ours as well.
    ///
    /// - Parameter own: `nil` if no address counts, only a token.
    private mutating func takes(
        _ uri: SIPURI, _ bytes: Span<UInt8>, own: OwnAddresses?, _ keys: KeyRing,
        _ scratch: inout ByteBuffer
    ) -> Bool {
        guard
            let found = FlowToken(
                bytes.extracting(uri.user.start..<uri.user.end), under: keys, scratch: &scratch)
        else {
            // Led back to us it would say no more than it does here.
            let host = bytes.extracting(uri.host.start..<uri.host.end)
            return own?.contains(host, port: uri.port) ?? false
        }
        guard let token, let tokenURI else {
            self.token = found
            self.tokenURI = uri
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

    /// Whether a target's maddr is an address of ours, and the request came in where it says: then it
    /// is read as if none of that stood there (§16.4).
    private static func isBare(
        _ uri: SIPURI, _ bytes: Span<UInt8>, _ arrival: Arrival, _ own: OwnAddresses
    ) -> Bool {
        guard uri.scheme == .sip, !uri.parameters.isEmpty,
            let maddr = bytes.parameter("maddr", in: uri.parameters),
            own.contains(bytes.extracting(maddr.start..<maddr.end), port: uri.port)
        else { return false }
        let port = uri.port == 0 ? 5_060 : uri.port
        guard port == arrival.port || port == arrival.advertisedPort else { return false }
        guard let transport = bytes.parameter("transport", in: uri.parameters) else { return true }
        return bytes.spellsIgnoringCase("udp", in: transport)
    }

    /// The port of the target; 0 if none is given, or none that counts.
    public var targetPort: UInt16 { isBare ? 0 : target.port }

    /// What goes on.
    ///
    /// - Parameter leavesOutTop: whether the topmost value stays behind even if it only may be ours.
    public func cut(leavesOutTop: Bool) -> RouteCut {
        let leaves = leavesOutTop && !isOurs
        let (next, other) = leaves ? (second, third) : (first, second)
        return RouteCut(
            start: next.start, second: other.start, end: end, target: target.whole,
            following: next.uri, isStrict: next.isStrict, isBare: isBare)
    }
}
