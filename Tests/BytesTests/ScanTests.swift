import Bytes
import Testing

@Suite("Bytes read by sixteen")
struct ScanTests {
    /// Every byte at every place of three blocks, at the end of the memory and before padding.
    @Test(arguments: [0, 15, 16])
    func `are the same as bytes read by one`(padding: Int) {
        for length in [1, 16, 18] {
            // What lies behind the end must not be found.
            var bytes =
                Array(repeating: UInt8(ascii: "x"), count: length)
                + Array(repeating: 0x0D, count: padding)
            for place in 0..<length {
                defer { bytes[place] = UInt8(ascii: "x") }
                for byte in UInt8.min...UInt8.max {
                    bytes[place] = byte
                    let isControl = (byte < 0x20 && byte != 0x09) || byte == 0x7F
                    let isPlain =
                        switch byte {
                        case UInt8(ascii: "a")...UInt8(ascii: "z"),
                            UInt8(ascii: "A")...UInt8(ascii: "Z"),
                            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                            UInt8(ascii: "."):
                            true
                        default: false
                        }
                    let control = isControl ? place : length
                    let afterPlain = isPlain ? length : place
                    let span = bytes.span
                    guard span.findControl(from: 0, to: length) == control,
                        span.skipPlain(from: 0, to: length) == afterPlain
                    else {
                        Issue.record("byte \(byte) at \(place) of \(length)")
                        continue
                    }
                    let line = span.findLine(from: 0, to: length)
                    let name = padding >= 16 && place < 16 ? afterPlain : length
                    if line.control != control || line.afterName != name {
                        Issue.record("line: byte \(byte) at \(place) of \(length): \(line)")
                    }
                }
            }
        }
    }
}
