public import Bytes

/// 128 bits of key for ``KeyedHash``.
public struct HashKey: Equatable, BitwiseCopyable, Sendable {
    public let first: UInt64
    public let second: UInt64

    public init(first: UInt64, second: UInt64) {
        self.first = first
        self.second = second
    }
}

/// SipHash-2-4, fed piece by piece, with a result of 64 or 128 bits; allocates nothing.
///
/// It is used as a pseudo-random function: whoever does not know the key can neither foresee nor
/// forge a value.
public struct KeyedHash: BitwiseCopyable {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64
    /// Bytes that do not fill a word yet, least significant first.
    private var tail: UInt64 = 0
    private var length: UInt64 = 0

    public init(_ key: HashKey) {
        v0 = key.first ^ 0x736f_6d65_7073_6575
        v1 = key.second ^ 0x646f_7261_6e64_6f6d
        v2 = key.first ^ 0x6c79_6765_6e65_7261
        v3 = key.second ^ 0x7465_6462_7974_6573
    }

    /// A hash for a result of 128 bits; it must end with ``finish128()``.
    public init(wide key: HashKey) {
        self.init(key)
        v1 ^= 0xEE
    }

    private mutating func round() {
        v0 &+= v1
        v1 = (v1 &<< 13) | (v1 &>> 51)
        v1 ^= v0
        v0 = (v0 &<< 32) | (v0 &>> 32)
        v2 &+= v3
        v3 = (v3 &<< 16) | (v3 &>> 48)
        v3 ^= v2
        v0 &+= v3
        v3 = (v3 &<< 21) | (v3 &>> 43)
        v3 ^= v0
        v2 &+= v1
        v1 = (v1 &<< 17) | (v1 &>> 47)
        v1 ^= v2
        v2 = (v2 &<< 32) | (v2 &>> 32)
    }

    private mutating func absorb(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    public mutating func update(_ byte: UInt8) {
        let filled = length & 7
        tail |= UInt64(byte) &<< (8 &* filled)
        length &+= 1
        if filled == 7 {
            absorb(tail)
            tail = 0
        }
    }

    /// Feeds eight bytes, least significant first.
    public mutating func update(word: UInt64) {
        let shift = 8 &* (length & 7)
        length &+= 8
        guard shift > 0 else {
            absorb(word)
            return
        }
        absorb(tail | word &<< shift)
        tail = word &>> (64 &- shift)
    }

    public mutating func update(_ bytes: Span<UInt8>, _ range: ByteRange) {
        var at = range.start
        while range.end - at >= 8 {
            update(word: bytes.load64(at: at))
            at += 8
        }
        while at < range.end {
            update(bytes[at])
            at += 1
        }
    }

    public mutating func update(_ bytes: Span<UInt8>) { update(bytes, ByteRange(0, bytes.count)) }

    private mutating func close() { absorb(tail | (length & 0xFF) &<< 56) }

    public consuming func finish() -> UInt64 {
        close()
        v2 ^= 0xFF
        for _ in 0..<4 { round() }
        return v0 ^ v1 ^ v2 ^ v3
    }

    public consuming func finish128() -> (UInt64, UInt64) {
        close()
        v2 ^= 0xEE
        for _ in 0..<4 { round() }
        let first = v0 ^ v1 ^ v2 ^ v3
        v1 ^= 0xDD
        for _ in 0..<4 { round() }
        return (first, v0 ^ v1 ^ v2 ^ v3)
    }
}
