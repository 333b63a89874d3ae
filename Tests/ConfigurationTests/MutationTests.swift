import Testing

@testable import Configuration

@Suite("Settings from any text whatever")
struct MutationTests {
    /// A linear congruential generator (Knuth's MMIX), so that every run tries the same texts.
    struct Generator {
        var state: UInt64

        mutating func below(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
    }

    @Test(arguments: 0..<8)
    func `never trap, and are there exactly if there is no error`(seed: Int) {
        var generator = Generator(state: UInt64(seed) &* 0x9E37_79B9 &+ 1)
        let sample = Array(sampleText.utf8)
        #expect(sample.count > 1_000)
        let splices = [
            "[", "]", "\"", "\"\"\"", "'", "=", "\n", "#", "{", "}", ".", ",", "\\", "[[listen]]\n",
            "[main]\n", "\u{0}", "é", "\u{FEFF}", "-", "9999999999999999999", "nan", "inf", "1e308",
            "1979-05-27", "0x7FFFFFFFFFFFFFFF", "[[[[[[[[[[", "a.a.a.a.a.a.a.a.a.a.a.a = 1\n",
            "server = 'sip:[::1'\n", "own = ':'\n", "\"18446744073709551616h\"",
            "\"999999999999d\"",
            "-9223372036854775808", "\r\n",
        ]
        var whole = 0
        for _ in 0..<500 {
            var bytes = sample
            for _ in 0...generator.below(6) {
                let at = generator.below(bytes.count)
                switch generator.below(5) {
                case 0: bytes[at] = UInt8(generator.below(256))
                case 1: bytes.remove(at: at)
                case 2: bytes.removeSubrange(at..<min(bytes.count, at + generator.below(200)))
                case 3:
                    let end = min(bytes.count, at + generator.below(120))
                    bytes.insert(contentsOf: bytes[at..<end], at: generator.below(bytes.count))
                default:
                    bytes.insert(
                        contentsOf: splices[generator.below(splices.count)].utf8, at: at)
                }
                if bytes.isEmpty { bytes = sample }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            let loaded = Settings.load(toml: text, file: "f")
            #expect((loaded.settings == nil) == !loaded.errors.isEmpty)
            for complaint in loaded.errors + loaded.warnings {
                #expect(!complaint.text.contains { $0.isNewline }, "\(complaint.text)")
                guard case .file(_, let line, let column) = complaint.place else {
                    Issue.record("no place in the file: \(complaint.text)")
                    continue
                }
                let lines = text.utf8.count { $0 == UInt8(ascii: "\n") } + 1
                #expect(line >= 1 && line <= lines && column >= 1)
            }
            if loaded.settings != nil { whole += 1 }
        }
        // Both kinds are tried: most of the sample's bytes are comments.
        #expect(whole > 10 && whole < 490)
    }

    @Test
    func `are refused where a text is too long, too wide or too deep`() {
        let wide = leastText + "# " + String(repeating: "x", count: 1_100)
        #expect(
            Settings.load(toml: wide, file: "f").errors.first?.text
                .hasPrefix("f:7:1: the line is longer than 1,024 bytes;") == true)
        let long = String(repeating: "# comment\n", count: 30_000)
        #expect(
            Settings.load(toml: long, file: "f").errors.first?.text
                .hasPrefix("f:1:1: the text is longer than 256 KiB;") == true)
        let deep = "x = " + String(repeating: "[", count: 500)
        #expect(Settings.load(toml: deep, file: "f").settings == nil)
        let dotted = String(repeating: "a.", count: 500) + "a = 1"
        #expect(
            Settings.load(toml: dotted, file: "f").errors.first?.what == "unknown section [a]")
    }
}
