public import Bytes
internal import Forwarding
internal import Keys
public import Registration
internal import SIPMessage
internal import SIPTransaction

// What lapses here is taken out of the main registrar by a REGISTER of our own, from a socket of its
// own (RFC 3261 §10.2.2; no byte that came from a phone ever leaves by that socket).
extension WorkerCore {
    /// Seconds until a removal that nobody answered is tried again; twice as many each time.
    private static let retrySeconds: UInt32 = 30
    private static let retrySecondsMax: UInt32 = 600
    /// Seconds that a returning phone's REGISTER stops the removal of its old binding.
    private static let pauseSeconds: UInt32 = 40
    /// Milliseconds of all pauses between two tries: room for a challenged REGISTER (twice 64·T1).
    private static let pausesMs = 2 * RegistrationLimits.transactionMs

    /// Ends the present state of a binding whose deadline has passed.
    mutating func end<Location: LocationService & ~Copyable>(
        _ place: BindingIndex, at now: Instant, location: inout Location
    ) {
        let binding = table[place]
        switch binding.state {
        case .free: break
        case .tombstone: table.remove(place)
        case .live:
            counters.add(.bindingsExpired)
            // One that makes room for another has not fallen silent.
            let brakes = binding.deadline <= now && noteLapse(at: now)
            if isKeptByOthers(place) {
                bury(place, at: now, location: &location)
                passLease(of: SharedContact(of: binding), binding.mainExpiry, location: &location)
                return
            }
            guard options.removesExpired, now < binding.mainExpiry else {
                bury(place, at: now, location: &location)
                return
            }
            lapse(place, brakes: brakes, at: now, location: &location)
        case .lapsed:
            guard now < binding.mainExpiry, !isKeptByOthers(place) else {
                if now >= binding.mainExpiry { counters.add(.ownRemovalGivenUp) }
                bury(place, at: now, location: &location)
                return
            }
            queueRemoval(place, at: now)
        case .refused: bury(place, at: now, location: &location)
        }
    }

    /// Whether other phones, or flows, are reached by the same contact at the main registrar.
    private func isKeptByOthers(_ place: BindingIndex) -> Bool {
        liveCount(of: SharedContact(of: table[place]), but: place) > 0
    }

    /// The binding whose removal is owed by a contact ID: no two flows of a contact owe it.
    func lapsed(_ id: ContactID) -> BindingIndex? {
        guard let any = table.find(id) else { return nil }
        var next = table.first(of: table[any].aor)
        while let place = next {
            if table.state(place) == .lapsed, table.id(place) == id { return place }
            next = table.next(after: place)
        }
        return nil
    }

    /// Ends a binding here whose contact the main registrar still has: it is ours to remove there.
    ///
    /// - Parameter brakes: its phone is waited for first.
    mutating func lapse<Location: LocationService & ~Copyable>(
        _ place: BindingIndex, brakes: Bool = false, at now: Instant, location: inout Location
    ) {
        table[place].state = .lapsed
        table[place].unansweredRemovals = 0
        endPauses(place)
        mark(place, .removalOwed, location: &location)
        if filter.isWaiting(table[place].aor, now: now) {
            // The phone's next REGISTER is on its way; a removal might overtake its 2xx.
            pauseRemoval(place, at: now)
        } else if brakes {
            counters.add(.ownRemovalBraked)
            table[place].deadline = min(
                table[place].mainExpiry, now.advanced(bySeconds: LapseBrake.waitSeconds))
            table.reschedule(place)
        } else {
            queueRemoval(place, at: now)
        }
    }

    /// Whether so many bindings lapse at once that their removals are to wait. Those in the queue
    /// wait along; what is under way goes on.
    private mutating func noteLapse(at now: Instant) -> Bool {
        switch brake.noteLapse(others: table.liveCount - 1, at: now) {
        case .single: return false
        case .mass: return true
        case .massBegins:
            counters.add(.ownRemovalBraked, UInt64(removals.queued))
            removals.hold(until: now.advanced(bySeconds: LapseBrake.waitSeconds))
            note(CoreEvent(.massLapse, number: brake.recent))
            return true
        }
    }

    /// Queues a lapsed binding's removal; it is looked at again when the main registrar forgets it.
    mutating func queueRemoval(_ place: BindingIndex, at now: Instant) {
        let isQueued = removals.enqueue(table[place].id)
        table[place].deadline =
            isQueued
            ? table[place].mainExpiry
            : now.advanced(bySeconds: Self.retrySeconds)
        table.reschedule(place)
    }

    /// Writes a mark into the fact of a binding, and nothing else.
    mutating func mark<Location: LocationService & ~Copyable>(
        _ place: BindingIndex, _ mark: Fact.Marks, location: inout Location
    ) {
        let record = table[place].record
        factBytes.clear()
        _ = location.read(record) { fact in factBytes.append(fact) }
        guard !factBytes.isEmpty, !factBytes.overflowed, let fact = Fact(factBytes.span) else {
            return
        }
        Fact.remark(&factBytes, fact.marks.union(mark))
        Fact.restamp(&factBytes, mainExpiry: table[place].mainExpiry)
        location.stage(record, factBytes.span)
        hasStaged = true
    }

    /// A REGISTER for this contact is on its way to the main registrar: an own removal of it stops,
    /// and if it may still arrive there, what that REGISTER brings is not trusted for 64·T1.
    mutating func stopRemoval(_ place: BindingIndex, at now: Instant) {
        guard table[place].state == .lapsed else { return }
        if let slot = removals.slot(of: table[place].id) {
            removals.close(slot)
            counters.add(.ownRemovalStopped)
            table[place].dirtyUntil = now.advanced(byMilliseconds: RegistrationLimits.transactionMs)
        }
        pauseRemoval(place, at: now)
    }

    /// A deadline other than the main expiry says that the removal is not to be sent before it.
    ///
    /// Anybody may ask for a contact, again and again; so the pauses between two tries of a removal
    /// last ``pausesMs`` at most, from `lastHeard` of the lapsed binding on.
    private mutating func pauseRemoval(_ place: BindingIndex, at now: Instant) {
        if table[place].lastHeard > now { table[place].lastHeard = now }
        let end = table[place].lastHeard.advanced(byMilliseconds: Self.pausesMs)
        // It is in the queue already, or due.
        guard now < end else { return }
        table[place].deadline = min(now.advanced(bySeconds: Self.pauseSeconds), end)
        table.reschedule(place)
    }

    /// From here on it may be paused anew.
    private mutating func endPauses(_ place: BindingIndex) {
        table[place].lastHeard = table[place].mainExpiry
    }

    /// The phone that returned was refused: what waited for it goes on, so that a binding which is in
    /// its way at the main registrar (RFC 3261 §10.3 step 7) does not outlive this one's expiry.
    mutating func resumeRemovals(of aor: AORKey, at now: Instant) {
        guard !filter.isWaiting(aor, now: now) else { return }
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            guard table[place].state == .lapsed, removals.slot(of: table[place].id) == nil,
                table[place].deadline != table[place].mainExpiry
            else { continue }
            queueRemoval(place, at: now)
        }
    }

    // MARK: Sending

    mutating func sendRemovals<Location: LocationService & ~Copyable>(
        at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        while outbox.hasRoom(for: RemovalPool.messageBytesMax), let id = removals.dequeue(at: now) {
            guard let place = lapsed(id), removals.slot(of: id) == nil, isStillOwed(place, at: now),
                !isKeptByOthers(place),
                let slot = removals.open(id, generation: attempt(id, at: now), now: now)
            else { continue }
            let binding = table[place]
            var derived = KeyedHash(options.keys.fingerprint)
            derived.update(word: id.high)
            derived.update(word: id.low)
            derived.update(word: binding.mainExpiry.milliseconds)
            let derivedCallID = derived.finish()
            removals.slots[slot].removal = OwnRemoval(
                binding, tag: derivedCallID &+ transaction(of: slot), derivedCallID: derivedCallID,
                triesMax: ownCredentials == nil ? 1 : 1 + UInt32(Self.answersMax))
            outbox.begin()
            _ = location.read(binding.record) { fact in
                beginRemoval(slot, binding, fact, &outbox)
                OwnRequest.finish(&outbox)
            }
            guard !outbox.overflowed, removals.keep(outbox.open, in: slot) else {
                outbox.abandon()
                removals.close(slot)
                continue
            }
            outbox.end(to: options.mainServer, from: options.ownSocket)
            counters.add(.ownRemovalSent)
            endPauses(place)
        }
    }

    /// Writes a removal up to where credentials may follow.
    mutating func beginRemoval(
        _ slot: Int, _ binding: Binding, _ fact: Span<UInt8>, _ outbox: inout Outbox
    ) {
        beginRegister(
            .own, binding.aor.steering, transaction: transaction(of: slot), about: fact,
            tag: removals.slots[slot].removal.tag, &outbox)
        removals.slots[slot].removal.writeRest(fact, &outbox)
    }

    /// Writes a REGISTER of our own about a fact's address of record, up to where the Call-ID belongs.
    mutating func beginRegister(
        _ kind: SealedVia.Kind, _ steering: SteeringBits, transaction: UInt64,
        about fact: Span<UInt8>, tag: UInt64, _ outbox: inout Outbox
    ) {
        let target = Fact.range(of: .requestURI, in: fact)
        OwnRequest.begin(
            .register, to: fact.extracting(target.start..<target.end),
            from: options.sockets[Int(options.ownSocket)].advertised, &outbox)
        SealedVia.write(
            kind, steering, transaction: transaction, body: sealed, under: options.keys,
            scratch: &scratch, to: &outbox)
        let from = Fact.range(of: .fromURI, in: fact)
        let to = Fact.range(of: .toURI, in: fact)
        OwnRequest.continue(
            from: fact.extracting(from.start..<from.end), tag: tag,
            to: fact.extracting(to.start..<to.end), &outbox)
    }

    func transaction(of slot: Int) -> UInt64 {
        UInt64(slot) << 32 | UInt64(removals.slots[slot].generation)
    }

    /// Not while a phone that came back is being registered.
    private func isStillOwed(_ place: BindingIndex, at now: Instant) -> Bool {
        table[place].deadline == table[place].mainExpiry || table[place].deadline <= now
    }

    mutating func fireRemovals(at now: Instant, _ outbox: inout Outbox) {
        guard removals.active > 0, removals.nextTimer <= now else { return }
        for slot in 0..<removals.slots.count where removals.slots[slot].isUsed {
            switch removals.slots[slot].transaction.fire(at: now) {
            case .nothing, .deliver: break
            case .send:
                outbox.begin()
                outbox.write(removals.message(slot))
                outbox.end(to: options.mainServer, from: options.ownSocket)
            case .timeOut:
                counters.add(.ownRemovalUnanswered)
                // A copy of it may still arrive after the phone has come back.
                if let place = lapsed(removals.slots[slot].id) {
                    table[place].dirtyUntil = now.advanced(
                        byMilliseconds: RegistrationLimits.transactionMs)
                }
                retryLater(slot, at: now)
            case .end: removals.close(slot)
            }
        }
    }

    private mutating func retryLater(_ slot: Int, at now: Instant) {
        let id = removals.slots[slot].id
        removals.close(slot)
        guard let place = lapsed(id) else { return }
        let tries = table[place].unansweredRemovals
        if tries < .max { table[place].unansweredRemovals = tries + 1 }
        table[place].deadline = min(
            table[place].mainExpiry,
            now.advanced(
                bySeconds: min(Self.retrySeconds << UInt32(min(tries, 5)), Self.retrySecondsMax)))
        table.reschedule(place)
    }

    // MARK: Answers

    mutating func receiveRemovalAnswer<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ seal: SealedVia, from source: TransportAddress, now: Instant,
        location: inout Location, outbox: inout Outbox
    ) {
        guard options.mainSide.contains(source) else {
            counters.add(.droppedForeignResponse)
            return
        }
        noteHealth(health.noteAnswer(at: now), at: now)
        let slot = Int(seal.transaction >> 32)
        guard slot < removals.slots.count, removals.slots[slot].isUsed,
            removals.slots[slot].generation == UInt32(truncatingIfNeeded: seal.transaction)
        else { return }
        let code = index.statusCode
        let action = removals.slots[slot].transaction.receive(
            code < 200 ? .provisional : .final, at: now)
        guard action == .deliver else { return }
        guard let place = lapsed(removals.slots[slot].id) else {
            removals.close(slot)
            return
        }
        switch code {
        case 200..<300, 404, 481:
            counters.add(.ownRemovalDone)
            removals.close(slot)
            // What was relayed before and is answered later may have come there before it.
            table[place].dirtyUntil = max(table[place].dirtyUntil, now)
            bury(place, at: now, location: &location)
        case 500..<600:
            counters.add(.ownRemovalUnanswered)
            // Perhaps it has seen the phone's number after all, whose answer came nowhere: the next
            // try has a Call-ID of its own.
            table[place].sequenceRelayed = table[place].sequenceHeard
            retryLater(slot, at: now)
        case 401, 407:
            let isAnswered = answerChallenge(
                bytes, slot, place, from: source, now: now, location: &location, outbox: &outbox)
            if !isAnswered { endRefused(slot, place, source, code, location: &location) }
        default: endRefused(slot, place, source, code, location: &location)
        }
    }

    /// The main registrar will not be told; the fact stays until it forgets by itself.
    private mutating func endRefused<Location: LocationService & ~Copyable>(
        _ slot: Int, _ place: BindingIndex, _ source: TransportAddress, _ code: Int,
        location: inout Location
    ) {
        counters.add(.ownRemovalRefused)
        noteRefusal(place, source, code, location: &location)
        removals.close(slot)
        table[place].state = .refused
        table[place].deadline = table[place].mainExpiry
        table.reschedule(place)
        mark(place, .refused, location: &location)
    }

    private mutating func noteRefusal<Location: LocationService & ~Copyable>(
        _ place: BindingIndex, _ source: TransportAddress, _ code: Int, location: inout Location
    ) {
        var text: [UInt8] = []
        _ = location.read(table[place].record) { fact in
            let range = Fact.range(of: .addressOfRecord, in: fact)
            for offset in range.start..<range.end { text.append(fact[offset]) }
        }
        note(
            CoreEvent(
                .removalRefused, source: source, number: code,
                aor: String(decoding: text, as: UTF8.self)))
    }

    // MARK: Start

    /// Goes on with what was to be confirmed anew when the last run ended; called before the first
    /// round.
    public mutating func resume(_ resync: Resync) { policy.resync = policy.resync.later(resync) }

    /// Takes a fact into the table; called for every fact of the store before the first round.
    ///
    /// - Parameter leasesDoubtful: the clock says nothing about how long the main registrar still
    ///   holds its bindings, so nothing is absorbed before it has confirmed them.
    /// - Returns: whether the fact belongs to this worker and was taken.
    public mutating func load(
        _ record: RecordNumber, _ bytes: Span<UInt8>, leasesDoubtful: Bool, now: Instant
    ) -> Bool {
        // Any worker may be asked for any imported contact, and its number names no owner.
        if let id = Fact.contactID(bytes), let number = id.importedNumber {
            importedSteering[number] = id.steering.value
        }
        guard let key = Fact.aorKey(bytes),
            key.steering.owner(among: options.workers) == options.worker,
            var fact = Fact(bytes)
        else { return false }
        fact.migrate(bytes, fingerprints)
        guard !isKnown(fact) else { return false }
        var binding = Binding()
        binding.aor = fact.aor
        binding.id = fact.id
        binding.identity = fact.identity
        binding.contact = fact.contactFingerprint
        binding.callID = Binding.half(fact.callIDFingerprint)
        binding.transaction = Binding.half(fact.transaction)
        binding.record = record
        binding.mainExpiry = fact.mainExpiry
        binding.arrival = fact.arrival
        binding.lastHeard = fact.arrival
        binding.dirtyUntil = fact.dirtyUntil
        binding.flow = Flow(peer: fact.peer, socket: socket(at: fact.local, towards: fact.peer))
        binding.sequenceRelayed = fact.sequence
        binding.sequenceHeard = fact.sequence
        binding.grantedSeconds = fact.grantedSeconds
        if fact.marks.contains(.dirty) || leasesDoubtful { binding.flags.insert(.dirty) }
        if fact.marks.contains(.indirect) { binding.flags.insert(.indirect) }
        if fact.marks.contains(.byEdge) { binding.flags.insert(.byEdge) }
        if fact.marks.contains(.behindNAT) { binding.flags.insert(.behindNAT) }
        if fact.marks.contains(.shared) { binding.flags.insert(.shared) }
        binding.mainExpiry = sharedExpiry(of: fact, SharedContact(of: binding))
        if fact.server != options.mainServer { binding.flags.insert(.dirty) }
        let blockRange = Fact.range(of: .replyBlock, in: bytes)
        if let number = blocks.intern(bytes.extracting(blockRange.start..<blockRange.end)) {
            binding.block = number
        } else {
            binding.flags.insert(.ownBlock)
        }
        if fact.marks.contains(.refused) {
            binding.state = .refused
            binding.deadline = binding.mainExpiry
        } else if fact.marks.contains(.removalOwed) {
            // It lapsed before; it gets no second life.
            binding.state = .lapsed
            binding.deadline = now
            binding.lastHeard = binding.mainExpiry
            // Its removal may be on its way since before the start.
            binding.dirtyUntil = max(
                binding.dirtyUntil,
                now.advanced(byMilliseconds: RegistrationLimits.transactionMs))
        } else {
            // When it was last refreshed nobody knows: one period of grace, at most the main lease.
            binding.state = .live
            binding.deadline = min(
                binding.mainExpiry, now.advanced(bySeconds: max(fact.grantedSeconds, 1)))
        }
        return table.insert(binding) != nil
    }

    /// Whether a fact of the same flow is in the table; one with its ID alone is another contact.
    private func isKnown(_ fact: Fact) -> Bool {
        guard let any = table.find(fact.id) else { return false }
        guard table[any].aor == fact.aor else { return true }
        var next = table.first(of: fact.aor)
        while let place = next {
            if table.id(place) == fact.id,
                table.identity(place) == fact.identity
                    || !Fingerprints.isSameContact(table.identity(place), fact.identity)
            {
                return true
            }
            next = table.next(after: place)
        }
        return false
    }

    /// The end of a contact's lease, which the newest of its facts knows; the others learn it.
    private mutating func sharedExpiry(of fact: Fact, _ contact: SharedContact) -> Instant {
        var newest = fact.mainExpiry
        var arrival = fact.arrival
        var next = next(of: contact)
        while let place = next {
            next = self.next(of: contact, after: place)
            guard table[place].arrival > arrival else { continue }
            (newest, arrival) = (table[place].mainExpiry, table[place].arrival)
        }
        if arrival == fact.arrival {
            next = self.next(of: contact)
            while let place = next {
                next = self.next(of: contact, after: place)
                table[place].mainExpiry = newest
            }
        }
        return newest
    }

    /// The listener a stored flow used, or one of its family if that is gone.
    private func socket(at local: TransportAddress, towards peer: TransportAddress) -> UInt16 {
        var fallback: UInt16 = 0
        var hasFallback = false
        for number in options.sockets.indices {
            let socket = options.sockets[number]
            if socket.local == local, socket.role != .own { return UInt16(number) }
            if !hasFallback, socket.role == .listener, socket.local.isIPv4 == peer.isIPv4 {
                fallback = UInt16(number)
                hasFallback = true
            }
        }
        return fallback
    }
}
