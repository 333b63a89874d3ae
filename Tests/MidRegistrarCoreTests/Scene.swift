import Bytes
import Forwarding
import Keys
import MidRegistrarCore
import Registration

/// A store in memory: what is durable, what is under way, and whether it works.
struct TestStore: LocationService {
    private var next: UInt64 = 0
    /// What a reader of this worker sees.
    private(set) var visible: [UInt64: [UInt8]] = [:]
    /// What a restart finds.
    private(set) var durable: [UInt64: [UInt8]] = [:]
    private var open: [(UInt64, [UInt8]?)] = []
    private var handed: [[(UInt64, [UInt8]?)]] = []
    private var ticket: UInt64 = 0
    private var decided: UInt64 = 0
    /// Hand-overs are refused, as by a full queue.
    var isFull = false

    mutating func nextRecordNumber() -> RecordNumber {
        next += 1
        return RecordNumber(next)
    }

    mutating func read<Result>(
        _ number: RecordNumber, _ body: (Span<UInt8>) -> Result
    ) -> Result? {
        guard let fact = visible[number.value] else { return nil }
        return body(fact.span)
    }

    mutating func stage(_ number: RecordNumber, _ fact: Span<UInt8>) {
        var bytes: [UInt8] = []
        for at in fact.indices { bytes.append(fact[at]) }
        visible[number.value] = bytes
        open.append((number.value, bytes))
    }

    mutating func stageRemoval(of number: RecordNumber) {
        visible[number.value] = nil
        open.append((number.value, nil))
    }

    mutating func handOver() -> CommitTicket? {
        if open.isEmpty { return CommitTicket(ticket) }
        let changes = open
        open = []
        if isFull { return nil }
        handed.append(changes)
        ticket += 1
        return CommitTicket(ticket)
    }

    /// Decides everything that was handed over; says up to which ticket, and what failed of it.
    mutating func decide(failing: Bool) -> (through: CommitTicket, failed: [CommitTicket]) {
        var failed: [CommitTicket] = []
        for changes in handed {
            decided += 1
            if failing {
                failed.append(CommitTicket(decided))
            } else {
                for (number, bytes) in changes { durable[number] = bytes }
            }
        }
        handed = []
        return (CommitTicket(decided), failed)
    }

    /// As it is after a restart.
    mutating func restart() {
        visible = durable
        open = []
        handed = []
        ticket = 0
        decided = 0
    }
}

struct Sent: Equatable {
    let to: TransportAddress
    let socket: UInt16
    let text: String

    func all(_ name: String) -> [String] {
        text.split(separator: "\r\n").compactMap { line in
            line.lowercased().hasPrefix(name.lowercased() + ":")
                ? String(line.dropFirst(name.count + 1).drop { $0 == " " }) : nil
        }
    }
    func first(_ name: String) -> String { all(name).first ?? "" }
    var startLine: String { String(text.prefix { $0 != "\r\n" }) }
    var code: Int {
        startLine.hasPrefix("SIP/2.0 ") ? Int(startLine.dropFirst(8).prefix(3)) ?? 0 : 0
    }
    var method: String { code == 0 ? String(startLine.prefix { $0 != " " }) : "" }
    var contacts: [String] { all("Contact") }

    /// The lifetime of the Contact that has `part` in it (RFC 3261 §10.2.1.1).
    func expires(_ part: String = "sip:") -> Int? {
        contacts.first { $0.contains(part) }.flatMap { contact in
            contact.split(separator: ";").compactMap {
                $0.hasPrefix("expires=") ? Int($0.dropFirst(8)) : nil
            }.last ?? Int(first("Expires"))
        }
    }
}

func address(_ text: String) -> TransportAddress {
    guard let address = TransportAddress(hostPort: text, defaultPort: 5_060) else {
        preconditionFailure("an address of a test is one")
    }
    return address
}

let testKeys: KeyRing = {
    let secret = (0..<32).map { UInt8($0 + 1) }
    return KeyRing(secret: secret.span)
}()

let mainServer = address("127.0.0.1:5070")
let phoneA = address("192.0.2.1:5062")
let phoneB = address("192.0.2.2:5062")
let stranger = address("203.0.113.9:5060")
let listener: UInt16 = 0
let mainSocket: UInt16 = 1
let ownSocket: UInt16 = 2

/// One worker (or several) between phones and a main registrar that the test plays.
final class Scene {
    let options: CoreOptions
    private var core: WorkerCore
    var store = TestStore()
    private var outbox = Outbox(bytesMax: 1 << 20, messagesMax: 512)
    private var carried = ByteBuffer(bytesMax: WorkerCore.carriedBytesMax)
    var now: UInt64
    /// Commits are decided at the end of each round.
    var commits = true
    var commitsFail = false
    var storeDown = false
    private(set) var disposition = WorkerCore.Disposition.done
    var mayHandOver = true
    /// The bytes of what was drained last.
    private(set) var lastBytes: [UInt8] = []

    static func options(
        placement: MainContact.Placement = .parameter,
        _ change: (inout CoreOptions) -> Void = { _ in }
    ) -> CoreOptions {
        let us = address("127.0.0.1:5060")
        var options = CoreOptions(
            keys: testKeys,
            sockets: [
                .init(role: .listener, local: us, advertised: us),
                .init(
                    role: .mainSide, local: address("127.0.0.1:5160"),
                    advertised: address("127.0.0.1:5160")),
                .init(
                    role: .own, local: address("127.0.0.1:5170"),
                    advertised: address("127.0.0.1:5170")),
                .init(
                    role: .listener, local: address("[2001:db8::5]:5060"),
                    advertised: address("[2001:db8::5]:5060")),
            ], mainSocket: mainSocket, ownSocket: ownSocket, mainServer: mainServer,
            mainSide: MainSide([mainServer]), ownAddresses: OwnAddresses([us]),
            contact: MainContact(placement: placement, advertised: us))
        options.bindingsMax = 1_000
        options.jitter = 0
        options.natPing = .off
        change(&options)
        return options
    }

    init(_ options: CoreOptions = Scene.options(), now: UInt64 = 1_000_000) {
        self.options = options
        self.now = now
        core = WorkerCore(options, now: Instant(milliseconds: now))
        core.setDate(wallSeconds: 1_700_000_000)
    }

    func counter(_ counter: Counter) -> UInt64 { core.counters[counter] }
    func gauge(_ gauge: Gauge) -> UInt64 { core.counters[gauge] }
    var events: [CoreEvent] { core.events }
    var nextTimer: UInt64 { core.nextTimer.milliseconds }
    var instant: Instant { Instant(milliseconds: now) }

    /// Gives a datagram to the worker, ends the round, and says what went out.
    @discardableResult
    func send(_ text: String, from source: TransportAddress, socket: UInt16 = listener) -> [Sent] {
        deliver(text, from: source, socket: socket)
        endRound()
        return drain()
    }

    /// Gives a datagram to the worker without ending the round.
    func deliver(_ text: String, from source: TransportAddress, socket: UInt16 = listener) {
        deliver(Array(text.utf8), from: source, socket: socket)
    }

    func deliver(_ datagram: [UInt8], from source: TransportAddress, socket: UInt16 = listener) {
        var bytes = datagram
        let length = bytes.count
        bytes += [UInt8](repeating: 0, count: 64)
        disposition = core.receive(
            bytes.span, length: length, from: source, socket: socket, arrivedNs: now * 1_000_000,
            now: instant, mayHandOver: mayHandOver, carried: &carried, location: &store,
            outbox: &outbox)
    }

    func endRound() {
        core.finishRound(at: instant, location: &store, outbox: &outbox)
        if commits { settle() }
        core.recordAbsorbed(sentNs: now * 1_000_000)
    }

    func settle() {
        let (through, failed) = store.decide(failing: commitsFail)
        core.settle(
            through: through, failed: failed, storeDown: storeDown, at: instant, outbox: &outbox)
    }

    func sync(over seconds: UInt32?) { core.sync(over: seconds, at: instant) }
    func sync(aor: String) -> Int? {
        let bytes = Array(aor.utf8)
        return core.sync(aor: bytes.span)
    }

    /// What went out since it was asked last.
    func drain() -> [Sent] {
        var sent: [Sent] = []
        for number in 0..<outbox.count {
            let message = outbox.message(number)
            lastBytes = []
            var text: [UInt8] = []
            let bytes = outbox.bytes(of: message)
            for at in bytes.indices { text.append(bytes[at]) }
            lastBytes = text
            sent.append(
                Sent(
                    to: message.destination, socket: message.socket,
                    text: String(decoding: text, as: UTF8.self)))
        }
        outbox.clear()
        return sent
    }

    /// Lets time pass in steps of at most `step` milliseconds; returns what went out.
    @discardableResult
    func advance(ms: UInt64, step: UInt64 = 500) -> [Sent] {
        let end = now + ms
        var sent: [Sent] = []
        repeat {
            now = min(end, now + step)
            core.fire(at: instant, location: &store, outbox: &outbox)
            endRound()
            sent += drain()
        } while now < end
        return sent
    }

    func advance(s: UInt64) -> [Sent] { advance(ms: s * 1_000) }

    /// The worker is gone and another begins with what the store has.
    func restart(leasesDoubtful: Bool = false) {
        store.restart()
        core = WorkerCore(options, now: instant)
        core.setDate(wallSeconds: 1_700_000_000)
        for (number, bytes) in store.visible.sorted(by: { $0.key < $1.key }) {
            _ = core.load(
                RecordNumber(number), bytes.span, leasesDoubtful: leasesDoubtful, now: instant)
        }
        outbox.clear()
    }

    /// Puts a fact into the store, and takes it as after a restart.
    func put(_ number: UInt64, _ bytes: [UInt8]) {
        store.stage(RecordNumber(number), bytes.span)
        _ = store.handOver()
        _ = store.decide(failing: false)
        restart()
    }

    /// Takes a fact of another worker's store.
    @discardableResult
    func load(_ number: UInt64, _ bytes: [UInt8]) -> Bool {
        core.load(RecordNumber(number), bytes.span, leasesDoubtful: false, now: instant)
    }

    /// Lets time pass in steps of 100 ms and says how often memory was asked for.
    func measureFire(ms: UInt64, _ count: () -> UInt64) -> UInt64 {
        let store = store
        self.store = TestStore()
        var location = store
        var mallocs: UInt64 = 0
        let end = now + ms
        while now < end {
            now += 100
            let before = count()
            core.fire(at: instant, location: &location, outbox: &outbox)
            mallocs += count() - before
            outbox.clear()
        }
        self.store = location
        return mallocs
    }

    /// Receives prepared bytes again and again and says how often memory was asked for.
    func measure(_ prepared: [[UInt8]], _ count: () -> UInt64) -> UInt64 {
        let store = store
        self.store = TestStore()
        var location = store
        var mallocs: UInt64 = 0
        for message in prepared {
            let length = message.count - 64
            let before = count()
            _ = core.receive(
                message.span, length: length, from: phoneA, socket: listener, arrivedNs: 0,
                now: instant, mayHandOver: true, carried: &carried, location: &location,
                outbox: &outbox)
            mallocs += count() - before
            outbox.clear()
        }
        self.store = location
        return mallocs
    }
}

/// A phone that writes its REGISTERs, and remembers nothing but its numbers.
struct Phone {
    var user = "alice"
    var from = phoneA
    var socket = listener
    var contact = "<sip:alice@192.0.2.1:5062>"
    var sentBy = "192.0.2.1:5062"
    var callID = "call-1@phone"
    var sequence = 0
    var branches = 0
    var extra: [String] = []

    mutating func register(
        expires: Int? = 600, authorized: Bool = true, contact: String? = nil
    ) -> String {
        sequence += 1
        branches += 1
        return text(expires: expires, authorized: authorized, contact: contact)
    }

    func text(expires: Int? = 600, authorized: Bool = true, contact: String? = nil) -> String {
        let expiry = expires.map { ["Expires: \($0)"] } ?? []
        let credentials = authorized ? ["Authorization: Digest username=\"\(user)\""] : []
        let contact = contact ?? self.contact
        let name = callID.prefix { $0 != "@" }
        let lines =
            [
                "REGISTER sip:example.test SIP/2.0",
                "Via: SIP/2.0/UDP \(sentBy);branch=z9hG4bK\(name)\(branches);rport",
                "Max-Forwards: 70", "From: <sip:\(user)@example.test>;tag=f1",
                "To: <sip:\(user)@example.test>", "Call-ID: \(callID)",
                "CSeq: \(sequence) REGISTER",
            ] + (contact.isEmpty ? [] : ["Contact: \(contact)"]) + expiry + credentials + extra
            + ["Content-Length: 0", "", ""]
        return lines.joined(separator: "\r\n")
    }
}

/// The main registrar's answer to a relayed request.
func answer(
    _ request: Sent, _ code: Int = 200, reason: String = "OK", expires: Int? = nil,
    without: Bool = false, extra: [String] = [], expiry: Bool = true
) -> String {
    var lines = ["SIP/2.0 \(code) \(reason)"]
    lines += request.all("Via").map { "Via: \($0)" }
    lines += ["From: \(request.first("From"))", "To: \(request.first("To"));tag=main"]
    lines += ["Call-ID: \(request.first("Call-ID"))", "CSeq: \(request.first("CSeq"))"]
    if code < 300, !without {
        for contact in request.contacts where contact != "*" {
            let asked =
                contact.components(";expires=").last.flatMap { Int($0) }
                ?? Int(request.first("Expires")) ?? 3_600
            guard asked > 0 else { continue }
            let bare = contact.components(";expires=")[0]
            lines.append("Contact: \(bare)" + (expiry ? ";expires=\(expires ?? asked)" : ""))
        }
    }
    return (lines + extra + ["Content-Length: 0", "", ""]).joined(separator: "\r\n")
}

extension String {
    func components(_ separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }

    /// The contact ID in it.
    var contactID: String {
        components("ctid=").dropFirst().first.map { String($0.prefix(24)) } ?? ""
    }
}

extension Scene {
    /// Registers a phone by way of the main registrar; returns what the phone got.
    @discardableResult
    func register(
        _ phone: inout Phone, expires: Int = 600, main: Int? = nil, extra: [String] = []
    ) -> [Sent] {
        let relayed = send(phone.register(expires: expires), from: phone.from, socket: phone.socket)
        guard let request = relayed.first, request.to == mainServer else { return relayed }
        return send(
            answer(request, expires: main, extra: extra), from: mainServer, socket: mainSocket)
    }
}
