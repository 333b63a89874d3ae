internal import Bytes
internal import Keys
internal import Registration
internal import SIPMessage

// A 2xx of the main registrar to a relayed REGISTER: what it binds.
extension WorkerCore {
    mutating func accept<Location: LocationService & ~Copyable>(
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
        let arrival = entry?.first ?? earliestArrival(now)
        noteAnswer(answer.aor, answer.transaction)

        if isStale(answer, callID, carried: carried, entry: entry, arrival: arrival) {
            counters.add(.mainStale)
        } else if answer.state.marks.contains(.wildcard) {
            filter.noteRemovedAll(answer.aor, answer.transaction, at: now)
            removeAll(
                of: answer.aor, before: entry?.first, callID, at: now, location: &location)
            if mode == .throttleByAOR {
                voidLease(
                    of: SharedContact(ofAOR: answer.aor), answer, at: now, location: &location)
            }
        } else {
            let aorLease =
                mode == .throttleByAOR
                ? sharedLease(bytes, answer, arrival: arrival, now: now)
                : nil
            var offset = answer.state.firstContact
            for _ in 0..<answer.state.contactCount {
                let state = carried.span.extracting(answer.body.start..<answer.body.end)
                guard let contact = answer.state.contact(state, at: &offset) else { break }
                let lease =
                    aorLease
                    ?? lease(
                        bytes, answer, contact, carried: carried, arrival: arrival, now: now)
                apply(
                    bytes, answer, contact, callID, carried: carried, arrival: arrival,
                    isKnown: entry != nil, lease, now: now, location: &location)
                if aorLease == nil {
                    settleShared(
                        SharedContact(answer.aor, contact.id), answer, lease, at: now,
                        location: &location)
                }
            }
            if answer.state.contactCount > 0 {
                if let aorLease {
                    settleShared(
                        SharedContact(ofAOR: answer.aor), answer, aorLease, at: now,
                        location: &location)
                } else {
                    checkSiblings(bytes, answer, arrival: arrival, now: now, location: &location)
                }
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
        if answer.state.marks.contains(.knowsPath), !answer.state.marks.contains(.path),
            !answer.state.path.isEmpty
        {
            outbox.write("Path: ")
            outbox.write(
                carried.span.extracting(answer.body.start..<answer.body.end), answer.state.path)
            outbox.write("\r\n")
        }
        RegisterAnswer.finish(bytes, index, &outbox)

        if entry == nil {
            // From here on it is known: the same answer once more moves nothing.
            _ = filter.judge(answer.aor, answer.transaction, inFlightMax: .max, now: now)
        }
        guard hasStaged else {
            filter.set(.accepted, answer.aor, answer.transaction)
            recordRelayed(milliseconds: now.millisecondsSince(entry?.first ?? now))
            send(to: answer.state.flow, &outbox)
            return
        }
        hold(answer, first: entry?.first ?? now, &outbox)
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
            guard let place = place(of: contact, in: state) else { continue }
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
        _ lease: SharedLease, now: Instant, location: inout Location
    ) {
        let state = carried.span.extracting(answer.body.start..<answer.body.end)
        let place = place(of: contact, in: state)
        let shared = sharedContact(answer.aor, contact.id)
        if let place, !isKnown {
            // Either may have come there last: what is answered next is believed, and asked again.
            table[place].dirtyUntil = max(table[place].dirtyUntil, now)
        }
        let wanted = granted(contact.askedSeconds) ?? options.minSeconds
        guard contact.askedSeconds > 0 else {
            if let place, !isKnown, !isOlder(place, than: nil, callID) {
                doubt(place, at: now, location: &location)
            } else if let place {
                leave(place, answer, arrival, callID, lease, at: now, location: &location)
            } else if isKnown {
                leaveTombstone(
                    shared, contact.id, identity(of: contact, in: state) ?? 0, arrival, callID,
                    at: now)
            }
            return
        }
        // A removal of ours that is under way must not outlive this.
        if let place { stopRemoval(place, at: now) }
        let left = lease.mainExpiry.secondsLeft(at: now)
        let most = min(min(wanted, lease.seconds), left)
        guard most > 0 else {
            if let place { remove(place, arrival, callID, at: now, location: &location) }
            return
        }

        let element = contact.element
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
        binding.identity = fingerprints.flowIdentity(state, parsed)
        binding.contact = fingerprints.contact(
            state, element: element, askedSeconds: contact.askedSeconds, way: answer.state.way)
        binding.callID = Binding.half(callID)
        binding.transaction = Binding.half(answer.transaction)
        binding.sequenceRelayed = index.sequenceNumber
        binding.sequenceHeard = index.sequenceNumber
        binding.lastHeard = isKnown ? arrival : now
        binding.arrival = isKnown ? arrival : max(binding.arrival, arrival)
        if !isKnown { binding.dirtyUntil = max(binding.dirtyUntil, now) }
        binding.flow = answer.state.flow
        // A later refresh may be told more of it than this one.
        binding.grantedSeconds = grant
        binding.mainExpiry = lease.mainExpiry
        binding.deadline = now.advanced(bySeconds: told)
        binding.state = .live
        binding.flags = []
        binding.unansweredPings = 0
        if answer.state.marks.contains(.indirect) { binding.flags.insert(.indirect) }
        if answer.state.marks.contains(.byEdge) { binding.flags.insert(.byEdge) }
        if isBehindNAT { binding.flags.insert(.behindNAT) }
        if shared.id == nil { binding.flags.insert(.shared) }
        binding.dirtyUntil = max(binding.dirtyUntil, sharedDirtyUntil(shared))
        // What others asked for meanwhile was about the same contact.
        if isContested(shared, answer, isNew: isNew, arrival: arrival, at: now) {
            binding.flags.insert(.dirty)
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

        if isNew {
            if options.overflow == .replaceOldest {
                makeRoom(answer.aor, for: contact.id, at: now, location: &location)
            }
            makeRoomForFlow(of: contact.id, at: now, location: &location)
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
        if binding.flags.contains(.byEdge) { fact.marks.insert(.byEdge) }
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
        Fact.append(.path, state, answer.state.path, to: &factBytes)
    }

    private static func write(
        _ form: MainContact, _ id: ContactID, _ state: Span<UInt8>, _ uri: SIPURI,
        _ aor: borrowing ByteBuffer, _ outbox: inout Outbox
    ) {
        form.writeURI(id, state, uri, aor: aor.span, &outbox)
    }

    /// When what an answer without an entry belongs to may have come: its lease runs from there, and
    /// whatever is answered next is not taken for older.
    private func earliestArrival(_ now: Instant) -> Instant {
        Instant(
            milliseconds: now.milliseconds - min(now.milliseconds, RegistrationLimits.transactionMs)
        )
    }

    /// What a 2xx says of a contact of its own.
    private mutating func lease(
        _ bytes: Span<UInt8>, _ answer: MainAnswer, _ contact: RelayState.SealedContact,
        carried: borrowing ByteBuffer, arrival: Instant, now: Instant
    ) -> SharedLease {
        guard contact.askedSeconds > 0 || contact.isKept else {
            return SharedLease(isKept: false, seconds: 0, mainExpiry: now)
        }
        let least =
            filter.entry(answer.aor, answer.transaction)?.lifetime.seconds
            ?? (answer.state.marks.contains(.throttled) ? mainSeconds : 0)
        let asked = contact.isKept ? least : mainAsk(contact.askedSeconds, atLeast: least)
        return lease(
            of: SharedContact(answer.aor, contact.id),
            mainGrant(bytes, answer, contact, asked: asked, carried: carried), arrival: arrival)
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
}
