internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage
internal import SIPTransaction

// CANCEL: the caller's, and midreg's own (RFC 3261 §9, §16.10).
extension WorkerCore {
    /// Deals with a CANCEL of a call that is here; `false` if none is.
    mutating func receiveCancel<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, length: Int, _ via: ViaValue, _ flow: Flow, _ handle: SlotHandle,
        at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        counters.add(.callsCancel)
        outbox.begin()
        ResponseWriter.begin(
            200, "OK", to: bytes, index, source: flow.peer, toTag: calls[call: handle].tag, &outbox)
        ResponseWriter.finish(&outbox)
        if !outbox.end(to: flow.peer, from: flow.socket) { counters.add(.droppedOutboxFull) }
        let flags = calls[call: handle].flags
        guard flags.contains(.invite), !flags.contains(.answered), !flags.contains(.cancelled)
        else {
            return
        }
        calls[call: handle].flags.insert([.cancelled, .closed])
        calls[call: handle].best.cancel()
        calls.setCancel(of: handle, calls.bytes.store(bytes.extracting(0..<length)) ?? .none)
        calls.dropTargets(of: handle)
        cancelOthers(of: handle, but: .none, nil, at: now, &outbox)
        proceed(handle, in: 0, at: now, location: &location, outbox: &outbox)
    }

    /// Cancels every branch of a call that has no final response yet.
    mutating func cancelOthers(
        of handle: SlotHandle, but kept: SlotHandle, _ why: CancelCause?, at now: Instant,
        _ outbox: inout Outbox
    ) {
        var next = calls[call: handle].firstBranch
        while next != .none {
            let branch = next
            next = calls[branch: branch].next
            guard branch != kept, !calls[branch: branch].flags.contains(.answered),
                !calls[branch: branch].flags.contains(.cancelOwed),
                !calls[branch: branch].flags.contains(.cancelled)
            else { continue }
            // What is cancelled that is no INVITE would be answered anyway (§9.1).
            guard calls[branch: branch].flags.contains(.invite) else { continue }
            calls[branch: branch].why = why
            if calls[branch: branch].flags.contains(.provisional) {
                sendCancel(branch, at: now, &outbox)
            } else {
                calls[branch: branch].flags.insert(.cancelOwed)
            }
        }
    }

    /// Sends the CANCEL of a branch that a provisional response came on.
    mutating func sendCancel(_ branch: SlotHandle, at now: Instant, _ outbox: inout Outbox) {
        calls[branch: branch].flags.remove(.cancelOwed)
        guard let request = recall(calls[branch: branch].sent) else { return }
        outbox.begin()
        let isBegun = Self.beginCancel(of: request, &outbox)
        giveBack(request)
        guard isBegun else {
            outbox.abandon()
            return
        }
        writeReasons(branch, &outbox)
        BranchRequest.finish(&outbox)
        guard !outbox.overflowed else {
            // It goes when there is room again.
            outbox.abandon()
            calls[branch: branch].flags.insert(.cancelOwed)
            calls.reschedule(branch: branch)
            return
        }
        calls[branch: branch].flags.insert(.cancelled)
        calls.setSentCancel(of: branch, calls.bytes.store(outbox.open) ?? .none)
        outbox.end(to: calls[branch: branch].peer, from: calls[branch: branch].socket)
        calls[branch: branch].cancel = NonInviteClientTransaction(now: now)
        calls[branch: branch].invite.noteCancelled(at: now)
        calls.reschedule(branch: branch)
        counters.add(.branchesCancelled)
    }

    /// Why, as it stands in the CANCEL (RFC 3326).
    private mutating func writeReasons(_ branch: SlotHandle, _ outbox: inout Outbox) {
        if let why = calls[branch: branch].why {
            options.reasons.write(why, &outbox)
            return
        }
        let handle = calls[branch: branch].call
        guard let cancel = recall(calls[call: handle].cancel) else { return }
        let source: SourceClass =
            calls[call: handle].flags.contains(.fromMain) ? .main : .stranger
        Self.writeCallers(options.reasons, cancel, from: source, &outbox)
        giveBack(cancel)
    }

    private static func writeCallers(
        _ reasons: ReasonPolicy, _ cancel: borrowing Recalled, from source: SourceClass,
        _ outbox: inout Outbox
    ) {
        reasons.writeCallers(cancel.span, cancel.index, from: source, &outbox)
    }

    /// The transaction of a CANCEL is over.
    mutating func endCancel(_ branch: SlotHandle) {
        calls[branch: branch].flags.insert(.cancelEnded)
        calls.setSentCancel(of: branch, .none)
    }

    private static func beginCancel(
        of request: borrowing Recalled, _ outbox: inout Outbox
    ) -> Bool {
        do throws(SIPParseError) {
            try BranchRequest.beginCancel(of: request.span, request.index, &outbox)
        } catch {
            return false
        }
        return true
    }
}
