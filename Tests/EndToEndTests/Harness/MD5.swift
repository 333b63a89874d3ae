import Foundation

/// MD5 in hexadecimal (RFC 1321), for the phones' digest answers; the product's own is not used, so
/// that a mistake in it cannot hide behind itself.
func md5(_ text: String) -> String {
    let shifts: [[UInt32]] = [
        [7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21],
    ]
    let constants = (0..<64).map { UInt32(abs(sin(Double($0 + 1))) * 4_294_967_296) }
    var bytes = Array(text.utf8)
    let bitCount = UInt64(bytes.count) * 8
    bytes.append(0x80)
    while bytes.count % 64 != 56 { bytes.append(0) }
    for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: bitCount >> UInt64(8 * shift))) }

    var state: [UInt32] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476]
    for block in stride(from: 0, to: bytes.count, by: 64) {
        let words = (0..<16).map { word in
            (0..<4).reduce(UInt32(0)) {
                $0 | UInt32(bytes[block + word * 4 + $1]) << UInt32(8 * $1)
            }
        }
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        for step in 0..<64 {
            var mixed: UInt32
            let word: Int
            switch step / 16 {
            case 0: (mixed, word) = ((b & c) | (~b & d), step)
            case 1: (mixed, word) = ((d & b) | (~d & c), (5 * step + 1) % 16)
            case 2: (mixed, word) = (b ^ c ^ d, (3 * step + 5) % 16)
            default: (mixed, word) = (c ^ (b | ~d), (7 * step) % 16)
            }
            mixed = mixed &+ a &+ constants[step] &+ words[word]
            let shift = shifts[step / 16][step % 4]
            (a, d, c, b) = (d, c, b, b &+ (mixed << shift | mixed >> (32 - shift)))
        }
        state = [state[0] &+ a, state[1] &+ b, state[2] &+ c, state[3] &+ d]
    }
    var digest = ""
    for word in state {
        for byte in 0..<4 {
            let value = UInt8(truncatingIfNeeded: word >> UInt32(8 * byte))
            digest += (value < 16 ? "0" : "") + String(value, radix: 16)
        }
    }
    return digest
}
