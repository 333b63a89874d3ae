public import Bytes
public import Keys
public import SIPMessage

/// The durable part of a binding: what the main registrar agreed to (the list of what is needed to
/// serve it after a restart, to judge its next refresh, and to remove it).
///
/// Times are on midreg's timeline. The layout is fixed fields, then the strings one after the other.
public struct Fact: Sendable {
    /// 2: the identity of a contact with push parameters is made of these. 3: it tells the flows of an
    /// instance apart. Earlier versions are read too; a fact is in the newest as soon as the main
    /// registrar confirms it.
    public static let version: UInt8 = 3
    private static let fixedBytes = 216
    private static let stringCount = 9

    public struct Marks: OptionSet, BitwiseCopyable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Lapsed here; the main registrar has still to be told.
        public static let removalOwed = Marks(rawValue: 1)
        /// The main registrar would not be told.
        public static let refused = Marks(rawValue: 2)
        public static let dirty = Marks(rawValue: 4)
        public static let indirect = Marks(rawValue: 8)
        /// The main registrar has one contact for all phones of the AOR.
        public static let shared = Marks(rawValue: 16)
        public static let behindNAT = Marks(rawValue: 32)
        /// Came through an edge; its Path, if it had one, is among the strings.
        public static let byEdge = Marks(rawValue: 128)
    }

    public var aor: AORKey
    public var id: ContactID
    public var identity: UInt64
    public var contactFingerprint: UInt64
    public var callIDFingerprint: UInt64
    public var transaction: UInt64
    public var peer: TransportAddress
    /// The local address of the flow's socket.
    public var local: TransportAddress
    /// The server of the main registrar that granted it.
    public var server: TransportAddress
    public var sequence: UInt32
    public var askedSeconds: UInt32
    public var grantedSeconds: UInt32
    public var mainExpiry: Instant
    public var confirmed: Instant
    public var arrival: Instant
    public var dirtyUntil: Instant
    public var marks: Marks

    public init(aor: AORKey, id: ContactID) {
        self.aor = aor
        self.id = id
        identity = 0
        contactFingerprint = 0
        callIDFingerprint = 0
        transaction = 0
        peer = .none
        local = .none
        server = .none
        sequence = 0
        askedSeconds = 0
        grantedSeconds = 0
        mainExpiry = Instant(milliseconds: 0)
        confirmed = mainExpiry
        arrival = mainExpiry
        dirtyUntil = mainExpiry
        marks = []
    }

    /// The strings of a fact, in the order in which they are kept. A fact that was written without
    /// the last has zeros where its length stands, and none.
    public enum Text: Int, CaseIterable, Sendable {
        case addressOfRecord, contact, callID, requestURI, toURI, fromURI, mainContact, replyBlock
        /// The values of the Path fields that an edge sent (RFC 3327), in their order, between commas.
        case path
    }

    /// Begins the bytes of a fact; its strings follow, each by ``append(_:_:to:)``, in order.
    public func begin(_ buffer: inout ByteBuffer) {
        buffer.clear()
        buffer.append(Self.version)
        buffer.append(marks.rawValue)
        buffer.append(two: 0)
        buffer.append(four: sequence)
        buffer.append(eight: aor.high)
        buffer.append(eight: aor.low)
        buffer.append(eight: id.high)
        buffer.append(eight: id.low)
        buffer.append(eight: identity)
        buffer.append(eight: contactFingerprint)
        buffer.append(eight: callIDFingerprint)
        buffer.append(eight: transaction)
        Self.append(peer, to: &buffer)
        Self.append(local, to: &buffer)
        Self.append(server, to: &buffer)
        buffer.append(four: askedSeconds)
        buffer.append(four: grantedSeconds)
        buffer.append(eight: mainExpiry.milliseconds)
        buffer.append(eight: confirmed.milliseconds)
        buffer.append(eight: arrival.milliseconds)
        buffer.append(eight: dirtyUntil.milliseconds)
        for _ in 0..<Self.stringCount { buffer.append(two: 0) }
        while buffer.count < Self.fixedBytes { buffer.append(0) }
    }

    private static func append(_ address: TransportAddress, to buffer: inout ByteBuffer) {
        buffer.append(eight: address.high)
        buffer.append(eight: address.low)
        buffer.append(eight: UInt64(address.port))
    }

    private static func lengthOffset(_ text: Text) -> Int { 184 + 2 * text.rawValue }

    /// Appends the next string.
    public static func append(
        _ text: Text, _ bytes: Span<UInt8>, _ range: ByteRange, to buffer: inout ByteBuffer
    ) {
        let length = UInt16(truncatingIfNeeded: min(range.count, 65_535))
        buffer[lengthOffset(text)] = UInt8(truncatingIfNeeded: length)
        buffer[lengthOffset(text) + 1] = UInt8(truncatingIfNeeded: length >> 8)
        buffer.append(bytes, range)
    }

    /// Appends the next string, which is all of `bytes`.
    public static func append(
        _ text: Text, _ bytes: borrowing ByteBuffer, to buffer: inout ByteBuffer
    ) {
        append(text, bytes.span, ByteRange(0, bytes.count), to: &buffer)
    }

    /// Says how long the string is that was written into the buffer since `start`.
    public static func close(_ text: Text, from start: Int, in buffer: inout ByteBuffer) {
        let length = UInt16(truncatingIfNeeded: min(buffer.count - start, 65_535))
        buffer[lengthOffset(text)] = UInt8(truncatingIfNeeded: length)
        buffer[lengthOffset(text) + 1] = UInt8(truncatingIfNeeded: length >> 8)
    }

    private static func isReadable(_ version: UInt8) -> Bool { 1...Self.version ~= version }

    /// Reads a fact; `nil` for bytes of no version that is known.
    public init?(_ bytes: Span<UInt8>) {
        guard bytes.count >= Self.fixedBytes, Self.isReadable(bytes[0]) else { return nil }
        func address(_ offset: Int) -> TransportAddress {
            TransportAddress(
                high: bytes.load64(at: offset), low: bytes.load64(at: offset + 8),
                port: bytes.two(at: offset + 16))
        }
        marks = Marks(rawValue: bytes[1])
        sequence = bytes.four(at: 4)
        aor = AORKey(high: bytes.load64(at: 8), low: bytes.load64(at: 16))
        id = ContactID(high: bytes.load64(at: 24), low: bytes.load64(at: 32))
        identity = bytes.load64(at: 40)
        contactFingerprint = bytes.load64(at: 48)
        callIDFingerprint = bytes.load64(at: 56)
        transaction = bytes.load64(at: 64)
        peer = address(72)
        local = address(96)
        server = address(120)
        askedSeconds = bytes.four(at: 144)
        grantedSeconds = bytes.four(at: 148)
        mainExpiry = Instant(milliseconds: bytes.load64(at: 152))
        confirmed = Instant(milliseconds: bytes.load64(at: 160))
        arrival = Instant(milliseconds: bytes.load64(at: 168))
        dirtyUntil = Instant(milliseconds: bytes.load64(at: 176))
        var total = Self.fixedBytes
        for text in Text.allCases { total += Int(bytes.two(at: Self.lengthOffset(text))) }
        guard total == bytes.count else { return nil }
    }

    /// Brings what an earlier version made differently to the present one.
    ///
    /// - Parameter bytes: those that the fact was read from.
    public mutating func migrate(_ bytes: Span<UInt8>, _ fingerprints: Fingerprints) {
        guard bytes[0] < Self.version else { return }
        let range = Self.range(of: .contact, in: bytes)
        guard let address = try? NameAddress(bytes, from: range.start, to: range.end),
            let contact = try? ContactRequest(
                bytes, address, headerSeconds: nil, defaultSeconds: askedSeconds)
        else { return }
        identity = fingerprints.flowIdentity(bytes, contact)
    }

    /// The AOR key of a fact's bytes, without reading the rest.
    public static func aorKey(_ bytes: Span<UInt8>) -> AORKey? {
        guard bytes.count >= fixedBytes, isReadable(bytes[0]) else { return nil }
        return AORKey(high: bytes.load64(at: 8), low: bytes.load64(at: 16))
    }

    /// The contact ID of a fact's bytes, without reading the rest.
    public static func contactID(_ bytes: Span<UInt8>) -> ContactID? {
        guard bytes.count >= fixedBytes, isReadable(bytes[0]) else { return nil }
        return ContactID(high: bytes.load64(at: 24), low: bytes.load64(at: 32))
    }

    /// Where a string lies in the bytes of a fact.
    public static func range(of text: Text, in bytes: Span<UInt8>) -> ByteRange {
        guard bytes.count >= fixedBytes else { return .none }
        var start = fixedBytes
        for earlier in 0..<text.rawValue { start += Int(bytes.two(at: 184 + 2 * earlier)) }
        let end = start + Int(bytes.two(at: lengthOffset(text)))
        return end <= bytes.count ? ByteRange(start, end) : .none
    }

    /// The contact of a fact and its URI; `nil` if it cannot be read.
    public static func contact(in bytes: Span<UInt8>) -> (value: NameAddress, uri: SIPURI)? {
        let range = range(of: .contact, in: bytes)
        guard let value = try? NameAddress(bytes, from: range.start, to: range.end),
            let uri = try? SIPURI(bytes, value.uri)
        else { return nil }
        return (value, uri)
    }

    /// The bytes of a fact with another end of what the main registrar holds.
    public static func restamp(_ buffer: inout ByteBuffer, mainExpiry: Instant) {
        buffer.put(eight: mainExpiry.milliseconds, at: 152)
    }

    /// The bytes of a fact with other marks and nothing else changed.
    public static func remark(_ buffer: inout ByteBuffer, _ marks: Marks) {
        buffer[1] = marks.rawValue
    }
}
