internal import Bytes
public import SIPMessage

/// One place a request is to be tried at.
public struct Target: BitwiseCopyable, Sendable {
    /// How a target came of the one that was redirected, as its Contact says (RFC 7044 §10.4).
    public enum Mapping: UInt8, BitwiseCopyable, Sendable {
        case unsaid
        /// Another contact of the same user: `rc`.
        case sameUser
        /// Another user: `mp`.
        case otherUser
    }

    enum State: UInt8, BitwiseCopyable { case waiting, due, started, finished }

    /// Its parts, in ``TargetSet/bytes``.
    public let uri: SIPURI
    /// The caller's own: what the set does not look at.
    public let payload: UInt64
    /// Preference in thousandths, 0 to 1,000.
    public let q: UInt16
    /// How many redirects led to it; 0 for a binding.
    public let depth: UInt16
    /// The status of the 3xx that named it; 0 for a binding.
    public let status: UInt16
    /// What that 3xx says of its user.
    public let mapping: Mapping
    /// 0 for those of the location service, else one more than the number of the target whose 3xx
    /// named it.
    let chain: UInt16
    var state = State.waiting

    static var nothing: Target {
        Target(
            uri: .nothing, payload: 0, q: 0, depth: 0, status: 0, mapping: .unsaid, chain: 0)
    }
}

/// The target set of a response context (RFC 3261 §16.5 to §16.7): what is tried, in which order,
/// nothing twice.
///
/// By `q`, equal ones are tried at the same time, and lower ones when all before have failed; one
/// without `q` counts as 1. A `q` of 0 is the last in order and is called too: RFC 3261 knows no
/// preference that means never, and a phone that does not want calls does not register.
///
/// Contacts of a 3xx are tried at once, whatever else rings, among themselves by `q`; what stands
/// lower than the target that was redirected waits for them, as for all that came of it.
///
/// The caller opens a group, starts each target of it, tells the end of each, and opens the next:
/// ``openGroup()``, ``startNext()``, ``finish(_:)``. Room is taken once; ``begin(_:requestURI:_:)``
/// empties it for another request.
public struct TargetSet: ~Copyable {
    public enum Order: UInt8, BitwiseCopyable, Sendable {
        /// Equal `q` at the same time, lower ones after them.
        case byQ
        /// All at the same time.
        case allAtOnce
    }

    public enum Addition: Equatable, Sendable {
        /// It has this number.
        case added(Int)
        /// It is there already.
        case known
        /// It is the request-URI the request came with.
        case itself
        /// There is no room for it or its bytes.
        case full
        /// Nothing more is tried.
        case stopped
    }

    public private(set) var order = Order.byQ
    /// How many targets there are; they are numbered from 0.
    public private(set) var count = 0
    /// How many of them came of redirects.
    public private(set) var followedCount = 0
    /// Whether nothing more is tried.
    public private(set) var isStopped = false

    private var targets: RigidBuffer<Target>
    private var uris: ByteBuffer
    private let bytesMax: Int
    private var requestURI = SIPURI.nothing

    /// - Parameters:
    ///   - targetsMax: the most branches of one request, at most 1,024.
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

    public subscript(number: Int) -> Target {
        precondition(number >= 0 && number < count, "the target is there")
        return targets[number]
    }

    // MARK: Adding

    /// Empties the set for another request.
    ///
    /// - Parameter uri: the request-URI that it came with: no redirect leads there again.
    public mutating func begin(_ bytes: Span<UInt8>, requestURI uri: SIPURI, _ order: Order) {
        (count, followedCount, isStopped) = (0, 0, false)
        self.order = order
        uris.clear()
        requestURI = keep(bytes, uri) ?? .nothing
    }

    /// Adds a binding. Bindings are told apart by `payload` alone: two phones behind two NATs may well
    /// have the same contact URI, and both are called.
    ///
    /// - Parameter q: in thousandths, 1,000 if the contact has none.
    public mutating func add(
        _ bytes: Span<UInt8>, _ uri: SIPURI, q: UInt16, payload: UInt64
    ) -> Addition {
        for number in 0..<count where targets[number].chain == 0 {
            if targets[number].payload == payload { return .known }
        }
        return append(bytes, uri, q, payload, depth: 0, status: 0, .unsaid, chain: 0)
    }

    /// Adds a contact of the 3xx that `parent` answered, before the end of `parent` is told. No URI
    /// is tried that is equivalent to one that was (§16.5), a binding's included.
    public mutating func follow(
        _ bytes: Span<UInt8>, _ uri: SIPURI, q: UInt16, payload: UInt64, from parent: Int,
        status: UInt16, _ mapping: Target.Mapping
    ) -> Addition {
        precondition(
            parent >= 0 && parent < count && targets[parent].state == .started,
            "who redirects was asked")
        if let place = place(of: bytes, uri) { return place }
        let added = append(
            bytes, uri, q, payload, depth: targets[parent].depth + 1,
            status: status, mapping, chain: UInt16(parent + 1))
        if case .added = added { followedCount += 1 }
        return added
    }

    /// Whether a URI is equivalent to one in the set.
    public func has(_ bytes: Span<UInt8>, _ uri: SIPURI) -> Bool { place(of: bytes, uri) == .known }

    private func place(of bytes: Span<UInt8>, _ uri: SIPURI) -> Addition? {
        for number in 0..<count
        where SIPURI.equivalent(uri, in: bytes, targets[number].uri, in: uris.span) {
            return .known
        }
        return SIPURI.equivalent(uri, in: bytes, requestURI, in: uris.span) ? .itself : nil
    }

    private mutating func append(
        _ bytes: Span<UInt8>, _ uri: SIPURI, _ q: UInt16, _ payload: UInt64, depth: UInt16,
        status: UInt16, _ mapping: Target.Mapping, chain: UInt16
    ) -> Addition {
        precondition(q <= 1_000, "a preference is at most 1")
        guard !isStopped else { return .stopped }
        guard count < targets.count, let kept = keep(bytes, uri) else { return .full }
        targets[count] = Target(
            uri: kept, payload: payload, q: q, depth: depth, status: status, mapping: mapping,
            chain: chain)
        count += 1
        return .added(count - 1)
    }

    /// A copy of the URI among our bytes; `nil` if there is no room.
    private mutating func keep(_ bytes: Span<UInt8>, _ uri: SIPURI) -> SIPURI? {
        let start = uris.count
        guard uri.whole.count <= bytesMax - start else { return nil }
        uris.append(bytes, uri.whole)
        return try? SIPURI(uris.span, ByteRange(start, uris.count))
    }

    // MARK: Trying

    /// Finds what is to be tried now, and says how many they are; ``startNext()`` gives them out.
    public mutating func openGroup() -> Int {
        var due = 0
        for number in 0..<count where targets[number].state == .waiting && isNext(number) {
            targets[number].state = .due
            due += 1
        }
        return due
    }

    /// The number of a target of the open group, which counts as started; `nil` after the last.
    public mutating func startNext() -> Int? {
        for number in 0..<count where targets[number].state == .due {
            targets[number].state = .started
            return number
        }
        return nil
    }

    /// Notes that the branch of a target has ended without success.
    public mutating func finish(_ number: Int) {
        precondition(
            number >= 0 && number < count && targets[number].state == .started,
            "who ends was begun")
        targets[number].state = .finished
    }

    /// Tries nothing more: somebody answered, refused for all (6xx), or the caller gave up.
    public mutating func stop() {
        isStopped = true
        for number in 0..<count where targets[number].state < .started {
            targets[number].state = .finished
        }
    }

    /// The number of the target whose 3xx named this one; `nil` for a binding.
    public func parent(of number: Int) -> Int? {
        precondition(number >= 0 && number < count, "the target is there")
        return targets[number].chain > 0 ? Int(targets[number].chain) - 1 : nil
    }

    /// Whether all that was to be tried has ended.
    public var isFinished: Bool {
        for number in 0..<count where targets[number].state != .finished { return false }
        return true
    }

    /// Whether nothing that is not over stands before a target: neither another of its chain with a
    /// higher `q`, nor what came of one by redirects.
    private func isNext(_ number: Int) -> Bool {
        guard order == .byQ else { return true }
        let mine = targets[number]
        for other in 0..<count where targets[other].state != .finished {
            if let q = preference(of: other, in: mine.chain), q > mine.q { return false }
        }
        return true
    }

    /// The `q` of the target in `chain` that another is or came of; `nil` if it came of none there.
    private func preference(of number: Int, in chain: UInt16) -> UInt16? {
        var at = number
        while targets[at].chain != chain {
            guard targets[at].chain > 0 else { return nil }
            at = Int(targets[at].chain) - 1
        }
        return targets[at].q
    }
}

extension Target.State: Comparable {
    static func < (one: Self, other: Self) -> Bool { one.rawValue < other.rawValue }
}
