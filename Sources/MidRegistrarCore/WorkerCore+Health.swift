public import Bytes
internal import Keys
internal import Registration
internal import SIPMessage

// What is done about a main registrar that is silent, has forgotten, or has too much to do.
extension WorkerCore {
    mutating func noteHealth(_ change: MainHealth.Change, at now: Instant) {
        switch change {
        case .none: break
        case .wentDown:
            counters.add(.mainWentDown)
            note(CoreEvent(.mainDown))
        case .cameUp:
            note(CoreEvent(.mainUp))
            probe.resumeFetches(at: now)
            sync(over: nil, at: now)
        case .forgot:
            counters.add(.mainForgot)
            note(CoreEvent(.mainForgot))
            sync(over: nil, at: now)
        case .overloaded:
            counters.add(.mainOverloaded)
            note(
                CoreEvent(
                    .mainOverloaded, number: Int(health.backsOffUntil.secondsLeft(at: now))))
        }
    }

    /// Has every lease of this worker confirmed anew: each binding's next refresh after a moment of
    /// its own is relayed.
    ///
    /// - Parameter seconds: the time over which the moments are spread; `nil` for as long as the
    ///   rate that the options allow needs, at least a minute.
    public mutating func sync(over seconds: UInt32?, at now: Instant) {
        let paced = UInt32(clamping: table.liveCount / max(1, options.resyncPerSecond))
        let over = seconds ?? max(60, paced)
        policy.resync.begin(at: now, over: over)
        isResyncOwed = true
        counters.add(.resyncs)
        note(CoreEvent(.resync, number: Int(over)))
    }

    /// Has the leases of one AOR confirmed anew.
    ///
    /// - Parameter uri: the AOR as a URI, with or without its scheme.
    /// - Returns: how many bindings it has here; `nil` if it is another worker's or no AOR.
    public mutating func sync(aor uri: Span<UInt8>) -> Int? {
        aorText.clear()
        guard let parsed = try? SIPURI(uri, ByteRange(0, uri.count)),
            (try? AddressOfRecord.write(uri, parsed, to: &aorText)) != nil
        else { return nil }
        let key = AORKey(aorText.span, under: options.keys)
        guard key.steering.owner(among: options.workers) == options.worker else { return nil }
        voidLeases(of: key)
        var count = 0
        var next = table.first(of: key)
        while let place = next {
            if table.isLive(place) { count += 1 }
            next = table.next(after: place)
        }
        return count
    }

    /// Seconds after which a phone that was held back comes again: spread over the back-off.
    func spreadRetry(_ transaction: UInt64) -> UInt32 {
        2 + UInt32(truncatingIfNeeded: transaction >> 8 & 7)
    }

    /// A main registrar that lists all contacts of an AOR and misses one of ours has lost it.
    mutating func checkSiblings<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ answer: MainAnswer, arrival: Instant, now: Instant,
        location: inout Location
    ) {
        var listed = 0
        var missing = 0
        var next = table.first(of: answer.aor)
        while let place = next {
            next = table.next(after: place)
            let binding = table[place]
            guard binding.state == .live, binding.unanswered == 0,
                !binding.flags.contains(.shared)
            else { continue }
            if isListed(bytes, binding, location: &location) {
                if isFirstLive(place) { listed += 1 }
                continue
            }
            // What was confirmed later than this was asked, or has just run out, says nothing.
            guard binding.arrival < arrival, !binding.flags.contains(.dirty),
                now < binding.mainExpiry
            else { continue }
            missing += 1
            guard health.listsAll || listed > 1 else { continue }
            makeDirty(place, location: &location)
        }
        if listed > 1 { health.noteListing() }
        guard missing > 0, health.listsAll else { return }
        counters.add(.mainMissing, UInt64(missing))
        noteHealth(health.noteMissing(answer.aor, at: now), at: now)
    }

    /// Whether an answer lists what the main registrar has been given for a binding.
    mutating func isListed<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ binding: Binding, location: inout Location
    ) -> Bool {
        if binding.flags.contains(.shared) {
            aorText.clear()
            _ = location.read(binding.record) { fact in
                aorText.append(fact, Fact.range(of: .addressOfRecord, in: fact))
            }
            return sharedGrant(bytes) != .absent
        }
        let keys = options.keys
        let grant = MainContact.grant(in: bytes, index) { uri in
            MainContact.names(binding.id, bytes, uri, under: keys)
        }
        if grant != .absent { return true }
        let found = location.read(binding.record) { fact -> Bool in
            let range = Fact.range(of: .mainContact, in: fact)
            guard let own = try? SIPURI(fact, range) else { return true }
            let grant = MainContact.grant(in: bytes, index) { uri in
                SIPURI.equivalent(uri, in: bytes, own, in: fact)
            }
            return grant != .absent
        }
        return found ?? true
    }

    /// A binding is not absorbed before the main registrar has confirmed it again, nor after a start.
    mutating func makeDirty<Location: LocationService & ~Copyable>(
        _ place: BindingIndex, location: inout Location
    ) {
        guard table[place].state == .live, !table[place].flags.contains(.dirty) else { return }
        table[place].flags.insert(.dirty)
        mark(place, .dirty, location: &location)
    }
}
