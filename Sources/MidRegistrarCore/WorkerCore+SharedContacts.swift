internal import Bytes
internal import Keys
internal import Registration
internal import SIPMessage

/// One contact at the main registrar, and the bindings here that stand behind it and so share its
/// lease: all phones of an AOR, where the mode gives them one contact, or else the flows of one
/// contact ID (RFC 5626 §7: an instance is one target, however many flows it has).
struct SharedContact: Equatable {
    let aor: AORKey
    /// `nil` for the one contact of an AOR.
    let id: ContactID?

    init(ofAOR aor: AORKey) {
        self.aor = aor
        id = nil
    }

    init(_ aor: AORKey, _ id: ContactID) {
        self.aor = aor
        self.id = id
    }

    /// The one that a binding stands behind.
    init(of binding: Binding) {
        aor = binding.aor
        id = binding.flags.contains(.shared) ? nil : binding.id
    }

    /// Whether a binding of its AOR stands behind it.
    func holds(_ binding: Binding) -> Bool {
        guard let id else { return binding.flags.contains(.shared) }
        return binding.id == id && !binding.flags.contains(.shared)
    }
}

// Bindings that share one contact at the main registrar.
extension WorkerCore {
    /// What a contact of the request, or of the answer, at hand stands behind.
    func sharedContact(_ aor: AORKey, _ id: ContactID) -> SharedContact {
        mode == .throttleByAOR ? SharedContact(ofAOR: aor) : SharedContact(aor, id)
    }

    /// The next binding behind a contact, in any state, after another binding of its AOR; the first
    /// one without.
    func next(of contact: SharedContact, after place: BindingIndex? = nil) -> BindingIndex? {
        var next = place.map { table.next(after: $0) } ?? table.first(of: contact.aor)
        while let place = next {
            if contact.id.map({ table.id(place) == $0 }) ?? true, contact.holds(table[place]) {
                return place
            }
            next = table.next(after: place)
        }
        return nil
    }

    /// Bindings behind a contact that phones are reached by.
    func liveCount(of contact: SharedContact, but except: BindingIndex? = nil) -> Int {
        var count = 0
        var next = next(of: contact)
        while let place = next {
            if table.isLive(place), place != except { count += 1 }
            next = self.next(of: contact, after: place)
        }
        return count
    }

    /// Contacts of an AOR with a live flow: what the AOR's limit counts.
    func liveContacts(of aor: AORKey) -> Int {
        var count = 0
        var next = table.first(of: aor)
        while let place = next {
            if table.isLive(place), isFirstLive(place) { count += 1 }
            next = table.next(after: place)
        }
        return count
    }

    /// Whether no live flow of the same contact comes before this one.
    func isFirstLive(_ place: BindingIndex) -> Bool {
        let binding = table[place]
        var next = table.first(of: binding.aor)
        while let other = next, other != place {
            if table.isLive(other), table.id(other) == binding.id { return false }
            next = table.next(after: other)
        }
        return true
    }

    // MARK: On the way to the main registrar

    /// The lifetime to ask for a contact: it outlasts everyone's behind it.
    ///
    /// - Parameters:
    ///   - longest: what is asked for at least.
    ///   - places: those of `count` bindings that the request is about to change itself.
    func sharedAsk(
        _ contact: SharedContact, longest: UInt32,
        besides places: InlineArray<16, BindingIndex?> = .init(repeating: nil), _ count: Int = 0,
        now: Instant
    ) -> UInt32 {
        var seconds = longest
        var next = next(of: contact)
        while let place = next {
            next = self.next(of: contact, after: place)
            let binding = table[place]
            guard binding.state == .live, now < binding.deadline else { continue }
            guard !Self.contains(places, count, place) else { continue }
            // While the store is down, a restart would believe the lease it has on record.
            let end = storeIsDown ? binding.mainExpiry : binding.deadline
            seconds = max(seconds, end.secondsLeft(at: now) + 1)
        }
        return seconds
    }

    static func contains(
        _ places: InlineArray<16, BindingIndex?>, _ count: Int, _ place: BindingIndex
    ) -> Bool {
        for number in 0..<count where places[number] == place { return true }
        return false
    }

    /// A REGISTER that keeps the contact is on its way: no removal of ours may cross it.
    mutating func stopSharedRemoval(of contact: SharedContact, at now: Instant) {
        var next = next(of: contact)
        while let place = next {
            next = self.next(of: contact, after: place)
            stopRemoval(place, at: now)
        }
    }

    // MARK: When the main registrar has answered

    /// The main registrar has confirmed the contact: the lease of everyone behind it.
    mutating func extendLease(of contact: SharedContact, to mainExpiry: Instant) {
        var next = next(of: contact)
        while let place = next {
            next = self.next(of: contact, after: place)
            guard table.isLive(place) else { continue }
            table[place].mainExpiry = mainExpiry
            // It was granted more than the main registrar now holds: its next refresh goes there.
            if table[place].deadline > mainExpiry { table[place].flags.insert(.dirty) }
        }
    }

    /// The main registrar does not have the contact any more: nobody behind it is absorbed before it
    /// has been registered again, nor who is being registered at this moment.
    mutating func voidLease<Location: LocationService & ~Copyable>(
        of contact: SharedContact, _ answer: MainAnswer, at now: Instant, location: inout Location
    ) {
        if contact.id == nil {
            leaveVoidMark(contact.aor, at: now)
            voidLeases(of: contact.aor)
            return
        }
        let othersWait = isAnotherWaiting(answer, at: now)
        var next = next(of: contact)
        while let place = next {
            next = self.next(of: contact, after: place)
            if table.isLive(place) {
                doubt(place, at: now, location: &location)
            } else if othersWait {
                table[place].dirtyUntil = max(table[place].dirtyUntil, now)
            }
        }
    }

    /// Notes when the one contact of an AOR was removed.
    private mutating func leaveVoidMark(_ aor: AORKey, at now: Instant) {
        let deadline = now.advanced(byMilliseconds: RegistrationLimits.transactionMs)
        if let place = table.find(voidID(of: aor)) {
            table[place].lastHeard = now
            table[place].deadline = deadline
            return
        }
        var binding = Binding()
        binding.aor = aor
        binding.id = voidID(of: aor)
        binding.state = .tombstone
        binding.lastHeard = now
        binding.deadline = deadline
        _ = table.insert(binding)
    }

    /// No live binding of an AOR is absorbed before the main registrar has confirmed it again.
    mutating func voidLeases(of aor: AORKey) {
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            if table.isLive(place) { table[place].flags.insert(.dirty) }
        }
    }

    /// Whether a removal that ended the AOR's contact was answered after `arrival`: what was relayed
    /// before may have reached the main registrar first.
    private func wasVoided(_ aor: AORKey, since arrival: Instant) -> Bool {
        guard let place = table.find(voidID(of: aor)) else { return false }
        return table[place].lastHeard >= arrival
    }

    /// The contact ID of nobody, by which a tombstone of the AOR's contact itself is kept.
    private func voidID(of aor: AORKey) -> ContactID {
        ContactID(aor, identity: 0, under: options.keys)
    }

    /// Whether what other phones have asked for meanwhile was about the one contact of the AOR, so
    /// that nobody knows in which order the main registrar has seen it. Of flows of one contact
    /// ``Binding/noteRelay(_:at:)`` has taken note.
    func isContested(
        _ contact: SharedContact, _ answer: MainAnswer, isNew: Bool, arrival: Instant,
        at now: Instant
    ) -> Bool {
        guard contact.id == nil else { return false }
        if wasVoided(contact.aor, since: arrival) { return true }
        guard isNew else { return false }
        if isAnotherWaiting(answer, at: now) { return true }
        var next = next(of: contact)
        while let place = next {
            if table[place].unanswered != 0 { return true }
            next = self.next(of: contact, after: place)
        }
        return false
    }

    /// Whether another request of the AOR is on its way to the main registrar.
    private func isAnotherWaiting(_ answer: MainAnswer, at now: Instant) -> Bool {
        let isWaiting = filter.entry(answer.aor, answer.transaction)?.state == .waiting
        return filter.waiting(answer.aor, now: now) > (isWaiting ? 1 : 0)
    }

    /// The latest moment up to which a removal of the contact may still arrive there.
    func sharedDirtyUntil(_ contact: SharedContact) -> Instant {
        var latest = Instant(milliseconds: 0)
        var next = next(of: contact)
        while let place = next {
            next = self.next(of: contact, after: place)
            latest = max(latest, table[place].dirtyUntil)
        }
        return latest
    }

    /// The newest fact behind a contact knows the end of its lease; it is told another one, or what
    /// a binding knew that leaves.
    mutating func passLease<Location: LocationService & ~Copyable>(
        of contact: SharedContact, _ mainExpiry: Instant, location: inout Location
    ) {
        var newest: BindingIndex?
        var next = next(of: contact)
        while let place = next {
            next = self.next(of: contact, after: place)
            guard table.isLive(place) else { continue }
            // Of two that came at once, the one that is loaded last after a restart.
            if let best = newest {
                let (old, new) = (table[best], table[place])
                if (old.arrival, old.record) >= (new.arrival, new.record) { continue }
            }
            newest = place
        }
        guard let newest else { return }
        factBytes.clear()
        _ = location.read(table[newest].record) { fact in factBytes.append(fact) }
        guard !factBytes.isEmpty, !factBytes.overflowed,
            Fact(factBytes.span)?.mainExpiry != mainExpiry
        else { return }
        Fact.restamp(&factBytes, mainExpiry: mainExpiry)
        location.stage(table[newest].record, factBytes.span)
        hasStaged = true
        // It counts on that lease from now on, so it waits for the store like whoever is new.
        table[newest].ticket = nextTicket
        staged.append(newest)
    }

    /// What a 2xx says of a contact.
    struct SharedLease {
        /// Whether it was asked to be kept, and not to be taken away.
        let isKept: Bool
        /// What the main registrar grants; 0 if it does not have it.
        let seconds: UInt32
        let mainExpiry: Instant
    }

    /// What a 2xx says of the one contact of an AOR.
    mutating func sharedLease(
        _ bytes: Span<UInt8>, _ answer: MainAnswer, arrival: Instant, now: Instant
    ) -> SharedLease {
        let asked = answer.state.sharedSeconds
        guard asked > 0 else {
            return SharedLease(isKept: false, seconds: 0, mainExpiry: now)
        }
        return lease(
            of: SharedContact(ofAOR: answer.aor), granted(sharedGrant(bytes), of: asked),
            arrival: arrival)
    }

    /// What a 2xx says of the one contact of the AOR that `aorText` has.
    mutating func sharedGrant(_ bytes: Span<UInt8>) -> MainContact.Grant {
        sharedUser.clear()
        return MainContact.grant(in: bytes, index) { uri in
            AddressOfRecord.read(userPart: uri.user, of: bytes, into: &sharedUser)
                && sharedUser.span.same(as: aorText.span)
        }
    }

    /// The lease of a contact that was granted for so many seconds by a request of `arrival`.
    func lease(
        of contact: SharedContact, _ seconds: UInt32, arrival: Instant
    ) -> SharedLease {
        var mainExpiry = arrival.advanced(bySeconds: seconds)
        // A later request has been answered already: either may have come there last.
        var next = next(of: contact)
        while let place = next {
            next = self.next(of: contact, after: place)
            if table.isLive(place), table[place].arrival > arrival {
                mainExpiry = min(mainExpiry, table[place].mainExpiry)
            }
        }
        return SharedLease(isKept: true, seconds: seconds, mainExpiry: mainExpiry)
    }

    /// Brings the others behind a contact in line with what the main registrar now has.
    mutating func settleShared<Location: LocationService & ~Copyable>(
        _ contact: SharedContact, _ answer: MainAnswer, _ lease: SharedLease, at now: Instant,
        location: inout Location
    ) {
        guard lease.isKept, lease.seconds > 0 else {
            voidLease(of: contact, answer, at: now, location: &location)
            return
        }
        guard contact.id == nil || hasSeveral(contact) else { return }
        extendLease(of: contact, to: lease.mainExpiry)
        guard liveCount(of: contact) > 0 else { return }
        // Whoever owed the removal of the contact does not owe it any more.
        var next = next(of: contact)
        while let place = next {
            next = self.next(of: contact, after: place)
            guard table.state(place) == .lapsed || table.state(place) == .refused else { continue }
            stopRemoval(place, at: now)
            bury(place, at: now, location: &location)
        }
        passLease(of: contact, lease.mainExpiry, location: &location)
    }

    /// Whether more than one binding, in any state, is behind a contact.
    private func hasSeveral(_ contact: SharedContact) -> Bool {
        guard let first = next(of: contact) else { return false }
        return next(of: contact, after: first) != nil
    }

    // MARK: Room

    /// Ends the contact of an AOR that was heard of least lately, until there is room for one more.
    mutating func makeRoom<Location: LocationService & ~Copyable>(
        _ aor: AORKey, for id: ContactID, at now: Instant, location: inout Location
    ) {
        guard table.liveFlows(of: id, includingUnreachable: true).count == 0 else { return }
        while liveContacts(of: aor) >= options.contactsMax {
            var oldest: LiveFlows?
            var next = table.first(of: aor)
            while let place = next {
                next = table.next(after: place)
                guard table.isLive(place), isFirstLive(place) else { continue }
                let flows = table.liveFlows(of: table.id(place), includingUnreachable: true)
                guard let newest = flows.newest else { continue }
                if let best = oldest?.newest, table[best].lastHeard <= table[newest].lastHeard {
                    continue
                }
                oldest = flows
            }
            guard let oldest else { return }
            counters.add(.bindingsReplaced)
            for number in 0..<oldest.count { end(oldest[number], at: now, location: &location) }
        }
    }

    /// Ends the flow of a contact that was heard of least lately if it has as many as it may have.
    mutating func makeRoomForFlow<Location: LocationService & ~Copyable>(
        of id: ContactID, at now: Instant, location: inout Location
    ) {
        let flows = table.liveFlows(of: id, includingUnreachable: true)
        guard flows.count >= RegistrationLimits.flowsPerContactMax else { return }
        counters.add(.bindingsReplaced)
        end(flows[flows.count - 1], at: now, location: &location)
    }
}
