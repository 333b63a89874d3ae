public import Bytes
public import Keys

/// What the answer to a relayed REGISTER needs: it travels in our Via's seal, so nothing has to be
/// kept for it.
///
/// Bytes: flags, flow, lifetime of the AOR's contact, the way behind an edge, then each contact, then
/// the request-URI if it is not the plain one of the AOR's domain.
public struct RelayState: Sendable {
    public struct Marks: OptionSet, Sendable {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }
        public static let ipv4 = Marks(rawValue: 1)
        public static let wildcard = Marks(rawValue: 2)
        public static let requestURI = Marks(rawValue: 4)
        public static let indirect = Marks(rawValue: 8)
        /// The request carried credentials.
        public static let authorized = Marks(rawValue: 16)
        /// Our own lifetime was asked for, not the phone's.
        public static let throttled = Marks(rawValue: 32)
        /// The one contact of the AOR was registered; its lifetime is kept beside.
        public static let shared = Marks(rawValue: 64)
        /// Our Path was put in, the phone's contact was left alone.
        public static let path = Marks(rawValue: 128)
        /// The phone knows Path (RFC 3327 §5.1).
        public static let knowsPath = Marks(rawValue: 256)
        /// The phone asked for GRUUs, and we give them (RFC 5627 §4.1).
        public static let wantsGRUUs = Marks(rawValue: 512)
        /// It came through an edge; the way behind that is kept beside.
        public static let byEdge = Marks(rawValue: 1_024)
    }

    private static let keptBit: UInt16 = 0x8000

    public let marks: Marks
    /// The lifetime asked of the main registrar for the AOR's one contact.
    public let sharedSeconds: UInt32
    public let flow: Flow
    /// See ``Fingerprints/way(_:path:last:)``; 0 without an edge.
    public let way: UInt64
    /// The Path of an edge; empty if it sent none.
    public let path: ByteRange
    public let contactCount: Int
    private let contactsStart: Int
    private let end: Int

    // MARK: Writing

    public static func begin(
        _ marks: Marks, _ flow: Flow, sharedSeconds: UInt32 = 0, contacts: Int,
        to buffer: inout ByteBuffer
    ) {
        beginFlow(marks.subtracting(.byEdge), flow, sharedSeconds, &buffer)
        buffer.append(UInt8(truncatingIfNeeded: contacts))
    }

    /// Begins the state of a request that came through an edge.
    public static func begin(
        _ marks: Marks, _ flow: Flow, sharedSeconds: UInt32, way: UInt64,
        path: borrowing ByteBuffer, contacts: Int, to buffer: inout ByteBuffer
    ) {
        beginFlow(marks.union(.byEdge), flow, sharedSeconds, &buffer)
        buffer.append(eight: way)
        buffer.append(two: UInt16(truncatingIfNeeded: path.count))
        buffer.append(path, ByteRange(0, path.count))
        buffer.append(UInt8(truncatingIfNeeded: contacts))
    }

    private static func beginFlow(
        _ marks: Marks, _ flow: Flow, _ sharedSeconds: UInt32, _ buffer: inout ByteBuffer
    ) {
        buffer.clear()
        var marks = marks
        if flow.peer.isIPv4 { marks.insert(.ipv4) } else { marks.remove(.ipv4) }
        buffer.append(two: marks.rawValue)
        if flow.peer.isIPv4 {
            buffer.append(four: UInt32(truncatingIfNeeded: flow.peer.low))
        } else {
            buffer.append(eight: flow.peer.high)
            buffer.append(eight: flow.peer.low)
        }
        buffer.append(two: flow.peer.port)
        buffer.append(two: flow.socket)
        if marks.contains(.shared) { buffer.append(four: sharedSeconds) }
    }

    /// - Parameter isKept: see ``SealedContact/isKept``.
    public static func append(
        _ id: ContactID, askedSeconds: UInt32, isKept: Bool = false, _ bytes: Span<UInt8>,
        _ element: ByteRange, to buffer: inout ByteBuffer
    ) {
        buffer.append(eight: id.high)
        buffer.append(eight: id.low)
        buffer.append(four: askedSeconds)
        // A contact has less than 2^15 bytes.
        buffer.append(
            two: UInt16(truncatingIfNeeded: element.count) & ~keptBit | (isKept ? keptBit : 0))
        buffer.append(bytes, element)
    }

    // MARK: Reading

    /// - Returns: `nil` for bytes that are none; they were sealed, so that means another version.
    public init?(_ bytes: Span<UInt8>) {
        guard bytes.count >= 11 else { return nil }
        marks = Marks(rawValue: bytes.two(at: 0))
        var at = 2
        let high: UInt64
        let low: UInt64
        let tail =
            5 + (marks.contains(.shared) ? 4 : 0) + (marks.contains(.byEdge) ? 10 : 0)
        if marks.contains(.ipv4) {
            high = 0
            low = 0xFFFF_0000_0000 | UInt64(bytes.four(at: 2))
            at = 6
        } else {
            guard bytes.count >= 18 + tail else { return nil }
            high = bytes.load64(at: 2)
            low = bytes.load64(at: 10)
            at = 18
        }
        guard bytes.count >= at + tail else { return nil }
        flow = Flow(
            peer: TransportAddress(high: high, low: low, port: bytes.two(at: at)),
            socket: bytes.two(at: at + 2))
        at += 4
        if marks.contains(.shared) {
            sharedSeconds = bytes.four(at: at)
            at += 4
        } else {
            sharedSeconds = 0
        }
        if marks.contains(.byEdge) {
            way = bytes.load64(at: at)
            path = ByteRange(at + 10, at + 10 + Int(bytes.two(at: at + 8)))
            at = path.end
            guard at < bytes.count else { return nil }
        } else {
            way = 0
            path = .none
        }
        contactCount = Int(bytes[at])
        contactsStart = at + 1
        end = bytes.count
        guard contactCount <= RegistrationLimits.contactsPerRequestMax else { return nil }
    }

    public struct SealedContact: Sendable {
        public let id: ContactID
        public let askedSeconds: UInt32
        /// The phone takes a flow away whose contact has others: the main registrar was asked to
        /// keep that contact.
        public let isKept: Bool
        public let element: ByteRange
    }

    /// Where the first contact lies; pass it to ``contact(_:at:)``.
    public var firstContact: Int { contactsStart }

    /// Reads the contact at an offset, and moves it to the next.
    public func contact(_ bytes: Span<UInt8>, at offset: inout Int) -> SealedContact? {
        guard offset + 22 <= end else { return nil }
        let countAndBit = bytes.two(at: offset + 20)
        let count = Int(countAndBit & ~Self.keptBit)
        guard offset + 22 + count <= end else { return nil }
        let contact = SealedContact(
            id: ContactID(high: bytes.load64(at: offset), low: bytes.load64(at: offset + 8)),
            askedSeconds: bytes.four(at: offset + 16), isKept: countAndBit & Self.keptBit != 0,
            element: ByteRange(offset + 22, offset + 22 + count))
        offset += 22 + count
        return contact
    }

    /// The request-URI, at the offset after the last contact.
    public func requestURI(at offset: Int) -> ByteRange? {
        marks.contains(.requestURI) && offset <= end ? ByteRange(offset, end) : nil
    }
}
