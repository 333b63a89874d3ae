public import Bytes

/// Who sent a request, which decides what it may ask for.
public enum SourceClass: Sendable, Equatable {
    /// The main registrar, or an address named beside it.
    case main
    /// A proxy between phones and us, by configuration; see ``Edges``.
    case edge
    /// The flow of a live binding.
    case phone
    /// Anybody else.
    case stranger
}

/// The addresses that count as the main side. One without a port matches any port.
public struct MainSide: Sendable {
    private let addresses: [TransportAddress]

    /// - Parameter addresses: port 0 stands for any port.
    public init(_ addresses: [TransportAddress]) { self.addresses = addresses }

    public func contains(_ source: TransportAddress) -> Bool {
        isAny(source, of: addresses)
    }
}

/// Proxies between phones and us, whose Via and Path are believed. One without a port matches any.
public struct Edges: Sendable {
    private let addresses: [TransportAddress]
    public var isEmpty: Bool { addresses.isEmpty }

    /// - Parameter addresses: port 0 stands for any port.
    public init(_ addresses: [TransportAddress]) { self.addresses = addresses }

    public func contains(_ source: TransportAddress) -> Bool {
        isAny(source, of: addresses)
    }
}

/// Whether an address is one of a list in which port 0 stands for any port.
private func isAny(_ source: TransportAddress, of addresses: [TransportAddress]) -> Bool {
    for index in addresses.indices {
        let address = addresses[index]
        if address.sameHost(as: source), address.port == 0 || address.port == source.port {
            return true
        }
    }
    return false
}

/// The addresses under which this appliance is named: in Route, Record-Route and request-URIs.
public struct OwnAddresses: Sendable {
    private let addresses: [TransportAddress]

    /// - Parameter addresses: listeners and advertised addresses; a wildcard host stands for any.
    public init(_ addresses: [TransportAddress]) { self.addresses = addresses }

    /// Whether a host (an address in text, IPv6 in brackets) and port name us.
    public func contains(_ host: Span<UInt8>, port: UInt16) -> Bool {
        guard let named = TransportAddress(host: host, port: port == 0 ? 5_060 : port) else {
            return false
        }
        for index in addresses.indices {
            let address = addresses[index]
            if address == named { return true }
            if address.isWildcard, address.port == named.port, address.isIPv4 == named.isIPv4,
                named.isLoopback
            {
                return true
            }
        }
        return false
    }
}
