public import Bytes

/// The header fields that midreg reads; all others are `other` and pass untouched.
public enum HeaderName: UInt8, CaseIterable, BitwiseCopyable, Sendable {
    case via, from, to, callID, cseq, contact, maxForwards, contentLength, expires
    case route, recordRoute, path, require, proxyRequire, supported, unsupported
    case authorization, proxyAuthorization, wwwAuthenticate, proxyAuthenticate
    case minExpires, retryAfter, serviceRoute, pAssociatedURI, featureCaps, flowTimer, allowEvents
    case securityServer, server, date, reason, contentType, userAgent
    case other

    /// Whether a second one makes the message ambiguous (RFC 3261 §7.3.1, §20).
    public var isSingle: Bool {
        switch self {
        case .from, .to, .callID, .cseq, .maxForwards, .contentLength, .expires, .minExpires,
            .retryAfter, .contentType, .date, .flowTimer:
            true
        default: false
        }
    }

    /// Whether its values are addresses, whose display names are quoted strings.
    var holdsAddresses: Bool {
        switch self {
        case .from, .to, .contact, .route, .recordRoute, .path, .serviceRoute, .pAssociatedURI: true
        default: false
        }
    }

    /// The full name in lower case; nothing for `other`.
    public var lowercaseName: StaticString {
        switch self {
        case .via: "via"
        case .from: "from"
        case .to: "to"
        case .callID: "call-id"
        case .cseq: "cseq"
        case .contact: "contact"
        case .maxForwards: "max-forwards"
        case .contentLength: "content-length"
        case .expires: "expires"
        case .route: "route"
        case .recordRoute: "record-route"
        case .path: "path"
        case .require: "require"
        case .proxyRequire: "proxy-require"
        case .supported: "supported"
        case .unsupported: "unsupported"
        case .authorization: "authorization"
        case .proxyAuthorization: "proxy-authorization"
        case .wwwAuthenticate: "www-authenticate"
        case .proxyAuthenticate: "proxy-authenticate"
        case .minExpires: "min-expires"
        case .retryAfter: "retry-after"
        case .serviceRoute: "service-route"
        case .pAssociatedURI: "p-associated-uri"
        case .featureCaps: "feature-caps"
        case .flowTimer: "flow-timer"
        case .allowEvents: "allow-events"
        case .securityServer: "security-server"
        case .server: "server"
        case .date: "date"
        case .reason: "reason"
        case .contentType: "content-type"
        case .userAgent: "user-agent"
        case .other: ""
        }
    }

    /// Reads a name, full or compact, of either case.
    public init(_ bytes: Span<UInt8>, _ range: ByteRange) {
        self = .other
        let first = bytes[range.start].lowercased
        switch (range.count, first) {
        case (1, 0x76): self = .via  // v
        case (1, 0x66): self = .from  // f
        case (1, 0x74): self = .to  // t
        case (1, 0x69): self = .callID  // i
        case (1, 0x6D): self = .contact  // m
        case (1, 0x6C): self = .contentLength  // l
        case (1, 0x6B): self = .supported  // k
        case (1, 0x63): self = .contentType  // c
        case (1, 0x75): self = .allowEvents  // u
        case (2, _): self = Self.take(.to, bytes, range)
        case (3, _): self = Self.take(.via, bytes, range)
        case (4, 0x66): self = Self.take(.from, bytes, range)
        case (4, 0x63): self = Self.take(.cseq, bytes, range)
        case (4, 0x70): self = Self.take(.path, bytes, range)
        case (4, 0x64): self = Self.take(.date, bytes, range)
        case (5, _): self = Self.take(.route, bytes, range)
        case (6, 0x73): self = Self.take(.server, bytes, range)
        case (6, 0x72): self = Self.take(.reason, bytes, range)
        case (7, 0x63):
            self = Self.take(
                bytes[range.start + 1].lowercased == 0x6F ? .contact : .callID, bytes, range)
        case (7, 0x65): self = Self.take(.expires, bytes, range)
        case (7, 0x72): self = Self.take(.require, bytes, range)
        case (9, _): self = Self.take(.supported, bytes, range)
        case (10, 0x75): self = Self.take(.userAgent, bytes, range)
        case (10, 0x66): self = Self.take(.flowTimer, bytes, range)
        case (11, 0x6D): self = Self.take(.minExpires, bytes, range)
        case (11, 0x72): self = Self.take(.retryAfter, bytes, range)
        case (11, 0x75): self = Self.take(.unsupported, bytes, range)
        case (12, 0x6D): self = Self.take(.maxForwards, bytes, range)
        case (12, 0x63): self = Self.take(.contentType, bytes, range)
        case (12, 0x72): self = Self.take(.recordRoute, bytes, range)
        case (12, 0x66): self = Self.take(.featureCaps, bytes, range)
        case (12, 0x61): self = Self.take(.allowEvents, bytes, range)
        case (13, 0x61): self = Self.take(.authorization, bytes, range)
        case (13, 0x70): self = Self.take(.proxyRequire, bytes, range)
        case (13, 0x73): self = Self.take(.serviceRoute, bytes, range)
        case (14, _): self = Self.take(.contentLength, bytes, range)
        case (15, _): self = Self.take(.securityServer, bytes, range)
        case (16, 0x77): self = Self.take(.wwwAuthenticate, bytes, range)
        case (16, 0x70): self = Self.take(.pAssociatedURI, bytes, range)
        case (18, _): self = Self.take(.proxyAuthenticate, bytes, range)
        case (19, _): self = Self.take(.proxyAuthorization, bytes, range)
        default: break
        }
    }

    private static func take(
        _ name: HeaderName, _ bytes: Span<UInt8>, _ range: ByteRange
    ) -> HeaderName {
        bytes.spellsIgnoringCase(name.lowercaseName, in: range) ? name : .other
    }
}
