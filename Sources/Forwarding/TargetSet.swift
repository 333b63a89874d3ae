internal import Bytes
public import SIPMessage

/// One place that a request was tried at, or is going to be.
public struct Target: BitwiseCopyable, Sendable {
    /// How a target came of the one that was redirected, as its Contact says (RFC 7044 §10.4).
    public enum Mapping: UInt8, BitwiseCopyable, Sendable {
        case unsaid
        /// Another contact of the same user: `rc`.
        case sameUser
        /// Another user: `mp`.
        case otherUser
    }

    /// What is known of a target beside its URI.
    public struct Origin: BitwiseCopyable, Sendable {
        /// The number of the branch whose 3xx named it, from 1; 0 for those of the location service.
        public var parent: UInt16 = 0
        /// How many redirects led to it; 0 for those of the location service.
        public var depth: UInt8 = 0
        /// The status of the 3xx that named it; 0 for those of the location service.
        public var status: UInt16 = 0
        /// What that 3xx says of its user.
        public var mapping = Mapping.unsaid

        public init() {}
    }

    /// Its parts, in ``TargetSet/bytes``.
    public let uri: SIPURI
    /// The number of its branch, from 1; 0 as long as it has none.
    public let number: UInt16
    /// Preference in thousandths, 0 to 1,000.
    public let q: UInt16
    public let origin: Origin

    static var nothing: Target { Target(uri: .nothing, number: 0, q: 0, origin: Origin()) }
}

/// The target set of a request at the moment when a redirect adds to it (RFC 3261 §16.5): no URI
/// enters it that is equivalent to one in it or to the request-URI.
///
/// Room is taken once; ``begin(_:requestURI:)`` empties it for another request. Who calls fills it with
/// what the response context knows, since most calls are never redirected and need none.
public struct TargetSet: ~Copyable {
    public enum Addition: Equatable, Sendable {
        case added
        /// It is there already.
        case known
        /// It is the request-URI the request came with.
        case itself
        /// There is no room for it or its bytes.
        case full
    }

    public private(set) var count = 0
    /// How many of them came of redirects.
    public private(set) var followedCount = 0

    private var targets: RigidBuffer<Target>
    private var uris: ByteBuffer
    private let bytesMax: Int
    private var requestURI = SIPURI.nothing

    /// - Parameters:
    ///   - targetsMax: the most targets of one request.
    ///   - bytesMax: room for the URIs of all of them and the request-URI together, at least
    ///     `MessageIndex.uriBytesMax`.
    public init(targetsMax: Int, bytesMax: Int) {
        precondition(targetsMax > 0 && targetsMax <= 1_024, "a set has up to 1,024 targets")
        precondition(bytesMax >= MessageIndex.uriBytesMax, "the longest request-URI fits")
        self.bytesMax = bytesMax
        targets = RigidBuffer(count: targetsMax, zeroed: .nothing)
        uris = ByteBuffer(bytesMax: bytesMax)
    }

    /// The bytes of the URIs.
    public var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        get { uris.span }
    }

    /// Whether the request came with a SIPS request-URI.
    public var isSecure: Bool { requestURI.scheme == .sips }

    public subscript(place: Int) -> Target {
        precondition(place >= 0 && place < count, "the target is there")
        return targets[place]
    }

    /// Empties the set for another request.
    ///
    /// - Parameter uri: the request-URI that it came with: no redirect leads there again.
    public mutating func begin(_ bytes: Span<UInt8>, requestURI uri: SIPURI) {
        (count, followedCount) = (0, 0)
        uris.clear()
        requestURI = keep(bytes, uri) ?? .nothing
    }

    /// Adds what was tried or is going to be. Two phones behind two NATs may well have the same
    /// contact URI, and both are called, so nothing is compared.
    ///
    /// - Parameter number: of its branch, 0 if it has none yet.
    /// - Returns: `false` if there is no room.
    @discardableResult
    public mutating func add(
        _ bytes: Span<UInt8>, _ uri: SIPURI, number: UInt16, _ origin: Target.Origin
    ) -> Bool {
        append(bytes, uri, 1_000, number, origin)
    }

    /// Adds a contact of a 3xx, unless it is here already or there is no room.
    ///
    /// - Parameter q: in thousandths.
    public mutating func follow(
        _ bytes: Span<UInt8>, _ uri: SIPURI, q: UInt16, _ origin: Target.Origin
    ) -> Addition {
        precondition(q <= 1_000, "a preference is at most 1")
        for place in 0..<count
        where SIPURI.equivalent(uri, in: bytes, targets[place].uri, in: uris.span) {
            return .known
        }
        if SIPURI.equivalent(uri, in: bytes, requestURI, in: uris.span) { return .itself }
        return append(bytes, uri, q, 0, origin) ? .added : .full
    }

    /// Whether a URI is equivalent to one in the set.
    public func has(_ bytes: Span<UInt8>, _ uri: SIPURI) -> Bool {
        for place in 0..<count
        where SIPURI.equivalent(uri, in: bytes, targets[place].uri, in: uris.span) {
            return true
        }
        return false
    }

    /// The place of the target with a branch's number; `nil` if it is not here.
    public func place(ofBranch number: UInt16) -> Int? {
        guard number > 0 else { return nil }
        for place in 0..<count where targets[place].number == number { return place }
        return nil
    }

    private mutating func append(
        _ bytes: Span<UInt8>, _ uri: SIPURI, _ q: UInt16, _ number: UInt16, _ origin: Target.Origin
    ) -> Bool {
        guard count < targets.count, let kept = keep(bytes, uri) else { return false }
        targets[count] = Target(uri: kept, number: number, q: q, origin: origin)
        count += 1
        if origin.depth > 0 { followedCount += 1 }
        return true
    }

    /// A copy of the URI among our bytes; `nil` if there is no room.
    private mutating func keep(_ bytes: Span<UInt8>, _ uri: SIPURI) -> SIPURI? {
        let start = uris.count
        guard uri.whole.count <= bytesMax - start else { return nil }
        uris.append(bytes, uri.whole)
        return try? SIPURI(uris.span, ByteRange(start, uris.count))
    }
}
