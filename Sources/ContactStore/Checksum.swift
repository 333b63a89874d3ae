internal import Bytes

/// XXH64 over a record's bytes.
///
/// It finds broken disks and torn writes, not attackers: who can write the store's file can write
/// what they like. The seed is the record's number, so a good record under another number is wrong.
package func checksum(_ bytes: Span<UInt8>, seed: UInt64) -> UInt64 {
    let count = bytes.count
    var at = 0
    var hash: UInt64
    if count >= 32 {
        var a = seed &+ prime1 &+ prime2
        var b = seed &+ prime2
        var c = seed
        var d = seed &- prime1
        while at <= count - 32 {
            a = round(a, bytes.load64(at: at))
            b = round(b, bytes.load64(at: at + 8))
            c = round(c, bytes.load64(at: at + 16))
            d = round(d, bytes.load64(at: at + 24))
            at += 32
        }
        hash = rotated(a, 1) &+ rotated(b, 7) &+ rotated(c, 12) &+ rotated(d, 18)
        hash = merged(hash, a)
        hash = merged(hash, b)
        hash = merged(hash, c)
        hash = merged(hash, d)
    } else {
        hash = seed &+ prime5
    }
    hash = hash &+ UInt64(count)
    while at <= count - 8 {
        hash = rotated(hash ^ round(0, bytes.load64(at: at)), 27) &* prime1 &+ prime4
        at += 8
    }
    if at <= count - 4 {
        let low = UInt64(bytes[at]) | UInt64(bytes[at + 1]) << 8
        let high = UInt64(bytes[at + 2]) | UInt64(bytes[at + 3]) << 8
        hash = rotated(hash ^ ((low | high << 16) &* prime1), 23) &* prime2 &+ prime3
        at += 4
    }
    while at < count {
        hash = rotated(hash ^ (UInt64(bytes[at]) &* prime5), 11) &* prime1
        at += 1
    }
    hash = (hash ^ (hash >> 33)) &* prime2
    hash = (hash ^ (hash >> 29)) &* prime3
    return hash ^ (hash >> 32)
}

private let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
private let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
private let prime3: UInt64 = 0x1656_67B1_9E37_79F9
private let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
private let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

private func rotated(_ value: UInt64, _ bits: UInt64) -> UInt64 {
    (value &<< bits) | (value &>> (64 - bits))
}

private func round(_ sum: UInt64, _ word: UInt64) -> UInt64 {
    rotated(sum &+ (word &* prime2), 31) &* prime1
}

private func merged(_ hash: UInt64, _ sum: UInt64) -> UInt64 {
    ((hash ^ round(0, sum)) &* prime1) &+ prime4
}
