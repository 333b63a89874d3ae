/// An IP address and a port, in sixteen bytes and two.
///
/// An IPv4 address is kept as `::ffff:a.b.c.d`, so that both spellings of it are one address. Scope
/// identifiers of link-local addresses are not kept.
public struct TransportAddress: Hashable, BitwiseCopyable, Sendable {
    /// The first eight bytes, most significant first.
    public let high: UInt64
    /// The last eight bytes, most significant first.
    public let low: UInt64
    public let port: UInt16

    public init(high: UInt64, low: UInt64, port: UInt16) {
        self.high = high
        self.low = low
        self.port = port
    }

    public init(ipv4: UInt32, port: UInt16) {
        self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(ipv4), port: port)
    }

    /// All zero: no address.
    public static var none: TransportAddress { .init(high: 0, low: 0, port: 0) }

    public var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

    public func sameHost(as other: TransportAddress) -> Bool {
        high == other.high && low == other.low
    }

    public func withPort(_ port: UInt16) -> TransportAddress {
        .init(high: high, low: low, port: port)
    }

    /// Whether it is `0.0.0.0` or `::`.
    public var isWildcard: Bool { high == 0 && (low == 0xFFFF_0000_0000 || low == 0) }

    /// Whether nothing but this machine can be behind it (127.0.0.0/8, ::1).
    public var isLoopback: Bool {
        isIPv4 ? (low & 0xFFFF_FFFF) >> 24 == 127 : (high == 0 && low == 1)
    }

    /// Whether nobody outside its own network can send there: loopback, link-local and private
    /// addresses, and those behind a carrier's NAT (RFC 1918, RFC 6598, RFC 4193).
    public var isPrivate: Bool {
        guard isIPv4 else { return isLoopback || high >> 57 == 0x7E || high >> 54 == 0x3FA }
        let ipv4 = low & 0xFFFF_FFFF
        return isLoopback || ipv4 >> 24 == 10 || ipv4 >> 20 == 0xAC1 || ipv4 >> 16 == 0xC0A8
            || ipv4 >> 16 == 0xA9FE || ipv4 >> 22 == 0x191
    }

    /// Whether it is a group or broadcast address, to which nothing of ours is ever sent.
    public var isMulticastOrBroadcast: Bool {
        if isIPv4 {
            let ipv4 = low & 0xFFFF_FFFF
            return ipv4 >> 28 == 0xE || ipv4 == 0xFFFF_FFFF
        }
        return high >> 56 == 0xFF
    }
}
