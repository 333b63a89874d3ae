internal import Bytes
internal import DigestAuth
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage
internal import SIPTransaction

// The main registrar is asked again and again whether it is there, and whether it still has what it
// agreed to: by a fetch of one binding of ours, the canary, so that one that was restarted empty, too
// fast to be seen down, is found out within one probe. Where there is no canary, or where fetches are
// refused, OPTIONS asks whether it is there.
extension WorkerCore {
    /// Bindings that are looked at for a canary each time.
    private static let canaryStepsMax = 4_096
    /// How long ago a canary was confirmed at least, in milliseconds: a main registrar of several
    /// nodes needs a moment to tell them all.
    private static let settledMs: UInt64 = 4_000

    mutating func fireProbe<Location: LocationService & ~Copyable>(
        at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        switch probe.fire(at: now) {
        case .nothing: break
        case .send:
            outbox.begin()
            outbox.write(probe.message.span)
            outbox.end(to: options.mainServer, from: options.ownSocket)
        case .missed:
            counters.add(.probesMissed)
            noteHealth(health.noteProbeMissed(), at: now)
        }
        guard probe.nextStart <= now, outbox.hasRoom(for: RemovalPool.messageBytesMax) else {
            return
        }
        probe.advance(at: now)
        if let place = canary(at: now),
            sendFetch(of: place, at: now, location: &location, outbox: &outbox)
        {
            return
        }
        sendOptions(at: now, &outbox)
    }

    // MARK: The canary

    /// The canary as long as it is one, else the next.
    private mutating func canary(at now: Instant) -> BindingIndex? {
        guard probe.fetches(at: now) else { return nil }
        if let place = presentCanary, isCanary(place, at: now) { return place }
        return findCanary(but: probe.missing, at: now) ?? findCanary(but: nil, at: now)
    }

    /// Where the canary is, if it is still there.
    private var presentCanary: BindingIndex? {
        guard let canary = probe.canary, let place = table.binding(numbered: canary.place),
            table[place].record == canary.record
        else { return nil }
        return place
    }

    /// Walks the table from a place on that nobody can foresee, so that who registers contacts one
    /// after the other is not asked for one after the other.
    ///
    /// - Parameter aor: whose bindings are passed over.
    private func findCanary(but aor: AORKey?, at now: Instant) -> BindingIndex? {
        let places = table.numberMax
        guard places > 0, table.liveCount > 0 else { return nil }
        var hash = KeyedHash(options.keys.fingerprint)
        hash.update(word: probe.number)
        hash.update(word: now.milliseconds)
        var number = UInt32(hash.finish() % UInt64(places))
        for _ in 0..<min(Int(places), Self.canaryStepsMax) {
            number = number % places + 1
            guard let place = table.binding(numbered: number), table[place].aor != aor,
                isCanary(place, at: now)
            else { continue }
            return place
        }
        return nil
    }

    /// Whether the main registrar must have a binding at this moment, by all that is known.
    private func isCanary(_ place: BindingIndex, at now: Instant) -> Bool {
        let binding = table[place]
        return binding.state == .live && now < binding.deadline
            && binding.flags.isDisjoint(with: [.dirty, .volatile]) && binding.unanswered == 0
            && committed >= binding.ticket
            && binding.mainExpiry.millisecondsSince(now) > policy.guardMs
            && now.millisecondsSince(binding.arrival) >= Self.settledMs
            && !policy.resync.doubts(confirmed: binding.arrival)
            && !filter.isWaiting(binding.aor, now: now)
    }

    // MARK: Sending

    private mutating func sendFetch<Location: LocationService & ~Copyable>(
        of place: BindingIndex, at now: Instant, location: inout Location, outbox: inout Outbox
    ) -> Bool {
        let binding = table[place]
        probe.begin(.fetch, at: now)
        probe.canary = .init(place: place.number, record: binding.record)
        outbox.begin()
        let written: Void? = location.read(binding.record) { fact in
            beginFetch(fact, &outbox)
            OwnRequest.finish(&outbox)
        }
        if written != nil, endProbe(&outbox) { return true }
        outbox.abandon()
        probe.giveUp()
        probe.canary = nil
        return false
    }

    /// Writes a fetch up to where credentials may follow: a REGISTER without Contact (§10.2.3).
    private mutating func beginFetch(_ fact: Span<UInt8>, _ outbox: inout Outbox) {
        beginRegister(
            .probe, probe.steering, transaction: probe.number, about: fact, tag: probe.tag, &outbox)
        OwnRequest.writeProbeID(probe.callID, &outbox)
        OwnRequest.writeSequence(probe.sequence, .register, &outbox)
    }

    private mutating func sendOptions(at now: Instant, _ outbox: inout Outbox) {
        probe.begin(.options, at: now)
        let us = options.sockets[Int(options.ownSocket)].advertised
        work.begin()
        work.write("sip:")
        work.write(options.mainServer)
        outbox.begin()
        OwnRequest.begin(.options, to: work.open, from: us, &outbox)
        SealedVia.write(
            .probe, probe.steering, transaction: probe.number, body: sealed, under: options.keys,
            scratch: &scratch, to: &outbox)
        OwnRequest.writeProbe(
            of: work.open, from: us, tag: probe.tag, callID: probe.callID,
            sequence: probe.sequence, &outbox)
        work.abandon()
        guard endProbe(&outbox) else {
            outbox.abandon()
            probe.giveUp()
            return
        }
    }

    private mutating func endProbe(_ outbox: inout Outbox) -> Bool {
        guard !outbox.overflowed, probe.keep(outbox.open),
            outbox.end(to: options.mainServer, from: options.ownSocket)
        else { return false }
        counters.add(.probesSent)
        return true
    }

    // MARK: Answers

    /// Any answer says that the main registrar is there.
    mutating func receiveProbeAnswer<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ seal: SealedVia, from source: TransportAddress, now: Instant,
        location: inout Location, outbox: inout Outbox
    ) {
        guard options.mainSide.contains(source) else {
            counters.add(.droppedForeignResponse)
            return
        }
        noteHealth(health.noteAnswer(toProbe: true, at: now), at: now)
        guard probe.isUnderWay, seal.transaction == probe.number else { return }
        if probe.noteAnswer() { counters.add(.probesAnswered) }
        let code = index.statusCode
        let action = probe.transaction.receive(code < 200 ? .provisional : .final, at: now)
        guard action == .deliver, probe.request == .fetch else { return }
        switch code {
        case 200..<300, 404:
            judgeFetch(bytes, at: now, location: &location, outbox: &outbox)
        // For the moment it cannot say.
        case 408, 429, 480, 500, 502..<505, 506..<513, 514..<600: break
        case 401, 407:
            let isAnswered = answerChallenge(
                bytes, from: source, at: now, location: &location, outbox: &outbox)
            if !isAnswered { endFetches(.fetchRefused, source, at: now) }
        default: endFetches(.fetchRefused, source, at: now)
        }
    }

    /// Sends the fetch again with credentials; `false` if that is not to be.
    private mutating func answerChallenge<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, from source: TransportAddress, at now: Instant,
        location: inout Location, outbox: inout Outbox
    ) -> Bool {
        guard
            let challenge = answerableChallenge(bytes, answers: probe.answers, from: source)
        else { return false }
        // What it would ask for has gone meanwhile: the next probe asks for something else.
        guard let place = presentCanary else { return true }
        probe.begin(.fetch, answers: probe.answers + 1, at: now)
        let tag = probe.tag
        let transaction = probe.number
        outbox.begin()
        let written: Void? = location.read(table[place].record) { fact in
            beginFetch(fact, &outbox)
            writeCredentials(
                challenge, in: bytes, about: fact, tag: tag, transaction: transaction, &outbox)
            OwnRequest.finish(&outbox)
        }
        if written != nil, endProbe(&outbox) { return true }
        outbox.abandon()
        probe.giveUp()
        return true
    }

    private mutating func endFetches(
        _ kind: CoreEvent.Kind, _ source: TransportAddress, at now: Instant
    ) {
        probe.pauseFetches(at: now)
        note(CoreEvent(kind, source: source, number: index.statusCode))
    }

    // MARK: Amnesia

    /// Looks for the canary in the answer to its fetch.
    ///
    /// One that is gone may have been taken away at the main registrar by another way, by its
    /// subscriber or by an operator: it alone is doubted, and a canary of another AOR is fetched at
    /// once. That one gone too is amnesia: no subscriber knows whose binding comes next.
    private mutating func judgeFetch<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        // What was asked of the main registrar meanwhile may have come there before the fetch or
        // after it.
        guard let place = presentCanary, isCanary(place, at: now) else { return }
        let binding = table[place]
        let contact = SharedContact(of: binding)
        var behind = next(of: contact)
        while let other = behind {
            behind = next(of: contact, after: other)
            guard table[other].arrival < probe.started, table[other].unanswered == 0 else { return }
        }
        if index.statusCode < 300, isListed(bytes, binding, location: &location) {
            probe.listing = .proven
            probe.missing = nil
            return
        }
        counters.add(.mainMissing)
        behind = next(of: contact)
        while let other = behind {
            behind = next(of: contact, after: other)
            doubt(other, at: now, location: &location)
        }
        probe.canary = nil
        if let before = probe.missing, before != binding.aor {
            concludeAmnesia(at: now)
            return
        }
        probe.missing = binding.aor
        if outbox.hasRoom(for: RemovalPool.messageBytesMax),
            let next = findCanary(but: binding.aor, at: now)
        {
            _ = sendFetch(of: next, at: now, location: &location, outbox: &outbox)
        }
    }

    /// A main registrar that lists nothing to anybody who fetches looks as if it had forgotten, each
    /// time: that is believed once, since it may have been restarted together with us.
    private mutating func concludeAmnesia(at now: Instant) {
        probe.missing = nil
        switch probe.listing {
        case .doubted: endFetches(.fetchUseless, options.mainServer, at: now)
        case .unknown:
            probe.listing = .doubted
            noteHealth(health.noteForgotten(at: now), at: now)
        case .proven: noteHealth(health.noteForgotten(at: now), at: now)
        }
    }
}
