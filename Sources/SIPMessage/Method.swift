package import Bytes

/// A request method (RFC 3261 §7.1 and its extensions); names are case-sensitive.
package enum Method: UInt8, CaseIterable, BitwiseCopyable, Sendable {
    case register, invite, ack, cancel, bye, options, message, subscribe, notify, refer, prack
    case update, info, publish
    /// Any other token.
    case other

    package init(_ bytes: Span<UInt8>, _ range: ByteRange) {
        self = .other
        for method in Method.allCases where method != .other {
            if range.count == method.name.utf8CodeUnitCount, bytes.spells(method.name, in: range) {
                self = method
                return
            }
        }
    }

    package var name: StaticString {
        switch self {
        case .register: "REGISTER"
        case .invite: "INVITE"
        case .ack: "ACK"
        case .cancel: "CANCEL"
        case .bye: "BYE"
        case .options: "OPTIONS"
        case .message: "MESSAGE"
        case .subscribe: "SUBSCRIBE"
        case .notify: "NOTIFY"
        case .refer: "REFER"
        case .prack: "PRACK"
        case .update: "UPDATE"
        case .info: "INFO"
        case .publish: "PUBLISH"
        case .other: ""
        }
    }
}
