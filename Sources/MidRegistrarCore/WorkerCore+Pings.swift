internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage

// Phones behind a NAT are pinged, so that it does not forget their flow.
//
// A binding whose OPTIONS were lost three times in a row gets no new calls (480) until its phone is
// heard of again. It stays at the main registrar, and lapses like any other, at its local expiry.
extension WorkerCore {
    /// Many NATs forget a UDP flow after 30 s (RFC 5626 §4.4.1).
    static let pingPeriodMs: UInt64 = 25_000
    /// Between two looks at whose turn it is.
    private static let pingTickMs: UInt64 = 100
    private static let pingsPerCallMax = 256
    private static let pingStepsPerCallMax = 65_536
    private static let pingBytesMax = 4_096

    /// When ``firePings(at:location:outbox:)`` has something to do next.
    var nextPing: Instant {
        options.natPing == .off || table.pings.count == 0
            ? Instant(milliseconds: .max) : pingTimer
    }

    /// Whether a phone sits behind a NAT: its packets come from elsewhere than it says in its Via or
    /// Contact (a name says nothing of where, so it counts as elsewhere).
    func isBehindNAT(
        _ bytes: Span<UInt8>, _ answer: MainAnswer, _ contact: SIPURI, in state: Span<UInt8>
    ) -> Bool {
        // Another proxy keeps its own phones reachable.
        guard answer.state.marks.isDisjoint(with: [.indirect, .byEdge]),
            let via = try? index.secondVia(bytes, after: answer.top)
        else { return false }
        let source = answer.state.flow.peer
        let sentBy = TransportAddress(
            host: bytes.extracting(via.host.start..<via.host.end),
            port: via.port == 0 ? 5_060 : via.port)
        let host = TransportAddress(
            host: state.extracting(contact.host.start..<contact.host.end), port: 0)
        return sentBy != source || host.map { !$0.sameHost(as: source) } ?? true
    }

    /// Pings those whose turn has come. Bounded work per call, none without such phones.
    mutating func firePings<Location: LocationService & ~Copyable>(
        at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        guard options.natPing != .off, table.pings.count > 0 else {
            isPinging = false
            pingTimer = now
            return
        }
        guard pingTimer <= now else { return }
        let steps = table.pings.steps
        let round = now.milliseconds / Self.pingPeriodMs
        let due = round * steps + now.milliseconds % Self.pingPeriodMs * steps / Self.pingPeriodMs
        if !isPinging { pingStep = due }
        isPinging = true
        // After a standstill each gets one turn.
        if due > pingStep + steps { pingStep = due - steps }
        let last = min(due, pingStep + UInt64(Self.pingStepsPerCallMax))
        var budget = Self.pingsPerCallMax
        while pingStep < last, budget > 0, outbox.hasRoom(for: Self.pingBytesMax) {
            pingStep += 1
            guard let place = table.pinged(atStep: pingStep) else { continue }
            budget -= 1
            ping(place, round: pingStep / steps, location: &location, outbox: &outbox)
        }
        pingTimer =
            pingStep < due
            ? now
            : Instant(milliseconds: (now.milliseconds / Self.pingTickMs + 1) * Self.pingTickMs)
    }

    private mutating func ping<Location: LocationService & ~Copyable>(
        _ place: BindingIndex, round: UInt64, location: inout Location, outbox: inout Outbox
    ) {
        let flow = table[place].flow
        guard Int(flow.socket) < options.sockets.count else { return }
        outbox.begin()
        if options.natPing == .crlf {
            outbox.write("\r\n\r\n")
        } else {
            guard writeOptions(place, round: round, location: &location, outbox: &outbox) else {
                outbox.abandon()
                return
            }
            countLoss(place)
        }
        if outbox.end(to: flow.peer, from: flow.socket) { counters.add(.pingsSent) }
    }

    /// Counts the OPTIONS before this one as lost if nothing has been heard since.
    private mutating func countLoss(_ place: BindingIndex) {
        let unanswered = table[place].unansweredPings
        if unanswered > 0 { counters.add(.pingsLost) }
        if unanswered == Binding.lostPingsMax { counters.add(.bindingsUnreachable) }
        if unanswered <= Binding.lostPingsMax { table[place].unansweredPings = unanswered + 1 }
    }

    private mutating func writeOptions<Location: LocationService & ~Copyable>(
        _ place: BindingIndex, round: UInt64, location: inout Location, outbox: inout Outbox
    ) -> Bool {
        let binding = table[place]
        let advertised = options.sockets[Int(binding.flow.socket)].advertised
        var hash = KeyedHash(options.keys.fingerprint)
        hash.update(word: binding.id.high)
        hash.update(word: binding.id.low)
        hash.update(word: binding.identity)
        let callID = hash.finish()
        let isWritten = location.read(binding.record) { fact -> Bool in
            guard let (_, uri) = Fact.contact(in: fact) else { return false }
            let target = ByteRange(
                uri.whole.start, uri.headers.isEmpty ? uri.whole.end : uri.headers.start - 1)
            OwnRequest.begin(
                .options, to: fact.extracting(target.start..<target.end), from: advertised, &outbox)
            SealedVia.write(
                .ping, binding.aor.steering,
                transaction: Self.pingTransaction(place, binding.id, round: round), body: sealed,
                under: options.keys, scratch: &scratch, to: &outbox)
            outbox.write(";rport\r\nMax-Forwards: 70\r\nFrom: <sip:")
            outbox.write(advertised)
            outbox.write(">;tag=")
            ResponseWriter.writeTag(callID &+ round, &outbox)
            outbox.write("\r\nTo: <")
            outbox.write(fact, target)
            outbox.write(">\r\nCall-ID: ")
            ResponseWriter.writeTag(callID, &outbox)
            outbox.write("-ping")
            OwnRequest.writeSequence(
                UInt32(truncatingIfNeeded: round & 0x7FFF_FFFF), .options, &outbox)
            OwnRequest.finish(&outbox)
            return true
        }
        return isWritten == true
    }

    /// What finds the binding again: its place, and enough to tell that it is still the same.
    private static func pingTransaction(
        _ place: BindingIndex, _ id: ContactID, round: UInt64
    ) -> UInt64 {
        UInt64(place.number) << 32 | (id.low & 0xFFFF) << 16 | round & 0xFFFF
    }

    /// Any answer to an OPTIONS of ours, from where it went, says that the phone is there.
    mutating func receivePingAnswer(_ seal: SealedVia, from source: TransportAddress) {
        guard
            let place = table.binding(numbered: UInt32(truncatingIfNeeded: seal.transaction >> 32)),
            table[place].state == .live,
            table[place].id.low & 0xFFFF == seal.transaction >> 16 & 0xFFFF,
            table[place].flow.peer == source
        else {
            counters.add(.droppedForeignResponse)
            return
        }
        counters.add(.pingsAnswered)
        table[place].unansweredPings = 0
    }
}
