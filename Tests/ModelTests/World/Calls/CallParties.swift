import Bytes

/// A phone that registers and is called.
struct CalledPhone {
    let number: Int
    let aor: Int
    /// The address that it believes to have.
    let host: String
    var address: TransportAddress
    let contact: String
    /// Preference, in tenths.
    let q: Int
    var sequence = 0
    /// By what the main registrar calls it.
    var mainURI: String?
    var mainRoute: [String] = []
    var boundSince = UInt64.max
    var boundUntil: UInt64 = 0
    /// What a restart has granted it beyond that, if it was bound then.
    var graceUntil: UInt64 = 0
    var spanMs: UInt64 = 0
    /// Where it ever was.
    var addresses: [TransportAddress]

    init(number: Int, aor: Int, _ chance: inout Chance) {
        self.number = number
        self.aor = aor
        address = TransportAddress(ipv4: 0xC000_0201 + UInt32(number), port: 5_060)
        addresses = [address]
        host = chance.happens(50) ? "192.0.2.\(number + 1)" : "10.0.1.\(number + 1)"
        contact = "sip:p\(number)@\(host):5060"
        q = chance.pick([10, 10, 5, 5, 1])
    }

    var aorURI: String { "sip:a\(aor)@example.test" }
    var qText: String { q == 10 ? "1" : "0.\(q)" }

    /// Whether it is bound at a moment, a second being left to judge by.
    func isBound(at ms: UInt64) -> Bool { boundSince <= ms && ms + 2_000 < boundUntil }
    func mayBeBound(at ms: UInt64) -> Bool {
        boundSince <= ms && ms < max(boundUntil, graceUntil) + 2_000
    }
}

/// What is called on one branch: a phone, or the main registrar.
final class CallServer {
    let request: CallMessage
    let address: TransportAddress
    let socket: UInt16
    /// `nil` for the main registrar.
    let phone: Int?
    let tag: String
    var final: [UInt8]?
    var code = 0
    var last: [UInt8]?
    var isCancelled = false
    var isAcknowledged = false
    var isDeaf: Bool
    var finalAt: UInt64 = 0

    init(
        _ request: CallMessage, at address: TransportAddress, socket: UInt16, phone: Int?,
        tag: String, isDeaf: Bool
    ) {
        self.request = request
        self.address = address
        self.socket = socket
        self.phone = phone
        self.tag = tag
        self.isDeaf = isDeaf
    }
}

/// A request that somebody sent to midreg, as a caller and the judge remember it.
final class CallRequest {
    let number: Int
    let method: String
    let source: TransportAddress
    let isFromMain: Bool
    let branch: String
    let callID: String
    let bytes: [UInt8]
    let message: CallMessage
    /// The phone it is for, or that sent it.
    let phone: Int
    let breadth: Int
    var isInDialog = false

    // What the caller knows.
    var heard = 0
    var acknowledgedTags: Set<String> = []
    var isDeaf = false

    // What the judge knows.
    var deliveredAt: UInt64?
    /// Phones that are to be called; nobody for one that goes to the main registrar.
    var targets: [Int] = []
    var isToMain = false
    /// A worker that knew it is gone, or it cannot be said how it is to be dealt with.
    var isExcused = false
    /// Passed on without state.
    var isStateless = false
    var isCancelled = false
    var cancelReasons: [String] = []
    var isClosed = false
    var branches: [Int] = []
    var best = ModelBest()
    var isAnswered: Bool { succeeded > 0 || refusal != nil }
    var succeeded = 0
    var success: [UInt8]?
    var refusal: (code: Int, bytes: [UInt8])?
    /// It was refused before it was a call.
    var isTurnedAway = false
    var isAcknowledged = false

    init(
        number: Int, _ bytes: [UInt8], from source: TransportAddress, phone: Int, breadth: Int
    ) {
        self.number = number
        self.bytes = bytes
        self.source = source
        self.phone = phone
        self.breadth = breadth
        message = CallMessage(bytes)
        method = message.method
        isFromMain = source == CallWorld.mainServer
        branch = message.branch()
        callID = message["Call-ID"]
    }
}

// What callers, phones and the main registrar do.
extension CallWorld {
    func happen(_ event: Event) {
        switch event {
        case .toMidreg(let bytes, let source, let socket): give(bytes, from: source, socket: socket)
        case .toParty(let bytes, let address, let socket): reach(bytes, at: address, socket)
        case .begin: begin()
        case .repeatRequest(let number, let ms):
            let request = requests[number]
            let isHeard = request.method == "INVITE" ? request.heard > 0 : request.heard >= 200
            guard !isHeard, ms < 16_000 else { return }
            send(request.bytes, from: request.source)
            later(ms, .repeatRequest(number, ms: ms * 2))
        case .giveUp(let number): giveUp(number)
        case .answer(let number, let code): answer(number, code)
        case .repeatFinal(let number, let ms):
            let server = servers[number]
            guard let final = server.final, !server.isAcknowledged, now < server.finalAt + 32_000
            else { return }
            send(final, from: server.address, socket: server.socket)
            later(ms, .repeatFinal(number, ms: min(ms * 2, 4_000)))
        case .hangUp(let number, let byCaller): hangUp(number, byCaller: byCaller)
        case .move(let phone): move(phone)
        case .leave(let phone):
            guard phones[phone].isBound(at: now) else { return }
            register(phone, expires: 0)
        case .refresh(let phone):
            guard phones[phone].isBound(at: now) else { return }
            register(phone, expires: 600)
        case .mischief: makeMischief()
        case .restart: restart()
        }
    }

    private func send(
        _ bytes: [UInt8], from source: TransportAddress, socket: UInt16 = CallWorld.listener
    ) {
        travel(.toMidreg(bytes, from: source, socket: socket))
    }

    private func move(_ phone: Int) {
        guard phones[phone].isBound(at: now) else { return }
        let address = phones[phone].address.withPort(phones[phone].address.port + 1)
        phones[phone].address = address
        phones[phone].addresses.append(address)
        register(phone, expires: chance.pick([60, 600]))
    }

    // MARK: Callers

    private func begin() {
        let phone = chance.below(phones.count)
        let isFromMain = chance.happens(85)
        guard let uri = phones[phone].mainURI, isFromMain || phones[phone].isBound(at: now) else {
            return
        }
        let method = chance.happens(80) ? "INVITE" : chance.pick(["MESSAGE", "OPTIONS"])
        let number = requests.count
        let breadth = chance.happens(10) ? chance.between(1, 3) : 60
        let source = isFromMain ? Self.mainServer : phones[phone].address
        let host = isFromMain ? "10.0.0.2:5070" : "\(phones[phone].host):5060"
        let target = isFromMain ? uri : "sip:bob@example.test"
        let from = isFromMain ? "sip:bob@example.test" : phones[phone].aorURI
        let to = isFromMain ? phones[phone].aorURI : "sip:bob@example.test"
        var fields = [
            ("Via", "SIP/2.0/UDP \(host);branch=z9hG4bK-c\(number);rport"), ("Max-Forwards", "70"),
        ]
        if isFromMain { fields += phones[phone].mainRoute.map { ("Route", $0) } }
        if breadth < 60 { fields.append(("Max-Breadth", "\(breadth)")) }
        fields += [
            ("From", "<\(from)>;tag=f\(number)"), ("To", "<\(to)>"),
            ("Call-ID", "c\(number)@h"), ("CSeq", "1 \(method)"),
        ]
        if method == "INVITE" {
            let contact = isFromMain ? "sip:bob@10.0.0.2:5070" : phones[phone].contact
            fields.append(("Contact", "<\(contact)>"))
        }
        let bytes = CallMessage.bytes("\(method) \(target) SIP/2.0", fields)
        let request = CallRequest(
            number: number, bytes, from: source, phone: phone, breadth: breadth)
        request.isDeaf = chance.happens(plan.deafCallers)
        add(request)
        send(bytes, from: source)
        later(500, .repeatRequest(number, ms: 1_000))
        if method == "INVITE", chance.happens(plan.cancels) {
            let ms = chance.pick([0, 20, 200, 2_000, 20_000, 100_000])
            later(UInt64(ms + chance.below(50)), .giveUp(number))
        }
    }

    private func add(_ request: CallRequest) {
        requests.append(request)
        requestOfBranch[request.branch] = request.number
        tally.requests += 1
    }

    private func giveUp(_ number: Int) {
        let request = requests[number]
        guard request.heard < 200 else { return }
        if request.heard == 0, !chance.happens(30) {
            // Held until something comes (§9.1).
            if now < start + 300_000 { later(500, .giveUp(number)) }
            return
        }
        var fields = [("Via", request.message["Via"]), ("Max-Forwards", "70")]
        fields += request.message.values("Route").map { ("Route", $0) }
        fields += [
            ("From", request.message["From"]), ("To", request.message["To"]),
            ("Call-ID", request.callID), ("CSeq", "1 CANCEL"),
        ]
        let elsewhere = "SIP;cause=200;text=\"Call completed elsewhere\""
        let reasons = chance.pick([[], [elsewhere], [elsewhere, "Q.850;cause=26"]])
        fields += reasons.map { ("Reason", $0) }
        let bytes = CallMessage.bytes("CANCEL \(request.message.uri) SIP/2.0", fields)
        send(bytes, from: request.source)
        for ms in [500, 1_500] where chance.happens(30) {
            later(UInt64(ms), .toMidreg(bytes, from: request.source, socket: Self.listener))
        }
    }

    /// A response has come to who sent the request.
    private func take(_ response: CallMessage) {
        guard let number = requestOfBranch[response.branch()] else { return }
        let request = requests[number]
        guard response.method == request.method else { return }
        request.heard = max(request.heard, response.code)
        guard request.method == "INVITE", response.code >= 200, !request.isDeaf else { return }
        if response.code >= 300 {
            var fields = [("Via", request.message["Via"]), ("Max-Forwards", "70")]
            fields += request.message.values("Route").map { ("Route", $0) }
            fields += [
                ("From", request.message["From"]), ("To", response["To"]),
                ("Call-ID", request.callID), ("CSeq", "1 ACK"),
            ]
            let bytes = CallMessage.bytes("ACK \(request.message.uri) SIP/2.0", fields)
            send(bytes, from: request.source)
            return
        }
        let routes = Array(response.values("Record-Route").reversed())
        let ack = inDialog(
            "ACK", 1, CallMessage.address(response["Contact"]), routes,
            from: request.message["From"], to: response["To"], request)
        send(ack, from: request.source)
        guard request.acknowledgedTags.insert(response.toTag).inserted, chance.happens(50) else {
            return
        }
        let bye = inDialog(
            "BYE", 2, CallMessage.address(response["Contact"]), routes,
            from: request.message["From"], to: response["To"], request)
        let hangingUp = CallRequest(
            number: requests.count, bye, from: request.source, phone: request.phone, breadth: 60)
        hangingUp.isInDialog = true
        add(hangingUp)
        let ms = chance.pick([10, 2_000, 40_000])
        later(UInt64(ms), .hangUp(hangingUp.number, byCaller: true))
    }

    private func inDialog(
        _ method: String, _ sequence: Int, _ uri: String, _ routes: [String], from: String,
        to: String, _ request: CallRequest
    ) -> [UInt8] {
        let via =
            "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK-d\(request.number)-\(method)\(requests.count);rport"
        return CallMessage.bytes(
            "\(method) \(uri) SIP/2.0",
            [("Via", via), ("Max-Forwards", "70")] + routes.map { ("Route", $0) } + [
                ("From", from), ("To", to), ("Call-ID", request.callID),
                ("CSeq", "\(sequence) \(method)"),
            ])
    }

    private func hangUp(_ number: Int, byCaller: Bool) {
        if byCaller {
            let request = requests[number]
            // A phone that has moved says it from where it is.
            guard request.isFromMain || request.source == phones[request.phone].address else {
                return
            }
            send(request.bytes, from: request.source)
            return
        }
        let server = servers[number]
        guard server.code >= 200, server.code < 300,
            server.phone.map({ phones[$0].address == server.address }) ?? true,
            let of = requestOfBranch[server.request.branch(1)]
        else { return }
        let bye = inDialog(
            "BYE", 7, CallMessage.address(server.request["Contact"]),
            server.request.values("Record-Route"),
            from: server.request["To"] + ";tag=\(server.tag)",
            to: server.request["From"], requests[of])
        let request = CallRequest(
            number: requests.count, bye, from: server.address,
            phone: server.phone ?? requests[of].phone, breadth: 60)
        request.isInDialog = true
        add(request)
        send(bye, from: server.address)
    }

    // MARK: Who is called

    private func reach(_ bytes: [UInt8], at address: TransportAddress, _ socket: UInt16) {
        let message = CallMessage(bytes)
        if message.code > 0 {
            take(message)
            return
        }
        let phone = address == Self.mainServer ? nil : phones.firstIndex { $0.address == address }
        // Nobody is there any more.
        guard address == Self.mainServer || phone != nil else { return }
        switch message.method {
        case "ACK":
            let number =
                serverOfBranch[message.branch()]
                ?? servers.firstIndex { $0.tag == message.toTag && $0.phone == phone }
            if let number, !chance.happens(3) { servers[number].isAcknowledged = true }
        case "CANCEL": beCancelled(message, at: address, socket)
        case "BYE":
            send(message.response(200, tag: "b", contact: ""), from: address, socket: socket)
        default:
            if let number = serverOfBranch[message.branch()] {
                if let last = servers[number].last { send(last, from: address, socket: socket) }
            } else {
                beCalled(message, at: address, socket, phone)
            }
        }
    }

    private func beCalled(
        _ message: CallMessage, at address: TransportAddress, _ socket: UInt16, _ phone: Int?
    ) {
        let number = servers.count
        serverOfBranch[message.branch()] = number
        servers.append(
            CallServer(
                message, at: address, socket: socket, phone: phone, tag: "t\(number)",
                isDeaf: chance.happens(plan.deafPhones)))
        guard !servers[number].isDeaf else { return }
        var ms = chance.pick([0, 5, 100, 700, 3_000])
        func then(_ code: Int) { later(UInt64(ms), .answer(number, code: code)) }
        if message.method != "INVITE" {
            if chance.happens(20) { then(100) }
            ms += chance.pick([1, 1, 50, 6_000, 20_000])
            then(chance.pick([200, 200, 202, 404, 405, 408, 486, 503, 603]))
            return
        }
        for _ in 0..<chance.below(4) {
            then(chance.pick([100, 180, 180, 183, 199]))
            ms += chance.pick([0, 30, 1_000, 8_000])
        }
        // One that rings on has to say so before Timer C.
        if chance.happens(5) {
            for _ in 0..<chance.below(4) {
                ms += chance.pick([60_000, 170_000])
                then(180)
            }
        }
        ms += chance.pick([0, 10, 400, 2_000, 9_000, 33_000])
        switch chance.below(20) {
        case 0, 1: break
        case 2..<9: then(chance.pick([200, 200, 200, 202]))
        default:
            then(
                chance.pick([
                    300, 302, 401, 407, 403, 404, 408, 415, 420, 430, 480, 484, 486, 486, 487, 488,
                    500, 503, 600, 603, 606,
                ]))
        }
        if chance.happens(6) {
            ms += chance.pick([1, 200, 5_000, 31_000, 40_000])
            then(chance.pick([200, 486, 180, 603]))
        }
    }

    private func answer(_ number: Int, _ code: Int) {
        let server = servers[number]
        if server.isCancelled, server.final != nil { return }
        // A second final response is another fork's, further on.
        let isSecond = server.final != nil
        let tag = isSecond ? server.tag + "x" : server.tag
        let contact = server.phone.map { phones[$0].contact } ?? "sip:bob@10.0.0.2:5070"
        var extra: [(String, String)] = []
        switch code {
        case 401: extra = [("WWW-Authenticate", "Digest realm=\"r\(number)\", nonce=\"1\"")]
        case 407: extra = [("Proxy-Authenticate", "Digest realm=\"r\(number)\", nonce=\"1\"")]
        case 300..<400: extra = [("Contact", "<sip:other\(number)@192.0.2.99>")]
        case 100: extra = [("Server", "phone")]
        default: break
        }
        let bytes = server.request.response(code, tag: tag, contact: contact, extra: extra)
        send(bytes, from: server.address, socket: server.socket)
        if !isSecond { server.last = bytes }
        guard code >= 200, !isSecond else { return }
        server.final = bytes
        server.code = code
        server.finalAt = now
        guard server.request.method == "INVITE" else { return }
        later(500, .repeatFinal(number, ms: 1_000))
        if code < 300, chance.happens(30) {
            let ms = chance.pick([1_000, 40_000])
            later(UInt64(ms), .hangUp(number, byCaller: false))
        }
    }

    private func beCancelled(
        _ message: CallMessage, at address: TransportAddress, _ socket: UInt16
    ) {
        guard let number = serverOfBranch[message.branch()] else {
            send(message.response(481, tag: "n", contact: ""), from: address, socket: socket)
            return
        }
        let server = servers[number]
        guard !server.isDeaf else { return }
        if !chance.happens(10) {
            send(message.response(200, tag: server.tag, contact: ""), from: address, socket: socket)
        }
        guard server.final == nil, !server.isCancelled else { return }
        let ms = UInt64(chance.pick([0, 1, 50, 3_000]))
        switch chance.below(20) {
        case 0, 1:
            // It does not take it, or its 487 is lost for good.
            break
        case 2, 3: later(ms, .answer(number, code: 200))
        case 4: later(ms, .answer(number, code: chance.pick([486, 603, 408])))
        default: later(ms, .answer(number, code: 487))
        }
    }

    // MARK: Who has no business here

    private func makeMischief() {
        switch chance.below(4) {
        case 0:
            // A response with a branch that is nearly one of ours.
            guard let branch = branches.last, let number = serverOfBranch[branch.via] else {
                return
            }
            let server = servers[number]
            let bytes = CallMessage(
                server.request.response(
                    chance.pick([180, 200, 486]), tag: "evil", contact: "sip:e@e")
            ).forged(at: chance.below(20))
            disturb(bytes, from: chance.pick([Self.stranger, server.address]), isAnswered: false)
        case 1:
            // A CANCEL of somebody else's call.
            guard let request = requests.last(where: { $0.method == "INVITE" }) else { return }
            let bytes = CallMessage.bytes(
                "CANCEL \(request.message.uri) SIP/2.0",
                [
                    ("Via", request.message["Via"]), ("Max-Forwards", "70"),
                    ("From", request.message["From"]), ("To", request.message["To"]),
                    ("Call-ID", request.callID), ("CSeq", "1 CANCEL"),
                ])
            disturb(bytes, from: Self.stranger, isAnswered: true)
        default:
            // A call by a contact or a token that is not the stranger's to use.
            let phone = phones[chance.below(phones.count)]
            guard let uri = phone.mainURI else { return }
            let method = chance.pick(["INVITE", "MESSAGE", "ACK"])
            let token = servers.last?.request["Record-Route"] ?? ""
            let routes = chance.happens(50) && !token.isEmpty ? [("Route", token)] : []
            let tag = routes.isEmpty ? "" : ";tag=x"
            let bytes = CallMessage.bytes(
                "\(method) \(uri) SIP/2.0",
                [("Via", "SIP/2.0/UDP 203.0.113.9;branch=z9hG4bK-e\(steps)")]
                    + phone.mainRoute.map { ("Route", $0) } + routes + [
                        ("Max-Forwards", "70"), ("From", "<sip:e@example.test>;tag=e"),
                        ("To", "<\(phone.aorURI)>\(tag)"), ("Call-ID", "e\(steps)"),
                        ("CSeq", "1 \(method)"), ("Contact", "<sip:e@203.0.113.9>"),
                    ])
            disturb(bytes, from: Self.stranger, isAnswered: method != "ACK")
        }
    }
}
