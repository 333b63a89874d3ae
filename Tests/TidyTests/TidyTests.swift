import Foundation
import Testing

@Suite("Our conventions")
struct TidyTests {
    @Test(arguments: Rule.forSources)
    func `hold in every source file`(rule: Rule) {
        #expect(!Repository.sources.isEmpty)
        let breaches = Repository.sources.flatMap(rule.breaches)
        #expect(breaches.isEmpty, "\(rule.name):\n\(breaches.joined(separator: "\n"))")
    }

    @Test(arguments: Rule.forTests)
    func `hold in every test where they apply`(rule: Rule) {
        #expect(!Repository.tests.isEmpty)
        let breaches = Repository.tests.flatMap(rule.breaches)
        #expect(breaches.isEmpty, "\(rule.name):\n\(breaches.joined(separator: "\n"))")
    }

    @Test func `hold in the manifest, the scripts and the C sources`() throws {
        let manifest = try #require(Repository.read("Package.swift"))
        let scripts = ["deploy", "perf", ".ci"].flatMap { Repository.files($0, endingIn: [""]) }
        let inC = Repository.files("Sources", endingIn: [".c", ".h", ".cpp"])
        let breaches =
            (scripts + inC + [manifest]).flatMap(Rule.nothingLeftToDo.breaches)
            + inC.flatMap(Rule.shortFiles.breaches) + Rule.notUnchecked.breaches(manifest)
        #expect(breaches.isEmpty, "\(breaches.joined(separator: "\n"))")
    }

    @Test func `give every room with Swift a line in the table of imports`() {
        let rooms = Set(Repository.sources.map(\.room))
        #expect(rooms == Set(House.mayImport.keys))
    }

    /// The compiler's own check of explicit imports finds nothing on 6.3.1, so the manifest alone
    /// holds nobody back; but it must not say more than the table.
    @Test func `let the manifest and the table of imports agree`() throws {
        let manifest = try #require(Repository.read("Package.swift"))
        let declared = dependencies(in: manifest.codeAndStrings)
        for (room, allowed) in House.mayImport {
            let wanted = allowed.subtracting(House.ofTheToolchain)
            #expect(declared[room] == wanted, "\(room)")
        }
    }

    @Test func `keep build folders and the resolved file out of the repository`() throws {
        let lines = try #require(Repository.read(".gitignore")).lines
        #expect(lines.contains(".build/"))
        #expect(lines.contains("Package.resolved"))
    }

    @Test func `describe every room in Sources/README.md`() throws {
        let readme = try #require(Repository.read("Sources/README.md"), "no Sources/README.md")
        for room in Repository.rooms {
            let found = readme.text.range(of: #"\b\#(room)\b"#, options: .regularExpression)
            #expect(found != nil, "\(room) is not described")
        }
    }
}

extension Rule: CustomTestStringConvertible {
    var testDescription: String { name }
}

/// What the manifest lets each room import: every quoted name in its list of dependencies.
func dependencies(in manifest: String) -> [String: Set<String>] {
    let name = #/(?:room\(\s*|executableTarget\(\s*name:\s*)"(?<room>\w+)"/#
    var found: [String: Set<String>] = [:]
    for match in manifest.matches(of: name) {
        let rest = manifest[match.range.upperBound...]
        guard let open = rest.firstIndex(of: "["), let close = rest[open...].firstIndex(of: "]")
        else {
            continue
        }
        let list = rest[open..<close]
            .replacing(#/package:\s*"[^"]*"/#, with: "")
        found[String(match.room)] = Set(list.matches(of: #/"(\w+)"/#).map { String($0.1) })
    }
    return found
}
