public import Bytes

/// A request method (RFC 3261 §7.1 and its extensions); names are case-sensitive.
public enum Method: UInt8, CaseIterable, BitwiseCopyable, Sendable {
    case register, invite, ack, cancel, bye, options, message, subscribe, notify, refer, prack
    case update, info, publish
    /// Any other token.
    case other

    public init(_ bytes: Span<UInt8>, _ range: ByteRange) {
        self = .other
        guard !range.isEmpty else { return }
        switch (range.count, bytes[range.start]) {
        case (3, 0x41): self = Self.take(.ack, bytes, range)
        case (3, 0x42): self = Self.take(.bye, bytes, range)
        case (4, _): self = Self.take(.info, bytes, range)
        case (5, 0x50): self = Self.take(.prack, bytes, range)
        case (5, 0x52): self = Self.take(.refer, bytes, range)
        case (6, 0x43): self = Self.take(.cancel, bytes, range)
        case (6, 0x49): self = Self.take(.invite, bytes, range)
        case (6, 0x4E): self = Self.take(.notify, bytes, range)
        case (6, 0x55): self = Self.take(.update, bytes, range)
        case (7, 0x4D): self = Self.take(.message, bytes, range)
        case (7, 0x4F): self = Self.take(.options, bytes, range)
        case (7, 0x50): self = Self.take(.publish, bytes, range)
        case (8, _): self = Self.take(.register, bytes, range)
        case (9, _): self = Self.take(.subscribe, bytes, range)
        default: break
        }
    }

    private static func take(
        _ method: Method, _ bytes: Span<UInt8>, _ range: ByteRange
    ) -> Method {
        bytes.spells(method.name, in: range) ? method : .other
    }

    public var name: StaticString {
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
