import Bytes
import Testing

@testable import ContactStore

@Suite("A record's checksum")
struct ChecksumTests {
    @Test(
        arguments: [
            ("", 0, 0xEF46_DB37_51D8_E999), ("a", 0, 0xD24E_C4F1_A98C_6E5B),
            ("abc", 0, 0x44BC_2CF5_AD77_0999),
            ("Nobody inspects the spammish repetition", 0, 0xFBCE_A83C_8A37_8BF1),
        ] as [(String, UInt64, UInt64)])
    func `is XXH64`(text: String, seed: UInt64, expected: UInt64) {
        let bytes = Array(text.utf8)
        #expect(checksum(bytes.span, seed: seed) == expected)
    }

    @Test(arguments: [0, 1, 3, 4, 8, 31, 32, 33, 64, 200])
    func `finds every flipped bit and another number`(count: Int) {
        var bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let sum = RecordFrame.sum(bytes.span, number: 7)
        #expect(RecordFrame.sum(bytes.span, number: 8) != sum)
        for bit in 0..<(8 * count) {
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(RecordFrame.sum(bytes.span, number: 7) != sum)
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        }
    }

    @Test
    func `is asked for before a framed record is believed`() {
        let record: [UInt8] = [1, 2, 3]
        var framed = RecordFrame.framed(record, number: 9)
        #expect(framed.count == RecordFrame.bytes + 3)
        #expect(unframed(framed, 9) == record)
        #expect(unframed(framed, 10) == nil)
        for index in framed.indices {
            framed[index] ^= 0x40
            #expect(unframed(framed, 9) == nil)
            framed[index] ^= 0x40
        }
        let short = Array(framed.prefix(8))
        #expect(unframed(short, 9) == nil)
    }
}

private func unframed(_ framed: [UInt8], _ number: UInt64) -> [UInt8]? {
    guard let record = RecordFrame.record(in: framed.span, number: number) else { return nil }
    return copied(record)
}
