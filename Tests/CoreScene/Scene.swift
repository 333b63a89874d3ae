package import Bytes
import Forwarding
package import Keys
package import MidRegistrarCore
package import Registration
package import StoreInMemory

package struct Sent: Equatable {
    package let to: TransportAddress
    package let socket: UInt16
    /// The same as text, for what is read and not sent on.
    package let text: String
    package let bytes: [UInt8]

    package func all(_ name: String) -> [String] {
        text.split(separator: "\r\n").compactMap { line in
            line.lowercased().hasPrefix(name.lowercased() + ":")
                ? String(line.dropFirst(name.count + 1).drop { $0 == " " }) : nil
        }
    }
    package func first(_ name: String) -> String { all(name).first ?? "" }
    package var startLine: String { String(text.prefix { $0 != "\r\n" }) }
    package var code: Int {
        startLine.hasPrefix("SIP/2.0 ") ? Int(startLine.dropFirst(8).prefix(3)) ?? 0 : 0
    }
    package var method: String { code == 0 ? String(startLine.prefix { $0 != " " }) : "" }
    package var contacts: [String] { all("Contact") }

    /// The lifetime of the Contact that has `part` in it (RFC 3261 §10.2.1.1).
    package func expires(_ part: String = "sip:") -> Int? {
        contacts.first { $0.contains(part) }.flatMap { contact in
            contact.split(separator: ";").compactMap {
                $0.hasPrefix("expires=") ? Int($0.dropFirst(8)) : nil
            }.last ?? Int(first("Expires"))
        }
    }
}

package func address(_ text: String) -> TransportAddress {
    guard let address = TransportAddress(hostPort: text, defaultPort: 5_060) else {
        preconditionFailure("an address of a test is one")
    }
    return address
}

package let testKeys: KeyRing = {
    let secret = (0..<32).map { UInt8($0 + 1) }
    return KeyRing(secret: secret.span)
}()

package let mainServer = address("127.0.0.1:5070")
package let phoneA = address("192.0.2.1:5062")
package let phoneB = address("192.0.2.2:5062")
package let stranger = address("203.0.113.9:5060")
package let listener: UInt16 = 0
package let mainSocket: UInt16 = 1
package let ownSocket: UInt16 = 2

/// One worker (or several) between phones and a main registrar that the test plays.
package final class Scene {
    package let options: CoreOptions
    private var core: WorkerCore
    package var store = MemoryStore()
    private var outbox = Outbox(bytesMax: 1 << 20, messagesMax: 512)
    private var carried = ByteBuffer(bytesMax: WorkerCore.carriedBytesMax)
    package var now: UInt64
    /// Commits are decided at the end of each round.
    package var commits = true
    package var commitsFail = false
    package var storeDown = false
    package private(set) var disposition = WorkerCore.Disposition.done
    package var mayHandOver = true
    /// Whether another worker has found who sent it.
    package var isVouched = false
    private var calls = 0
    /// The bytes of what was drained last.
    package private(set) var lastBytes: [UInt8] = []

    package static func options(
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

    package init(_ options: CoreOptions = Scene.options(), now: UInt64 = 1_000_000) {
        self.options = options
        self.now = now
        core = WorkerCore(options, now: Instant(milliseconds: now))
        core.setDate(wallSeconds: 1_700_000_000)
    }

    package func counter(_ counter: Counter) -> UInt64 { core.counters[counter] }
    package func gauge(_ gauge: Gauge) -> UInt64 { core.counters[gauge] }
    package var events: [CoreEvent] { core.events }
    package var nextTimer: UInt64 { core.nextTimer.milliseconds }
    package var instant: Instant { Instant(milliseconds: now) }

    /// Gives a datagram to the worker, ends the round, and says what went out.
    @discardableResult
    package func send(_ text: String, from source: TransportAddress, socket: UInt16 = listener)
        -> [Sent]
    {
        deliver(text, from: source, socket: socket)
        endRound()
        return drain()
    }

    /// Gives a datagram to the worker without ending the round.
    /// Sends a request that may open a call, each time as one of its own; returns what was sent for it
    /// but the 100 that its caller gets.
    package func call(
        _ text: String, from source: TransportAddress, socket: UInt16 = listener
    ) -> [Sent] {
        calls += 1
        let mark = ";branch=z9hG4bK"
        let own =
            text.firstRange(of: mark).map {
                text[..<$0.upperBound] + "\(calls)x" + text[$0.upperBound...]
            } ?? text[...]
        return send(String(own), from: source, socket: socket).filter { $0.code != 100 }
    }

    package func deliver(_ text: String, from source: TransportAddress, socket: UInt16 = listener) {
        deliver(Array(text.utf8), from: source, socket: socket)
    }

    package func deliver(
        _ datagram: [UInt8], from source: TransportAddress, socket: UInt16 = listener
    ) {
        var bytes = datagram
        let length = bytes.count
        bytes += [UInt8](repeating: 0, count: 64)
        disposition = core.receive(
            bytes.span, length: length, from: source, socket: socket, arrivedNs: now * 1_000_000,
            now: instant, mayHandOver: mayHandOver, isVouched: isVouched, carried: &carried,
            location: &store, outbox: &outbox)
    }

    package func endRound() {
        core.finishRound(at: instant, location: &store, outbox: &outbox)
        if commits { settle() }
        core.recordAbsorbed(sentNs: now * 1_000_000)
    }

    package func settle() {
        store.isFailing = commitsFail
        let (through, failed) = store.decide()
        core.settle(
            through: through, failed: failed, storeDown: storeDown, at: instant, outbox: &outbox)
    }

    package func sync(over seconds: UInt32?) { core.sync(over: seconds, at: instant) }
    package func sync(aor: String) -> Int? {
        let bytes = Array(aor.utf8)
        return core.sync(aor: bytes.span)
    }

    /// Leaves no room for another message, as many of one round do.
    package func fillOutbox() {
        var isFull = false
        while !isFull {
            outbox.begin()
            outbox.write("\r\n")
            isFull = !outbox.end(to: stranger, from: listener)
        }
    }

    /// What went out since it was asked last.
    package func drain() -> [Sent] {
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
                    text: String(decoding: text, as: UTF8.self), bytes: text))
        }
        outbox.clear()
        return sent
    }

    /// Lets time pass in steps of at most `step` milliseconds; returns what went out.
    @discardableResult
    package func advance(ms: UInt64, step: UInt64 = 500) -> [Sent] {
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

    /// Lets time pass to the moment of the worker's next timer, or to `end` if that comes first.
    @discardableResult
    package func advanceToTimer(orTo end: UInt64) -> [Sent] {
        now = min(end, max(now + 1, nextTimer))
        var sent: [Sent] = []
        // What a call leaves for the next is due at this very moment too.
        for _ in 0..<64 {
            core.fire(at: instant, location: &store, outbox: &outbox)
            endRound()
            sent += drain()
            if nextTimer > now { break }
        }
        return sent
    }

    package func advance(s: UInt64) -> [Sent] { advance(ms: s * 1_000) }

    /// The worker is gone and another begins with what the store has.
    package func restart(leasesDoubtful: Bool = false) {
        store.restart()
        core = WorkerCore(options, now: instant)
        core.setDate(wallSeconds: 1_700_000_000)
        if let resync = Resync(words: store.resync.words) { core.resume(resync) }
        for (number, bytes) in store.visible.sorted(by: { $0.key < $1.key }) {
            _ = core.load(
                RecordNumber(number), bytes.span, leasesDoubtful: leasesDoubtful, now: instant)
        }
        outbox.clear()
    }

    /// Puts a fact into the store, and takes it as after a restart.
    package func put(_ number: UInt64, _ bytes: [UInt8]) {
        store.stage(RecordNumber(number), bytes.span)
        _ = store.handOver()
        store.isFailing = false
        _ = store.decide()
        restart()
    }

    /// Takes a fact of another worker's store.
    @discardableResult
    package func load(_ number: UInt64, _ bytes: [UInt8]) -> Bool {
        core.load(RecordNumber(number), bytes.span, leasesDoubtful: false, now: instant)
    }

    /// Lets time pass in steps of 100 ms and says how often memory was asked for.
    package func measureFire(ms: UInt64, _ count: () -> UInt64) -> UInt64 {
        let store = store
        self.store = MemoryStore()
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
    package func measure(_ prepared: [[UInt8]], _ count: () -> UInt64) -> UInt64 {
        let store = store
        self.store = MemoryStore()
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
package struct Phone {
    package var user: String
    package var from: TransportAddress
    package var socket: UInt16
    package var contact: String
    package var sentBy: String
    package var callID: String
    package var sequence: Int
    package var branches: Int
    package var extra: [String]

    package init(
        user: String = "alice", from: TransportAddress = phoneA, socket: UInt16 = listener,
        contact: String = "<sip:alice@192.0.2.1:5062>", sentBy: String = "192.0.2.1:5062",
        callID: String = "call-1@phone", sequence: Int = 0, branches: Int = 0,
        extra: [String] = []
    ) {
        self.user = user
        self.from = from
        self.socket = socket
        self.contact = contact
        self.sentBy = sentBy
        self.callID = callID
        self.sequence = sequence
        self.branches = branches
        self.extra = extra
    }

    package mutating func register(
        expires: Int? = 600, authorized: Bool = true, contact: String? = nil
    ) -> String {
        sequence += 1
        branches += 1
        return text(expires: expires, authorized: authorized, contact: contact)
    }

    package func text(expires: Int? = 600, authorized: Bool = true, contact: String? = nil)
        -> String
    {
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
package func answer(
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
    package func components(_ separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }

    /// The contact ID in it.
    package var contactID: String {
        components("ctid=").dropFirst().first.map { String($0.prefix(24)) } ?? ""
    }
}

extension Scene {
    /// Registers a phone by way of the main registrar; returns what the phone got.
    @discardableResult
    package func register(
        _ phone: inout Phone, expires: Int = 600, main: Int? = nil, extra: [String] = []
    ) -> [Sent] {
        let relayed = send(phone.register(expires: expires), from: phone.from, socket: phone.socket)
        guard let request = relayed.first, request.to == mainServer else { return relayed }
        return send(
            answer(request, expires: main, extra: extra), from: mainServer, socket: mainSocket)
    }
}
