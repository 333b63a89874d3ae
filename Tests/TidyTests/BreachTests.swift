import Testing

/// Each rule, seen to fail: a rule that finds nothing anywhere might as well look at nothing.
@Suite("A breach of a convention")
struct BreachTests {
    struct Sample: Sendable, CustomTestStringConvertible {
        let rule: Rule
        let room: String
        let text: String
        let breaches: Int
        init(_ rule: Rule, _ room: String, _ text: String, breaches: Int = 1) {
            (self.rule, self.room, self.text, self.breaches) = (rule, room, text, breaches)
        }
        var testDescription: String { "\(rule.name): \(text.prefix(60))" }
    }

    @Test(arguments: [
        Sample(.imports, "Registration", "internal import Forwarding\n"),
        Sample(.imports, "SIPMessage", "package import struct Keys.SipHash\n"),
        Sample(.imports, "Bytes", "import Bytes\n@testable import Transport\n", breaches: 2),
        Sample(.imports, "NoSuchRoom", "import Bytes\n"),
        Sample(
            .imports, "Keys", "internal import Bytes  // and not: import Transport\n", breaches: 0),
        Sample(.noFoundation, "midreg", "import FoundationEssentials\n"),
        Sample(.noFoundation, "Appliance", "import Foundation\n"),
        Sample(.pureRoomsAskNobody, "Keys", "internal import Glibc\n"),
        Sample(.pureRoomsAskNobody, "MidRegistrarCore", "import Dispatch\n"),
        Sample(.pureRoomsAskNobody, "Registration", "let now = ContinuousClock.now\n"),
        Sample(.pureRoomsAskNobody, "Forwarding", "let x = UInt8.random(in: 0...9)\n"),
        Sample(.pureRoomsAskNobody, "Transport", "internal import Glibc\n", breaches: 0),
        Sample(.unsafeAtTheRim, "Registration", "let x = unsafe f()\n"),
        Sample(.unsafeAtTheRim, "Appliance", "let p: UnsafeRawPointer\n"),
        Sample(.unsafeAtTheRim, "SIPMessage", "final class X: @unchecked Sendable {}\n"),
        Sample(.unsafeAtTheRim, "SIPMessage", "/// unsafe\nlet x = \"unsafe\"\n", breaches: 0),
        Sample(.unsafeAtTheRim, "Bytes", "let x = unsafe f()\n", breaches: 0),
        Sample(.safetyIsExplained, "Bytes", "let x = unsafe f()\n"),
        Sample(.safetyIsExplained, "Bytes", "// SAFETY: it is.\nlet x = unsafe f()\n", breaches: 0),
        Sample(.noTypeNamedAfterItsModule, "Forwarding", "package enum Forwarding {}\n"),
        Sample(.noTypeNamedAfterItsModule, "Forwarding", "enum ForwardingRule {}\n", breaches: 0),
        Sample(.noTrapOnInput, "Keys", "let x = try! f()\nfatalError(\"no\")\n", breaches: 2),
        Sample(.noTrapOnInput, "Keys", "/* fatalError( */ let x = #\"try!\"#\n", breaches: 0),
        Sample(.notUnchecked, "Keys", "let flags = [\"-O" + "unchecked\"]\n"),
        Sample(.nothingLeftToDo, "Keys", "// TO" + "DO: later\n// FIX" + "ME\n", breaches: 2),
        Sample(.shortFiles, "Keys", String(repeating: "\n", count: Rule.linesMax + 1)),
        Sample(.shortFiles, "Keys", String(repeating: "\n", count: Rule.linesMax), breaches: 0),
    ])
    func `is found, and nothing else`(sample: Sample) {
        let file = SourceFile(path: "Sources/\(sample.room)/Sample.swift", text: sample.text)
        let breaches = sample.rule.breaches(file)
        #expect(breaches.count == sample.breaches, "\(breaches)")
    }

    @Test func `in the manifest is found`() {
        let manifest = """
            room("A", ["B", .product(name: "Logging", package: "swift-log")]),
            room(
                "C",
                ["A"]),
            .executableTarget(
                name: "d", dependencies: ["C"], swiftSettings: strict),
            """
        #expect(dependencies(in: manifest) == ["A": ["B", "Logging"], "C": ["A"], "d": ["C"]])
    }

    @Test func `is not seen in a comment or a string`() {
        let text = """
            let a = "x // y" // z
            /* one /* two */ three */ let b = #"a "quoted" word"#
            let c = "\\"" + "d"
            """
        let file = SourceFile(path: "Sources/Keys/Sample.swift", text: text)
        let words = file.code.split(whereSeparator: \.isWhitespace).map(String.init)
        #expect(words == ["let", "a", "=", "let", "b", "=", "let", "c", "=", "+"])
        #expect(file.lines.count == file.code.split(separator: "\n").count)
        #expect(file.codeAndStrings.contains("\"x // y\""))
        #expect(!file.codeAndStrings.contains("three"))
    }
}
