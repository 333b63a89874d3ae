import Bytes
import CoreScene
import MidRegistrarCore

/// Plays a scenario: everybody but midreg, whose ``WorkerCore`` it drives.
final class Player {
    let scenario: Scenario
    var options = Scene.options()
    var peers: [String: Peer] = [:]
    var letters: [Letter] = []
    /// Messages by the names that a scenario gave them, as places in `letters`.
    var labels: [String: Int] = [:]
    var variables: [String: String] = [:]
    var ignored: [Kind] = []
    var call: String?
    var branches = 0
    var calls = 0
    private var begun: Scene?
    private let start: UInt64 = 1_000_000
    /// The line at hand.
    var line = 0

    /// Plays it to its end; returns what went to and fro.
    @discardableResult
    static func play(_ scenario: Scenario) throws -> String {
        let player = Player(scenario)
        for statement in scenario.statements {
            player.line = statement.line
            try player.perform(statement.action)
        }
        try player.checkNothingLeft(" by the end")
        return player.ladder
    }

    private init(_ scenario: Scenario) {
        self.scenario = scenario
        peers["main"] = Peer("main", source: mainServer, claimed: "127.0.0.1:5070", user: "bob")
    }

    /// The worker, from the first message on.
    var scene: Scene {
        if let begun { return begun }
        let scene = Scene(options, now: start)
        begun = scene
        return scene
    }

    func complaint(_ text: String, at other: Int? = nil) -> Complaint {
        Complaint(file: scenario.file, line: other ?? line, text: text + "\n" + ladder)
    }

    private func perform(_ action: Action) throws {
        switch action {
        case .setting(let name, let value):
            guard begun == nil else { throw complaint("settings stand before the first message") }
            guard let change = Settings.change(name, value) else {
                throw complaint("there is no setting \(name) = \(value)")
            }
            change(&options)
        case .peer(let name, let source, let claimed):
            guard peers[name] == nil else { throw complaint("there is a peer \(name) already") }
            guard let address = TransportAddress(hostPort: source, defaultPort: 5_060) else {
                throw complaint("\(source) is no address")
            }
            peers[name] = Peer(name, source: address, claimed: claimed ?? source)
        case .registered(let peer, let user, let contact, let parts, let edits):
            try register(peer, user: user, contact: contact, parts, edits)
        case .ignoring(let kind): ignored.append(kind)
        case .send(let peer, let outgoing): try send(peer, outgoing)
        case .expect(let when, let peer, let incoming): try expect(when, peer, incoming)
        case .wait(let ms):
            try checkNothingLeft(" before time passes")
            pass(ms)
        case .silence(let ms):
            try checkNothingLeft(" before time passes")
            pass(ms)
            try checkNothingLeft(" in this time")
        case .nothingMore: try checkNothingLeft("")
        case .restart:
            try checkNothingLeft(" before the restart")
            scene.restart()
        case .store(let works): scene.commitsFail = !works
        case .figure(let series, let expected):
            guard let value = Figures.value(series, of: scene) else {
                throw complaint("there is no counter or gauge \(series)")
            }
            guard value == expected else {
                throw complaint("\(series) is \(value), not \(expected)")
            }
        case .define(let name, let value): variables[name] = try filled(value)
        }
    }

    // MARK: Time

    func elapsed() -> UInt64 { scene.now - start }

    /// Lets time pass, with every timer at its moment.
    func pass(_ ms: UInt64) {
        let end = scene.now + ms
        while scene.now < end { take(scene.advanceToTimer(orTo: end)) }
    }

    /// Lets time pass to the moment at which a peer gets something, at most to `end`.
    func passToLetter(for peer: String, orTo end: UInt64) {
        while scene.now < end, !letters.contains(where: { !$0.isExpected && $0.peer == peer }) {
            take(scene.advanceToTimer(orTo: end))
        }
    }

    // MARK: What midreg sends

    func take(_ sent: [Sent]) {
        for one in sent {
            let name =
                peers.values.first { $0.source == one.to }?.name ?? one.to.text
            let message = Message(one.bytes) ?? Message("(no message) \(one.text.debugDescription)")
            letters.append(
                Letter(
                    peer: name, isOut: false, at: elapsed(), message: message, bytes: one.bytes,
                    socket: one.socket, isExpected: ignored.contains(message.kind)))
        }
    }

    /// Every message that nobody expected is a failure.
    func checkNothingLeft(_ when: String) throws {
        let left = letters.filter { !$0.isExpected }
        guard left.isEmpty else {
            let lines = left.map { "\n  \($0.peer) <- \($0.message.startLine)" }.joined()
            throw complaint("not expected\(when):\(lines)")
        }
    }

    /// What went to and fro so far.
    var ladder: String {
        guard !letters.isEmpty else { return "nothing was sent yet" }
        let width = letters.map(\.peer.count).max() ?? 0
        return letters.map { letter in
            let ms = letter.at
            let fraction = String(ms % 1_000)
            let time =
                "\(ms / 1_000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
            let name = letter.peer + String(repeating: " ", count: width - letter.peer.count)
            let detail = letter.message.code == nil ? "" : " (\(letter.message["CSeq"]))"
            return
                "\(time)\t\(name) \(letter.isOut ? "->" : "<-") \(letter.message.startLine)\(detail)"
        }.joined(separator: "\n")
    }

    // MARK: Words

    func peer(_ name: String) throws -> Peer {
        guard let peer = peers[name] else { throw complaint("there is no peer \(name)") }
        return peer
    }

    /// A text with its `$names` replaced by their values.
    func filled(_ text: String) throws -> String {
        var result = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            let behind = rest[rest.index(after: dollar)...]
            var name = behind.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
            guard !name.isEmpty else {
                result += "$"
                rest = behind
                continue
            }
            if let peer = peers[String(name)], behind[name.endIndex...].first == "." {
                let word = behind[name.endIndex...].dropFirst().prefix(while: \.isLetter)
                switch word {
                case "contact": result += peer.contact
                case "main":
                    guard let uri = peer.atMain else {
                        throw complaint("\(peer.name) is not registered")
                    }
                    result += uri
                case "address": result += peer.source.text
                case "aor": result += peer.aor
                default: throw complaint("there is no $\(name).\(word)")
                }
                name = behind[..<word.endIndex]
            } else if let value = variables[String(name)] {
                result += value
            } else {
                throw complaint("there is no $\(name)")
            }
            rest = rest[name.endIndex...]
        }
        return result + rest
    }
}
