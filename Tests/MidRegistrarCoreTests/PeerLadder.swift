import CoreScene
import Foundation
import Testing

/// One case that a peer was seen in, message by message, and where midreg does other than the peer.
///
/// A page is a list of messages under `== TIME  FROM -> TO`. As they stand they are the peer's and its
/// neighbours'. A line that begins with `- ` is the peer's alone and one that begins with `+ ` is
/// midreg's in its place; a whole message is marked `(peer alone)` or `(midreg alone)`. A line that
/// begins with `# ` says why.
struct PeerLadder: Sendable, CustomTestStringConvertible {
    enum Whose: String {
        case both = ""
        case peer = "(peer alone)"
        case midreg = "(midreg alone)"
    }

    struct Step {
        var ms: UInt64
        var from: String
        var to: String
        var whose = Whose.both
        /// The peer's lines, the start line first.
        var lines: [String] = []
    }

    let name: String
    let page: String
    let settings: [String: String]
    let steps: [Step]

    var testDescription: String { name }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Peers")

    static let all: [PeerLadder] = {
        let pages = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return pages.filter { $0.hasSuffix(".txt") }.sorted().map { name in
            let text = try? String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
            return PeerLadder(String(name.dropLast(4)), text ?? "")
        }
    }()

    init(_ name: String, _ page: String) {
        self.name = name
        self.page = page
        var settings: [String: String] = [:]
        var steps: [Step] = []
        for line in page.components(separatedBy: "\n") where !line.hasPrefix("# ") {
            if line.hasPrefix("settings: ") {
                for pair in line.dropFirst(10).split(separator: " ") {
                    let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
                    settings[parts[0]] = parts[1]
                }
            } else if line.hasPrefix("== ") {
                let words = line.split(separator: " ").map(String.init)
                var step = Step(ms: UInt64(words[1]) ?? 0, from: words[3], to: "")
                if words.count > 5 { step.to = words[5] }
                let note = words.dropFirst(6).joined(separator: " ")
                step.whose = Whose(rawValue: note) ?? .both
                steps.append(step)
            } else if !steps.isEmpty, !line.hasPrefix("+ ") {
                steps[steps.count - 1].lines.append(
                    line.hasPrefix("- ") ? String(line.dropFirst(2)) : line)
            }
        }
        for at in steps.indices {
            while steps[at].lines.last == "" { steps[at].lines.removeLast() }
        }
        self.settings = settings
        self.steps = steps
    }

    /// The page without what a person wrote into it.
    var withoutReasons: String {
        page.components(separatedBy: "\n").filter { !$0.hasPrefix("# ") }.joined(separator: "\n")
    }

    /// The messages in which midreg is other than the peer, and no line says why.
    var withoutReason: [String] {
        var found: [String] = []
        for message in page.components(separatedBy: "\n== ").dropFirst() {
            let lines = message.components(separatedBy: "\n")
            let isOther =
                lines[0].contains(" MID -> ") && lines[0].hasSuffix(" alone)")
                || lines.contains { $0.hasPrefix("- ") || $0.hasPrefix("+ ") }
            if isOther, !lines.contains(where: { $0.hasPrefix("# ") }) { found.append(lines[0]) }
        }
        return found
    }
}

extension PeerLadder.Step {
    var isResponse: Bool { lines[0].hasPrefix("SIP/2.0 ") }

    /// Names the transaction.
    var key: String { first("Call-ID") + " " + first("CSeq") }

    /// Whether it is a request that the peer made itself.
    var isOfItsOwn: Bool { !isResponse && first("From").hasSuffix(";tag=MADE-HERE") }

    /// Where the fields end and the body begins.
    var fields: ArraySlice<String> { lines.prefix { $0 != "" } }

    func first(_ name: String) -> String {
        fields.first { $0.hasPrefix(name + ": ") }.map { String($0.dropFirst(name.count + 2)) }
            ?? ""
    }

    /// The message as it goes over the wire.
    var wire: String {
        lines.joined(separator: "\r\n") + (lines.contains("") ? "\r\n" : "\r\n\r\n")
    }
}
