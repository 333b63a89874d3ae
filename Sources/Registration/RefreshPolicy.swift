public import Bytes
public import Keys

/// Decides whether a refreshing REGISTER is answered here or relayed to the main registrar.
///
/// Answering here is safe only if the request is the refresh of a binding that the main registrar
/// has confirmed, comes the way that binding came, changes nothing, and the main registrar keeps the
/// binding past the phone's next refresh with room for a failed round. The rules are P1 to P8.
public struct RefreshPolicy: Sendable {
    /// The lifetime asked of the main registrar, in seconds; 5 % of it is kept as a reserve.
    public var mainSeconds: UInt32
    /// What has to be confirmed anew because the main registrar may have forgotten it.
    public var resync = Resync()

    public init(mainSeconds: UInt32) { self.mainSeconds = mainSeconds }

    /// Why a REGISTER goes to the main registrar.
    public enum Cause: UInt8, CaseIterable, Sendable {
        case newContact, mainDue, flowChanged, callIDChanged, sequence, contactChanged, removal
        case fetch, dirty, severalVias, storeDown, mirror, resync
    }

    public enum Decision: Equatable, Sendable {
        /// Answered here; the grant is in seconds, before jitter.
        case absorb
        /// A copy of the request heard last: the same answer, no effect.
        case repeatAnswer
        /// Overtaken by a later one of the same phone: refused with 500, no effect.
        case overtaken
        case relay(Cause)
    }

    /// What of a request the decision looks at.
    public struct Refresh: Sendable {
        public let callID: UInt64
        public let sequence: UInt32
        public let transaction: UInt64
        public let flow: Flow
        /// Whether it came through an edge.
        public var isByEdge = false
        /// Seconds the phone will be granted, not less than what it is told.
        public let grantSeconds: UInt32
        /// Until when the phones behind the same contact at the main registrar have been granted
        /// theirs: the lease has to outlast them all.
        public var siblingsUntil = Instant(milliseconds: 0)

        public init(
            callID: UInt64, sequence: UInt32, transaction: UInt64, flow: Flow, grantSeconds: UInt32
        ) {
            self.callID = callID
            self.sequence = sequence
            self.transaction = transaction
            self.flow = flow
            self.grantSeconds = grantSeconds
        }
    }

    /// - Parameters:
    ///   - binding: the one whose contact is the same in every byte (P1, P2 and P7 hold).
    ///   - committed: the hand-over up to which the store has answered.
    public func decide(
        _ refresh: Refresh, _ binding: Binding, committed: CommitTicket, now: Instant
    ) -> Decision {
        guard binding.state == .live, now < binding.deadline else {
            return isTakenBack(refresh, binding, now: now) ? .overtaken : .relay(.newContact)
        }
        guard Binding.half(refresh.callID) == binding.callID else { return .relay(.callIDChanged) }
        let isSameWay = binding.came(by: refresh.flow, overEdge: refresh.isByEdge)
        if refresh.sequence == binding.sequenceHeard {
            // P3, the same packet again: answered only if the answer it had was ours to repeat.
            // What the store is busy with is not the fact that an absorbed one was answered by.
            guard Binding.half(refresh.transaction) == binding.transaction, isSameWay,
                committed >= binding.ticket || binding.sequenceHeard > binding.sequenceRelayed
            else { return .relay(.sequence) }
            return .repeatAnswer
        }
        guard refresh.sequence > binding.sequenceHeard else {
            let recent =
                now.millisecondsSince(binding.lastHeard) < RegistrationLimits.transactionMs
            return recent && isSameWay ? .overtaken : .relay(.sequence)
        }
        guard refresh.sequence - binding.sequenceHeard <= RegistrationLimits.sequenceStepMax else {
            return .relay(.sequence)
        }
        guard isSameWay else { return .relay(.flowChanged) }
        guard !binding.flags.contains(.indirect) else { return .relay(.severalVias) }
        guard !binding.flags.contains(.volatile) else { return .relay(.storeDown) }
        guard !binding.flags.contains(.dirty), binding.unanswered == 0,
            committed >= binding.ticket
        else {
            return .relay(.dirty)
        }
        guard !resync.isDue(binding.id, confirmed: binding.arrival, at: now) else {
            return .relay(.resync)
        }
        let needed =
            max(
                UInt64(refresh.grantSeconds) * 1_000, refresh.siblingsUntil.millisecondsSince(now))
            + guardMs
        guard binding.mainExpiry.millisecondsSince(now) > needed else { return .relay(.mainDue) }
        return .absorb
    }

    /// A late copy of what the phone itself has removed since: the main registrar has forgotten the
    /// higher CSeq, and would take it for a new binding.
    private func isTakenBack(_ refresh: Refresh, _ binding: Binding, now: Instant) -> Bool {
        binding.state == .tombstone && Binding.half(refresh.callID) == binding.callID
            && refresh.sequence < binding.sequenceRelayed
            && binding.came(by: refresh.flow, overEdge: refresh.isByEdge)
            && now.millisecondsSince(binding.arrival) < RegistrationLimits.transactionMs
    }

    /// Room for one whole failed round: 64·T1, and 5 % of the main lifetime if that is more.
    public var guardMs: UInt64 {
        max(RegistrationLimits.transactionMs, UInt64(mainSeconds) * 50)
    }
}

/// Spreads the refreshes of phones that came together: the grant minus a part that depends on
/// contact ID and CSeq alone, so that a copy of the answer is the same answer.
public struct GrantSpread: Sendable {
    /// The largest part taken off, in 1/1024 of the grant.
    public let partMax: UInt64

    public init(fraction: Double) { partMax = UInt64(max(0, min(0.5, fraction)) * 1_024) }

    /// Seconds told to the phone; at least 1 if `seconds` is.
    public func spread(_ seconds: UInt32, _ id: ContactID, sequence: UInt32) -> UInt32 {
        guard partMax > 0, seconds > 1 else { return seconds }
        var mixed = (id.high ^ id.low &* 0x9E37_79B9_7F4A_7C15) &+ UInt64(sequence)
        mixed = (mixed ^ mixed >> 32) &* 0xD6E8_FEB8_6659_FD93
        mixed ^= mixed >> 32
        let part = (mixed & 1_023) * partMax / 1_024
        return max(1, seconds - UInt32(UInt64(seconds) * part / 1_024))
    }
}
