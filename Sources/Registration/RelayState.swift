public import Bytes
public import Keys

/// What the answer to a relayed REGISTER needs: it travels in our Via's seal, so nothing has to be
/// kept for it. Bytes: flags, flow, then each contact, then the request-URI if it is not the plain
/// one of the AOR's domain.
public struct RelayState: Sendable {
    public struct Marks: OptionSet, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        public static let ipv4 = Marks(rawValue: 1)
        public static let wildcard = Marks(rawValue: 2)
        public static let requestURI = Marks(rawValue: 4)
        public static let indirect = Marks(rawValue: 8)
        /// The request carried credentials.
        public static let authorized = Marks(rawValue: 16)
        /// Our own lifetime was asked for, not the phone's.
        public static let throttled = Marks(rawValue: 32)
    }

    public let marks: Marks
    public let flow: Flow
    public let contactCount: Int
    private let contactsStart: Int
    private let end: Int

    // MARK: Writing

    public static func begin(
        _ marks: Marks, _ flow: Flow, contacts: Int, to buffer: inout ByteBuffer
    ) {
        buffer.clear()
        var marks = marks
        if flow.peer.isIPv4 { marks.insert(.ipv4) } else { marks.remove(.ipv4) }
        buffer.append(marks.rawValue)
        if flow.peer.isIPv4 {
            buffer.append(four: UInt32(truncatingIfNeeded: flow.peer.low))
        } else {
            buffer.append(eight: flow.peer.high)
            buffer.append(eight: flow.peer.low)
        }
        buffer.append(two: flow.peer.port)
        buffer.append(two: flow.socket)
        buffer.append(UInt8(truncatingIfNeeded: contacts))
    }

    public static func append(
        _ id: ContactID, askedSeconds: UInt32, _ bytes: Span<UInt8>, _ element: ByteRange,
        to buffer: inout ByteBuffer
    ) {
        buffer.append(eight: id.high)
        buffer.append(eight: id.low)
        buffer.append(four: askedSeconds)
        buffer.append(two: UInt16(truncatingIfNeeded: element.count))
        buffer.append(bytes, element)
    }

    // MARK: Reading

    /// - Returns: `nil` for bytes that are none; they were sealed, so that means another version.
    public init?(_ bytes: Span<UInt8>) {
        guard bytes.count >= 10 else { return nil }
        marks = Marks(rawValue: bytes[0])
        var at = 1
        let high: UInt64
        let low: UInt64
        if marks.contains(.ipv4) {
            high = 0
            low = 0xFFFF_0000_0000 | UInt64(bytes.four(at: 1))
            at = 5
        } else {
            guard bytes.count >= 22 else { return nil }
            high = bytes.load64(at: 1)
            low = bytes.load64(at: 9)
            at = 17
        }
        flow = Flow(
            peer: TransportAddress(high: high, low: low, port: bytes.two(at: at)),
            socket: bytes.two(at: at + 2))
        contactCount = Int(bytes[at + 4])
        contactsStart = at + 5
        end = bytes.count
        guard contactCount <= RegistrationLimits.contactsPerRequestMax else { return nil }
    }

    public struct SealedContact: Sendable {
        public let id: ContactID
        public let askedSeconds: UInt32
        public let element: ByteRange
    }

    /// Where the first contact lies; pass it to ``contact(_:at:)``.
    public var firstContact: Int { contactsStart }

    /// Reads the contact at an offset, and moves it to the next.
    public func contact(_ bytes: Span<UInt8>, at offset: inout Int) -> SealedContact? {
        guard offset + 22 <= end else { return nil }
        let count = Int(bytes.two(at: offset + 20))
        guard offset + 22 + count <= end else { return nil }
        let contact = SealedContact(
            id: ContactID(high: bytes.load64(at: offset), low: bytes.load64(at: offset + 8)),
            askedSeconds: bytes.four(at: offset + 16),
            element: ByteRange(offset + 22, offset + 22 + count))
        offset += 22 + count
        return contact
    }

    /// The request-URI, at the offset after the last contact.
    public func requestURI(at offset: Int) -> ByteRange? {
        marks.contains(.requestURI) && offset <= end ? ByteRange(offset, end) : nil
    }
}
