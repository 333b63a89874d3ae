internal import Bytes
internal import Keys
internal import Registration
internal import SIPMessage

// Bindings that a 2xx of the main registrar takes away.
extension WorkerCore {
    mutating func removeAll<Location: LocationService & ~Copyable>(
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
    mutating func leave<Location: LocationService & ~Copyable>(
        _ place: BindingIndex, _ answer: MainAnswer, _ arrival: Instant, _ callID: UInt64,
        _ lease: SharedLease, at now: Instant, location: inout Location
    ) {
        // Two that leave at once are both taken for not the last; then nobody is left behind the
        // contact at the main registrar, and it is ours to remove.
        if lease.seconds > 0, table[place].state == .live,
            liveCount(of: SharedContact(of: table[place]), but: place) == 0
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
    func isOlder(
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
    mutating func doubt<Location: LocationService & ~Copyable>(
        _ place: BindingIndex, at now: Instant, location: inout Location
    ) {
        table[place].dirtyUntil = max(table[place].dirtyUntil, now)
        makeDirty(place, location: &location)
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
    mutating func leaveTombstone(
        _ contact: SharedContact, _ id: ContactID, _ identity: UInt64, _ arrival: Instant,
        _ callID: UInt64, at now: Instant
    ) {
        var binding = Binding()
        binding.aor = contact.aor
        binding.id = id
        binding.identity = identity
        if contact.id == nil { binding.flags.insert(.shared) }
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
