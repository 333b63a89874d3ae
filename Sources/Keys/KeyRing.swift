internal import Bytes

/// The keys of one installation: everything that names or seals is derived from one secret.
///
/// The secret lives in a file of its own, outside the store; a lost one renames every contact ID.
public struct KeyRing: Sendable {
    /// Bytes of secret that ``init(secret:)`` wants.
    public static let secretBytes = 32

    /// Which secret it is, 0…14; part of every contact ID, so that keys can be changed.
    public let identifier: UInt8
    public let addressOfRecord: HashKey
    public let contact: HashKey
    public let contactCheck: HashKey
    public let seal: HashKey
    public let flowToken: HashKey
    public let fingerprint: HashKey
    public let gruuMask: HashKey
    public let gruuCheck: HashKey
    public let clientNonce: HashKey
    public let transaction: HashKey
    public let loop: HashKey

    /// - Precondition: `secret` has ``secretBytes`` bytes.
    public init(secret: Span<UInt8>, identifier: UInt8 = 0) {
        precondition(secret.count == Self.secretBytes, "a secret has 32 bytes")
        precondition(identifier < 15, "a key identifier has four bits, and 15 is nobody's")
        let outer = HashKey(first: secret.load64(at: 0), second: secret.load64(at: 8))
        func derive(_ label: UInt64) -> HashKey {
            var hash = KeyedHash(wide: outer)
            hash.update(secret, ByteRange(16, 32))
            hash.update(word: label)
            let (first, second) = hash.finish128()
            return HashKey(first: first, second: second)
        }
        self.identifier = identifier
        addressOfRecord = derive(1)
        contact = derive(2)
        contactCheck = derive(3)
        seal = derive(4)
        flowToken = derive(5)
        fingerprint = derive(6)
        gruuMask = derive(7)
        gruuCheck = derive(8)
        clientNonce = derive(9)
        transaction = derive(10)
        loop = derive(11)
    }
}

/// The keyed hash of a canonical address of record (RFC 3261 §10.3 step 5).
public struct AORKey: Hashable, BitwiseCopyable, Sendable {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// - Parameter canonical: the bytes of the canonical AOR.
    public init(_ canonical: Span<UInt8>, under keys: KeyRing) {
        var hash = KeyedHash(wide: keys.addressOfRecord)
        hash.update(canonical)
        (high, low) = hash.finish128()
    }

    /// The bits by which its owner is found; contact IDs and seals carry them along.
    public var steering: SteeringBits { SteeringBits(UInt32(truncatingIfNeeded: high >> 44)) }
}

/// The top 20 bits of an AOR key: enough to find its owner among up to 64 workers.
public struct SteeringBits: Hashable, BitwiseCopyable, Sendable {
    public let value: UInt32

    /// - Precondition: below 2²⁰.
    public init(_ value: UInt32) {
        precondition(value < 1 << 20, "steering bits are twenty")
        self.value = value
    }

    /// The worker that owns every AOR with these bits: each owns one run of the key space, so the
    /// number of workers may change without rewriting anything.
    public func owner(among workers: Int) -> Int { (Int(value) * workers) >> 20 }

    /// Bits that a worker owns, whatever AORs there are.
    ///
    /// - Precondition: `worker` is one of `workers`.
    public init(ownedBy worker: Int, among workers: Int) {
        precondition(worker >= 0 && worker < workers, "an owner is one of the workers")
        self.init(UInt32(((worker << 20) + workers - 1) / workers))
    }
}
