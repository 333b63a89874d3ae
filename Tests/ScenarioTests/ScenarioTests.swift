import Foundation
import Testing

@Suite("Scenarios")
struct ScenarioTests {
    @Test(arguments: Scenarios.files)
    func `go as they say`(file: ScenarioFile) throws {
        let scenario: Scenario
        do throws(Complaint) {
            scenario = try ScenarioParser.parse(file.text, file: file.name)
        } catch {
            report(error)
            return
        }
        guard let reason = scenario.pending else {
            play(scenario)
            return
        }
        // One that goes through all the same is a failure: its line "pending" has to go.
        do {
            _ = try Player.play(scenario)
            Issue.record("\(scenario.title) goes through, and is said to be pending: \(reason)")
        } catch {
            if Scenarios.chosen != nil { print("\(scenario.title), pending: \(reason)\n\(error)") }
        }
    }

    private func play(_ scenario: Scenario) {
        do {
            let ladder = try Player.play(scenario)
            if Scenarios.chosen != nil { print("\(scenario.title)\n\(ladder)") }
        } catch let complaint as Complaint {
            report(complaint)
        } catch {
            Issue.record(error)
        }
    }

    private func report(_ complaint: Complaint) {
        Issue.record(
            Comment(rawValue: complaint.description),
            sourceLocation: SourceLocation(
                fileID: "Scenarios/\(complaint.file)",
                filePath: Scenarios.folder.appending(path: complaint.file).path,
                line: complaint.line, column: 1))
    }

    @Test func `that cannot pass yet are counted and say why`() throws {
        let read = Scenarios.files.compactMap { try? ScenarioParser.parse($0.text, file: $0.name) }
        let pending = read.filter { $0.pending != nil }
        print("\(read.count) scenarios, \(pending.count) of them pending:")
        for scenario in pending { print("  \(scenario.title): \(scenario.pending ?? "")") }
        #expect(pending.allSatisfy { ($0.pending ?? "").count > 10 })
    }

    @Test(
        .enabled(if: Scenarios.chosen == nil),
        arguments: [
            ("CAN", 1...10), ("RED", 1...9), ("ACK", 1...6), ("SIPI", 1...1), ("PRX", 1...5),
            ("MID", 3...4), ("VAL", 1...5), ("ROUTE", 1...4), ("TGT", 1...4), ("FORK", 1...7),
            ("BEST", 1...6), ("TRY", 1...2), ("INV", 1...6), ("ACC", 1...4), ("MATCH", 1...3),
            ("BREADTH", 1...3), ("LOOP", 1...2),
        ]
    )
    func `show every point`(family: String, numbers: ClosedRange<Int>) {
        let titles = Scenarios.files.map { $0.text.dropFirst(2).prefix { $0 != "\n" } }
        for point in numbers.map({ "\(family)-\($0)" }) {
            let shown = titles.contains { $0.hasPrefix(point + ":") || $0.hasPrefix(point + "-") }
            #expect(shown, "\(point) has no scenario")
        }
    }

    @Test func `have titles of their own`() {
        let titles = Scenarios.files.map { $0.text.prefix { $0 != "\n" } }
        #expect(titles.count == Set(titles).count)
    }
}

struct ScenarioFile: Sendable, CustomTestStringConvertible {
    let name: String
    let text: String

    var testDescription: String {
        "\(name): \(text.prefix { $0 != "\n" }.dropFirst(2))"
    }
}

enum Scenarios {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Scenarios")

    /// Those to play, by a part of their name or title; all, if nothing is said.
    static let chosen = ProcessInfo.processInfo.environment["SIPFLOW"].flatMap {
        $0.isEmpty ? nil : $0
    }

    static let files: [ScenarioFile] = {
        let found = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
        let urls = (found?.compactMap { $0 as? URL } ?? []).filter { $0.pathExtension == "sipflow" }
        return urls.sorted { $0.path < $1.path }.compactMap { url in
            guard let text = try? String(contentsOf: url, encoding: .utf8) else { return nil }
            let name = url.path.dropFirst(folder.path.count + 1)
            let file = ScenarioFile(name: String(name), text: text)
            return chosen.map { file.testDescription.contains($0) } ?? true ? file : nil
        }
    }()
}
