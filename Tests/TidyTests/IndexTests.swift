import Foundation
import Testing

/// `Tests/README.md` says which test stands for what; a test that was renamed is noticed here.
@Suite("The index of the tests")
struct IndexTests {
    struct Entry: Sendable, CustomTestStringConvertible {
        /// What it stands for, as in the first column.
        let names: String
        let file: String
        let test: String
        var testDescription: String { "\(names) in \(file)" }
    }

    static let entries: [Entry] = {
        let lines = Repository.read("Tests/README.md")?.lines ?? []
        return lines.filter { $0.hasPrefix("| ") }.flatMap { line -> [Entry] in
            let cells = line.components(separatedBy: " | ")
            guard cells.count == 3 else { return [] }
            let names = cells[0].dropFirst(2).replacingOccurrences(of: "`", with: "")
            let tests = cells[2].components(separatedBy: "`")
            return tests.enumerated().filter { $0.offset % 2 == 1 }.map { _, text in
                let parts = text.components(separatedBy: ": ")
                return Entry(
                    names: names, file: parts[0],
                    test: parts.dropFirst().joined(separator: ": "))
            }
        }
    }()

    @Test func `is there`() { #expect(Self.entries.count > 100) }

    @Test(arguments: entries)
    func `names tests that exist and say what they stand for`(entry: Entry) throws {
        let files = Repository.tests.filter { $0.path.hasSuffix("/\(entry.file).swift") }
        let cases = files.filter { $0.text.contains("testDescription: \"\(entry.test)\"") }
        if !cases.isEmpty { return }
        let found = files.compactMap { file -> String? in
            file.text.range(of: "func `\(entry.test)`").map { range in
                // Its name, and the comment and the arguments before it.
                let before = file.text[..<range.upperBound]
                let start = before.range(of: "\n    }\n", options: .backwards)
                return String(before[(start?.upperBound ?? before.startIndex)...])
            }
        }
        let text = try #require(found.first, "\(entry.file) has no test `\(entry.test)`")
        let line = text.replacingOccurrences(
            of: "\n *///? *", with: " ", options: .regularExpression)
        #expect(line.contains(entry.names), "`\(entry.test)` does not say \(entry.names)")
    }
}
