internal import Bytes
public import SIPMessage

/// Which contacts of a 3xx may be followed: the first rule that fits decides, and if none does, the
/// default.
public struct RedirectFilter: Sendable {
    public enum Action: Sendable { case allow, deny }

    /// What is not named in a rule fits everything.
    public struct Rule: Sendable {
        public var action: Action
        public var scheme: SIPURI.Scheme?
        public var host: HostPattern?
        /// `udp`, `tcp`, `tls`, `ws`, `wss` …, in lower case.
        public var transport: String?
        /// The user part with its escapes resolved; with a `*` at its end whatever begins so.
        public var user: String?

        /// What is wrong with a rule in text.
        public enum Fault: Error, Equatable {
            /// It does not begin with `allow` or `deny`.
            case noAction(String)
            /// It names something that no rule looks at.
            case unknown(String)
            /// It says what a name cannot be.
            case value(name: String, String)
            /// It names something twice.
            case twice(String)
        }

        /// Reads `deny host=203.0.113.0/24 transport=udp`, `allow user=1900*`, `deny` …: what to do, then
        /// what it looks at, each as name and value.
        public init(_ text: String) throws(Fault) {
            let words = text.split(separator: " ").map(String.init)
            switch words.first {
            case "allow": action = .allow
            case "deny": action = .deny
            default: throw .noAction(words.first ?? "")
            }
            var seen: Set<String> = []
            for word in words.dropFirst() {
                let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
                guard parts.count == 2 else { throw .unknown(word) }
                let (name, value) = (parts[0], parts[1])
                guard seen.insert(name).inserted else { throw .twice(name) }
                switch (name, value) {
                case ("scheme", "sip"): scheme = .sip
                case ("scheme", "sips"): scheme = .sips
                case ("host", _): host = HostPattern(value)
                case ("transport", "udp"), ("transport", "tcp"), ("transport", "tls"),
                    ("transport", "ws"), ("transport", "wss"), ("transport", "sctp"):
                    transport = value
                case ("user", _): user = value
                case ("scheme", _), ("transport", _): throw .value(name: name, value)
                default: throw .unknown(name)
                }
                if name == "host", host == nil { throw .value(name: name, value) }
            }
        }

        public init(
            _ action: Action, scheme: SIPURI.Scheme? = nil, host: HostPattern? = nil,
            transport: String? = nil, user: String? = nil
        ) {
            self.action = action
            self.scheme = scheme
            self.host = host
            self.transport = transport
            self.user = user
        }
    }

    /// A rule as it is looked at: text as bytes.
    private struct Step: Sendable {
        let action: Action
        let scheme: SIPURI.Scheme?
        let host: HostPattern?
        let transport: [UInt8]?
        let user: [UInt8]?
        let isPrefix: Bool
    }

    private let steps: [Step]
    private let otherwise: Action

    public init(_ rules: [Rule], otherwise: Action) {
        self.otherwise = otherwise
        steps = rules.map { rule in
            let isPrefix = rule.user?.last == "*"
            let user = rule.user.map { Array(isPrefix ? $0.dropLast().utf8 : $0[...].utf8) }
            return Step(
                action: rule.action, scheme: rule.scheme, host: rule.host,
                transport: rule.transport.map { Array($0.utf8) }, user: user, isPrefix: isPrefix)
        }
    }

    /// Whether a SIP or SIPS URI may be followed.
    public func allows(_ bytes: Span<UInt8>, _ uri: SIPURI) -> Bool {
        for place in steps.indices where Self.fits(steps[place], bytes, uri) {
            return steps[place].action == .allow
        }
        return otherwise == .allow
    }

    private static func fits(_ step: Step, _ bytes: Span<UInt8>, _ uri: SIPURI) -> Bool {
        if let scheme = step.scheme, scheme != uri.scheme { return false }
        if let host = step.host, !host.fits(bytes.extracting(uri.host.start..<uri.host.end)) {
            return false
        }
        if let transport = step.transport, !uses(transport, bytes, uri) { return false }
        if let user = step.user { return fits(user, isPrefix: step.isPrefix, bytes, uri.user) }
        return true
    }

    /// Whether a request to the URI goes by a transport. None given is UDP; SIPS is always TLS, which
    /// it says as `tcp` or not at all (RFC 3261 §26.2.2).
    private static func uses(_ name: [UInt8], _ bytes: Span<UInt8>, _ uri: SIPURI) -> Bool {
        let given = bytes.parameter("transport", in: uri.parameters) ?? .none
        if uri.scheme == .sips {
            if given.isEmpty || bytes.spellsIgnoringCase("tcp", in: given) {
                return isSame(name, "tls")
            }
            if bytes.spellsIgnoringCase("ws", in: given) { return isSame(name, "wss") }
        } else if given.isEmpty {
            return isSame(name, "udp")
        }
        guard given.count == name.count else { return false }
        for at in 0..<given.count where bytes[given.start + at].lowercased != name[at] {
            return false
        }
        return true
    }

    private static func isSame(_ name: [UInt8], _ text: StaticString) -> Bool {
        name.span.spells(text, in: ByteRange(0, name.count))
    }

    /// Compares with escapes resolved: `%31` is a `1` to whoever is called (§19.1.4).
    private static func fits(
        _ pattern: [UInt8], isPrefix: Bool, _ bytes: Span<UInt8>, _ user: ByteRange
    ) -> Bool {
        var at = user.start
        for place in pattern.indices {
            guard at < user.end else { return false }
            var byte = bytes[at]
            at += 1
            if byte == 0x25, at + 1 < user.end, let high = bytes[at].hexDigitValue,
                let low = bytes[at + 1].hexDigitValue
            {
                byte = high << 4 | low
                at += 2
            }
            guard byte == pattern[place] else { return false }
        }
        return isPrefix || at == user.end
    }
}

/// Hosts of URIs: one name, all below one, one address, or a network.
public struct HostPattern: Sendable {
    private enum Kind: Sendable {
        case network(TransportAddress, bits: Int)
        /// In lower case; with the dot in front if what stands below it is meant.
        case name([UInt8])
    }

    private let kind: Kind

    /// Reads `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32` (with or without brackets),
    /// `proxy.example.test`, or `.example.test` for all names below it; `nil` for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first, parts.count <= 2 else { return nil }
        let isBare = first.contains(":") && !first.hasPrefix("[")
        let host = Array((isBare ? "[" + first + "]" : String(first)).utf8)
        if let address = TransportAddress(host: host.span, port: 0) {
            let bitsMax = address.isIPv4 ? 32 : 128
            var bits = bitsMax
            if parts.count == 2 {
                let digits = parts[1].utf8
                guard digits.count <= 3, !digits.isEmpty, digits.allSatisfy(\.isDigit),
                    let number = Int(parts[1]), number <= bitsMax
                else { return nil }
                bits = number
            }
            kind = .network(address, bits: address.isIPv4 ? 96 + bits : bits)
            return
        }
        guard parts.count == 1 else { return nil }
        let labels = first.split(separator: ".", omittingEmptySubsequences: false)
        let named = labels.first?.isEmpty == true ? labels.dropFirst() : labels[...]
        guard !named.isEmpty,
            named.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(Self.isNameByte) })
        else { return nil }
        // Four numbers that are no address are a mistake, and no name ends in a number.
        guard named.last?.utf8.allSatisfy(\.isDigit) == false else { return nil }
        kind = .name(Array(first.utf8).map(\.lowercased))
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        byte.isDigit || byte == 0x2D || byte == 0x5F || byte.lowercased &- 0x61 < 26
    }

    /// Whether the host of a URI is one of them. A name is not looked up: it fits no address.
    public func fits(_ host: Span<UInt8>) -> Bool {
        switch kind {
        case .network(let address, let bits):
            guard let named = TransportAddress(host: host, port: 0) else { return false }
            let high = Self.mask(bits)
            let low = Self.mask(bits - 64)
            return (named.high ^ address.high) & high == 0 && (named.low ^ address.low) & low == 0
        case .name(let name):
            // A name with a dot at its end is the same name.
            let length =
                host.count > 1 && host[host.count - 1] == 0x2E ? host.count - 1 : host.count
            let isSuffix = name[0] == 0x2E
            guard isSuffix ? length > name.count : length == name.count else { return false }
            let start = length - name.count
            for at in name.indices where host[start + at].lowercased != name[at] { return false }
            return true
        }
    }

    /// The first `bits` of 64 set.
    private static func mask(_ bits: Int) -> UInt64 {
        bits <= 0 ? 0 : bits >= 64 ? .max : ~(.max >> UInt64(bits))
    }
}
