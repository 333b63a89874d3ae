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
            guard !complaint.text.contains(where: \.isNewline) else {
                return "a complaint of two lines: \(complaint.text)"
            }
            guard case .file(_, let line, let column) = complaint.place, (1...lines) ~= line,
                column >= 1
            else { return "no place in the file: \(complaint.text)" }
        }
        return nil
    }
}
