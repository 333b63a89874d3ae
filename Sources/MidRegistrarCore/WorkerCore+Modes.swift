internal import Bytes
internal import Keys
internal import Registration
internal import SIPMessage

// What differs between the modes, and between the ways of being found again.
extension WorkerCore {
    func mode(ofAOR aor: Span<UInt8>) -> RegistrationMode {
        guard !options.domains.isEmpty || options.mode == .throttleByAOR else {
            return options.mode
        }
        let range = domain(ofAOR: aor)
        var mode = options.mode
        let name = aor.extracting(range.start..<range.end)
        for domain in options.domains {
            let other = domain.name.span
            if name.same(as: other) {
                mode = domain.mode
                break
            }
        }
        // An AOR that is a domain alone cannot be the user part of a contact.
        return mode == .throttleByAOR && range.start == 4 ? .throttleByContact : mode
    }

    func mainContact(for mode: RegistrationMode) -> MainContact {
        mode == .throttleByAOR
            ? MainContact(placement: .addressOfRecord, advertised: options.contact.advertised)
            : options.contact
    }

    /// Bindings of an AOR that phones are reached by.
    func liveCount(of aor: AORKey, but except: BindingIndex? = nil) -> Int {
        var count = 0
        var next = table.first(of: aor)
        while let place = next {
            if table[place].state == .live, place != except { count += 1 }
            next = table.next(after: place)
        }
        return count
    }

    // MARK: One contact for all phones of an AOR

    /// The lifetime to ask for the AOR's one contact: it outlasts every phone's.
    ///
    /// - Parameter longest: what is asked for at least.
    func sharedAsk(_ aor: AORKey, longest: UInt32, now: Instant) -> UInt32 {
        var seconds = longest
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            guard table[place].state == .live, now < table[place].deadline else { continue }
            // While the store is down, a restart would believe the lease it has on record.
            let end = storeIsDown ? table[place].mainExpiry : table[place].deadline
            seconds = max(seconds, end.secondsLeft(at: now) + 1)
        }
        return seconds
    }

    /// A REGISTER that keeps the AOR's contact is on its way: no removal of ours may cross it.
    mutating func stopSharedRemoval(of aor: AORKey, at now: Instant) {
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            stopRemoval(place, at: now)
        }
    }

    /// The main registrar has confirmed the AOR's contact: the lease of every phone behind it.
    mutating func extendLease(of aor: AORKey, to mainExpiry: Instant) {
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            guard table[place].state == .live, table[place].flags.contains(.shared) else {
                continue
            }
            table[place].mainExpiry = mainExpiry
            // It was granted more than the main registrar now holds: its next refresh goes there.
            if table[place].deadline > mainExpiry { table[place].flags.insert(.dirty) }
        }
    }

    /// The main registrar does not have the AOR's contact any more: no phone behind it is absorbed
    /// before it has been registered again, nor one that is being registered at this moment.
    mutating func voidLease(of aor: AORKey, at now: Instant) {
        let deadline = now.advanced(byMilliseconds: RegistrationLimits.transactionMs)
        if let place = table.find(voidID(of: aor)) {
            table[place].lastHeard = now
            table[place].deadline = deadline
        } else {
            var binding = Binding()
            binding.aor = aor
            binding.id = voidID(of: aor)
            binding.state = .tombstone
            binding.lastHeard = now
            binding.deadline = deadline
            _ = table.insert(binding)
        }
        voidLeases(of: aor)
    }

    /// No live binding of an AOR is absorbed before the main registrar has confirmed it again.
    mutating func voidLeases(of aor: AORKey) {
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            if table[place].state == .live { table[place].flags.insert(.dirty) }
        }
    }

    /// Whether a removal that ended the AOR's contact was answered after `arrival`: what was relayed
    /// before may have reached the main registrar first.
    func wasVoided(_ aor: AORKey, since arrival: Instant) -> Bool {
        guard let place = table.find(voidID(of: aor)) else { return false }
        return table[place].lastHeard >= arrival
    }

    /// Whether requests of other phones of the AOR have no answer yet.
    func isContested(_ answer: MainAnswer, at now: Instant) -> Bool {
        let isWaiting = filter.entry(answer.aor, answer.transaction)?.state == .waiting
        if filter.waiting(answer.aor, now: now) > (isWaiting ? 1 : 0) { return true }
        var next = table.first(of: answer.aor)
        while let place = next {
            next = table.next(after: place)
            if table[place].unanswered != 0 { return true }
        }
        return false
    }

    /// The contact ID of nobody, by which a tombstone of the AOR's contact itself is kept.
    private func voidID(of aor: AORKey) -> ContactID {
        ContactID(aor, identity: 0, under: options.keys)
    }

    /// The latest moment up to which one of the AOR's own removals may still arrive there.
    func sharedDirtyUntil(_ aor: AORKey) -> Instant {
        var latest = Instant(milliseconds: 0)
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            latest = max(latest, table[place].dirtyUntil)
        }
        return latest
    }

    /// The binding that leaves was the one whose fact knew the end of the AOR's lease; the newest of
    /// those that stay takes it over.
    mutating func passLease<Location: LocationService & ~Copyable>(
        of aor: AORKey, _ mainExpiry: Instant, location: inout Location
    ) {
        var newest: BindingIndex?
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            guard table[place].state == .live, table[place].flags.contains(.shared) else {
                continue
            }
            if let best = newest, table[best].arrival >= table[place].arrival { continue }
            newest = place
        }
        guard let newest else { return }
        factBytes.clear()
        _ = location.read(table[newest].record) { fact in factBytes.append(fact) }
        guard !factBytes.isEmpty, !factBytes.overflowed else { return }
        Fact.restamp(&factBytes, mainExpiry: mainExpiry)
        location.stage(table[newest].record, factBytes.span)
        hasStaged = true
        // It counts on that lease from now on, so it waits for the store like whoever is new.
        table[newest].ticket = nextTicket
        staged.append(newest)
    }

    /// What a 2xx says of the one contact of an AOR.
    struct SharedLease {
        /// Whether it was asked to be kept, and not to be taken away.
        let isKept: Bool
        /// What the main registrar grants; 0 if it does not have it.
        let seconds: UInt32
        let mainExpiry: Instant
    }

    mutating func sharedLease(
        _ bytes: Span<UInt8>, _ answer: MainAnswer, arrival: Instant, isKnown: Bool, now: Instant
    ) -> SharedLease {
        let asked = answer.state.sharedSeconds
        guard asked > 0 else {
            return SharedLease(isKept: false, seconds: 0, mainExpiry: now)
        }
        sharedUser.clear()
        let grant = MainContact.grant(in: bytes, index) { uri in
            AddressOfRecord.read(userPart: uri.user, of: bytes, into: &sharedUser)
                && sharedUser.span.same(as: aorText.span)
        }
        let seconds = granted(grant, of: asked)
        var mainExpiry = leaseStart(arrival, isKnown: isKnown, now: now)
            .advanced(bySeconds: seconds)
        // A later request has been answered already: either may have come there last.
        var next = table.first(of: answer.aor)
        while let place = next {
            next = table.next(after: place)
            if table[place].state == .live, table[place].flags.contains(.shared),
                table[place].arrival > arrival
            {
                mainExpiry = min(mainExpiry, table[place].mainExpiry)
            }
        }
        return SharedLease(isKept: true, seconds: seconds, mainExpiry: mainExpiry)
    }

    /// Brings the other phones of the AOR in line with what the main registrar now has.
    mutating func settleShared<Location: LocationService & ~Copyable>(
        _ answer: MainAnswer, _ lease: SharedLease, at now: Instant, location: inout Location
    ) {
        guard lease.isKept, lease.seconds > 0 else {
            if answer.state.contactCount > 0 { voidLease(of: answer.aor, at: now) }
            return
        }
        extendLease(of: answer.aor, to: lease.mainExpiry)
        guard liveCount(of: answer.aor) > 0 else { return }
        // Whoever owed the removal of the AOR's contact does not owe it any more.
        var next = table.first(of: answer.aor)
        while let place = next {
            next = table.next(after: place)
            guard table[place].flags.contains(.shared),
                table[place].state == .lapsed || table[place].state == .refused
            else { continue }
            stopRemoval(place, at: now)
            bury(place, at: now, location: &location)
        }
        passLease(of: answer.aor, lease.mainExpiry, location: &location)
    }

    /// Ends the binding of an AOR that was heard of least lately, until there is room for one more.
    mutating func makeRoom<Location: LocationService & ~Copyable>(
        _ aor: AORKey, sparing: BindingIndex?, at now: Instant, location: inout Location
    ) {
        while liveCount(of: aor) >= options.contactsMax {
            var oldest: BindingIndex?
            var next = table.first(of: aor)
            while let place = next {
                next = table.next(after: place)
                guard table[place].state == .live, place != sparing else { continue }
                if let best = oldest, table[best].lastHeard <= table[place].lastHeard { continue }
                oldest = place
            }
            guard let oldest else { return }
            counters.add(.bindingsReplaced)
            end(oldest, at: now, location: &location)
        }
    }

    // MARK: Path

    /// Our Path (RFC 3327 §5.2): what the main registrar sends to the phone comes by its flow. With
    /// `ob` where we are the phone's first hop and it can do Outbound (RFC 5626 §5.1).
    mutating func writePath(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ id: ContactID, _ flow: Flow,
        _ outbox: inout Outbox
    ) {
        outbox.write("Path: <sip:")
        FlowToken(contactID: id, peer: flow.peer, socket: flow.socket).write(
            under: options.keys, scratch: &scratch, to: &outbox)
        outbox.write("@")
        outbox.write(options.contact.advertised)
        let isFirstHop = index.viaFields == 1 && !via.isFollowed && !index.has(.path)
        outbox.write(
            isFirstHop && supports("outbound", bytes) ? ";lr;ob>\r\n" : ";lr>\r\n")
        if !supports("path", bytes) { outbox.write("Supported: path\r\n") }
    }

    /// Whether a Supported field lists an option.
    func supports(_ option: StaticString, _ bytes: Span<UInt8>) -> Bool {
        var tags = OptionTags(.supported, of: index)
        while let tag = try? tags.next(bytes, index) {
            if bytes.spellsIgnoringCase(option, in: tag) { return true }
        }
        return false
    }

    // MARK: GRUU

    /// Parameters of a Contact that name the contact to others (RFC 5627 §4.2): the public one by its
    /// AOR and contact ID at our address, the temporary one without a hint of either.
    mutating func writeGRUUs(_ binding: Binding, _ outbox: inout Outbox) {
        guard givesGRUUs else { return }
        outbox.write(";pub-gruu=\"")
        Self.writeShared(options.contact.advertised, aorText, &outbox)
        outbox.write(";gr=")
        binding.id.write(to: &outbox)
        outbox.write("\";temp-gruu=\"sip:")
        TemporaryGRUU(contactID: binding.id, registration: UInt64(binding.callID)).write(
            sequence: index.sequenceNumber, under: options.keys, scratch: &scratch, to: &outbox)
        outbox.write("@")
        outbox.write(options.contact.advertised)
        outbox.write(";gr\"")
    }

    private static func writeShared(
        _ advertised: TransportAddress, _ aor: borrowing ByteBuffer, _ outbox: inout Outbox
    ) {
        MainContact(placement: .addressOfRecord, advertised: advertised).writeURI(
            aor: aor.span, &outbox)
    }
}
