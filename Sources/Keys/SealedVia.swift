public import Bytes

/// State that travels in the branch of our own Via, with a keyed check: an answer brings back what
/// is needed to deal with it, and an answer to nothing we sent is recognised (RFC 3261 §16.11).
///
/// It holds no time and nothing random, so a copy of a request gets the same branch. The raw bytes
/// are check (8), kind (1), steering bits (3), transaction hash (8), body; in base 64 behind the
/// magic cookie.
public struct SealedVia: Sendable {
    public enum Kind: UInt8, Sendable {
        /// A relayed REGISTER; the body says whose.
        case register = 1
        /// A relayed REGISTER whose body did not fit and waits under the transaction hash; no body.
        case registerAside = 2
        /// Any other request that was passed on without state.
        case request = 3
        /// A request of our own; no body.
        case own = 4
        /// An OPTIONS of our own that asks whether a phone is there; no body.
        case ping = 5
        /// A request of our own that asks how the main registrar is; no body.
        case probe = 6
        /// A request that was passed on with state, which may have been forked; the body says what
        /// it was routed by.
        case branch = 7

        var hasBody: Bool { self == .register || self == .request || self == .branch }
    }

    public static let cookie: StaticString = "z9hG4bK"
    /// The longest body that goes into a Via, in bytes.
    public static let bodyMax = 512
    private static let headBytes = 20

    public let kind: Kind
    public let steering: SteeringBits
    public let transaction: UInt64
    /// Where the body lies in the buffer that was opened into.
    public let body: ByteRange

    /// Writes the branch; `scratch` is overwritten.
    public static func write(
        _ kind: Kind, _ steering: SteeringBits, transaction: UInt64, body: borrowing ByteBuffer,
        under keys: KeyRing, scratch: inout ByteBuffer, to outbox: inout Outbox
    ) {
        scratch.clear()
        scratch.append(eight: 0)
        scratch.append(kind.rawValue)
        scratch.append(UInt8(truncatingIfNeeded: steering.value))
        scratch.append(two: UInt16(truncatingIfNeeded: steering.value >> 8))
        scratch.append(eight: transaction)
        if kind.hasBody { scratch.append(body.span) }
        let check = Self.check(scratch.span, keys)
        scratch.put(eight: check, at: 0)
        outbox.write(cookie)
        Base64URL.write(scratch.span, to: &outbox)
    }

    private static func check(_ raw: Span<UInt8>, _ keys: KeyRing) -> UInt64 {
        var hash = KeyedHash(keys.seal)
        hash.update(raw, ByteRange(8, raw.count))
        return hash.finish()
    }

    /// Opens the branch of a response's topmost Via; `nil` if it is not one of ours, whole.
    ///
    /// - Parameter buffer: is overwritten; ``body`` points into it.
    public init?(
        branch: Span<UInt8>, under keys: KeyRing, into buffer: inout ByteBuffer
    ) {
        buffer.clear()
        guard Self.decode(branch, into: &buffer), buffer.count >= Self.headBytes else { return nil }
        let raw = buffer.span
        guard raw.load64(at: 0) == Self.check(raw, keys), let kind = Kind(rawValue: raw[8]),
            let steering = Self.steering(raw)
        else { return nil }
        self.kind = kind
        self.steering = steering
        transaction = raw.load64(at: 12)
        body = ByteRange(Self.headBytes, raw.count)
    }

    private static func decode(_ branch: Span<UInt8>, into buffer: inout ByteBuffer) -> Bool {
        let skip = cookie.utf8CodeUnitCount
        guard branch.count > skip else { return false }
        for index in 0..<skip {
            guard branch[index] == cookie.byte(index) else { return false }
        }
        return Base64URL.read(branch.extracting(skip..<branch.count), into: &buffer)
    }

    private static func steering(_ raw: Span<UInt8>) -> SteeringBits? {
        let value = UInt32(raw[9]) | UInt32(raw[10]) << 8 | UInt32(raw[11]) << 16
        return value < 1 << 20 ? SteeringBits(value) : nil
    }

    /// Kind and steering bits as they stand there, unchecked: only to find the owner, who checks.
    public static func peek(
        branch: Span<UInt8>, scratch: inout ByteBuffer
    ) -> (kind: Kind, steering: SteeringBits)? {
        scratch.clear()
        let skip = cookie.utf8CodeUnitCount
        // Sixteen characters are the first twelve bytes.
        guard branch.count >= skip + 16, decode(branch.extracting(0..<(skip + 16)), into: &scratch),
            let kind = Kind(rawValue: scratch[8]), let steering = steering(scratch.span)
        else { return nil }
        return (kind, steering)
    }
}
