internal import Bytes
internal import DigestAuth
internal import SIPMessage

/// Phones that register with a password and refresh, a few to an address and port; the clock, the
/// sockets and the threads are somebody else's.
///
/// They behave as RFC 3261 §10.2 and §17.1.2 ask: one Call-ID from start to start, a rising CSeq,
/// copies after T1 and at doubling distances, credentials with a rising nonce count.
struct PhoneFleet: ~Copyable {
    /// What the phones saw; it changes only in `receive` and `fire`.
    private(set) var report = FleetReport()
    /// Latencies are kept of requests sent from this moment to ``measuredToNs``.
    var measuredFromNs = UInt64.max
    var measuredToNs = UInt64.max
    /// Whether phones start nothing new; what is under way goes on.
    var isPaused = false

    private var phones: [Phone] = []
    /// When each phone has to act next; apart from the phones, since it is looked through often.
    private var dues: [UInt64] = []
    private var computer: DigestComputer
    private var index = MessageIndex()
    private let flows: [TransportAddress]
    private let target: TransportAddress
    private let periodNs: UInt64
    private let steadyNs: UInt64

    /// T1 and T2 of RFC 3261 §17.1.2.1, and 64·T1.
    private static let firstCopyNs: UInt64 = 500_000_000
    private static let copyDistanceMaxNs: UInt64 = 4_000_000_000
    private static let patienceNs: UInt64 = 32_000_000_000

    /// - Parameters:
    ///   - target: where they send.
    ///   - flows: the addresses that they send from; phones take turns.
    ///   - startNs: when the first phone registers.
    /// - Throws: `DigestError.unavailable`.
    init(
        _ options: DemoOptions, target: TransportAddress, flows: [TransportAddress],
        startNs: UInt64
    ) throws(DigestError) {
        computer = try DigestComputer()
        self.target = target
        self.flows = flows
        periodNs = options.refreshMs * 1_000_000
        steadyNs = startNs + options.rampMs * 1_000_000
        let stepNs = options.rampMs * 1_000_000 / UInt64(options.phones)
        for number in 0..<options.phones {
            phones.append(Phone(number: number, flow: number % flows.count))
            dues.append(startNs + UInt64(number) * stepNs)
        }
    }

    /// The moment from which every phone has had its time to register.
    var steadyFromNs: UInt64 { steadyNs }

    // MARK: Time

    /// Lets every phone act that is due, and returns when the next one is.
    mutating func fire(nowNs: UInt64, _ outbox: inout Outbox) -> UInt64 {
        var next = UInt64.max
        for number in dues.indices {
            if dues[number] <= nowNs, outbox.hasRoom(for: Self.requestBytesMax) {
                act(number, nowNs, &outbox)
            }
            next = min(next, dues[number])
        }
        return next
    }

    private mutating func act(_ number: Int, _ nowNs: UInt64, _ outbox: inout Outbox) {
        if phones[number].isWaiting {
            guard nowNs - phones[number].sentNs < Self.patienceNs else {
                report.unanswered += 1
                phones[number].isWaiting = false
                report.waiting -= 1
                dues[number] = slot(of: number, after: nowNs)
                return
            }
            phones[number].copyNs = min(phones[number].copyNs * 2, Self.copyDistanceMaxNs)
            dues[number] = nowNs + phones[number].copyNs
            report.copies += 1
            outbox.begin()
            let request = phones[number].request
            outbox.write(request.span)
            outbox.end(to: target, from: UInt16(phones[number].flow))
            return
        }
        guard !isPaused else {
            dues[number] = slot(of: number, after: nowNs)
            return
        }
        phones[number].refusals = 0
        switch phones[number].state {
        case .away:
            phones[number].start()
            phones[number].asks = .registration
        case .here:
            phones[number].slots += 1
            phones[number].asks =
                phones[number].isVisitor && phones[number].slots % 2 == 0 ? .removal : .refresh
        }
        send(number, nowNs, &outbox)
    }

    /// The next of a phone's own moments, which are a period apart and spread over the phones.
    private func slot(of number: Int, after nowNs: UInt64) -> UInt64 {
        let first = steadyNs + UInt64(number) * (periodNs / UInt64(phones.count))
        guard nowNs >= first else { return first }
        return first + ((nowNs - first) / periodNs + 1) * periodNs
    }

    // MARK: Answers

    /// Takes a datagram that arrived at one of the flows.
    mutating func receive(
        _ bytes: Span<UInt8>, length: Int, flow: Int, nowNs: UInt64, _ outbox: inout Outbox
    ) {
        guard MessageParser().parse(bytes, length: length, into: &index) == .message,
            !index.isRequest, let number = phone(bytes, flow: flow)
        else {
            report.complain("a datagram that answers nothing")
            return
        }
        // A copy of an answer, or the answer to a copy; provisional ones change nothing.
        guard phones[number].isWaiting, index.statusCode >= 200,
            index.sequenceNumber == phones[number].sequence
        else { return }
        phones[number].isWaiting = false
        report.waiting -= 1
        report.answered += 1
        let sentNs = phones[number].sentNs
        if sentNs >= measuredFromNs, sentNs < measuredToNs {
            report.latencies.record(nanoseconds: nowNs - sentNs)
        }
        dues[number] = slot(of: number, after: nowNs)
        switch index.statusCode {
        case 200: accepted(number, bytes, nowNs)
        case 401 where phones[number].refusals < 2:
            phones[number].refusals += 1
            guard takeChallenge(number, bytes) else {
                report.complain("a 401 without a usable challenge")
                return
            }
            send(number, nowNs, &outbox)
        default:
            report.complain("\(index.statusCode) to a \(phones[number].asks.rawValue)")
        }
    }

    /// The phone that a response is for, by the branch that it made.
    private func phone(_ bytes: Span<UInt8>, flow: Int) -> Int? {
        guard let via = try? index.topVia(bytes), via.hasMagicCookie(bytes) else { return nil }
        let start = via.branch.start + 7
        let dot = bytes.find(0x2E, 0x2E, 0x2E, 0x2E, from: start, to: via.branch.end)
        guard let number = try? bytes.number(in: ByteRange(start, dot), max: 1 << 20),
            Int(number) < phones.count, phones[Int(number)].flow == flow
        else { return nil }
        return Int(number)
    }

    private mutating func accepted(_ number: Int, _ bytes: Span<UInt8>, _ nowNs: UInt64) {
        let seconds = ownContact(number, bytes)
        switch phones[number].asks {
        case .registration, .refresh:
            guard let seconds, seconds > 0, seconds <= DemoOptions.phoneExpirySeconds else {
                report.complain("200 to a \(phones[number].asks.rawValue) without its contact")
                return
            }
            if !phones[number].wasHere { report.everRegistered += 1 }
            if phones[number].state == .away { report.registered += 1 }
            if phones[number].asks == .registration, phones[number].wasHere { report.returns += 1 }
            phones[number].wasHere = true
            phones[number].state = .here
        case .removal:
            guard seconds == nil else {
                report.complain("200 to a removal that still lists the contact")
                return
            }
            report.registered -= 1
            phones[number].state = .away
            dues[number] = nowNs + periodNs / 2
        }
    }

    /// The `expires` of this phone's Contact in the answer; `nil` if it is not there.
    private func ownContact(_ number: Int, _ bytes: Span<UInt8>) -> UInt64? {
        var cursor = AddressCursor(.contact, of: index)
        while let contact = try? cursor.next(bytes, index) {
            guard bytes.copy(contact.uri) == contactURI(number) else { continue }
            guard let range = bytes.parameter("expires", in: contact.parameters) else { return 0 }
            return (try? bytes.number(in: range, max: 1 << 32)) ?? 0
        }
        return nil
    }

    private mutating func takeChallenge(_ number: Int, _ bytes: Span<UInt8>) -> Bool {
        guard let value = index.value(.wwwAuthenticate),
            let challenge = try? DigestChallenge(bytes, value), challenge.offersAuth
        else { return false }
        let user = Array(phones[number].user.utf8)
        let password = Array(("pw-" + phones[number].user).utf8)
        let realm = bytes.copy(challenge.realm)
        phones[number].login = Phone.Login(
            algorithm: challenge.algorithm, realm: realm, nonce: bytes.copy(challenge.nonce),
            secret: computer.secret(
                challenge.algorithm, user: user.span, realm: realm.span, password: password.span))
        return true
    }

    // MARK: Requests

    private static let requestBytesMax = 2_048

    private func contactURI(_ number: Int) -> [UInt8] {
        Array("sip:\(phones[number].user)@\(flows[phones[number].flow].text)".utf8)
    }

    /// Sends what the phone asks for, as a new request, and remembers it for copies.
    private mutating func send(_ number: Int, _ nowNs: UInt64, _ outbox: inout Outbox) {
        phones[number].sequence += 1
        let phone = phones[number]
        let flow = flows[phone.flow]
        let aor = "sip:\(phone.user)@\(DemoDomain.name)"
        let contact = contactURI(number)
        outbox.begin()
        outbox.write("REGISTER sip:")
        outbox.write(string: DemoDomain.name)
        outbox.write(" SIP/2.0\r\nVia: SIP/2.0/UDP ")
        outbox.write(flow)
        outbox.write(
            string: ";branch=z9hG4bK\(number).\(phone.starts).\(phone.sequence);rport\r\n"
                + "Max-Forwards: 70\r\nFrom: <\(aor)>;tag=\(phone.starts)\r\nTo: <\(aor)>\r\n"
                + "Call-ID: \(number)-\(phone.starts)@\(flow.hostText)\r\n"
                + "CSeq: \(phone.sequence) REGISTER\r\nContact: <")
        outbox.write(contact.span)
        outbox.write(">\r\nExpires: ")
        outbox.write(
            decimal: phone.asks == .removal ? 0 : DemoOptions.phoneExpirySeconds)
        outbox.write("\r\nUser-Agent: midreg-demo\r\n")
        writeLogin(number, &outbox)
        outbox.write("Content-Length: 0\r\n\r\n")
        let whole = ByteRange(0, outbox.openCount)
        phones[number].request = outbox.open.copy(whole)
        outbox.end(to: target, from: UInt16(phone.flow))
        phones[number].isWaiting = true
        phones[number].sentNs = nowNs
        phones[number].copyNs = Self.firstCopyNs
        dues[number] = nowNs + Self.firstCopyNs
        report.sent += 1
        report.waiting += 1
    }

    private mutating func writeLogin(_ number: Int, _ outbox: inout Outbox) {
        guard var login = phones[number].login else { return }
        login.count += 1
        phones[number].login = login
        let digits = String(login.count, radix: 16)
        let nonceCount = Array((String(repeating: "0", count: 8 - digits.count) + digits).utf8)
        let cnonce = Array(String(UInt64.random(in: .min ... .max), radix: 36).utf8)
        let uri = Array(("sip:" + DemoDomain.name).utf8)
        let method = Array("REGISTER".utf8)
        let response = computer.response(
            login.algorithm, secret: login.secret, nonce: login.nonce.span,
            nonceCount: nonceCount.span, cnonce: cnonce.span, method: method.span, uri: uri.span)
        outbox.write("Authorization: Digest username=\"")
        outbox.write(string: phones[number].user)
        outbox.write("\", realm=\"")
        outbox.write(login.realm.span)
        outbox.write("\", nonce=\"")
        outbox.write(login.nonce.span)
        outbox.write("\", uri=\"")
        outbox.write(uri.span)
        outbox.write("\", algorithm=")
        outbox.write(login.algorithm.name)
        outbox.write(", qop=auth, nc=")
        outbox.write(nonceCount.span)
        outbox.write(", cnonce=\"")
        outbox.write(cnonce.span)
        outbox.write("\", response=\"")
        response.write(to: &outbox)
        outbox.write("\"\r\n")
    }
}

/// What all phones together saw.
struct FleetReport: Sendable {
    /// Requests, without copies; how many of them got a final answer, and how many still wait.
    var sent: UInt64 = 0
    var answered: UInt64 = 0
    var waiting = 0
    var copies: UInt64 = 0
    /// Given up after 64·T1.
    var unanswered = 0
    /// Phones that are registered, and that ever were.
    var registered = 0
    var everRegistered = 0
    /// Registrations of phones that had left.
    var returns = 0
    /// What should not have happened, and how often.
    var complaints: [String: Int] = [:]
    var latencies = LatencyHistogram()

    mutating func complain(_ what: String) { complaints[what, default: 0] += 1 }
}

/// One phone.
private struct Phone {
    enum State { case away, here }
    enum Request: String { case registration, refresh, removal }

    /// What answers the last challenge.
    struct Login {
        let algorithm: DigestAlgorithm
        let realm: [UInt8]
        let nonce: [UInt8]
        let secret: HexDigest
        var count: UInt32 = 0
    }

    let user: String
    let flow: Int
    /// Whether it leaves and comes back all the time.
    let isVisitor: Bool
    var state = State.away
    var wasHere = false
    /// How often it was switched on: each time it has a new Call-ID and no login.
    var starts = 0
    var sequence: UInt32 = 0
    var login: Login?
    var slots = 0

    var asks = Request.registration
    var isWaiting = false
    var request: [UInt8] = []
    var sentNs: UInt64 = 0
    var copyNs: UInt64 = 0
    /// 401s to what it asks for now.
    var refusals = 0

    init(number: Int, flow: Int) {
        user = "phone\(number)"
        self.flow = flow
        isVisitor = number % DemoOptions.phonesPerVisitor == DemoOptions.phonesPerVisitor / 2
    }

    mutating func start() {
        starts += 1
        sequence = 0
        login = nil
    }
}
