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
    @inline(__always) public var lowercaseName: StaticString {
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
        let first = bytes[range.start] | 0x20  // no other byte of a name becomes a letter by that
        switch range.count {
        case 1:
            switch first {
            case 0x76: self = .via  // v
            case 0x66: self = .from  // f
            case 0x74: self = .to  // t
            case 0x69: self = .callID  // i
            case 0x6D: self = .contact  // m
            case 0x6C: self = .contentLength  // l
            case 0x6B: self = .supported  // k
            case 0x63: self = .contentType  // c
            case 0x75: self = .allowEvents  // u
            default: break
            }
        case 2: self = Self.take(.to, bytes, range)
        case 3: self = Self.take(.via, bytes, range)
        case 4:
            switch first {
            case 0x66: self = Self.take(.from, bytes, range)
            case 0x63: self = Self.take(.cseq, bytes, range)
            case 0x70: self = Self.take(.path, bytes, range)
            case 0x64: self = Self.take(.date, bytes, range)
            default: break
            }
        case 5: self = Self.take(.route, bytes, range)
        case 6:
            switch first {
            case 0x73: self = Self.take(.server, bytes, range)
            case 0x72: self = Self.take(.reason, bytes, range)
            default: break
            }
        case 7:
            switch first {
            case 0x63 where bytes[range.start + 1] | 0x20 == 0x6F:
                self = Self.take(.contact, bytes, range)
            case 0x63: self = Self.take(.callID, bytes, range)
            case 0x65: self = Self.take(.expires, bytes, range)
            case 0x72: self = Self.take(.require, bytes, range)
            default: break
            }
        case 9: self = Self.take(.supported, bytes, range)
        case 10:
            switch first {
            case 0x75: self = Self.take(.userAgent, bytes, range)
            case 0x66: self = Self.take(.flowTimer, bytes, range)
            default: break
            }
        case 11:
            switch first {
            case 0x6D: self = Self.take(.minExpires, bytes, range)
            case 0x72: self = Self.take(.retryAfter, bytes, range)
            case 0x75: self = Self.take(.unsupported, bytes, range)
            default: break
            }
        case 12:
            switch first {
            case 0x6D: self = Self.take(.maxForwards, bytes, range)
            case 0x63: self = Self.take(.contentType, bytes, range)
            case 0x72: self = Self.take(.recordRoute, bytes, range)
            case 0x66: self = Self.take(.featureCaps, bytes, range)
            case 0x61: self = Self.take(.allowEvents, bytes, range)
            default: break
            }
        case 13:
            switch first {
            case 0x61: self = Self.take(.authorization, bytes, range)
            case 0x70: self = Self.take(.proxyRequire, bytes, range)
            case 0x73: self = Self.take(.serviceRoute, bytes, range)
            default: break
            }
        case 14: self = Self.take(.contentLength, bytes, range)
        case 15: self = Self.take(.securityServer, bytes, range)
        case 16:
            switch first {
            case 0x77: self = Self.take(.wwwAuthenticate, bytes, range)
            case 0x70: self = Self.take(.pAssociatedURI, bytes, range)
            default: break
            }
        case 18: self = Self.take(.proxyAuthenticate, bytes, range)
        case 19: self = Self.take(.proxyAuthorization, bytes, range)
        default: break
        }
    }

    @inline(__always) private static func take(
        _ name: HeaderName, _ bytes: Span<UInt8>, _ range: ByteRange
    ) -> HeaderName {
        bytes.spellsIgnoringCase(name.lowercaseName, in: range) ? name : .other
    }
}
