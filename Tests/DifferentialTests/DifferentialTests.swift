import Comparing
import Foundation
import Testing

/// The long run and what it found: `Tests/Differential/README.md`.
@Suite("Our parser beside sofia-sip")
struct DifferentialTests {
    @Test(.enabled("needs libsofia-sip-ua-dev") { Sofia.program != nil })
    func `differs in nothing but what an RFC decides for us`() throws {
        let comparison = try Comparison(seed: 1, sofia: #require(Sofia.program))
        try comparison.run(20_000)
        #expect(comparison.bothGood > 8_000)
        #expect(comparison.bothBad > 4_000)
        for (key, entry) in comparison.classes where Decided.rule(for: key) == nil {
            Issue.record("\(key): \(entry.ours) or \(entry.theirs), seed 1, number \(entry.number)")
        }
    }

    @Test func `passes what has no defect`() {
        var reading = OurReading()
        for number in 0..<UInt64(5_000) {
            var generator = Generator(seed: 7, number: number)
            let sample = generator.sample()
            guard sample.defect == .none else { continue }
            let fields = reading.read(sample.bytes)
            #expect(fields["verdict"] == "good", "seed 7, number \(number): \(fields)")
        }
    }

    @Test func `a seed and a number name one message`() {
        var one = Generator(seed: 3, number: 14)
        var again = Generator(seed: 3, number: 14)
        var other = Generator(seed: 3, number: 15)
        let bytes = one.sample().bytes
        #expect(bytes == again.sample().bytes)
        #expect(bytes != other.sample().bytes)
    }
}

/// The second reader, built once if the library is there.
private enum Sofia {
    static let program: String? = {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/\(root)/Tests/Differential/build")
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { return nil }
        return String(decoding: text, as: UTF8.self)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }()
}
