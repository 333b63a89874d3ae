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
            pass(bytes, answer, now: now, &outbox)
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

    private mutating func pass(
        _ bytes: Span<UInt8>, _ answer: MainAnswer, now: Instant, _ outbox: inout Outbox
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
            markDoubtful(bytes, answer)
            if index.statusCode == 404, liveCount(of: answer.aor) > 0 {
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
    private mutating func noteAnswer(_ aor: AORKey, _ transaction: UInt64) {
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            table[place].noteAnswer(transaction)
        }
    }

    private mutating func send(to flow: Flow, _ outbox: inout Outbox) {
        guard Int(flow.socket) < options.sockets.count else {
            outbox.abandon()
            counters.add(.droppedNoRoute)
            return
        }
        if !outbox.end(to: flow.peer, from: flow.socket) { counters.add(.droppedOutboxFull) }
    }

    /// 403 or 404 on a binding's own flow and Call-ID: it is not absorbed before the main registrar
    /// has said yes again, and ends at its local expiry.
    private mutating func markDoubtful(_ bytes: Span<UInt8>, _ answer: MainAnswer) {
        let callID = fingerprints.text(bytes, index.value(.callID) ?? .none)
        var next = table.first(of: answer.aor)
        while let place = next {
            next = table.next(after: place)
            guard table[place].state == .live, table[place].flow == answer.state.flow,
                table[place].callID == Binding.half(callID)
            else { continue }
            table[place].flags.insert(.dirty)
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

    // MARK: 2xx

    private mutating func accept<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ answer: MainAnswer, carried: borrowing ByteBuffer, now: Instant,
        location: inout Location, outbox: inout Outbox
    ) {
        let entry = filter.entry(answer.aor, answer.transaction)
        if let entry, entry.state == .accepted || entry.state == .committing {
            counters.add(.mainDuplicate)
            return
        }
        if entry == nil { counters.add(.mainWithoutEntry) }
        if !answer.state.marks.contains(.authorized) {
            counters.add(.mainUnchallenged)
            note(CoreEvent(.mainUnchallenged, source: answer.server))
        }
        RegisterAnswer.collectBlock(
            bytes, index, answer.state.marks, scratch: &work, into: &block)
        let callID = fingerprints.text(bytes, index.value(.callID) ?? .none)
        let arrival = entry?.first ?? now
        noteAnswer(answer.aor, answer.transaction)

        if isStale(answer, callID, carried: carried, entry: entry, arrival: arrival) {
            counters.add(.mainStale)
        } else if answer.state.marks.contains(.wildcard) {
            filter.noteRemovedAll(answer.aor, answer.transaction, at: now)
            removeAll(
                of: answer.aor, before: entry?.first, callID, at: now, location: &location)
            if mode == .throttleByAOR { voidLease(of: answer.aor, at: now) }
        } else {
            let lease =
                mode == .throttleByAOR
                ? sharedLease(bytes, answer, arrival: arrival, isKnown: entry != nil, now: now)
                : nil
            var offset = answer.state.firstContact
            for _ in 0..<answer.state.contactCount {
                let state = carried.span.extracting(answer.body.start..<answer.body.end)
                guard let contact = answer.state.contact(state, at: &offset) else { break }
                apply(
                    bytes, answer, contact, callID, carried: carried, arrival: arrival,
                    isKnown: entry != nil, lease: lease, now: now, location: &location)
            }
            if let lease {
                settleShared(answer, lease, at: now, location: &location)
            } else if answer.state.contactCount > 0 {
                checkSiblings(bytes, answer, arrival: arrival, now: now, location: &location)
            }
        }

        givesGRUUs = answer.state.marks.contains(.wantsGRUUs)
        outbox.begin()
        RegisterAnswer.writeRelayed(
            bytes, index, answer.state.marks, top: answer.top, rebuilds: true, &outbox)
        var next = table.first(of: answer.aor)
        while let place = next {
            next = table.next(after: place)
            let binding = table[place]
            guard binding.state == .live, now < binding.deadline else { continue }
            writeStored(binding, now: now, location: &location, outbox: &outbox)
        }
        RegisterAnswer.finish(bytes, index, &outbox)

        guard hasStaged else {
            filter.set(.accepted, answer.aor, answer.transaction)
            recordRelayed(milliseconds: now.millisecondsSince(arrival))
            send(to: answer.state.flow, &outbox)
            return
        }
        hold(answer, first: arrival, &outbox)
    }

    /// Keeps the answer until the facts it promises are committed.
    private mutating func hold(
        _ answer: MainAnswer, first: Instant, _ outbox: inout Outbox
    ) {
        var reply = HeldReplies.Reply()
        reply.ticket = nextTicket
        reply.destination = answer.state.flow.peer
        reply.socket = answer.state.flow.socket
        reply.aor = answer.aor
        reply.transaction = answer.transaction
        reply.first = first
        let isKept =
            !outbox.overflowed && Int(reply.socket) < options.sockets.count
            && held.hold(reply, outbox.open)
        outbox.abandon()
        // Without room the phone's copy is relayed again, and its answer finds room or a commit.
        if !isKept { counters.add(.droppedOutboxFull) }
        filter.set(isKept ? .committing : .refused, answer.aor, answer.transaction)
    }

    /// Whether a later request of one of these contacts has been committed already, or this one.
    private func isStale(
        _ answer: MainAnswer, _ callID: UInt64, carried: borrowing ByteBuffer,
        entry: RelayFilter.Entry?, arrival: Instant
    ) -> Bool {
        var offset = answer.state.firstContact
        let state = carried.span.extracting(answer.body.start..<answer.body.end)
        for _ in 0..<answer.state.contactCount {
            guard let contact = answer.state.contact(state, at: &offset) else { return false }
            guard let place = table.find(contact.id) else { continue }
            let binding = table[place]
            if entry != nil {
                if binding.arrival > arrival { return true }
                // Requests of one round share their time; a phone's own follow by CSeq.
                if binding.arrival == arrival, binding.callID == Binding.half(callID),
                    binding.sequenceRelayed > index.sequenceNumber
                {
                    return true
                }
            } else if binding.callID == Binding.half(callID),
                binding.sequenceRelayed >= index.sequenceNumber
            {
                // No entry is left to say when it was asked: an old answer must move nothing.
                return true
            }
        }
        return false
    }

    private mutating func apply<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ answer: MainAnswer, _ contact: RelayState.SealedContact,
        _ callID: UInt64, carried: borrowing ByteBuffer, arrival: Instant, isKnown: Bool,
        lease: SharedLease?, now: Instant, location: inout Location
    ) {
        let place = table.find(contact.id)
        let wanted = granted(contact.askedSeconds) ?? options.minSeconds
        guard contact.askedSeconds > 0 else {
            if let place, !isKnown, !isOlder(place, than: nil, callID) {
                doubt(place, at: now, location: &location)
            } else if let place {
                leave(place, answer, arrival, callID, lease, at: now, location: &location)
            } else if isKnown {
                leaveTombstone(answer.aor, contact.id, arrival, callID, at: now)
            }
            return
        }
        // A removal of ours that is under way must not outlive this.
        if let place { stopRemoval(place, at: now) }
        let mainGrant: UInt32
        let mainExpiry: Instant
        if let lease {
            mainGrant = lease.seconds
            mainExpiry = lease.mainExpiry
        } else {
            let asked = mainAsk(
                contact.askedSeconds,
                atLeast: filter.entry(answer.aor, answer.transaction)?.lifetime.seconds
                    ?? (answer.state.marks.contains(.throttled) ? mainSeconds : 0))
            mainGrant = self.mainGrant(bytes, answer, contact, asked: asked, carried: carried)
            mainExpiry = leaseStart(arrival, isKnown: isKnown, now: now)
                .advanced(bySeconds: mainGrant)
        }
        let left = mainExpiry.secondsLeft(at: now)
        let most = min(min(wanted, mainGrant), left)
        guard most > 0 else {
            if let place { remove(place, arrival, callID, at: now, location: &location) }
            return
        }

        let element = contact.element
        let state = carried.span.extracting(answer.body.start..<answer.body.end)
        guard
            let address = try? NameAddress(state, from: element.start, to: element.end),
            let parsed = try? ContactRequest(
                state, address, headerSeconds: contact.askedSeconds,
                defaultSeconds: contact.askedSeconds)
        else {
            counters.add(.droppedSealBroken)
            return
        }
        let isBehindNAT = isBehindNAT(bytes, answer, parsed.uri, in: state)
        let grant = isBehindNAT ? min(most, options.natSeconds) : most
        let told =
            mode == .mirror
            ? grant : min(left, spread.spread(grant, contact.id, sequence: index.sequenceNumber))

        var binding = place.map { table[$0] } ?? Binding()
        let isNew = binding.state != .live
        binding.aor = answer.aor
        binding.id = contact.id
        binding.identity = fingerprints.identity(
            state, parsed, separatesFlows: answer.state.marks.contains(.path))
        binding.contact = fingerprints.contact(
            state, element: element, askedSeconds: contact.askedSeconds)
        binding.callID = Binding.half(callID)
        binding.transaction = Binding.half(answer.transaction)
        binding.sequenceRelayed = index.sequenceNumber
        binding.sequenceHeard = index.sequenceNumber
        binding.lastHeard = arrival
        binding.arrival = arrival
        binding.flow = answer.state.flow
        // A later refresh may be told more of it than this one.
        binding.grantedSeconds = grant
        binding.mainExpiry = mainExpiry
        binding.deadline = now.advanced(bySeconds: told)
        binding.state = .live
        binding.flags = []
        binding.unansweredPings = 0
        if answer.state.marks.contains(.indirect) { binding.flags.insert(.indirect) }
        if isBehindNAT { binding.flags.insert(.behindNAT) }
        if lease != nil {
            binding.flags.insert(.shared)
            binding.dirtyUntil = max(binding.dirtyUntil, sharedDirtyUntil(answer.aor))
            // What another phone asked for meanwhile was about the same contact.
            if wasVoided(answer.aor, since: arrival) || isNew && isContested(answer, at: now) {
                binding.flags.insert(.dirty)
            }
        }
        // A removal of all contacts may have come to the main registrar after this request.
        if !isKnown || arrival < binding.dirtyUntil
            || filter.mayRemoveAll(answer.aor, since: arrival)
        {
            binding.flags.insert(.dirty)
        }
        binding.ticket = nextTicket
        if let number = blocks.intern(block) {
            binding.block = number
        } else {
            binding.block = 0
            binding.flags.insert(.ownBlock)
        }
        if binding.record == .none { binding.record = location.nextRecordNumber() }

        if isNew, options.overflow == .replaceOldest {
            makeRoom(answer.aor, sparing: place, at: now, location: &location)
        }
        writeFact(bytes, answer, binding, contact.askedSeconds, state, parsed, now: now)
        guard !factBytes.overflowed else {
            counters.add(.rejectTooLarge)
            return
        }
        if let place {
            table[place] = binding
            table.reschedule(place)
            staged.append(place)
        } else if let place = table.insert(binding) {
            staged.append(place)
        } else {
            note(CoreEvent(.tableFull, number: table.count))
            return
        }
        location.stage(binding.record, factBytes.span)
        hasStaged = true
        counters.add(.factsStaged)
        counters.add(isNew ? .bindingsAdded : .bindingsRefreshedAtMain)
    }

    /// Puts the fact of a binding into `factBytes`.
    private mutating func writeFact(
        _ bytes: Span<UInt8>, _ answer: MainAnswer, _ binding: Binding, _ asked: UInt32,
        _ state: Span<UInt8>, _ contact: ContactRequest, now: Instant
    ) {
        var fact = Fact(aor: binding.aor, id: binding.id)
        fact.identity = binding.identity
        fact.contactFingerprint = binding.contact
        fact.callIDFingerprint = UInt64(binding.callID)
        fact.transaction = UInt64(binding.transaction)
        fact.peer = binding.flow.peer
        fact.local =
            Int(binding.flow.socket) < options.sockets.count
            ? options.sockets[Int(binding.flow.socket)].local : .none
        // The one that was asked; it may answer from another port.
        fact.server = options.mainServer
        fact.sequence = binding.sequenceRelayed
        fact.askedSeconds = asked
        fact.grantedSeconds = binding.grantedSeconds
        fact.mainExpiry = binding.mainExpiry
        fact.confirmed = now
        fact.arrival = binding.arrival
        fact.dirtyUntil = binding.dirtyUntil
        if binding.flags.contains(.dirty) { fact.marks.insert(.dirty) }
        if binding.flags.contains(.shared) { fact.marks.insert(.shared) }
        if binding.flags.contains(.indirect) { fact.marks.insert(.indirect) }
        if binding.flags.contains(.behindNAT) { fact.marks.insert(.behindNAT) }
        fact.begin(&factBytes)
        Fact.append(.addressOfRecord, aorText, to: &factBytes)
        let contactStart = factBytes.count
        if contact.expiresParameter.isEmpty {
            factBytes.append(state, contact.element)
        } else {
            factBytes.append(
                state, ByteRange(contact.element.start, contact.expiresParameter.start))
            factBytes.append(state, ByteRange(contact.expiresParameter.end, contact.element.end))
        }
        Fact.close(.contact, from: contactStart, in: &factBytes)
        Fact.append(.callID, bytes, index.value(.callID) ?? .none, to: &factBytes)

        let uriStart = factBytes.count
        var end = answer.state.firstContact
        for _ in 0..<answer.state.contactCount { _ = answer.state.contact(state, at: &end) }
        if let range = answer.state.requestURI(at: end) {
            factBytes.append(state, range)
        } else {
            let domain = domain(ofAOR: aorText.span)
            factBytes.append("sip:")
            factBytes.append(aorText, domain)
        }
        Fact.close(.requestURI, from: uriStart, in: &factBytes)
        Fact.append(.toURI, bytes, answer.toURI, to: &factBytes)
        let from = index.value(.from).flatMap {
            try? NameAddress(bytes, from: $0.start, to: $0.end)
        }
        Fact.append(.fromURI, bytes, from?.uri ?? answer.toURI, to: &factBytes)
        work.begin()
        Self.write(mainContact(for: mode), binding.id, state, contact.uri, aorText, &work)
        let mainStart = factBytes.count
        factBytes.append(openOf: work)
        Fact.close(.mainContact, from: mainStart, in: &factBytes)
        work.abandon()
        Fact.append(.replyBlock, block, to: &factBytes)
    }

    private static func write(
        _ form: MainContact, _ id: ContactID, _ state: Span<UInt8>, _ uri: SIPURI,
        _ aor: borrowing ByteBuffer, _ outbox: inout Outbox
    ) {
        form.writeURI(id, state, uri, aor: aor.span, &outbox)
    }

    /// The lease runs from the first relay; without an entry, from the earliest it can have been.
    func leaseStart(_ arrival: Instant, isKnown: Bool, now: Instant) -> Instant {
        isKnown
            ? arrival
            : Instant(
                milliseconds: now.milliseconds
                    - min(now.milliseconds, RegistrationLimits.transactionMs))
    }

    /// Seconds that the main registrar holds a contact of its own; 0 if it does not list it.
    private mutating func mainGrant(
        _ bytes: Span<UInt8>, _ answer: MainAnswer, _ contact: RelayState.SealedContact,
        asked: UInt32, carried: borrowing ByteBuffer
    ) -> UInt32 {
        let grant: MainContact.Grant
        if answer.state.marks.contains(.path) {
            let state = carried.span.extracting(answer.body.start..<answer.body.end)
            guard
                let address = try? NameAddress(
                    state, from: contact.element.start, to: contact.element.end),
                let phone = try? SIPURI(state, address.uri)
            else { return 0 }
            grant = MainContact.grant(in: bytes, index) { uri in
                SIPURI.equivalent(uri, in: bytes, phone, in: state)
            }
        } else {
            let keys = options.keys
            grant = MainContact.grant(in: bytes, index) { uri in
                MainContact.names(contact.id, bytes, uri, under: keys)
            }
        }
        return granted(grant, of: asked)
    }

    /// For how long the main registrar will hold a contact, by its 2xx. That may be more than it was
    /// asked for: the phone is granted no more, and the rest is taken back when the phone has gone.
    mutating func granted(_ grant: MainContact.Grant, of asked: UInt32) -> UInt32 {
        guard case .seconds(let seconds) = grant else {
            counters.add(.mainDroppedContact)
            return 0
        }
        let granted = min(seconds ?? asked, RegistrationLimits.mirroredSecondsMax)
        if granted < asked { counters.add(.mainShortened) }
        return granted
    }

    // MARK: Taking away

    private mutating func removeAll<Location: LocationService & ~Copyable>(
        of aor: AORKey, before arrival: Instant?, _ callID: UInt64, at now: Instant,
        location: inout Location
    ) {
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            guard table[place].state != .tombstone, isOlder(place, than: arrival, callID) else {
                // What was asked for later stays, but the main registrar may have had the two in the
                // other order.
                doubt(place, at: now, location: &location)
                continue
            }
            let arrival = arrival ?? table[place].arrival
            remove(place, arrival, callID, meansAll: true, at: now, location: &location)
            doubt(place, at: now, location: &location)
        }
    }

    /// The phone takes a contact back, and the main registrar has agreed.
    private mutating func leave<Location: LocationService & ~Copyable>(
        _ place: BindingIndex, _ answer: MainAnswer, _ arrival: Instant, _ callID: UInt64,
        _ lease: SharedLease?, at now: Instant, location: inout Location
    ) {
        // Two that leave at once are both taken for not the last; then nobody is left behind the
        // AOR's contact, and it is ours to remove.
        if let lease, lease.seconds > 0, table[place].state == .live,
            liveCount(of: answer.aor, but: place) == 0
        {
            table[place].mainExpiry = lease.mainExpiry
            // The main registrar has seen this number: ours needs a Call-ID of its own.
            table[place].sequenceRelayed = max(
                table[place].sequenceRelayed, index.sequenceNumber)
            lapse(place, at: now, location: &location)
            counters.add(.bindingsRemoved)
            return
        }
        remove(place, arrival, callID, at: now, location: &location)
    }

    /// Whether what a binding holds was asked for before the request at hand, which arrived at
    /// `arrival`; if nobody remembers that any more, a phone's own numbers tell.
    private func isOlder(
        _ place: BindingIndex, than arrival: Instant?, _ callID: UInt64
    ) -> Bool {
        let follows =
            table[place].callID == Binding.half(callID)
            && table[place].sequenceRelayed < index.sequenceNumber
        guard let arrival else { return follows }
        return table[place].arrival < arrival || table[place].arrival == arrival && follows
    }

    /// A removal of this contact was accepted that may have come before or after what is known of
    /// it: nothing that was relayed before now is believed without asking again.
    private mutating func doubt<Location: LocationService & ~Copyable>(
        _ place: BindingIndex, at now: Instant, location: inout Location
    ) {
        table[place].dirtyUntil = max(table[place].dirtyUntil, now)
        guard table[place].state == .live, !table[place].flags.contains(.dirty) else { return }
        table[place].flags.insert(.dirty)
        mark(place, .dirty, location: &location)
    }

    /// Takes a binding away for good and leaves a tombstone, so that an answer that is still on its
    /// way does not bring it back.
    mutating func remove<Location: LocationService & ~Copyable>(
        _ place: BindingIndex, _ arrival: Instant, _ callID: UInt64, meansAll: Bool = false,
        at now: Instant, location: inout Location
    ) {
        stopRemoval(place, at: now)
        table[place].arrival = arrival
        // Removed by another phone's request for all contacts, it is still known by its own numbers.
        if !meansAll || table[place].callID == Binding.half(callID) {
            table[place].callID = Binding.half(callID)
            table[place].sequenceRelayed = index.sequenceNumber
        }
        bury(place, at: now, location: &location)
        counters.add(.bindingsRemoved)
    }

    /// The main registrar has removed a contact of which no answer has come yet: one that is still on
    /// its way must not bring it up.
    private mutating func leaveTombstone(
        _ aor: AORKey, _ id: ContactID, _ arrival: Instant, _ callID: UInt64, at now: Instant
    ) {
        var binding = Binding()
        binding.aor = aor
        binding.id = id
        binding.arrival = arrival
        binding.callID = Binding.half(callID)
        binding.sequenceRelayed = index.sequenceNumber
        binding.state = .tombstone
        binding.deadline = now.advanced(byMilliseconds: RegistrationLimits.transactionMs)
        _ = table.insert(binding)
    }

    /// Deletes the fact of a binding and turns it into a tombstone.
    mutating func bury<Location: LocationService & ~Copyable>(
        _ place: BindingIndex, at now: Instant, location: inout Location
    ) {
        let record = table[place].record
        if record != .none {
            location.stageRemoval(of: record)
            hasStaged = true
        }
        table[place].state = .tombstone
        table[place].record = .none
        table[place].unanswered = 0
        table[place].ticket = nextTicket
        table[place].deadline = now.advanced(byMilliseconds: RegistrationLimits.transactionMs)
        table.reschedule(place)
    }
}
