internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage
internal import SIPTransaction

// What becomes due in calls: repetitions, timeouts, ends (RFC 3261 §17, appendix A).
extension WorkerCore {
    private static let timersPerCallMax = 1_024

    mutating func fireCalls<Location: LocationService & ~Copyable>(
        at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        guard calls.nextTimer <= now else { return }
        var budget = Self.timersPerCallMax
        while budget > 0, outbox.hasRoom(for: Self.datagramBytesMax),
            let branch = calls.dueBranch(at: now)
        {
            budget -= 1
            fire(branch: branch, at: now, location: &location, outbox: &outbox)
        }
        while budget > 0, outbox.hasRoom(for: Self.datagramBytesMax),
            let call = calls.dueCall(at: now)
        {
            budget -= 1
            fire(call: call, at: now, &outbox)
        }
    }

    private mutating func fire(call handle: SlotHandle, at now: Instant, _ outbox: inout Outbox) {
        if calls[call: handle].isOver {
            calls.close(handle)
            return
        }
        if calls[call: handle].flags.contains(.answerOwed) {
            answerBest(handle, at: now, &outbox)
            calls.reschedule(call: handle)
            return
        }
        if calls[call: handle].flags.contains(.invite) {
            switch calls[call: handle].invite.fire(at: now) {
            case .nothing, .send, .drop, .passAck: break
            case .answerAgain: resendResponse(handle, &outbox)
            case .ackMissing:
                counters.add(.acksMissing)
                calls[call: handle].flags.insert(.ended)
            case .end: calls[call: handle].flags.insert(.ended)
            }
        } else {
            switch calls[call: handle].other.fire(at: now) {
            case .nothing, .send, .drop, .answerAgain: break
            case .sendTrying: answerOwn(handle, 100, at: now, &outbox)
            case .timeOut:
                calls.noteAnswered(call: handle)
                calls[call: handle].flags.insert([.ended, .closed])
                releaseKept(handle)
            case .end: calls[call: handle].flags.insert(.ended)
            }
        }
        calls.reschedule(call: handle)
    }

    private mutating func fire<Location: LocationService & ~Copyable>(
        branch: SlotHandle, at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        if calls[branch: branch].isOver {
            let call = calls[branch: branch].call
            calls.close(branch: branch)
            calls.reschedule(call: call)
            return
        }
        if calls[branch: branch].owesCancel {
            sendCancel(branch, at: now, &outbox)
            calls.reschedule(branch: branch)
            return
        }
        let flags = calls[branch: branch].flags
        if flags.contains(.cancelled), !flags.contains(.cancelEnded) {
            switch calls[branch: branch].cancel.fire(at: now) {
            case .nothing, .deliver: break
            case .send: resend(calls[branch: branch].sentCancel, branch, &outbox)
            case .timeOut, .end: endCancel(branch)
            }
        }
        if !flags.contains(.ended) {
            if flags.contains(.invite) {
                fireInvite(branch, at: now, location: &location, outbox: &outbox)
            } else {
                switch calls[branch: branch].other.fire(at: now) {
                case .nothing, .deliver: break
                case .send: resend(calls[branch: branch].sent, branch, &outbox)
                case .timeOut:
                    calls[branch: branch].flags.insert(.ended)
                    takeSilence(branch, at: now, location: &location, outbox: &outbox)
                case .end: calls[branch: branch].flags.insert(.ended)
                }
            }
        }
        calls.reschedule(branch: branch)
    }

    private mutating func fireInvite<Location: LocationService & ~Copyable>(
        _ branch: SlotHandle, at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        switch calls[branch: branch].invite.fire(at: now) {
        case .nothing, .deliver, .deliverAndAck, .ackOnly, .ackAgain, .passSuccess: break
        case .send: resend(calls[branch: branch].sent, branch, &outbox)
        case .timeOut:
            // What was cancelled may be answered yet, and that 2xx is passed on.
            if calls[branch: branch].invite.state == .terminated {
                calls[branch: branch].flags.insert(.ended)
            }
            takeSilence(branch, at: now, location: &location, outbox: &outbox)
        case .timerC:
            // §16.8: it rang, so it is cancelled, and its 487 will follow.
            calls[branch: branch].why = .unanswered
            sendCancel(branch, at: now, &outbox)
        case .end: calls[branch: branch].flags.insert(.ended)
        }
    }

    /// A branch that never answered counts as 408 (§16.8, §16.7 step 6).
    private mutating func takeSilence<Location: LocationService & ~Copyable>(
        _ branch: SlotHandle, at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        guard calls.noteAnswered(branch: branch) else { return }
        let handle = calls[branch: branch].call
        counters.add(.branchesSilent)
        guard !calls[call: handle].flags.contains(.answered) else { return }
        if tryNextFlow(of: branch, at: now, location: &location, outbox: &outbox) { return }
        if calls[call: handle].best.offerSilence(of: calls[branch: branch].number)
            == .best(keepsOthers: false)
        {
            releaseKept(handle)
        }
        proceed(
            handle, in: calls[branch: branch].origin.parent, at: now, location: &location,
            outbox: &outbox)
    }

    private mutating func resend(
        _ stored: BytesHandle, _ branch: SlotHandle, _ outbox: inout Outbox
    ) {
        guard stored != .none else { return }
        outbox.begin()
        Self.write(calls.bytes, stored, &outbox)
        outbox.end(to: calls[branch: branch].peer, from: calls[branch: branch].socket)
    }

    mutating func resendAck(_ branch: SlotHandle, _ outbox: inout Outbox) {
        resend(calls[branch: branch].sent, branch, &outbox)
    }

    mutating func resendResponse(_ handle: SlotHandle, _ outbox: inout Outbox) {
        let stored = calls[call: handle].response
        guard stored != .none else { return }
        outbox.begin()
        Self.write(calls.bytes, stored, &outbox)
        outbox.end(to: calls[call: handle].peer, from: calls[call: handle].socket)
    }

    private static func write(
        _ pool: borrowing BytePool, _ stored: BytesHandle, _ outbox: inout Outbox
    ) {
        outbox.write(pool.bytes(of: stored))
    }
}
