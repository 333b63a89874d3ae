import Foundation
import Testing

extension EndToEnd {
    @Suite("The demonstration")
    struct Demonstration {
        @Test func `runs by itself, says what it measured, and leaves nothing`() async throws {
            let folder = try Folder()
            try folder.makeFolder("tmp")
            let child = try Child(
                [Midreg.binary(), "demo", "--phones", "200", "--seconds", "6"],
                log: folder("demo.log"), environment: ["TMPDIR": folder("tmp")])
            try await until(within: .seconds(30), "the demonstration to end") { child.hasEnded }
            #expect(child.ending == .exit(0), "\(child.log)")
            let line = child.log.split(separator: "\n").first { $0.hasPrefix("200 phones ref") }
            let share = line?.firstMatch(of: /\(([0-9.]+) % absorbed\)/).flatMap { Double($0.1) }
            // The few phones that come and go are all that is relayed then.
            #expect((share ?? 0) > 90, "\(child.log)")
            let left = try FileManager.default.contentsOfDirectory(atPath: folder("tmp"))
            #expect(left.isEmpty)
        }
    }
}
