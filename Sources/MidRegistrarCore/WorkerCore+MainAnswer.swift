internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage

// Answers of the main registrar to relayed REGISTERs.
extension WorkerCore {
    mutating func receiveMainAnswer<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ top: ViaValue, _ seal: SealedVia, from source: TransportAddress,
        carried: borrowing ByteBuffer, now: Instant, location: inout Location,
        outbox: inout Outbox
    ) {
        guard options.mainSide.contains(source), index.method == .register else {
            counters.add(.droppedForeignResponse)
            return
        }
        let body = seal.kind == .register ? seal.body : ByteRange(0, carried.count)
        guard
            let state = RelayState(carried.span.extracting(body.start..<body.end)),
            let second = try? index.secondVia(bytes, after: top),
            seal.transaction == tag(bytes, second),
            let to = index.value(.to),
            let address = try? NameAddress(bytes, from: to.start, to: to.end),
            let uri = try? SIPURI(bytes, address.uri)
        else {
            counters.add(.droppedSealBroken)
            return
        }
        aorText.clear()
        guard (try? AddressOfRecord.write(bytes, uri, to: &aorText)) != nil else {
            counters.add(.droppedSealBroken)
            return
        }
        let aor = AORKey(aorText.span, under: options.keys)
        guard aor.steering == seal.steering else {
            counters.add(.droppedSealBroken)
            return
        }
        mode =
            if state.marks.contains(.shared) {
                .throttleByAOR
            } else {
                mode(ofAOR: aorText.span) == .mirror ? .mirror : .throttleByContact
            }
        countAnswer(index.statusCode)
        noteHealth(health.noteAnswer(at: now), at: now)
        guard index.statusCode >= 200 else { return }
        let answer = MainAnswer(
            state: state, body: body, aor: aor, transaction: seal.transaction, toURI: address.uri,
            top: top, server: source)
        let change = health.noteFinal(
            index.statusCode, aor,
            retryAfter: index.statusCode == 503 ? (try? index.retryAfter(bytes))?.seconds : nil,
            at: now)
        noteHealth(change, at: now)
        if index.statusCode < 300 {
            accept(
                bytes, answer, carried: carried, now: now, location: &location, outbox: &outbox)
        } else {
            pass(bytes, answer, now: now, location: &location, outbox: &outbox)
        }
    }

    /// What is known of an answer once its seal is open.
    struct MainAnswer {
        let state: RelayState
        /// Where the state lies in what the Via carried.
        let body: ByteRange
        let aor: AORKey
        let transaction: UInt64
        let toURI: ByteRange
        let top: ViaValue
        let server: TransportAddress
    }

    private mutating func countAnswer(_ code: Int) {
        switch code {
        case 200: counters.add(.mainAnswer200)
        case 401: counters.add(.mainAnswer401)
        case 403: counters.add(.mainAnswer403)
        case 404: counters.add(.mainAnswer404)
        case 407: counters.add(.mainAnswer407)
        case 423: counters.add(.mainAnswer423)
        case 500: counters.add(.mainAnswer500)
        case 503: counters.add(.mainAnswer503)
        case ..<200: counters.add(.mainAnswer1xx)
        case ..<300: counters.add(.mainAnswer2xx)
        case ..<400: counters.add(.mainAnswer3xx)
        case ..<500: counters.add(.mainAnswer4xx)
        case ..<600: counters.add(.mainAnswer5xx)
        default: counters.add(.mainAnswer6xx)
        }
    }

    // MARK: Not a 2xx: passed, nothing stored

    private mutating func pass<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ answer: MainAnswer, now: Instant, location: inout Location,
        outbox: inout Outbox
    ) {
        let entry = filter.entry(answer.aor, answer.transaction)
        if let entry, entry.state == .accepted || entry.state == .committing {
            // To a copy of what was accepted: the phone has its answer.
            counters.add(.mainDuplicate)
            return
        }
        filter.set(.refused, answer.aor, answer.transaction)
        if let entry, entry.state == .waiting {
            recordRelayed(milliseconds: now.millisecondsSince(entry.first))
        }
        switch index.statusCode {
        case 401, 407: break
        default: resumeRemovals(of: answer.aor, at: now)
        }
        // A refusal has changed nothing; of 408 and 5xx nobody knows.
        if index.statusCode < 500, index.statusCode != 408 {
            noteAnswer(answer.aor, answer.transaction)
        }
        switch index.statusCode {
        case 403, 404:
            markDoubtful(bytes, answer, location: &location)
            if index.statusCode == 404, liveContacts(of: answer.aor) > 0 {
                counters.add(.mainMissing)
                noteHealth(health.noteMissing(answer.aor, at: now), at: now)
            }
        case 423 where answer.state.marks.contains(.throttled):
            learnExpiry(bytes, &outbox)
            // It was our lifetime that was too short, not the phone's: the phone's next try gets
            // the longer one.
            outbox.begin()
            outbox.write("SIP/2.0 500 Try Again\r\n")
            RegisterAnswer.writeFields(
                bytes, index, answer.state.marks, top: answer.top, rebuilds: false, &outbox)
            outbox.write("Retry-After: 1\r\n")
            RegisterAnswer.finish(bytes, index, &outbox)
            send(to: answer.state.flow, &outbox)
            return
        case 503:
            // §16.7 step 6: 503 would turn the phone away from us, not from the main registrar.
            outbox.begin()
            outbox.write("SIP/2.0 500 Server Internal Error\r\n")
            RegisterAnswer.writeFields(
                bytes, index, answer.state.marks, top: answer.top, rebuilds: false, &outbox)
            RegisterAnswer.finish(bytes, index, &outbox)
            send(to: answer.state.flow, &outbox)
            return
        default: break
        }
        outbox.begin()
        RegisterAnswer.writeRelayed(
            bytes, index, answer.state.marks, top: answer.top, rebuilds: false, &outbox)
        RegisterAnswer.finish(bytes, index, &outbox)
        send(to: answer.state.flow, &outbox)
    }

    /// The effect of a relayed request is known.
    mutating func noteAnswer(_ aor: AORKey, _ transaction: UInt64) {
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            table[place].noteAnswer(transaction)
        }
    }

    mutating func send(to flow: Flow, _ outbox: inout Outbox) {
        guard Int(flow.socket) < options.sockets.count else {
            outbox.abandon()
            counters.add(.droppedNoRoute)
            return
        }
        if !outbox.end(to: flow.peer, from: flow.socket) { counters.add(.droppedOutboxFull) }
    }

    /// 403 or 404 on a binding's own flow and Call-ID: it is not absorbed before the main registrar
    /// has said yes again, and ends at its local expiry.
    private mutating func markDoubtful<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ answer: MainAnswer, location: inout Location
    ) {
        let callID = fingerprints.text(bytes, index.value(.callID) ?? .none)
        var next = table.first(of: answer.aor)
        while let place = next {
            next = table.next(after: place)
            let isItsWay = table[place].came(
                by: answer.state.flow, overEdge: answer.state.marks.contains(.byEdge))
            guard table[place].state == .live, isItsWay,
                table[place].callID == Binding.half(callID)
            else { continue }
            makeDirty(place, location: &location)
        }
    }

    private mutating func learnExpiry(_ bytes: Span<UInt8>, _ outbox: inout Outbox) {
        guard let seconds = (try? index.minExpires(bytes))?.seconds, seconds <= 86_400 * 7,
            seconds > mainSeconds
        else { return }
        mainSeconds = seconds
        policy.mainSeconds = mainSeconds
        note(CoreEvent(.mainExpiryLearned, number: Int(mainSeconds)))
    }
}
