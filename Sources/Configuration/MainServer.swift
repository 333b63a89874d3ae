package import Bytes

/// The main registrar as it is written, `sip:HOST[:PORT]`. Names are resolved by the appliance.
package struct MainServer: Equatable, Sendable {
    /// A name, or an address without brackets.
    package let host: String
    /// The address, if the host is one.
    package let address: TransportAddress?
    /// 5060 if none is written.
    package let port: UInt16
    /// Whether a port is written: then it is the main side by address and port, else by any port.
    package let hasPort: Bool

    /// The URI, without what is the default.
    package var text: String {
        let shown = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
        return "sip:" + shown + (hasPort ? ":\(port)" : "")
    }

    static let allowed = "allowed is sip:HOST[:PORT], over UDP"

    /// Reads the URI of a registrar: a host, perhaps a port, and no parameter but `transport=udp`.
    static func read(_ text: String) -> Result<MainServer, Fault> {
        func fault(_ what: String, suggesting suggestion: String? = nil) -> Result<
            MainServer, Fault
        > {
            .failure(Fault(quoted(text) + " " + what, allowed: allowed, suggesting: suggestion))
        }
        let lower = text.lowercased()
        if lower.hasPrefix("sips:") { return fault("asks for TLS: not yet") }
        guard lower.hasPrefix("sip:") else {
            let rest = lower.hasPrefix("udp:") ? String(text.dropFirst(4)) : text
            if lower.hasPrefix("tcp:") || lower.hasPrefix("tls:") {
                return fault("asks for another transport: not yet")
            }
            if case .success(let meant) = read("sip:" + rest), !rest.isEmpty {
                return fault("is no SIP URI", suggesting: quoted(meant.text))
            }
            return fault("is no SIP URI")
        }
        let parts = text.dropFirst(4).split(separator: ";", omittingEmptySubsequences: false)
        for parameter in parts.dropFirst() {
            let name = parameter.lowercased()
            if name == "transport=udp" { continue }
            if name.hasPrefix("transport=") { return fault("asks for another transport: not yet") }
            return fault("has the parameter \(quoted(String(parameter)))")
        }
        let target = String(parts[0])
        if target.utf8.contains(UInt8(ascii: "@")) { return fault("names a user, not a registrar") }
        if target.utf8.contains(UInt8(ascii: "?")) { return fault("carries header fields") }
        if target.isEmpty { return fault("names no host") }

        let (host, portText) = splitPort(target)
        var port: UInt16?
        if let portText {
            port = portNumber(portText)
            if port == nil { return fault("has no port from 1 to 65535") }
        }
        let shownPort = port ?? 5060
        if let address = TransportAddress(host: Array(host.utf8).span, port: shownPort) {
            let bare = address.isIPv4 ? address.hostText : bareIPv6(address)
            if !address.isIPv4, !host.hasPrefix("[") {
                return fault("wants brackets", suggesting: quoted("sip:[\(bare)]"))
            }
            if address.isWildcard || address.isMulticastOrBroadcast {
                return fault("is not the address of one machine")
            }
            let server = MainServer(
                host: bare, address: address, port: shownPort, hasPort: port != nil)
            return .success(server)
        }
        guard isHostName(host) else { return fault("names no host") }
        return .success(
            MainServer(host: host.lowercased(), address: nil, port: shownPort, hasPort: port != nil)
        )
    }
}

private func bareIPv6(_ address: TransportAddress) -> String {
    String(address.hostText.dropFirst().dropLast())
}

/// The host and what stands behind its colon; an IPv6 address keeps its brackets.
func splitPort(_ text: String) -> (host: String, port: String?) {
    let bytes = Array(text.utf8)
    guard let colon = bytes.lastIndex(of: UInt8(ascii: ":")) else { return (text, nil) }
    if let bracket = bytes.lastIndex(of: UInt8(ascii: "]")) {
        if bracket > colon { return (text, nil) }
    } else if bytes.firstIndex(of: UInt8(ascii: ":")) != colon {
        return (text, nil)
    }
    return (
        String(decoding: bytes[..<colon], as: UTF8.self),
        String(decoding: bytes[(colon + 1)...], as: UTF8.self)
    )
}

/// A port from 1 to 65535, of digits only.
func portNumber(_ text: some StringProtocol) -> UInt16? {
    guard !text.isEmpty, text.utf8.allSatisfy({ $0.digitValue != nil }) else { return nil }
    guard let port = UInt16(text), port > 0 else { return nil }
    return port
}

/// RFC 3261 §25.1 `hostname`, underscores allowed; a last label of digits would be an address gone
/// wrong, such as 10.0.0.256.
func isHostName(_ text: String) -> Bool {
    guard text.utf8.count <= 253 else { return false }
    let labels = text.split(separator: ".", omittingEmptySubsequences: false)
    for label in labels {
        guard !label.isEmpty, label.utf8.count <= 63 else { return false }
        guard label.utf8.first != UInt8(ascii: "-"), label.utf8.last != UInt8(ascii: "-") else {
            return false
        }
        let isLetterOrDigit = label.utf8.allSatisfy {
            $0.digitValue != nil || ($0.lowercased >= 0x61 && $0.lowercased <= 0x7A)
                || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
        }
        guard isLetterOrDigit else { return false }
    }
    return labels.last?.utf8.allSatisfy { $0.digitValue != nil } == false
}
