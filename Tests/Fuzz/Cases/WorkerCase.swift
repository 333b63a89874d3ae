import Bytes
import Forwarding
import Keys
import MidRegistrarCore
import Registration
import SIPMessage
import StoreInMemory

/// A script of what befalls one worker. Steps end with the byte 255; the first byte says what it is:
/// p, q, s: a datagram of phone p, phone q or a stranger; m, M: one of the main registrar to the
/// listener or the main-side socket; a, A: its answer to the last request that went to it, with or
/// without the contacts, the text being code and reason, then header lines; t: seconds pass; r: a
/// restart; c: the store fails, is full or down. In a datagram byte 254 stands for the URI of the
/// contact that was last sent to the main registrar, 253 for the value of our Via.
struct WorkerCase: FuzzCase, ~Copyable {
    private static let us = TransportAddress(ipv4: 0x7F00_0001, port: 5_060)
    private static let main = TransportAddress(ipv4: 0x7F00_0001, port: 5_070)
    private static let options: CoreOptions = {
        let secret = (0..<32).map { UInt8($0 + 1) }
        let relay = TransportAddress(ipv4: 0x7F00_0001, port: 5_160)
        let own = TransportAddress(ipv4: 0x7F00_0001, port: 5_170)
        var options = CoreOptions(
            keys: KeyRing(secret: secret.span),
            sockets: [
                .init(role: .listener, local: us, advertised: us),
                .init(role: .mainSide, local: relay, advertised: relay),
                .init(role: .own, local: own, advertised: own),
            ], mainSocket: 1, ownSocket: 2, mainServer: main, mainSide: MainSide([main]),
            ownAddresses: OwnAddresses([us]),
            contact: MainContact(placement: .parameter, advertised: us))
        options.bindingsMax = 64
        options.relaysMax = 256
        options.heldBytesMax = 1 << 17
        options.jitter = 0
        return options
    }()

    private var core = WorkerCore(options, now: Instant(milliseconds: 1_000_000))
    private var store = MemoryStore()
    private var outbox = Outbox(bytesMax: 1 << 20, messagesMax: 512)
    private var carried = ByteBuffer(bytesMax: WorkerCore.carriedBytesMax)
    private var index = MessageIndex()
    private var now: UInt64 = 1_000_000
    private var isFailing = false
    private var isDown = false
    /// The last request to the main registrar, its topmost Via and its first Contact's URI.
    private var asked: [UInt8] = []
    private var via: [UInt8] = []
    private var contact: [UInt8] = []

    private var instant: Instant { Instant(milliseconds: now) }

    mutating func run(_ bytes: Span<UInt8>) -> String? {
        now = 1_000_000
        core = WorkerCore(Self.options, now: instant)
        core.setDate(wallSeconds: 1_700_000_000)
        store = MemoryStore()
        (isFailing, isDown) = (false, false)
        (asked, via, contact) = ([], [], [])
        var at = 0
        while at < bytes.count {
            let end = bytes.find(255, 255, 255, 255, from: at, to: bytes.count)
            if end > at, let finding = step(bytes[at], bytes.extracting((at + 1)..<end)) {
                return finding
            }
            at = end + 1
        }
        return nil
    }

    private mutating func step(_ kind: UInt8, _ text: Span<UInt8>) -> String? {
        switch UnicodeScalar(kind) {
        case "q": return receive(filled(text), from: 0xC000_0202, 5_062, socket: 0)
        case "s": return receive(filled(text), from: 0xCB00_7109, 5_060, socket: 0)
        case "m": return receive(filled(text), from: 0x7F00_0001, 5_070, socket: 0)
        case "M": return receive(filled(text), from: 0x7F00_0001, 5_070, socket: 1)
        case "a": return answer(text, withContacts: true)
        case "A": return answer(text, withContacts: false)
        case "t":
            now += 1_000 * UInt64(text.isEmpty ? 1 : text[0])
            core.fire(at: instant, location: &store, outbox: &outbox)
            return endRound()
        case "r":
            store.restart()
            core = WorkerCore(Self.options, now: instant)
            core.resume(store.resync)
            for (number, fact) in store.durable.sorted(by: { $0.key < $1.key }) {
                _ = core.load(
                    RecordNumber(number), fact.span, leasesDoubtful: !text.isEmpty, now: instant)
            }
            return nil
        case "c":
            let marks = text.isEmpty ? 0 : text[0]
            isFailing = marks & 1 != 0
            store.isFull = marks & 2 != 0
            isDown = marks & 4 != 0
            return nil
        default: return receive(filled(text), from: 0xC000_0201, 5_062, socket: 0)
        }
    }

    private func filled(_ text: Span<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        for at in text.indices {
            switch text[at] {
            case 254: bytes += contact
            case 253: bytes += via
            case let byte: bytes.append(byte)
            }
        }
        return bytes
    }

    private mutating func answer(_ text: Span<UInt8>, withContacts: Bool) -> String? {
        guard !asked.isEmpty else { return nil }
        let end = text.find(0x0D, 0x0A, 0x0D, 0x0A, from: 0, to: text.count)
        var bytes = Array("SIP/2.0 ".utf8) + text.extracting(..<end).array + [13, 10]
        let asked = asked
        _ = MessageParser().parse(asked.span, length: asked.count, into: &index)
        for number in 0..<index.count {
            let field = index[number]
            switch field.name {
            case .via, .from, .to, .callID, .cseq: break
            case .contact where withContacts: break
            default: continue
            }
            bytes += asked[field.line.start..<field.line.end]
        }
        if end + 1 < text.count { bytes += filled(text.extracting((end + 1)...)) + [13, 10] }
        return receive(bytes + [13, 10], from: 0x7F00_0001, 5_070, socket: 1)
    }

    private mutating func receive(
        _ message: [UInt8], from host: UInt32, _ port: UInt16, socket: UInt16
    ) -> String? {
        guard !message.isEmpty, message.count <= 65_507 else { return nil }
        let bindings = core.counters[.bindingsAdded]
        let length = message.count
        let padded = message + [UInt8](repeating: 0, count: 64)
        let source = TransportAddress(ipv4: host, port: port)
        _ = core.receive(
            padded.span, length: length, from: source, socket: socket,
            arrivedNs: now * 1_000_000, now: instant, mayHandOver: true, carried: &carried,
            location: &store, outbox: &outbox)
        if core.counters[.bindingsAdded] > bindings {
            let outcome = MessageParser().parse(padded.span, length: length, into: &index)
            guard outcome == .message, !index.isRequest, 200..<300 ~= index.statusCode,
                source == Self.main
            else { return "bound without a 2xx of the main registrar" }
        }
        return endRound()
    }

    private mutating func endRound() -> String? {
        core.finishRound(at: instant, location: &store, outbox: &outbox)
        store.isFailing = isFailing
        let (through, failed) = store.decide()
        core.settle(
            through: through, failed: failed, storeDown: isDown, at: instant, outbox: &outbox)
        core.recordAbsorbed(sentNs: now * 1_000_000)
        core.events.removeAll(keepingCapacity: true)
        defer { outbox.clear() }
        if store.visible.isEmpty == false, core.counters[.mainAnswer200] == 0,
            core.counters[.mainAnswer2xx] == 0, core.counters[.bindingsAdded] > 0
        {
            return "a fact without a 2xx of the main registrar"
        }
        for number in 0..<outbox.count {
            if let finding = check(outbox.message(number)) { return finding }
        }
        return nil
    }

    /// What goes out is a message, without a byte in its header that could be read otherwise. Only a
    /// refusal of what was no message may lack what that lacked.
    private mutating func check(_ message: Outbox.Message) -> String? {
        let copy = outbox.bytes(of: message).array
        let bytes = copy.span
        if isKeepAlive(copy) { return nil }
        let outcome = MessageParser().parse(bytes, length: bytes.count, into: &index)
        let isRefusal = !index.isRequest && [400, 414, 505, 513].contains(index.statusCode)
        switch outcome {
        case .message: break
        // It came with as many fields or Vias as may come, or a line as long as one may be, and ours
        // on top.
        case .bad(let error)
        where error.reason == .tooManyHeaders || error.reason == .lineTooLong
            || error.reason == .tooManyVias:
            return nil
        case .bad, .keepAlive:
            if !isRefusal { return "\(outcome): \(String(decoding: bytes.array, as: UTF8.self))" }
        }
        let end = index.headerEnd.isEmpty ? bytes.count : index.headerEnd.end
        if let finding = bytes.rawControl(in: ByteRange(0, end)) {
            return "\(finding) of \(String(decoding: bytes.array, as: UTF8.self))"
        }
        if index.isRequest, message.destination == Self.main, index.method == .register {
            asked = copy
            remember()
        }
        return nil
    }

    /// A pong, a ping to a phone behind NAT, or the answer to a STUN request.
    private func isKeepAlive(_ bytes: [UInt8]) -> Bool {
        bytes == Array("\r\n".utf8) || bytes == Array("\r\n\r\n".utf8)
            || bytes.count == 32 && bytes.starts(with: [1, 1, 0, 12, 0x21, 0x12, 0xA4, 0x42])
    }

    private mutating func remember() {
        let copy = asked
        let bytes = copy.span
        if let top = try? index.topVia(bytes) {
            via = bytes.extracting(top.whole.start..<top.whole.end).array
        }
        var cursor = AddressCursor(.contact, of: index)
        if let first = try? cursor.next(bytes, index) {
            contact = bytes.extracting(first.uri.start..<first.uri.end).array
        }
    }
}
