internal import Bytes
internal import Keys
internal import Registration
internal import SIPMessage

// REGISTERs on their way to the main registrar.
extension WorkerCore {
    mutating func relay<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ aor: AORKey, _ flow: Flow,
        _ transaction: UInt64, _ judged: RefreshPolicy.Cause, now: Instant,
        location: inout Location, outbox: inout Outbox
    ) {
        guard checkRelayable(bytes, via, flow, &outbox) else { return }
        var cause = judged
        var register = RelayedRegister(source: flow.peer, contact: mainContact(for: mode))
        register.sourceHeader = options.sourceHeader
        register.keepsPath = passage == .edge && register.contact.placement == .path
        let plan = plan(
            bytes, aor, known: filter.entry(aor, transaction)?.lifetime, &register, now: now,
            location: &location)
        if cause == .newContact, plan.bindingsAdded == 0 { cause = .contactChanged }
        if plan.arriving > 0 {
            guard
                liveContacts(of: aor) + plan.arriving - plan.leaving <= options.contactsMax
                    || options.overflow == .replaceOldest && plan.arriving <= options.contactsMax
            else {
                refuse(
                    403, "Too Many Contacts", bytes, via, flow.peer, flow.socket,
                    .rejectTooManyContacts, &outbox)
                return
            }
        }
        if plan.bindingsAdded > 0 {
            guard table.count + plan.bindingsAdded + filter.waitingCount <= table.bindingsMax else {
                note(CoreEvent(.tableFull, number: table.count))
                refuse(
                    503, "Table Full", bytes, via, flow.peer, flow.socket, .rejectTableFull,
                    retryAfter: 60, &outbox)
                return
            }
        }
        guard !health.holdsBack(transaction, at: now) else {
            refuse(
                503, "Main Registrar Overloaded", bytes, via, flow.peer, flow.socket,
                .rejectBackOff, retryAfter: spreadRetry(transaction), &outbox)
            return
        }
        switch filter.judge(
            aor, transaction, removesAll: meaning.isWildcard, lifetime: plan.lifetime,
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
            bytes, via, aor, flow, transaction, register, plan.lifetime)
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
        noteRelay(aor, plan, register, transaction, touchesAll: touchesAll, at: now)
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
            writePath(bytes, register.ids[0], flow, &outbox)
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
            if isIts, !table[place].came(by: flow, overEdge: passage == .edge) { return false }
        }
        return true
    }

    /// Bindings the request touches are not absorbed before the main registrar has answered it.
    private mutating func noteRelay(
        _ aor: AORKey, _ plan: ContactPlan, _ register: RelayedRegister, _ transaction: UInt64,
        touchesAll: Bool, at now: Instant
    ) {
        guard touchesAll || meaning.count > 0 else { return }
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            var isTouched = touchesAll || Self.contains(plan.places, meaning.count, place)
            for number in 0..<meaning.count where table.id(place) == register.ids[number] {
                isTouched = true
            }
            if isTouched { table[place].noteRelay(transaction, at: now) }
        }
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
        _ transaction: UInt64, _ register: RelayedRegister, _ lifetime: RelayFilter.Lifetime
    ) -> SealedVia.Kind? {
        var marks: RelayState.Marks = []
        if meaning.isWildcard { marks.insert(.wildcard) }
        switch passage {
        case .direct: break
        case .edge:
            if supports("path", bytes) { marks.insert(.knowsPath) }
        case .others: marks.insert(.indirect)
        }
        if index.has(.authorization) { marks.insert(.authorized) }
        if lifetime.isThrottled { marks.insert(.throttled) }
        if mode == .throttleByAOR { marks.insert(.shared) }
        if options.givesGRUUs, supports("gruu", bytes) { marks.insert(.wantsGRUUs) }
        if register.contact.placement == .path {
            marks.insert(.path)
            if supports("path", bytes) { marks.insert(.knowsPath) }
        }
        let isPlain = isPlainRequestURI(bytes)
        if !isPlain { marks.insert(.requestURI) }
        if passage == .edge {
            RelayState.begin(
                marks, flow, sharedSeconds: register.sharedSeconds, way: way, path: path,
                contacts: meaning.count, to: &sealed)
        } else {
            RelayState.begin(
                marks, flow, sharedSeconds: register.sharedSeconds, contacts: meaning.count,
                to: &sealed)
        }
        for number in 0..<meaning.count {
            RelayState.append(
                register.ids[number], askedSeconds: meaning[number].askedSeconds,
                isKept: lifetime.keeps(number), bytes, meaning[number].element, to: &sealed)
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
