import Configuration

/// The text of a configuration file.
struct SettingsCase: FuzzCase, ~Copyable {
    mutating func run(_ bytes: Span<UInt8>) -> String? {
        let text = String(decoding: bytes.array, as: UTF8.self)
        let loaded = Settings.load(toml: text, file: "f")
        guard (loaded.settings == nil) == !loaded.errors.isEmpty else {
            return "settings and errors, or neither"
        }
        let lines = text.utf8.count { $0 == UInt8(ascii: "\n") } + 1
        for complaint in loaded.errors + loaded.warnings {
            let shown = complaint.text
            guard !hasNewline(shown) else { return "a complaint of two lines: \(shown)" }
            guard case .file(_, let line, let column) = complaint.place, (1...lines) ~= line,
                column >= 1
            else { return "no place in the file: \(complaint.text)" }
        }
        return nil
    }

    /// Whether a character of it is one by `Character.isNewline`: LF, VT, FF, CR, U+0085, U+2028, U+2029.
    /// Byte by byte, since characters cost more than all that is fuzzed here.
    private func hasNewline(_ text: String) -> Bool {
        var before: (UInt8, UInt8) = (0, 0)
        for byte in text.utf8 {
            switch byte {
            case 0x20..<0x80: break
            case 0x0A...0x0D: return true
            case 0x85 where before.1 == 0xC2: return true
            case 0xA8...0xA9 where before == (0xE2, 0x80): return true
            default: break
            }
            before = (before.1, byte)
        }
        return false
    }
}
