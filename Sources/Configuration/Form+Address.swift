internal import Bytes

extension Form where Value == TransportAddress {
    /// `ADDR:PORT` to bind a UDP socket to, a leading `udp:` allowed; the address may be a wildcard.
    static let udpSocket: Form = {
        let allowed =
            "allowed is an IP address with a port, such as \"192.0.2.1:5060\" or \"[2001:db8::1]:5060\""
        return .text(allowed) { text in
            var rest = text
            let scheme = text.lowercased().prefix(4)
            if scheme == "udp:" { rest = String(text.dropFirst(4)) }
            if ["tcp:", "tls:"].contains(scheme) || text.lowercased().hasPrefix("ws") {
                return .failure(Fault("is \(quoted(text)): not yet: only UDP", allowed: allowed))
            }
            guard let address = TransportAddress(hostPort: rest, defaultPort: 0) else {
                return .failure(notAnAddress(rest, shown: text, port: 5060, allowed: allowed))
            }
            guard address.port > 0 else {
                return .failure(
                    Fault(
                        "is \(quoted(text)), without a port", allowed: allowed,
                        suggesting: "\"\(address.withPort(5060).text)\""))
            }
            guard !address.isMulticastOrBroadcast else {
                return .failure(Fault("is \(quoted(text)), a group address", allowed: allowed))
            }
            return .success(address)
        }
    }()

    /// `ADDR` or `ADDR:PORT` of one machine; without a port it is 0.
    static let machine: Form = {
        let allowed = "allowed is an IP address, such as \"192.0.2.1\", with a port or without"
        return .text(allowed) { text in
            let bytes = Array(text.utf8)
            let read =
                TransportAddress(host: bytes.span, port: 0)
                ?? TransportAddress(hostPort: bytes.span, defaultPort: 0)
            guard let address = read else {
                return .failure(notAnAddress(text, shown: text, port: nil, allowed: allowed))
            }
            guard !address.isWildcard, !address.isMulticastOrBroadcast else {
                return .failure(
                    Fault(
                        "is \(quoted(text)), not the address of one machine", allowed: allowed))
            }
            return .success(address)
        }
    }()
}

extension Form where Value == TransportAddress? {
    /// `ADDR:PORT` on this machine only, or nothing at all.
    static let loopbackOrOff: Form = {
        let allowed =
            "allowed is a loopback address with a port, such as \"127.0.0.1:9080\", or \"\" for none"
        return .text(allowed) { text in
            if text.isEmpty { return .success(nil) }
            guard let address = TransportAddress(hostPort: text, defaultPort: 0) else {
                return .failure(notAnAddress(text, shown: text, port: 9080, allowed: allowed))
            }
            guard address.isLoopback else {
                return .failure(
                    Fault("is \(quoted(text)), which others can reach", allowed: allowed))
            }
            guard address.port > 0 else {
                return .failure(
                    Fault(
                        "is \(quoted(text)), without a port", allowed: allowed,
                        suggesting: "\"\(address.withPort(9080).text)\""))
            }
            return .success(address)
        }
    }()
}

extension Form where Value == ClosedRange<UInt16> {
    /// `FIRST-LAST`
    static func ports(max portsMax: Int) -> Form {
        let allowed =
            "allowed are at most \(portsMax) ports as \"FIRST-LAST\", such as \"15060-15091\""
        return .text(allowed) { text in
            let parts = text.split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 2, let first = portNumber(parts[0]),
                let last = portNumber(parts[1])
            else {
                return .failure(Fault("is \(quoted(text)), no range of ports", allowed: allowed))
            }
            guard first <= last else {
                return .failure(
                    Fault(
                        "is \(quoted(text)), which runs backward", allowed: allowed,
                        suggesting: "\"\(last)-\(first)\""))
            }
            let ports = first...last
            guard ports.count <= portsMax else {
                return .failure(
                    Fault("is \(quoted(text)), \(ports.count) ports", allowed: allowed))
            }
            return .success(ports)
        }
    }
}

extension Form where Value == String {
    /// The domain of an address of record, as it stands in the canonical one: a host in lower case,
    /// with a port if it is not 5060.
    static let domain: Form = {
        let allowed =
            "allowed is the host of an address of record, such as \"example.com\", with a port or without"
        return .text(allowed) { text in
            let (host, portText) = splitPort(text)
            if text.lowercased().hasPrefix("sip:") || text.utf8.contains(UInt8(ascii: "@")) {
                let last = String(text.split(separator: "@").last ?? "")
                let bare = last.lowercased().hasPrefix("sip:") ? String(last.dropFirst(4)) : last
                let meant = isHostName(bare) ? "\"\(bare.lowercased())\"" : nil
                return .failure(
                    Fault("is \(quoted(text)), no domain", allowed: allowed, suggesting: meant))
            }
            let port = portText.map { portNumber($0) } ?? 5060
            guard let port else {
                return .failure(
                    Fault("is \(quoted(text)), no port from 1 to 65535", allowed: allowed))
            }
            let suffix = port == 5060 ? "" : ":\(port)"
            if let address = TransportAddress(host: Array(host.utf8).span, port: port) {
                if !address.isIPv4, !host.hasPrefix("[") {
                    return .failure(
                        Fault(
                            "is \(quoted(text)), without brackets", allowed: allowed,
                            suggesting: "\"\(address.hostText)\""))
                }
                return .success(address.hostText + suffix)
            }
            guard isHostName(host) else {
                return .failure(Fault("is \(quoted(text)), no domain", allowed: allowed))
            }
            return .success(host.lowercased() + suffix)
        }
    }()
}

/// Says what is wrong with a text that is no address: a name, a bad port, or IPv6 without brackets.
private func notAnAddress(
    _ text: String, shown: String, port: UInt16?, allowed: String
) -> Fault {
    if let address = TransportAddress(host: Array(text.utf8).span, port: port ?? 0) {
        // Only an IPv6 address without brackets is an address alone and none with a port.
        let meant = port == nil ? address.hostText : address.text
        return Fault(
            "is \(quoted(shown)), without a port", allowed: allowed, suggesting: "\"\(meant)\"")
    }
    let isName = text.utf8.contains { $0.lowercased >= 0x67 && $0.lowercased <= 0x7A }
    if isName {
        return Fault("is \(quoted(shown)): not yet: a name", allowed: allowed)
    }
    return Fault("is \(quoted(shown)), no address", allowed: allowed)
}
