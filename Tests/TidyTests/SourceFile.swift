import Foundation

/// A file of this repository, as text and as code alone.
struct SourceFile: Sendable {
    /// From the repository's root: `Sources/Bytes/Instant.swift`.
    let path: String
    let text: String

    /// The folder below Sources or Tests.
    var room: String {
        let parts = path.split(separator: "/")
        return parts.count > 2 ? String(parts[1]) : ""
    }

    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// The text without comments and without what stands in strings; lines keep their numbers.
    var code: String { withoutComments(text, keepingStrings: false) }
    /// The text without comments.
    var codeAndStrings: String { withoutComments(text, keepingStrings: true) }

    /// `path:line: what` for each line of `text` that a pattern is found in.
    func places(of pattern: String, in text: String, _ what: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
            .filter { $1.range(of: pattern, options: .regularExpression) != nil }
            .map { "\(path):\($0.offset + 1): \(what)" }
    }
}

/// The files and folders of this repository.
enum Repository {
    static let root: String = {
        var parts = #filePath.split(separator: "/")
        parts.removeLast(3)
        return "/" + parts.joined(separator: "/")
    }()

    static func read(_ path: String) -> SourceFile? {
        FileManager.default.contents(atPath: "\(root)/\(path)").map {
            SourceFile(path: path, text: String(decoding: $0, as: UTF8.self))
        }
    }

    /// Every file below a folder whose name ends so, in order.
    static func files(_ folder: String, endingIn endings: [String]) -> [SourceFile] {
        let names =
            FileManager.default.enumerator(atPath: "\(root)/\(folder)")?
            .compactMap { $0 as? String } ?? []
        return names.filter { name in endings.contains { name.hasSuffix($0) } }.sorted()
            .compactMap { read("\(folder)/\($0)") }
    }

    /// The Swift files of every room.
    static let sources = files("Sources", endingIn: [".swift"])
    static let tests = files("Tests", endingIn: [".swift"])

    /// The folders below Sources.
    static let rooms: [String] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(root)/Sources")) ?? []
        return names.filter { name in
            var isFolder: ObjCBool = false
            let exists = FileManager.default.fileExists(
                atPath: "\(root)/Sources/\(name)", isDirectory: &isFolder)
            return exists && isFolder.boolValue
        }.sorted()
    }()
}

/// Blanks comments, and what stands between quotation marks, with spaces; line breaks stay.
///
/// Knows what our sources use: line comments, nested block comments, strings of one and of several
/// lines, raw strings. What is interpolated into a string counts as part of it.
private func withoutComments(_ text: String, keepingStrings: Bool) -> String {
    let bytes = Array(text.utf8)
    var result = bytes
    var at = 0

    func starts(_ prefix: String, at offset: Int) -> Bool {
        bytes[offset...].starts(with: prefix.utf8)
    }
    func blank(_ range: Range<Int>) {
        for offset in range where bytes[offset] != UInt8(ascii: "\n") {
            result[offset] = UInt8(ascii: " ")
        }
    }
    func endOfComment(from start: Int) -> Int {
        var (offset, depth) = (start, 0)
        while offset < bytes.count {
            if starts("/*", at: offset) {
                (offset, depth) = (offset + 2, depth + 1)
            } else if starts("*/", at: offset) {
                (offset, depth) = (offset + 2, depth - 1)
                if depth == 0 { return offset }
            } else {
                offset += 1
            }
        }
        return offset
    }
    func endOfString(from start: Int) -> Int {
        var offset = start
        while offset < bytes.count, bytes[offset] == UInt8(ascii: "#") { offset += 1 }
        let hashes = String(repeating: "#", count: offset - start)
        let quote = starts("\"\"\"", at: offset) ? "\"\"\"" : "\""
        offset += quote.utf8.count
        while offset < bytes.count {
            if starts(quote + hashes, at: offset) {
                return offset + quote.utf8.count + hashes.utf8.count
            }
            if quote == "\"", bytes[offset] == UInt8(ascii: "\n") { return offset }
            offset += starts("\\" + hashes, at: offset) ? 2 + hashes.utf8.count : 1
        }
        return bytes.count
    }

    while at < bytes.count {
        let end: Int
        switch bytes[at] {
        case UInt8(ascii: "/") where starts("//", at: at):
            end = bytes[at...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            blank(at..<end)
        case UInt8(ascii: "/") where starts("/*", at: at):
            end = endOfComment(from: at)
            blank(at..<end)
        case UInt8(ascii: "\""),
            UInt8(ascii: "#") where starts("#\"", at: at):
            end = min(endOfString(from: at), bytes.count)
            if !keepingStrings { blank(at..<end) }
        default:
            end = at + 1
        }
        at = max(end, at + 1)
    }
    return String(decoding: result, as: UTF8.self)
}
