internal import Bytes
internal import Keys
internal import Registration
internal import SIPMessage

// REGISTER from a phone: absorbed, relayed or refused.
extension WorkerCore {
    mutating func receiveRegister<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ via: ViaValue, from source: TransportAddress, socket: UInt16,
        arrivedNs: UInt64, now: Instant, mayHandOver: Bool, location: inout Location,
        outbox: inout Outbox
    ) -> Disposition {
        do throws(SIPParseError) {
            try meaning.read(
                bytes, index, defaultSeconds: options.defaultSeconds, aor: &aorText)
            guard let from = index.value(.from) else { throw SIPParseError(.missingHeader, at: 0) }
            let address = try NameAddress(bytes, from: from.start, to: from.end)
            _ = try SIPURI(bytes, address.uri)
        } catch {
            refuse(error, bytes, via, source, socket, &outbox)
            return .done
        }
        let aor = AORKey(aorText.span, under: options.keys)
        if options.workers > 1 {
            let owner = aor.steering.owner(among: options.workers)
            if owner != options.worker {
                guard mayHandOver else { return .done }
                return .handOver(to: owner)
            }
        }
        mode = mode(ofAOR: aorText.span)
        let flow = Flow(peer: source, socket: socket)
        if index.has(.require) || index.has(.proxyRequire),
            !checkExtensions(bytes, via, flow, &outbox)
        {
            return .done
        }
        let transaction = tag(bytes, via)
        switch judge(bytes, via, aor, flow, transaction, now: now) {
        case .absorb:
            counters.add(.registerAbsorbed)
            answerAbsorbed(
                bytes, via, aor, flow, transaction, refreshes: true, now: now,
                location: &location, outbox: &outbox)
            countAbsorbed(arrivedNs: arrivedNs)
        case .repeatAnswer:
            counters.add(.registerAbsorbed)
            counters.add(.registerAbsorbedCopy)
            answerAbsorbed(
                bytes, via, aor, flow, transaction, refreshes: false, now: now,
                location: &location, outbox: &outbox)
            countAbsorbed(arrivedNs: arrivedNs)
        case .refuseShort:
            answerShort(bytes, via, source, socket, &outbox)
        case .overtaken:
            refuse(
                500, "Overtaken", bytes, via, source, socket, .rejectReordered, retryAfter: 1,
                &outbox)
        case .relay(let cause):
            relay(
                bytes, via, aor, flow, transaction, cause, now: now, location: &location,
                outbox: &outbox)
        }
        return .done
    }

    private enum Judgement {
        case absorb, repeatAnswer, refuseShort, overtaken
        case relay(RefreshPolicy.Cause)
    }

    /// The seconds a phone is granted of what it asks; 0 for a removal, `nil` for a too short one
    /// that is to be refused.
    func granted(_ askedSeconds: UInt32) -> UInt32? {
        // In mirror mode the main registrar alone decides.
        guard askedSeconds > 0, mode != .mirror else {
            return min(askedSeconds, RegistrationLimits.mirroredSecondsMax)
        }
        if askedSeconds < options.minSeconds {
            return options.refusesShort ? nil : options.minSeconds
        }
        return min(askedSeconds, options.maxSeconds)
    }

    /// Judges every contact; one that must be relayed takes the whole request along, so that a
    /// REGISTER is one change or none (RFC 3261 §10.3 step 8).
    private mutating func judge(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ aor: AORKey, _ flow: Flow, _ transaction: UInt64,
        now: Instant
    ) -> Judgement {
        if meaning.isWildcard { return .relay(.removal) }
        var cause: RefreshPolicy.Cause?
        var repeats = 0
        if meaning.isFetch { cause = .fetch }
        let isShared = mode == .throttleByAOR
        let siblingsUntil = isShared ? lastDeadline(of: aor, now: now) : now
        let callID = fingerprints.text(bytes, index.value(.callID) ?? .none)
        for number in 0..<meaning.count {
            let contact = meaning[number]
            guard let seconds = granted(contact.askedSeconds) else { return .refuseShort }
            guard seconds > 0 else {
                cause = cause ?? .removal
                continue
            }
            let fingerprint = fingerprints.contact(
                bytes, element: contact.element, askedSeconds: contact.askedSeconds)
            contactHashes[number] = fingerprint
            var next = table.first(of: aor)
            var found = false
            while let place = next, !found {
                next = table.next(after: place)
                guard table.contact(place) == fingerprint else { continue }
                found = true
                guard mode != .mirror else {
                    cause = cause ?? .mirror
                    continue
                }
                var refresh = RefreshPolicy.Refresh(
                    callID: callID, sequence: index.sequenceNumber, transaction: transaction,
                    flow: flow, grantSeconds: seconds)
                refresh.siblingsUntil = siblingsUntil
                // It was registered in another mode, which the main registrar has to unlearn.
                let binding = table[place]
                if binding.flags.contains(.shared) != isShared { cause = cause ?? .dirty }
                switch policy.decide(refresh, binding, committed: committed, now: now) {
                case .absorb: break
                case .repeatAnswer: repeats += 1
                case .overtaken: return .overtaken
                case .relay(let why): cause = cause ?? why
                }
            }
            if !found { cause = cause ?? .newContact }
        }
        if index.viaFields > 1 || via.isFollowed || index.has(.path) { cause = .severalVias }
        if storeIsDown, repeats < max(1, meaning.count) { cause = cause ?? .storeDown }
        if let cause { return .relay(cause) }
        return repeats == meaning.count ? .repeatAnswer : .absorb
    }

    /// Until when the last of an AOR's live bindings has been granted its time.
    private func lastDeadline(of aor: AORKey, now: Instant) -> Instant {
        var last = now
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            if table[place].state == .live { last = max(last, table[place].deadline) }
        }
        return last
    }

    // MARK: Absorbed

    private mutating func answerAbsorbed<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ aor: AORKey, _ flow: Flow,
        _ transaction: UInt64, refreshes: Bool, now: Instant, location: inout Location,
        outbox: inout Outbox
    ) {
        givesGRUUs = options.givesGRUUs && supports("gruu", bytes)
        outbox.begin()
        ResponseWriter.begin(
            200, "OK", to: bytes, index, source: flow.peer, toTag: transaction, &outbox)
        var listed = 0
        var blockNumber: UInt32 = 0
        var ownBlock = RecordNumber.none
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            let binding = table[place]
            guard binding.state == .live, now < binding.deadline else { continue }
            var isMine = false
            for number in 0..<meaning.count {
                let contact = meaning[number]
                guard contact.askedSeconds > 0, contactHashes[number] == binding.contact else {
                    continue
                }
                isMine = true
                let told =
                    refreshes
                    ? refresh(place, transaction, asked: contact.askedSeconds, now: now)
                    : max(1, binding.deadline.secondsLeft(at: now))
                RegisterAnswer.beginContact(
                    bytes, element: contact.element, without: contact.expiresParameter,
                    seconds: told, &outbox)
                if !contact.instance.isEmpty { writeGRUUs(table[place], &outbox) }
                outbox.write("\r\n")
                break
            }
            if isMine {
                blockNumber = binding.block
                ownBlock = binding.flags.contains(.ownBlock) ? binding.record : .none
            } else {
                writeStored(binding, now: now, location: &location, outbox: &outbox)
            }
            listed += 1
        }
        if ownBlock != .none {
            _ = location.read(ownBlock) { fact in
                outbox.write(fact, Fact.range(of: .replyBlock, in: fact))
            }
        } else if blockNumber > 0 {
            outbox.write(blocks.block(blockNumber))
        }
        outbox.write(date.bytes)
        ResponseWriter.finish(&outbox)
        if !outbox.end(to: flow.peer, from: flow.socket) { counters.add(.droppedOutboxFull) }
    }

    /// Writes the Contact field of a binding from its fact.
    mutating func writeStored<Location: LocationService & ~Copyable>(
        _ binding: Binding, now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        let seconds = max(1, binding.deadline.secondsLeft(at: now))
        let hasInstance = location.read(binding.record) { fact -> Bool in
            let element = Fact.range(of: .contact, in: fact)
            RegisterAnswer.beginContact(
                fact, element: element, without: .none, seconds: seconds, &outbox)
            guard givesGRUUs,
                let contact = try? NameAddress(fact, from: element.start, to: element.end)
            else { return false }
            return fact.parameter("+sip.instance", in: contact.parameters) != nil
        }
        guard let hasInstance else { return }
        if hasInstance { writeGRUUs(binding, &outbox) }
        outbox.write("\r\n")
    }

    /// The heartbeat: what a refresh changes, none of it durable. Returns the seconds told.
    private mutating func refresh(
        _ place: BindingIndex, _ transaction: UInt64, asked: UInt32, now: Instant
    ) -> UInt32 {
        var binding = table[place]
        let most = granted(asked) ?? options.minSeconds
        let seconds = binding.flags.contains(.behindNAT) ? min(most, options.natSeconds) : most
        let told = spread.spread(seconds, binding.id, sequence: index.sequenceNumber)
        let deadline = now.advanced(bySeconds: told)
        let isNearer = deadline < binding.deadline
        binding.sequenceHeard = index.sequenceNumber
        binding.transaction = Binding.half(transaction)
        binding.lastHeard = now
        binding.unansweredPings = 0
        binding.deadline = deadline
        table[place] = binding
        if isNearer { table.reschedule(place) }
        return told
    }

    private mutating func answerShort(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ source: TransportAddress, _ socket: UInt16,
        _ outbox: inout Outbox
    ) {
        counters.add(.registerRejected)
        counters.add(.rejectIntervalTooBrief)
        outbox.begin()
        ResponseWriter.begin(
            423, "Interval Too Brief", to: bytes, index, source: source, toTag: tag(bytes, via),
            &outbox)
        outbox.write("Min-Expires: ")
        outbox.write(decimal: options.minSeconds)
        outbox.write("\r\n")
        ResponseWriter.finish(&outbox)
        if !outbox.end(to: source, from: socket) { counters.add(.droppedOutboxFull) }
    }

    // MARK: Relayed

    private mutating func relay<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ aor: AORKey, _ flow: Flow,
        _ transaction: UInt64, _ judged: RefreshPolicy.Cause, now: Instant,
        location: inout Location, outbox: inout Outbox
    ) {
        guard checkRelayable(bytes, via, flow, &outbox) else { return }
        var cause = judged
        var places = InlineArray<16, BindingIndex?>(repeating: nil)
        var register = RelayedRegister(source: flow.peer, contact: mainContact(for: mode))
        register.sourceHeader = options.sourceHeader
        var leaving = 0
        var newContacts = 0
        var longest: UInt32 = 0
        // A copy asks for what the first one asked for, or it would be another request.
        let known = filter.entry(aor, transaction)?.lifetime
        let isThrottled = known?.isThrottled ?? (mode != .mirror && !storeIsDown)
        var lifetime =
            known
            ?? RelayFilter.Lifetime(
                seconds: isThrottled ? mainSeconds : 0, isThrottled: isThrottled)
        let least = mode == .throttleByAOR ? 0 : lifetime.seconds
        for number in 0..<meaning.count {
            let contact = meaning[number]
            let identity = fingerprints.identity(
                bytes, contact, separatesFlows: register.contact.placement == .path)
            let match = find(bytes, contact, identity, aor, location: &location)
            places[number] = match
            if let match {
                register.ids[number] = table[match].id
                if table[match].state == .live {
                    if cause == .newContact { cause = .contactChanged }
                    if contact.askedSeconds == 0 { leaving += 1 }
                } else if contact.askedSeconds > 0 {
                    newContacts += 1
                }
                stopRemoval(match, at: now)
            } else {
                register.ids[number] = unusedID(aor, identity: identity)
                if contact.askedSeconds > 0 { newContacts += 1 }
            }
            register.seconds[number] = mainAsk(contact.askedSeconds, atLeast: least)
            longest = max(longest, register.seconds[number])
        }
        let live = liveCount(of: aor)
        if newContacts > 0 {
            guard
                live + newContacts - leaving <= options.contactsMax
                    || options.overflow == .replaceOldest && newContacts <= options.contactsMax
            else {
                refuse(
                    403, "Too Many Contacts", bytes, via, flow.peer, flow.socket,
                    .rejectTooManyContacts, &outbox)
                return
            }
            guard table.count + newContacts + filter.waitingCount <= table.bindingsMax else {
                note(CoreEvent(.tableFull, number: table.count))
                refuse(
                    503, "Table Full", bytes, via, flow.peer, flow.socket, .rejectTableFull,
                    retryAfter: 60, &outbox)
                return
            }
        }
        if mode == .throttleByAOR, meaning.count > 0 {
            if known == nil {
                let isLast = longest == 0 && live <= leaving
                lifetime = RelayFilter.Lifetime(
                    seconds: isLast
                        ? 0 : sharedAsk(aor, longest: max(longest, lifetime.seconds), now: now),
                    isThrottled: isThrottled)
            }
            register.sharedSeconds = lifetime.seconds
            for number in 0..<meaning.count { register.seconds[number] = 0 }
            if register.sharedSeconds > 0 { stopSharedRemoval(of: aor, at: now) }
        }

        guard !health.holdsBack(transaction, at: now) else {
            refuse(
                503, "Main Registrar Overloaded", bytes, via, flow.peer, flow.socket,
                .rejectBackOff, retryAfter: spreadRetry(transaction), &outbox)
            return
        }
        switch filter.judge(
            aor, transaction, removesAll: meaning.isWildcard, lifetime: lifetime,
            inFlightMax: options.inFlightMax, now: now)
        {
        case .relay: break
        case .relayCopy: counters.add(.relayCopy)
        case .dropTooSoon:
            counters.add(.droppedCopyTooSoon)
            return
        case .dropCommitting:
            counters.add(.droppedCopyCommitting)
            return
        case .answerAccepted:
            guard isBound(aor, transaction, to: flow) else {
                // A NAT has moved the phone since: that answer would be true of the old flow only.
                refuse(
                    500, "Flow Changed", bytes, via, flow.peer, flow.socket, .rejectReordered,
                    retryAfter: 1, &outbox)
                return
            }
            counters.add(.registerAbsorbed)
            counters.add(.registerAbsorbedCopy)
            answerAbsorbed(
                bytes, via, aor, flow, transaction, refreshes: false, now: now,
                location: &location, outbox: &outbox)
            return
        case .refuse:
            refuse(
                503, "Too Many Registrations Under Way", bytes, via, flow.peer, flow.socket,
                .rejectInFlight, retryAfter: 1 + UInt32(truncatingIfNeeded: transaction % 3),
                &outbox)
            return
        }
        let kind = sealState(
            bytes, via, aor, flow, transaction, register, isThrottled: isThrottled)
        guard let kind else {
            filter.set(.refused, aor, transaction)
            refuse(
                503, "Too Much To Carry", bytes, via, flow.peer, flow.socket, .rejectTooLarge,
                &outbox)
            return
        }
        count(cause)
        // Whoever asks for the AOR's one contact asks for everybody behind it.
        let touchesAll = meaning.isWildcard || mode == .throttleByAOR && meaning.count > 0
        noteRelay(aor, places, transaction, touchesAll: touchesAll, at: now)
        outbox.begin()
        outbox.write(bytes, index.startLine)
        outbox.write("Via: SIP/2.0/UDP ")
        outbox.write(options.sockets[Int(options.mainSocket)].advertised)
        outbox.write(";branch=")
        SealedVia.write(
            kind, aor.steering, transaction: transaction, body: sealed, under: options.keys,
            scratch: &scratch, to: &outbox)
        outbox.write(";rport\r\n")
        if register.contact.placement == .path, meaning.count > 0 {
            writePath(bytes, via, register.ids[0], flow, &outbox)
        }
        register.writeRest(bytes, index, meaning, aor: aorText.span, &outbox)
        let isSent = endForwarded(
            to: options.mainServer, from: options.mainSocket, bytes, via, flow, &outbox)
        if isSent {
            noteHealth(health.noteRelay(at: now), at: now)
        } else {
            filter.set(.refused, aor, transaction)
        }
    }

    /// Whether what a transaction has bound is bound to this flow.
    private func isBound(_ aor: AORKey, _ transaction: UInt64, to flow: Flow) -> Bool {
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            let isIts =
                table[place].state == .live && table[place].transaction == Binding.half(transaction)
            if isIts, table[place].flow != flow { return false }
        }
        return true
    }

    /// Bindings the request touches are not absorbed before the main registrar has answered it.
    private mutating func noteRelay(
        _ aor: AORKey, _ places: InlineArray<16, BindingIndex?>, _ transaction: UInt64,
        touchesAll: Bool, at now: Instant
    ) {
        if touchesAll {
            var next = table.first(of: aor)
            while let place = next {
                next = table.next(after: place)
                table[place].noteRelay(transaction, at: now)
            }
            return
        }
        for number in 0..<meaning.count {
            if let place = places[number] { table[place].noteRelay(transaction, at: now) }
        }
    }

    /// The contact ID of a contact without a binding; one that another contact has kept from earlier
    /// is passed over.
    private func unusedID(_ aor: AORKey, identity: UInt64) -> ContactID {
        var id = ContactID(aor, identity: identity, under: options.keys)
        var number: UInt8 = 0
        while number < 255, let place = table.find(id), table[place].state != .tombstone {
            number += 1
            id = ContactID(aor, identity: identity, extension: number, under: options.keys)
        }
        return id
    }

    /// What must be right before anything of a REGISTER is passed on.
    private mutating func checkRelayable(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ flow: Flow, _ outbox: inout Outbox
    ) -> Bool {
        let uri: SIPURI
        do throws(SIPParseError) {
            uri = try SIPURI(bytes, index.requestURI)
            try checkNoHeaders(uri)
            if index.has(.route) {
                var cursor = AddressCursor(.route, of: index)
                while try cursor.next(bytes, index) != nil {}
            }
        } catch {
            refuse(error, bytes, via, flow.peer, flow.socket, &outbox)
            return false
        }
        guard uri.scheme != .other else {
            refuse(
                416, "Unsupported URI Scheme", bytes, via, flow.peer, flow.socket, .rejectScheme,
                &outbox)
            return false
        }
        if let value = index.value(.maxForwards),
            let hops = try? bytes.number(in: value, max: UInt64(UInt32.max)), hops == 0
        {
            refuse(
                483, "Too Many Hops", bytes, via, flow.peer, flow.socket, .rejectMaxForwards,
                &outbox)
            return false
        }
        return checkExtensions(bytes, via, flow, &outbox)
    }

    /// Require and Proxy-Require: what we do not do is refused by name (§8.2.2.3, §16.3).
    mutating func checkExtensions(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ flow: Flow, _ outbox: inout Outbox
    ) -> Bool {
        guard index.has(.proxyRequire) || (index.method == .register && index.has(.require))
        else { return true }
        work.begin()
        do throws(SIPParseError) {
            try collectTags(bytes, .proxyRequire)
            if index.method == .register { try collectTags(bytes, .require) }
        } catch {
            work.abandon()
            refuse(error, bytes, via, flow.peer, flow.socket, &outbox)
            return false
        }
        counters.add(.rejectExtension)
        if index.method == .register { counters.add(.registerRejected) }
        outbox.begin()
        ResponseWriter.begin(
            420, "Bad Extension", to: bytes, index, source: flow.peer, toTag: tag(bytes, via),
            &outbox)
        outbox.write("Unsupported: ")
        outbox.write(work.open)
        work.abandon()
        outbox.write("\r\n")
        ResponseWriter.finish(&outbox)
        if !outbox.end(to: flow.peer, from: flow.socket) { counters.add(.droppedOutboxFull) }
        return false
    }

    /// Adds the option tags of `name` to the list in `work`.
    private mutating func collectTags(
        _ bytes: Span<UInt8>, _ name: HeaderName
    ) throws(SIPParseError) {
        var tags = OptionTags(name, of: index)
        while let tag = try tags.next(bytes, index) {
            if work.openCount > 0 { work.write(", ") }
            work.write(bytes, tag)
        }
    }

    /// The lifetime to ask of the main registrar for a contact that asks for `asked` seconds.
    func mainAsk(_ asked: UInt32, atLeast least: UInt32) -> UInt32 {
        guard let seconds = granted(asked), seconds > 0 else { return 0 }
        return max(least, seconds)
    }

    /// The binding a contact means: by instance ID, else by what a push finds it by, else by URI
    /// (RFC 5626 §6, RFC 8599 §4.1, RFC 3261 §19.1.4).
    private mutating func find<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ contact: ContactRequest, _ identity: UInt64, _ aor: AORKey,
        location: inout Location
    ) -> BindingIndex? {
        var next = table.first(of: aor)
        while let place = next {
            if table[place].identity == identity { return place }
            next = table.next(after: place)
        }
        next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            guard table[place].record != .none else { continue }
            let same = location.read(table[place].record) { fact -> Bool in
                let range = Fact.range(of: .contact, in: fact)
                guard
                    let stored = try? NameAddress(fact, from: range.start, to: range.end),
                    let uri = try? SIPURI(fact, stored.uri)
                else { return false }
                // Two instances are two contacts, whatever their URIs.
                if !contact.instance.isEmpty,
                    fact.parameter("+sip.instance", in: stored.parameters) != nil
                {
                    return false
                }
                if PushIdentity(bytes, contact.uri) != nil, PushIdentity(fact, uri) != nil {
                    return false
                }
                return SIPURI.equivalent(contact.uri, in: bytes, uri, in: fact)
            }
            if same == true { return place }
        }
        return nil
    }

    private mutating func count(_ cause: RefreshPolicy.Cause) {
        counters.add(.registerRelayed)
        switch cause {
        case .newContact: counters.add(.relayNewContact)
        case .mainDue: counters.add(.relayMainDue)
        case .flowChanged: counters.add(.relayFlowChanged)
        case .callIDChanged: counters.add(.relayCallIDChanged)
        case .sequence: counters.add(.relaySequence)
        case .contactChanged: counters.add(.relayContactChanged)
        case .removal: counters.add(.relayRemoval)
        case .fetch: counters.add(.relayFetch)
        case .dirty: counters.add(.relayDirty)
        case .severalVias: counters.add(.relaySeveralVias)
        case .storeDown: counters.add(.relayStoreDown)
        case .mirror: counters.add(.relayMirror)
        case .resync: counters.add(.relayResync)
        }
    }

    /// Puts into `sealed` what the answer will need; `nil` if there is no way to keep it.
    private mutating func sealState(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ aor: AORKey, _ flow: Flow,
        _ transaction: UInt64, _ register: RelayedRegister, isThrottled: Bool
    ) -> SealedVia.Kind? {
        var marks: RelayState.Marks = []
        if meaning.isWildcard { marks.insert(.wildcard) }
        if index.viaFields > 1 || via.isFollowed || index.has(.path) { marks.insert(.indirect) }
        if index.has(.authorization) { marks.insert(.authorized) }
        if isThrottled { marks.insert(.throttled) }
        if mode == .throttleByAOR { marks.insert(.shared) }
        if options.givesGRUUs, supports("gruu", bytes) { marks.insert(.wantsGRUUs) }
        if register.contact.placement == .path {
            marks.insert(.path)
            if supports("path", bytes) { marks.insert(.knowsPath) }
        }
        let isPlain = isPlainRequestURI(bytes)
        if !isPlain { marks.insert(.requestURI) }
        RelayState.begin(
            marks, flow, sharedSeconds: register.sharedSeconds, contacts: meaning.count,
            to: &sealed)
        for number in 0..<meaning.count {
            RelayState.append(
                register.ids[number], askedSeconds: meaning[number].askedSeconds, bytes,
                meaning[number].element, to: &sealed)
        }
        if !isPlain { sealed.append(bytes, index.requestURI) }
        guard !sealed.overflowed else { return nil }
        if sealed.count <= SealedVia.bodyMax { return .register }
        return aside.keep(sealed, transaction) ? .registerAside : nil
    }

    /// Whether the request-URI is `sip:` and the AOR's domain, as nearly all are.
    private func isPlainRequestURI(_ bytes: Span<UInt8>) -> Bool {
        let domain = domain(ofAOR: aorText.span)
        guard index.requestURI.count == 4 + domain.count,
            bytes.spells(
                "sip:", in: ByteRange(index.requestURI.start, index.requestURI.start + 4))
        else { return false }
        return bytes.same(
            ByteRange(index.requestURI.start + 4, index.requestURI.end), as: aorText.span, domain)
    }

    /// What stands behind the "@" of a canonical AOR, or behind "sip:".
    func domain(ofAOR aor: Span<UInt8>) -> ByteRange {
        var at = aor.count
        while at > 0, aor[at - 1] != UInt8(ascii: "@") { at -= 1 }
        return ByteRange(at > 0 ? at : min(4, aor.count), aor.count)
    }
}
