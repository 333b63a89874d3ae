import Bytes
import Forwarding
import Keys
import Registration
import SIPMessage

/// A datagram that is passed on or answered: what is written is read again as the fields that came.
struct RewriteCase: FuzzCase, ~Copyable {
    private var before = MessageIndex()
    private var after = MessageIndex()
    private var outbox = Outbox(bytesMax: 1 << 18, messagesMax: 2)
    private var meaning = RegisterMeaning()
    private var aor = ByteBuffer(bytesMax: 512)
    private let keys = KeyRing(secret: [UInt8](repeating: 7, count: 32).span)
    private var scratch = ByteBuffer(bytesMax: 640)
    private let source = TransportAddress(ipv4: 0xC633_6409, port: 40_000)
    private let us = TransportAddress(ipv4: 0x7F00_0001, port: 5_060)

    mutating func run(_ bytes: Span<UInt8>) -> String? {
        // Two more fields than came must have room, and a Via grow by what it is stamped with.
        guard MessageParser().parse(bytes, length: bytes.count, into: &before) == .message,
            let top = try? before.topVia(bytes), before.count < MessageIndex.headersMax - 3,
            top.whole.count < MessageIndex.lineBytesMax / 2
        else { return nil }
        guard before.isRequest else { return response(bytes, top) }
        if let finding = answer(bytes) { return "an answer: " + finding }
        guard let target = try? SIPURI(bytes, before.requestURI), target.headers.isEmpty,
            areAddresses(bytes, .from), areAddresses(bytes, .to), areAddresses(bytes, .route)
        else { return nil }
        if let finding = request(bytes, target, leavesOutRoute: false) { return finding }
        if let finding = request(bytes, target, leavesOutRoute: true) {
            return "routed: " + finding
        }
        return before.method == .register ? register(bytes) : nil
    }

    private func areAddresses(_ bytes: Span<UInt8>, _ name: HeaderName) -> Bool {
        var cursor = AddressCursor(name, of: before)
        do throws(SIPParseError) {
            while let element = try cursor.next(bytes, before) {
                _ = try SIPURI(bytes, element.uri)
            }
            return true
        } catch { return false }
    }

    private mutating func begin() {
        outbox.clear()
        outbox.begin()
    }

    private mutating func writeVia() {
        outbox.write("Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKours\r\n")
    }

    private mutating func answer(_ bytes: Span<UInt8>) -> String? {
        begin()
        ResponseWriter.begin(
            200, "OK", to: bytes, before, source: source, toTag: 0x1234_5678, &outbox)
        ResponseWriter.finish(&outbox)
        if let finding = readAgain() { return finding }
        guard !after.isRequest, after.sequenceNumber == before.sequenceNumber,
            after.viaFields == before.viaFields
        else { return "it answers something else" }
        let new = outbox.open
        for name in [HeaderName.from, .callID, .cseq] {
            guard
                bytes.same(before.value(name) ?? .none, as: new, after.value(name) ?? .none)
            else { return "\(name) is another" }
        }
        return nil
    }

    private mutating func response(_ bytes: Span<UInt8>, _ top: ViaValue) -> String? {
        guard let second = try? before.secondVia(bytes, after: top) else { return nil }
        begin()
        ForwardedResponse.write(bytes, before, top: top, &outbox)
        if let finding = readAgain() { return "a response: " + finding }
        let new = outbox.open
        guard let via = try? after.topVia(new), bytes.same(second.whole, as: new, via.whole) else {
            return "a response: another Via is on top"
        }
        guard bytes.same(before.body, as: new, after.body) else { return "another body" }
        return fields(bytes, but: [.via])
    }

    private mutating func request(
        _ bytes: Span<UInt8>, _ target: SIPURI, leavesOutRoute: Bool
    ) -> String? {
        begin()
        ForwardedRequest.writeStartLine(bytes, before, target: target, in: bytes, &outbox)
        writeVia()
        var request = ForwardedRequest(source: source)
        guard
            let route = try? RequestRoute(
                bytes, before, for: target, at: .init(port: 5_060, advertisedPort: 5_060),
                own: OwnAddresses([]), under: keys, scratch: &scratch)
        else { return "a Route that was read cannot be" }
        request.route = route.cut(leavesOutTop: leavesOutRoute)
        request.writeRest(bytes, before, &outbox)
        return passedOn(bytes, but: leavesOutRoute ? [.via, .route] : [.via])
    }

    private mutating func register(_ bytes: Span<UInt8>) -> String? {
        aor.clear()
        let read: Void? = try? meaning.read(bytes, before, defaultSeconds: 600, aor: &aor)
        guard read != nil else { return nil }
        for placement in [MainContact.Placement.parameter, .addressOfRecord] {
            begin()
            outbox.write(bytes, before.startLine)
            writeVia()
            var register = RelayedRegister(
                source: source, contact: MainContact(placement: placement, advertised: us))
            // Of one ID there is one contact, so each has its own.
            for number in 0..<meaning.count {
                register.ids[number] = ContactID(high: UInt64(number) + 1, low: 2)
            }
            register.seconds = InlineArray(repeating: 3_600)
            register.sharedSeconds = placement == .addressOfRecord ? 3_600 : 0
            Self.write(register, bytes, before, meaning, aor, &outbox)
            let changed: Set<HeaderName> = [.via, .route, .contact, .expires, .path, .supported]
            if let finding = passedOn(bytes, but: changed) { return "a REGISTER: " + finding }
            if let finding = contacts(bytes, placement) { return finding }
        }
        return nil
    }

    private static func write(
        _ register: RelayedRegister, _ bytes: Span<UInt8>, _ index: borrowing MessageIndex,
        _ meaning: borrowing RegisterMeaning, _ aor: borrowing ByteBuffer,
        _ outbox: inout Outbox
    ) {
        register.writeRest(bytes, index, meaning, aor: aor.span, &outbox)
    }

    /// Each contact is ours, and there are as many as were asked for, or the AOR's one.
    private mutating func contacts(
        _ bytes: Span<UInt8>, _ placement: MainContact.Placement
    ) -> String? {
        guard !meaning.isWildcard else { return nil }
        let new = outbox.open
        var cursor = AddressCursor(.contact, of: after)
        var count = 0
        var back = ByteBuffer(bytesMax: AddressOfRecord.userPartBytesMax + 8)
        do throws(SIPParseError) {
            while let element = try cursor.next(new, after) {
                let uri = try SIPURI(new, element.uri)
                let own = new.parameter("expires", in: element.parameters)
                let isAsked = own.map { new.spells("3600", in: $0) } ?? hasLifetime(placement)
                guard new.spells("127.0.0.1", in: uri.host), uri.port == 5_060, isAsked
                else { return "a REGISTER: a contact that is not ours: \(outbox.openText)" }
                count += 1
                guard placement == .addressOfRecord else { continue }
                guard AddressOfRecord.read(userPart: uri.user, of: new, into: &back) else {
                    // An AOR without a user is no user part, either.
                    return aor.span.count(of: 0x40) == 0
                        ? nil : "a REGISTER: an AOR that cannot be read back"
                }
                guard back.span.same(as: aor.span) else { return "a REGISTER: another AOR" }
            }
        } catch { return "a REGISTER: contacts that cannot be read: \(outbox.openText)" }
        let wanted = placement == .addressOfRecord ? min(1, meaning.count) : meaning.count
        return count == wanted ? nil : "a REGISTER: \(count) contacts: \(outbox.openText)"
    }

    /// The one contact of an AOR has its lifetime in the header field, if the phone sent one.
    private func hasLifetime(_ placement: MainContact.Placement) -> Bool {
        guard placement == .addressOfRecord, before.has(.expires) else { return false }
        return (try? after.expires(outbox.open))?.seconds == 3_600
    }

    private mutating func passedOn(_ bytes: Span<UInt8>, but changed: Set<HeaderName>) -> String? {
        if let finding = readAgain() { return finding }
        let new = outbox.open
        guard bytes.same(before.body, as: new, after.body) else { return "another body" }
        guard bytes.same(before.methodName, as: new, after.methodName) else {
            return "another method"
        }
        guard after.viaFields == before.viaFields + 1 else { return "Vias were lost or made" }
        return fields(bytes, but: changed.union([.maxForwards]))
    }

    /// The fields that are not to be touched stand there in their order and say the same.
    private func fields(
        _ bytes: Span<UInt8>, but changed: Set<HeaderName>
    ) -> String? {
        func counts(_ name: HeaderName) -> Bool {
            !changed.contains(name)
        }
        let new = outbox.open
        var at = 0
        for number in 0..<before.count where counts(before[number].name) {
            while at < after.count, !counts(after[at].name) { at += 1 }
            guard at < after.count, after[at].name == before[number].name,
                bytes.same(before[number].value, as: new, after[at].value)
            else { return "field \(number) is another: \(outbox.openText)" }
            at += 1
        }
        while at < after.count {
            if counts(after[at].name) { return "a field more: \(outbox.openText)" }
            at += 1
        }
        return nil
    }

    private mutating func readAgain() -> String? {
        guard !outbox.overflowed else { return "it has no room" }
        let copy = outbox.open.array
        let new = copy.span
        let outcome = MessageParser().parse(new, length: new.count, into: &after)
        guard outcome == .message else { return "\(outcome): \(outbox.openText)" }
        return new.rawControl(in: ByteRange(0, after.headerEnd.end))
    }
}

extension Span<UInt8> {
    fileprivate func count(of byte: UInt8) -> Int {
        var count = 0
        for at in indices where self[at] == byte { count += 1 }
        return count
    }
}
