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
        do throws(SIPParseError) {
            try readPassage(bytes, via, from: source)
        } catch {
            refuse(error, bytes, via, source, socket, &outbox)
            return .done
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
        let siblingsUntil = isShared ? lastDeadline(of: SharedContact(ofAOR: aor), now: now) : now
        let callID = fingerprints.text(bytes, index.value(.callID) ?? .none)
        let first = table.first(of: aor)
        for number in 0..<meaning.count {
            let contact = meaning[number]
            guard let seconds = granted(contact.askedSeconds) else { return .refuseShort }
            guard seconds > 0 else {
                cause = cause ?? .removal
                continue
            }
            let fingerprint = fingerprints.contact(
                bytes, element: contact.element, askedSeconds: contact.askedSeconds, way: way)
            contactHashes[number] = fingerprint
            var next = first
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
                refresh.siblingsUntil =
                    isShared ? siblingsUntil : lastDeadline(besides: place, from: first, now: now)
                refresh.isByEdge = passage == .edge
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
        if passage == .others { cause = .severalVias }
        if storeIsDown, repeats < max(1, meaning.count) { cause = cause ?? .storeDown }
        if let cause { return .relay(cause) }
        return repeats == meaning.count ? .repeatAnswer : .absorb
    }

    /// Until when the last of those behind a contact has been granted its time.
    private func lastDeadline(of contact: SharedContact, now: Instant) -> Instant {
        var last = now
        var next = next(of: contact)
        while let place = next {
            if table.isLive(place) { last = max(last, table[place].deadline) }
            next = self.next(of: contact, after: place)
        }
        return last
    }

    /// The same of a contact ID's other flows; most have none.
    ///
    /// - Parameter first: binding of the AOR.
    private func lastDeadline(
        besides place: BindingIndex, from first: BindingIndex?, now: Instant
    ) -> Instant {
        var last = now
        let id = table.id(place)
        var next = first
        while let other = next {
            if other != place, table.isLive(other), table.id(other) == id {
                last = max(last, table[other].deadline)
            }
            next = table.next(after: other)
        }
        return last
    }

    // MARK: Absorbed

    mutating func answerAbsorbed<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ aor: AORKey, _ flow: Flow,
        _ transaction: UInt64, refreshes: Bool, now: Instant, location: inout Location,
        outbox: inout Outbox
    ) {
        givesGRUUs = options.givesGRUUs && supports("gruu", bytes)
        outbox.begin()
        ResponseWriter.begin(
            200, "OK", to: bytes, index, source: flow.peer, toTag: transaction, &outbox)
        var token: FlowToken?
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
                if number == 0 {
                    token = FlowToken(
                        contactID: binding.id, peer: binding.flow.peer, socket: binding.flow.socket)
                }
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
        }
        repeatPath(bytes, token, &outbox)
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
}
