import Bytes
import CoreScene

// What peers send: a few words in the scenario, everything else as a peer of its kind would write it.
extension Player {
    func send(_ name: String, _ outgoing: Outgoing) throws {
        let peer = try peer(name)
        if let label = outgoing.call {
            guard let place = labels[label] else { throw complaint("there is no message \(label)") }
            call = letters[place].callID
        }
        var message: Message
        var socket = peer.source.isIPv4 ? listener : 3
        switch outgoing.what {
        case .raw: message = Message("")
        case .message(let kind) where outgoing.isAgain:
            guard let old = lastSent(kind, by: name, to: outgoing.to) else {
                throw complaint("\(name) has sent no \(kind) before")
            }
            try deliver(peer, old.message, old.bytes, old.socket, outgoing)
            return
        case .message(.response(let code)):
            let request = try answered(by: name, to: outgoing.to)
            message = response(code, outgoing.reason, to: request.message, by: peer)
            socket = request.socket
        case .message(.request(let method)):
            message = try request(method, by: peer, outgoing)
        }
        var edits = outgoing.edits
        var source = peer.source
        edits.removeAll { edit in
            guard case .set(let field, let value) = edit else { return false }
            switch field {
            case "socket":
                socket = Player.sockets.firstIndex(of: value).map { UInt16($0) } ?? socket
                return true
            case "source":
                source = TransportAddress(hostPort: value, defaultPort: 5_060) ?? source
                return true
            default: return false
            }
        }
        let bytes: [UInt8]
        if case .raw = outgoing.what {
            bytes = try body(edits) ?? []
            message = Message(bytes) ?? Message("(no message)")
        } else {
            try apply(edits, to: &message)
            bytes = message.bytes
        }
        try deliver(peer, message, bytes, socket, outgoing, from: source)
    }

    static let sockets = ["listener", "main-side", "own", "listener6"]

    private func deliver(
        _ peer: Peer, _ message: Message, _ bytes: [UInt8], _ socket: UInt16, _ outgoing: Outgoing,
        from source: TransportAddress? = nil
    ) throws {
        letters.append(
            Letter(
                peer: peer.name, isOut: true, at: elapsed(), message: message, bytes: bytes,
                socket: socket, isExpected: true))
        if let label = outgoing.label { labels[label] = letters.count - 1 }
        call = message["Call-ID"].isEmpty ? call : message["Call-ID"]
        scene.deliver(bytes, from: source ?? peer.source, socket: socket)
        scene.endRound()
        take(scene.drain())
    }

    // MARK: Finding what was said before

    func lastSent(_ kind: Kind, by name: String, to: String? = nil) -> Letter? {
        letters.last {
            $0.isOut && $0.peer == name && $0.message.kind == kind
                && (to == nil || $0.message.method == to)
        }
    }

    /// The request that a response is for.
    private func answered(by name: String, to: String?) throws -> Letter {
        if let to, let place = labels[to] { return letters[place] }
        let requests = letters.filter {
            !$0.isOut && $0.peer == name && $0.message.code == nil && $0.message.method != "ACK"
                && (to == nil || $0.message.method == to)
        }
        guard let request = requests.last(where: { $0.callID == call }) ?? requests.last else {
            throw complaint("\(name) got no \(to ?? "request") to answer")
        }
        return request
    }

    // MARK: Responses

    private static let phrases = [
        100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 183: "Session Progress",
        199: "Early Dialog Terminated", 200: "OK", 202: "Accepted", 300: "Multiple Choices",
        301: "Moved Permanently", 302: "Moved Temporarily", 401: "Unauthorized", 403: "Forbidden",
        404: "Not Found", 407: "Proxy Authentication Required", 408: "Request Timeout",
        415: "Unsupported Media Type", 420: "Bad Extension", 423: "Interval Too Brief",
        480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
        484: "Address Incomplete", 486: "Busy Here", 487: "Request Terminated",
        488: "Not Acceptable Here", 491: "Request Pending", 500: "Server Internal Error",
        503: "Service Unavailable", 600: "Busy Everywhere", 603: "Decline",
    ]
    private static let formsDialog: Set = ["INVITE", "SUBSCRIBE", "REFER", "NOTIFY"]

    private func response(
        _ code: Int, _ reason: String?, to request: Message, by peer: Peer
    ) -> Message {
        let phrase = reason ?? Self.phrases[code] ?? "Whatever"
        var message = Message("SIP/2.0 \(code) \(phrase)")
        func add(_ name: String, _ value: String) {
            message.fields.append(.init(name: name, value: value))
        }
        for via in request.values("Via") { add("Via", via) }
        let method = request.method
        if 101..<300 ~= code, Self.formsDialog.contains(method) {
            for route in request.values("Record-Route") { add("Record-Route", route) }
        }
        add("From", request["From"])
        let isTagged = request["To"].parameter("tag") != nil || code == 100
        add("To", request["To"] + (isTagged ? "" : ";tag=\(peer.name)"))
        add("Call-ID", request["Call-ID"])
        add("CSeq", request["CSeq"])
        if method == "REGISTER", 200..<300 ~= code {
            for contact in granted(request) { add("Contact", contact) }
        } else if 101..<300 ~= code, Self.formsDialog.contains(method) {
            add("Contact", "<\(peer.contact)>")
        }
        if method == "INVITE", code == 183 || 200..<300 ~= code { describe(peer, &message) }
        add("Content-Length", String(message.body.count))
        return message
    }

    /// The contacts of a REGISTER, each with what it asks for.
    private func granted(_ request: Message) -> [String] {
        request.elements("Contact").compactMap { contact in
            guard contact != "*" else { return nil }
            let asked = contact.parameter("expires") ?? request["Expires"]
            guard asked != "0" else { return nil }
            let isTold = contact.parameter("expires") != nil
            return isTold ? contact : contact + ";expires=\(asked.isEmpty ? "3600" : asked)"
        }
    }

    private func describe(_ peer: Peer, _ message: inout Message) {
        let host = peer.claimed.prefix { $0 != ":" }
        message.fields.append(.init(name: "Content-Type", value: "application/sdp"))
        let lines = [
            "v=0", "o=\(peer.name) 1 1 IN IP4 \(host)", "s=-", "c=IN IP4 \(host)", "t=0 0",
            "m=audio 30000 RTP/AVP 0", "",
        ]
        message.body = Array(lines.joined(separator: "\r\n").utf8)
    }

    // MARK: Requests

    private func request(_ method: String, by peer: Peer, _ outgoing: Outgoing) throws -> Message {
        switch method {
        case "CANCEL": return try hopByHop(method, by: peer, outgoing, to: nil)
        case "ACK" where !outgoing.isInDialog && outgoing.with == nil:
            let final = letters.last {
                !$0.isOut && $0.peer == peer.name && $0.callID == call
                    && $0.message.method == "INVITE" && ($0.message.code ?? 0) >= 200
            }
            guard let final, let code = final.message.code else {
                throw complaint("\(peer.name) got no final response to acknowledge")
            }
            if code >= 300 {
                return try hopByHop(method, by: peer, outgoing, to: final.message["To"])
            }
            return try inDialog(method, by: peer, outgoing)
        case "ACK", "BYE", "PRACK", "UPDATE": return try inDialog(method, by: peer, outgoing)
        case _ where outgoing.isInDialog: return try inDialog(method, by: peer, outgoing)
        default: return try initial(method, by: peer, outgoing)
        }
    }

    private func newBranch(_ peer: Peer) -> String {
        branches += 1
        let port = peer.name == "main" ? "" : ";rport"
        return "SIP/2.0/UDP \(peer.claimed);branch=z9hG4bK-\(peer.name)-\(branches)\(port)"
    }

    private func message(
        _ method: String, _ uri: String, via: String, route: [String], from: String, to: String,
        callID: String, sequence: Int
    ) -> Message {
        var message = Message("\(method) \(uri) SIP/2.0")
        func add(_ name: String, _ value: String) {
            message.fields.append(.init(name: name, value: value))
        }
        add("Via", via)
        add("Max-Forwards", "70")
        for route in route { add("Route", route) }
        add("From", from)
        add("To", to)
        add("Call-ID", callID)
        add("CSeq", "\(sequence) \(method)")
        return message
    }

    private func finish(_ method: String, by peer: Peer, _ message: inout Message) {
        if ["INVITE", "SUBSCRIBE", "REFER", "NOTIFY", "UPDATE"].contains(method) {
            message.fields.append(.init(name: "Contact", value: "<\(peer.contact)>"))
        }
        if method == "INVITE" { describe(peer, &message) }
        if method == "MESSAGE" {
            message.fields.append(.init(name: "Content-Type", value: "text/plain"))
            message.body = Array("Watson, come here.".utf8)
        }
        message.fields.append(.init(name: "Content-Length", value: String(message.body.count)))
    }

    private func initial(_ method: String, by peer: Peer, _ outgoing: Outgoing) throws -> Message {
        if method == "REGISTER" { return registration(of: peer) }
        guard let to = outgoing.to else { throw complaint("\(method) to whom?") }
        calls += 1
        let target = peers[to]
        let uri = try target?.atMain ?? filled(target?.aor ?? to)
        let bare = uri.prefix { $0 != ";" && $0 != "?" }
        var message = message(
            method, uri, via: newBranch(peer), route: target?.routeAtMain ?? [],
            from: "<\(peer.aor)>;tag=\(peer.name)", to: "<\(target?.aor ?? String(bare))>",
            callID: "call-\(calls)@\(peer.name)", sequence: 1)
        finish(method, by: peer, &message)
        return message
    }

    /// CANCEL, and the ACK to a refusal: their INVITE's hop, branch and number (§9.1, §17.1.1.3).
    private func hopByHop(
        _ method: String, by peer: Peer, _ outgoing: Outgoing, to: String?
    ) throws -> Message {
        let labelled = outgoing.to.flatMap { labels[$0] }.map { letters[$0] }
        let last = letters.last {
            $0.isOut && $0.peer == peer.name && $0.message.kind == .request("INVITE")
                && $0.callID == call
        }
        guard let invite = (labelled ?? last)?.message else {
            throw complaint("\(peer.name) has sent no INVITE for a \(method)")
        }
        var message = message(
            method, invite.uri, via: invite["Via"], route: invite.values("Route"),
            from: invite["From"], to: to ?? invite["To"], callID: invite["Call-ID"],
            sequence: invite.sequence)
        finish(method, by: peer, &message)
        return message
    }

    private func inDialog(_ method: String, by peer: Peer, _ outgoing: Outgoing) throws -> Message {
        let mine = letters.filter { $0.peer == peer.name && $0.callID == call }
        let initials = mine.filter {
            $0.message.code == nil && Self.formsDialog.contains($0.message.method)
                && $0.message["To"].parameter("tag") == nil
        }
        guard !initials.isEmpty else {
            throw complaint("\(peer.name) has no dialog for a \(method)")
        }
        // A Call-ID may have begun with a request that was refused; what was answered made the dialog.
        let begun = initials.lazy.compactMap { initial in
            self.answer(to: initial, among: mine, with: outgoing.with).map { (initial, $0) }
        }
        guard let (initial, answer) = begun.first else {
            throw complaint("nothing has made a dialog for a \(method) of \(peer.name)")
        }
        let request = initial.message
        let (local, remote) =
            initial.isOut ? (request["From"], answer["To"]) : (answer["To"], request["From"])
        let target = mine.last { letter in
            guard !letter.isOut, !letter.message.values("Contact").isEmpty else { return false }
            let code = letter.message.code
            let theirs = code == nil ? "From" : "To"
            return (code ?? 200) < 300
                && letter.message[theirs].parameter("tag") == remote.parameter("tag")
        }
        let numbers = mine.filter { $0.isOut && $0.message.code == nil }.map(\.message.sequence)
        let invite = mine.last { $0.isOut && $0.message.kind == .request("INVITE") }
        let sequence =
            method == "ACK" ? invite?.message.sequence ?? 1 : (numbers.max() ?? 0) + 1
        var message = message(
            method, target?.message["Contact"].addressURI ?? "", via: newBranch(peer),
            route: initial.isOut
                ? answer.elements("Record-Route").reversed() : request.elements("Record-Route"),
            from: local, to: remote, callID: request["Call-ID"], sequence: sequence)
        finish(method, by: peer, &message)
        return message
    }

    /// What made a dialog of the request that began it: the last answer with a tag, or the last 2xx, has
    /// its route set.
    private func answer(to initial: Letter, among mine: [Letter], with tag: String?) -> Message? {
        let answers = mine.filter {
            101..<300 ~= $0.message.code ?? 0 && $0.message["To"].parameter("tag") != nil
                && $0.isOut != initial.isOut && $0.message["CSeq"] == initial.message["CSeq"]
                && (tag == nil || $0.message["To"].parameter("tag") == tag)
        }
        return (answers.last { ($0.message.code ?? 0) >= 200 } ?? answers.last)?.message
    }

    // MARK: Registration

    private func registration(of peer: Peer) -> Message {
        let count = peer.registrations + 1
        peers[peer.name]?.registrations = count
        let user = peer.aor.dropFirst(4).prefix { $0 != "@" }
        let domain = peer.aor.drop { $0 != "@" }.dropFirst()
        var message = message(
            "REGISTER", "sip:\(domain)", via: newBranch(peer), route: [],
            from: "<\(peer.aor)>;tag=\(peer.name)", to: "<\(peer.aor)>",
            callID: "register@\(peer.name)", sequence: count)
        let fields = [
            ("Contact", "<\(peer.contact)>"), ("Expires", "600"),
            ("Authorization", "Digest username=\"\(user)\""), ("Content-Length", "0"),
        ]
        for (name, value) in fields { message.fields.append(.init(name: name, value: value)) }
        return message
    }

    /// Plays a REGISTER by way of the main registrar, which grants what it is asked for.
    func register(
        _ name: String, user: String, contact: String?, _ parts: [Part], _ edits: [Edit]
    ) throws {
        var peer = try peer(name)
        peer.aor = "sip:" + (user.contains("@") ? user : user + "@example.test")
        let uri = try contact.map(filled)
        peer.contact = uri ?? "sip:\(user.prefix { $0 != "@" })@\(peer.claimed)"
        peers[name] = peer
        var register = Outgoing(what: .message(.request("REGISTER")))
        var address = "<\(peer.contact)>"
        for part in parts {
            if part.name == "expires" {
                register.edits.append(.set("Expires", part.value))
            } else {
                address += ";\(part.name)=\(part.value)"
            }
        }
        register.edits.append(.set("Contact", address))
        register.edits += edits
        let before = call
        try send(name, register)
        let relayed = letters.last
        guard let relayed, relayed.peer == "main", !relayed.isOut, !relayed.isExpected else {
            throw complaint("the REGISTER of \(name) was not relayed")
        }
        letters[letters.count - 1].isExpected = true
        peers[name]?.atMain = relayed.message["Contact"].addressURI
        peers[name]?.routeAtMain = relayed.message.values("Path")
        try send("main", Outgoing(what: .message(.response(200))))
        guard let told = letters.last, told.peer == name, told.message.code == 200 else {
            throw complaint("the REGISTER of \(name) was not answered 200")
        }
        letters[letters.count - 1].isExpected = true
        call = before
    }

    // MARK: Changes

    private func body(_ edits: [Edit]) throws -> [UInt8]? {
        var body: [UInt8]?
        for edit in edits {
            switch edit {
            case .text(let line): body = try (body ?? []) + Array((filled(line) + "\r\n").utf8)
            case .bytes(let bytes): body = (body ?? []) + bytes
            case .fill(let count): body = (body ?? []) + [UInt8](repeating: 0x78, count: count)
            case .set, .add, .remove, .noBody: break
            }
        }
        return body
    }

    private func apply(_ edits: [Edit], to message: inout Message) throws {
        if let body = try body(edits) { message.body = body }
        var values: [(name: String, values: [String])] = []
        for edit in edits {
            switch edit {
            case .set("uri", let uri):
                let parts = message.startLine.split(separator: " ")
                message.startLine = try "\(parts[0]) \(filled(uri)) \(parts[parts.count - 1])"
            case .set(let name, let value):
                let value = try filled(value)
                if let place = values.firstIndex(where: { $0.name == name }) {
                    values[place].values.append(value)
                } else {
                    values.append((name, [value]))
                }
            case .add: break
            case .remove(let name): message.set(name, [])
            case .noBody:
                message.body = []
                message.set("Content-Type", [])
            case .text, .bytes, .fill: break
            }
        }
        if !message.values("Content-Length").isEmpty {
            message.set("Content-Length", [String(message.body.count)])
        }
        for (name, values) in values {
            let isNew = message.values(name).isEmpty
            message.set(name, values)
            // Content-Length stays last.
            if isNew, let last = message.fields.firstIndex(where: { $0.name == "Content-Length" }) {
                message.fields.append(message.fields.remove(at: last))
            }
        }
        // One more comes behind those that stand instead of others.
        for case .add(let name, let value) in edits {
            let field = Message.Field(name: name, value: try filled(value))
            let last = message.fields.lastIndex { $0.name.lowercased() == name.lowercased() }
            message.fields.insert(field, at: last.map { $0 + 1 } ?? message.fields.count - 1)
        }
    }
}
