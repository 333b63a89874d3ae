import Bytes
import CoreScene
import Foundation
import MidRegistrarCore
import Registration

/// Plays a ladder's phones and main registrar to midreg, and writes the ladder anew with what
/// midreg sent beside what the peer had sent.
final class PeerReplay {
    private let ladder: PeerLadder
    private let scene: Scene
    private let start: UInt64
    private var pending: [Sent] = []
    private var out: [String] = []
    /// Our contact IDs in order of appearance.
    private var ids: [String] = []
    /// What stands with midreg for a contact ID of the peer's.
    private var pairs: [String: String] = [:]
    /// What phones and the main registrar have said, by which what we made ourselves is known.
    private var heard = ""
    /// The last request that went to somebody, by receiver, Call-ID and CSeq.
    private var requests: [String: Sent] = [:]
    /// The Record-Route that each phone's calls have from us.
    private var routes: [String: String] = [:]
    /// Exchanges with the main registrar that the peer had and midreg had not.
    private var foreign: Set<String> = []

    init(_ ladder: PeerLadder) {
        self.ladder = ladder
        let settings = ladder.settings
        let placements: [String: MainContact.Placement] = ["user": .user, "path": .path]
        scene = Scene(
            Scene.options(placement: placements[settings["id"] ?? ""] ?? .parameter) { options in
                switch settings["mode"] {
                case "mirror": options.mode = .mirror
                case "aor": options.mode = .throttleByAOR
                default: options.mode = .throttleByContact
                }
                options.mainSeconds = settings["main"].flatMap(UInt32.init) ?? 3_600
                options.minSeconds = settings["min"].flatMap(UInt32.init) ?? 10
                options.refusesShort = false
            })
        start = scene.now
    }

    private static let addresses = [
        "UA1": "127.0.0.1:5081", "UA2": "127.0.0.1:5082", "UA3": "127.0.0.1:5083",
        "MAIN": "127.0.0.1:5070",
    ]
    private static let places = addresses.mapValues { address($0) }

    private func name(_ place: TransportAddress) -> String {
        Self.places.first { $0.value == place }?.key ?? "?"
    }

    /// The ladder as it is with midreg.
    func page() -> String {
        out = ladder.page.components(separatedBy: "\n").prefix { !$0.hasPrefix("== ") }
            .filter { !$0.hasPrefix("# ") }
        for step in ladder.steps where step.whose != .midreg {
            if step.from == "restart" {
                pass(to: step.ms)
                scene.restart()
                out += ["== \(step.ms) ms  restart", ""]
            } else if step.to == "MID" {
                pass(to: step.ms)
                if step.from != "MAIN" || !step.isResponse { rest(at: step.ms) }
                hear(step)
            } else {
                compare(step)
            }
        }
        rest(at: ladder.steps.last?.ms ?? 0)
        return out.joined(separator: "\n")
    }

    /// Lets time pass; every message comes a millisecond after the one before.
    private func pass(to ms: UInt64) {
        let now = max(start + ms, scene.now + 1)
        pending += scene.advance(ms: now - scene.now, step: 100)
    }

    /// What midreg sent and the peer had not.
    private func rest(at ms: UInt64) {
        while !pending.isEmpty { alone(pending.removeFirst(), at: ms) }
    }

    private func alone(_ sent: Sent, at ms: UInt64) {
        write(
            PeerLadder.Step(
                ms: ms, from: "MID", to: name(sent.to), whose: .midreg, lines: normal(sent)))
        guard sent.to == mainServer, sent.method == "REGISTER", !sent.first("To").isEmpty
        else { return }
        let answered = answer(to: sent)
        heard += answered
        let text = answered.components(separatedBy: "\r\n")
        var step = PeerLadder.Step(
            ms: ms, from: "MAIN", to: "MID", whose: .midreg, lines: normal(text, own: false))
        while step.lines.last == "" { step.lines.removeLast() }
        write(step)
        pending.insert(
            contentsOf: scene.send(answered, from: mainServer, socket: sent.socket), at: 0)
    }

    private func answer(to request: Sent) -> String {
        let mode = ladder.settings["answers"]
        if mode == "challenged", request.all("Authorization").isEmpty {
            return CoreScene.answer(
                request, 401, reason: "Unauthorized",
                extra: [#"WWW-Authenticate: Digest realm="x", nonce="n", qop="auth""#])
        }
        return CoreScene.answer(request, expires: mode.flatMap(Int.init))
    }

    // MARK: Inward

    private func hear(_ step: PeerLadder.Step) {
        var step = step
        var socket = listener
        if step.isResponse {
            let key = step.from + " " + step.key
            guard !foreign.contains(key), let request = requests[key] else {
                step.whose = .peer
                return write(step)
            }
            write(step)
            socket = request.socket
            // Who answers copies these.
            var lines = [step.lines[0]] + request.all("Via").map { "Via: \($0)" }
            lines += request.all("Record-Route").map { "Record-Route: \($0)" }
            for line in step.lines.dropFirst() {
                let name = String(line.prefix { $0 != ":" })
                if ["Via", "Record-Route"].contains(name) { continue }
                let isCopied = ["From", "Call-ID", "CSeq"].contains(name)
                lines.append(isCopied ? "\(name): \(request.first(name))" : line)
            }
            step.lines = lines
        } else {
            write(step)
        }
        step.lines = step.lines.map { line in
            if line.hasPrefix("Route: "), let route = route(of: step) { return "Route: \(route)" }
            return pairs.reduce(line) { text, pair in
                ["ctid=", "sip:"].reduce(text) { text, before in
                    text.replacingOccurrences(of: before + pair.key, with: before + pair.value)
                }
            }
        }
        heard += step.wire
        guard let source = Self.places[step.from] else { return }
        pending += scene.send(step.wire, from: source, socket: socket)
    }

    /// The way of a request within a call: that of the phone in its request-URI.
    private func route(of step: PeerLadder.Step) -> String? {
        let place = Self.addresses.first { step.lines[0].contains("@\($0.value)") }
        return place.flatMap { routes[$0.key] }
    }

    // MARK: Outward

    private func compare(_ step: PeerLadder.Step) {
        var found = take(step)
        if found == nil, step.to != "MAIN" {
            // What the peer answers itself midreg may have to ask about.
            while let at = pending.firstIndex(where: { $0.method == "REGISTER" }) {
                alone(pending.remove(at: at), at: step.ms)
            }
            found = take(step)
        }
        if found == nil {
            pass(to: step.ms)
            found = take(step)
        }
        // What lapses does so at other times here and there.
        for _ in 0..<30 where found == nil && step.isOfItsOwn {
            pass(to: scene.now - start + 100)
            found = take(step)
        }
        guard let sent = found else {
            var step = step
            step.whose = .peer
            let key = step.to + " " + step.key
            if !step.isResponse, requests[key] == nil { foreign.insert(key) }
            return write(step)
        }
        if sent.code == 0 {
            requests[step.to + " " + step.key] = sent
            foreign.remove(step.to + " " + step.key)
        }
        let ours = normal(sent)
        pair(step.lines, ours)
        let theirs = Everywhere.midregs(of: step.lines, sent)
        let changes = difference(theirs.map(\.text), ours)
        var theirOwn: Set<Int> = []
        for case .theirs(let at) in changes { theirOwn.insert(theirs[at].at) }
        // Line by line as the peer has them, and in between what midreg has.
        var lines: [String] = []
        var next = 0
        func catchUp(_ end: Int) {
            while next < end {
                lines.append((theirOwn.contains(next) ? "- " : "") + step.lines[next])
                next += 1
            }
        }
        for change in changes {
            switch change {
            case .same(let at), .theirs(let at):
                catchUp(theirs[at].at + 1)
                if case .same = change, theirOwn.contains(theirs[at].at) {
                    lines.append("+ " + theirs[at].text)
                }
            case .ours(let at): lines.append("+ " + ours[at])
            }
        }
        catchUp(step.lines.count)
        var shown = step
        shown.lines = lines
        write(shown)
    }

    /// Contact IDs that stand at the same place are the same to the main registrar.
    private func pair(_ theirs: [String], _ ours: [String]) {
        func found(_ lines: [String]) -> [String] {
            lines.filter { $0.hasPrefix("Contact: ") }.flatMap { line in
                line.components(separatedBy: "ID").dropFirst().map {
                    "ID" + $0.prefix(while: \.isNumber)
                }
            }
        }
        for (peers, midregs) in zip(found(theirs), found(ours)) {
            guard let number = Int(midregs.dropFirst(2)), ids.indices.contains(number - 1) else {
                continue
            }
            pairs[peers] = ids[number - 1]
        }
    }

    private func take(_ step: PeerLadder.Step) -> Sent? {
        let fitting = pending.indices.filter { fits(pending[$0], step) }
        // Of several removals of our own the one of the same contact.
        let id = step.first("Contact").range(of: "ID[0-9]+", options: .regularExpression)
        let wanted = id.flatMap { pairs[String(step.first("Contact")[$0])] }
        let same = fitting.first { at in wanted.map { pending[at].text.contains($0) } ?? true }
        return (same ?? fitting.first).map { pending.remove(at: $0) }
    }

    private func fits(_ sent: Sent, _ step: PeerLadder.Step) -> Bool {
        guard name(sent.to) == step.to else { return false }
        guard step.isResponse else {
            return step.lines[0].hasPrefix(sent.method + " ")
                && (step.isOfItsOwn
                    ? sent.socket == ownSocket : sent.first("Call-ID") == step.first("Call-ID"))
        }
        return sent.code != 0 && (sent.code == 100) == step.lines[0].contains(" 100 ")
            && sent.first("CSeq") == step.first("CSeq")
    }

    /// What we sent, without what is ours to choose: branch, tag, contact ID and Call-ID.
    private func normal(_ sent: Sent) -> [String] {
        var lines = sent.text.components(separatedBy: "\r\n")
        while lines.last == "" { lines.removeLast() }
        if sent.code == 0, let via = lines.firstIndex(where: { $0.hasPrefix("Via: ") }) {
            let branch = lines[via].components(separatedBy: ";branch=")
            let rest = branch.last?.drop { $0 != ";" } ?? ""
            lines[via] = branch[0] + ";branch=z9hG4bK-mid" + rest
        }
        if sent.code == 0, !sent.all("Record-Route").isEmpty {
            routes[name(sent.to)] = sent.first("Record-Route")
        }
        return normal(lines, own: true)
    }

    private func normal(_ lines: [String], own: Bool) -> [String] {
        lines.map { line in
            var line = line
            for pattern in ["ctid=[a-z2-7]{24}", "<sip:[a-z2-7]{24}@"] {
                guard let range = line.range(of: pattern, options: .regularExpression) else {
                    continue
                }
                let id = String(line[range].drop { $0 != "=" && $0 != ":" }.dropFirst().prefix(24))
                if !ids.contains(id) { ids.append(id) }
            }
            for (at, id) in ids.enumerated() {
                line = line.replacingOccurrences(of: id, with: "ID\(at + 1)")
            }
            guard own else {
                return line.hasPrefix("Via: ")
                    ? line.replacingOccurrences(
                        of: "branch=z9hG4bK[A-Za-z0-9._*-]{30,}", with: "branch=z9hG4bK-mid",
                        options: .regularExpression) : line
            }
            if line.hasPrefix("From: ") || line.hasPrefix("To: "),
                let tag = line.range(of: ";tag=[^;]+", options: .regularExpression),
                !heard.contains(line[tag])
            {
                line.replaceSubrange(tag, with: ";tag=MADE-HERE")
            }
            if line.hasPrefix("Call-ID: "), !heard.contains(line) { line = "Call-ID: MADE-HERE" }
            if line.hasPrefix("Record-Route: ") || line.hasPrefix("Path: ") {
                line = line.replacingOccurrences(
                    of: "<sip:[A-Za-z0-9_-]+@", with: "<sip:TOKEN@", options: .regularExpression)
            }
            return line
        }
    }

    private func write(_ step: PeerLadder.Step) {
        let note = step.whose == .both ? "" : " \(step.whose.rawValue)"
        out += ["== \(step.ms) ms  \(step.from) -> \(step.to)\(note)"] + step.lines + [""]
    }

    enum Change { case same(Int), theirs(Int), ours(Int) }

    /// The longest common lines stay.
    private func difference(_ theirs: [String], _ ours: [String]) -> [Change] {
        var lengths = [[Int]](
            repeating: [Int](repeating: 0, count: ours.count + 1), count: theirs.count + 1)
        for row in theirs.indices.reversed() {
            for column in ours.indices.reversed() {
                lengths[row][column] =
                    theirs[row] == ours[column]
                    ? lengths[row + 1][column + 1] + 1
                    : max(lengths[row + 1][column], lengths[row][column + 1])
            }
        }
        var changes: [Change] = []
        var (row, column) = (0, 0)
        while row < theirs.count || column < ours.count {
            if row < theirs.count, column < ours.count, theirs[row] == ours[column] {
                changes.append(.same(row))
                (row, column) = (row + 1, column + 1)
            } else if column == ours.count
                || row < theirs.count && lengths[row + 1][column] >= lengths[row][column + 1]
            {
                changes.append(.theirs(row))
                row += 1
            } else {
                changes.append(.ours(column))
                column += 1
            }
        }
        return changes
    }
}
