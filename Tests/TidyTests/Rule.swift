import Foundation

/// One convention: what it is called, and what breaks it in a file.
struct Rule: Sendable {
    let name: String
    /// A line for each breach; empty if there is none.
    let breaches: @Sendable (SourceFile) -> [String]

    /// Rules that hold for each Swift file in Sources.
    static let forSources: [Rule] = [
        imports, noFoundation, pureRoomsAskNobody, unsafeAtTheRim, safetyIsExplained,
        noTypeNamedAfterItsModule, noTrapOnInput, notUnchecked, nothingLeftToDo, shortFiles,
    ]
    /// Rules that hold for each Swift file in Tests too.
    static let forTests: [Rule] = [nothingLeftToDo, shortFiles]

    static let imports = Rule(name: "a room imports only what stands below it") { file in
        let allowed = House.mayImport[file.room] ?? []
        return imported(in: file).filter { !allowed.contains($0.module) }
            .map { "\(file.path):\($0.line): \(file.room) must not import \($0.module)" }
    }

    static let noFoundation = Rule(name: "Sources do without Foundation") { file in
        imported(in: file).filter { $0.module.hasPrefix("Foundation") }
            .map { "\(file.path):\($0.line): \($0.module)" }
    }

    static let pureRoomsAskNobody = Rule(name: "pure rooms read no clock, file or socket") { file in
        guard House.pure.contains(file.room) else { return [] }
        let system: Set = ["Glibc", "Dispatch", "CLinux", "Synchronization", "Musl"]
        return imported(in: file).filter { system.contains($0.module) }
            .map { "\(file.path):\($0.line): \($0.module) in a pure room" }
            + file.places(
                of: #"\b(ContinuousClock|SuspendingClock|SystemRandomNumberGenerator)\b"#
                    + #"|\.random\(|\bgetenv\b"#,
                in: file.code, "a clock, chance or the environment in a pure room")
    }

    static let unsafeAtTheRim = Rule(name: "unsafe is said only in the rooms that may") { file in
        guard !House.maySayUnsafe.contains(file.room) else { return [] }
        return file.places(
            of: #"\bunsafe\b|\bUnsafe[A-Z]\w*|@unchecked\b"#, in: file.code,
            "unsafe in \(file.room)")
    }

    static let safetyIsExplained = Rule(name: "a file that says unsafe says why it holds") { file in
        let said = file.places(of: #"\bunsafe\b"#, in: file.code, "unsafe, but no SAFETY comment")
        return file.text.contains("SAFETY:") ? [] : Array(said.prefix(1))
    }

    static let noTypeNamedAfterItsModule = Rule(name: "no type bears its module's name") { file in
        file.places(
            of: #"\b(struct|class|enum|actor|protocol|typealias)\s+"# + file.room + #"\b"#,
            in: file.code, "a type with its module's name hides the module")
    }

    static let noTrapOnInput = Rule(name: "no try! and no fatalError") { file in
        file.places(
            of: #"\btry!|\bfatalError\s*\("#, in: file.code,
            "bad input is a value; a broken promise of ours is a precondition")
    }

    static let notUnchecked = Rule(name: "never -Ounchecked") { file in
        file.places(of: "-O" + "unchecked", in: file.codeAndStrings, "a trap becomes a hole")
    }

    static let nothingLeftToDo = Rule(name: "nothing is left to do in a comment") { file in
        file.places(
            of: #"\b("#
                + ["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].joined(separator: "|")
                + #")\b"#, in: file.text, "finish it, or open an issue")
    }

    static let linesMax = 700
    static let shortFiles = Rule(name: "a file has at most \(linesMax) lines") { file in
        // The last line ends with a line break.
        let count = file.lines.count - (file.text.hasSuffix("\n") ? 1 : 0)
        return count > linesMax ? ["\(file.path): \(count) lines"] : []
    }
}

/// The modules that a file imports, with the lines that say so.
func imported(in file: SourceFile) -> [(module: String, line: Int)] {
    file.code.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
        .compactMap { offset, line in
            let words = line.split(whereSeparator: \.isWhitespace)
            guard let verb = words.firstIndex(of: "import"), verb + 1 < words.count else {
                return nil
            }
            let leading = words[..<verb]
            let accepted = ["internal", "package", "private", "fileprivate", "public"]
            guard leading.allSatisfy({ $0.hasPrefix("@") || accepted.contains(String($0)) }) else {
                return nil
            }
            let kinds: Set = [
                "struct", "class", "enum", "protocol", "func", "var", "let", "typealias",
            ]
            let name = kinds.contains(String(words[verb + 1])) ? verb + 2 : verb + 1
            guard name < words.count else { return nil }
            return (String(words[name].prefix { $0 != "." && $0 != ";" }), offset + 1)
        }
}
