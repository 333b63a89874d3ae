public import Bytes
internal import Keys
public import Registration
internal import SIPTransaction

// What a worker does once in a round, whatever came: what was absorbed is measured, answers go when the
// store has their facts, and what is due ends.
extension WorkerCore {
    mutating func countAbsorbed(arrivedNs: UInt64) {
        guard absorbedCount < absorbedArrivals.count else { return }
        absorbedArrivals[absorbedCount] = arrivedNs
        absorbedCount += 1
    }

    /// Puts the time that absorbed REGISTERs of this round took into the histogram.
    public mutating func recordAbsorbed(sentNs: UInt64) {
        for number in 0..<absorbedCount {
            let microseconds = (sentNs &- absorbedArrivals[number]) / 1_000
            counters.add(.absorbedMicroseconds, microseconds)
            switch microseconds {
            case ...50: counters.add(.absorbedUnder50us)
            case ...100: counters.add(.absorbedUnder100us)
            case ...250: counters.add(.absorbedUnder250us)
            case ...500: counters.add(.absorbedUnder500us)
            case ...1_000: counters.add(.absorbedUnder1ms)
            case ...2_500: counters.add(.absorbedUnder2500us)
            case ...5_000: counters.add(.absorbedUnder5ms)
            case ...10_000: counters.add(.absorbedUnder10ms)
            case ...25_000: counters.add(.absorbedUnder25ms)
            case ...100_000: counters.add(.absorbedUnder100ms)
            case ...1_000_000: counters.add(.absorbedUnder1s)
            default: counters.add(.absorbedSlower)
            }
        }
        absorbedCount = 0
    }

    mutating func recordRelayed(milliseconds: UInt64) {
        counters.add(.relayedMilliseconds, milliseconds)
        switch milliseconds {
        case ...1: counters.add(.relayedUnder1ms)
        case ...2: counters.add(.relayedUnder2500us)
        case ...5: counters.add(.relayedUnder5ms)
        case ...10: counters.add(.relayedUnder10ms)
        case ...25: counters.add(.relayedUnder25ms)
        case ...50: counters.add(.relayedUnder50ms)
        case ...100: counters.add(.relayedUnder100ms)
        case ...250: counters.add(.relayedUnder250ms)
        case ...500: counters.add(.relayedUnder500ms)
        case ...1_000: counters.add(.relayedUnder1s)
        case ...4_000: counters.add(.relayedUnder4s)
        default: counters.add(.relayedSlower)
        }
    }

    /// Hands over what was staged, and tells the gauges.
    public mutating func finishRound<Location: LocationService & ~Copyable>(
        at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        if isResyncOwed {
            isResyncOwed = false
            location.keep(policy.resync)
        }
        if hasStaged {
            hasStaged = false
            if let ticket = location.handOver() {
                // The number of the hand-over before means that there was nothing to commit.
                if ticket.value <= handedOver { held.retag(nextTicket, as: ticket) }
                handedOver = max(handedOver, ticket.value)
            } else {
                keepVolatile()
                release(through: committed, at: now, &outbox)
            }
            staged.removeAll(keepingCapacity: true)
        }
        counters.add(.rounds)
        counters.set(.bindings, UInt64(table.liveCount))
        counters.set(.addressesOfRecord, UInt64(table.liveAORCount))
        counters.set(.relaysInFlight, UInt64(filter.waitingCount))
        counters.set(.repliesHeld, UInt64(held.count))
        counters.set(.removalsOwed, UInt64(removals.queued + removals.active))
        counters.set(.callsHeld, UInt64(calls.count))
        counters.set(.branchesHeld, UInt64(calls.branchCount))
        counters.set(.callBytes, UInt64(calls.bytes.bytesUsed))
        counters.set(.storeDown, storeIsDown ? 1 : 0)
        counters.set(.mainDown, health.isDown ? 1 : 0)
    }

    /// The store's queue is full: what was staged in this round stays in RAM only, and its answers
    /// leave with those of the hand-over before.
    private mutating func keepVolatile() {
        counters.add(.commitsFailed)
        note(CoreEvent(.commitFailed, number: Int(nextTicket.value)))
        for place in staged where table[place].ticket == nextTicket {
            table[place].ticket = CommitTicket(handedOver)
            table[place].flags.insert(.volatile)
            counters.add(.bindingsVolatile)
        }
        held.retag(nextTicket, as: CommitTicket(handedOver))
    }

    /// The ticket that what is staged now will have.
    var nextTicket: CommitTicket { CommitTicket(handedOver + 1) }

    /// Takes in what the store has answered: held answers go out.
    ///
    /// - Parameters:
    ///   - through: every hand-over up to this ticket is decided.
    ///   - failed: those among them that could not be committed.
    public mutating func settle(
        through: CommitTicket, failed: [CommitTicket], storeDown: Bool, at now: Instant,
        outbox: inout Outbox
    ) {
        storeIsDown = storeDown
        for ticket in failed { settleFailed(ticket) }
        guard through > committed else { return }
        counters.add(.commitsAcknowledged, through.value - committed.value)
        committed = through
        release(through: through, at: now, &outbox)
    }

    /// Facts that could not be committed stay in RAM only; nobody is refused for it.
    private mutating func settleFailed(_ ticket: CommitTicket) {
        counters.add(.commitsFailed)
        note(CoreEvent(.commitFailed, number: Int(ticket.value)))
        failedTickets.append(ticket)
    }

    private mutating func release(
        through ticket: CommitTicket, at now: Instant, _ outbox: inout Outbox
    ) {
        while let reply = held.oldest(through: ticket) {
            guard outbox.hasRoom(for: reply.count) else { break }
            if !failedTickets.isEmpty, failedTickets.contains(reply.ticket) {
                var next = table.first(of: reply.aor)
                while let index = next {
                    next = table.next(after: index)
                    guard table[index].ticket == reply.ticket else { continue }
                    table[index].flags.insert(.volatile)
                    counters.add(.bindingsVolatile)
                }
            }
            outbox.begin()
            outbox.write(held.message(of: reply))
            outbox.end(to: reply.destination, from: reply.socket)
            filter.set(.accepted, reply.aor, reply.transaction)
            recordRelayed(milliseconds: now.millisecondsSince(reply.first))
            held.releaseOldest()
        }
        if held.isEmpty { failedTickets.removeAll(keepingCapacity: true) }
    }

    /// Answers that wait for their commit.
    public var heldReplies: Int { held.count }

    /// Facts that the store could not take have been staged again.
    public mutating func noteRestaged() { hasStaged = true }

    /// Whether answers wait that could go out.
    public var hasReleasable: Bool { held.oldest(through: committed) != nil }

    /// When ``fire(at:location:outbox:)`` has something to do next.
    public var nextTimer: Instant {
        min(
            min(table.nextTurn, nextPing),
            min(
                min(calls.nextTimer, probe.nextTimer),
                min(removals.nextTimer, removals.nextSend)))
    }

    /// Ends what is due: lapsed bindings, timers of our own requests. Bounded work per call.
    public mutating func fire<Location: LocationService & ~Copyable>(
        at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        if hasReleasable { release(through: committed, at: now, &outbox) }
        var budget = 512
        while budget > 0, let index = table.nextDue(at: now, budget: &budget) {
            end(index, at: now, location: &location)
        }
        fireRemovals(at: now, &outbox)
        sendRemovals(at: now, location: &location, outbox: &outbox)
        firePings(at: now, location: &location, outbox: &outbox)
        fireProbe(at: now, location: &location, outbox: &outbox)
        fireCalls(at: now, location: &location, outbox: &outbox)
    }
}
