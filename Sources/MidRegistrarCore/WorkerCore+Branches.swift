internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage
internal import SIPTransaction

// Responses on the branches of a call, and what they come to (RFC 3261 §16.7).
extension WorkerCore {
    /// A response to a request or a CANCEL that was sent on a branch.
    mutating func receiveBranchResponse<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, length: Int, _ via: ViaValue, _ seal: SealedVia,
        from source: TransportAddress, now: Instant, location: inout Location,
        outbox: inout Outbox
    ) {
        let branch = SlotHandle(
            slot: UInt32(truncatingIfNeeded: seal.transaction >> 32),
            generation: UInt32(truncatingIfNeeded: seal.transaction))
        // A response to nothing that is there goes nowhere (RFC 6026 §7.3).
        guard calls.isLive(branch: branch),
            !calls[branch: branch].flags.contains(.toMain) || options.mainSide.contains(source)
        else {
            counters.add(.droppedStrayResponse)
            return
        }
        let code = UInt32(index.statusCode)
        let isInvite = calls[branch: branch].flags.contains(.invite)
        if index.method == .cancel {
            guard calls[branch: branch].flags.contains(.cancelled) else { return }
            let action = calls[branch: branch].cancel.receive(
                code < 200 ? .provisional : .final, at: now)
            if action == .deliver { endCancel(branch) }
            calls.reschedule(branch: branch)
            return
        }
        // Of the method that was sent, and with the Via of who sent it.
        guard (index.method == .invite) == isInvite,
            let second = try? index.secondVia(bytes, after: via),
            tag(bytes, second) == calls[call: calls[branch: branch].call].tag
        else {
            counters.add(.droppedSealBroken)
            return
        }
        counters.add(.callResponses)
        if isInvite {
            receiveInviteResponse(
                bytes, length: length, via, branch, code,
                contact: observed(ofResponse: bytes, code, on: branch, from: source), now: now,
                location: &location, outbox: &outbox)
        } else if code >= 200 {
            guard calls[branch: branch].other.receive(.final, at: now) == .deliver else { return }
            takeFinal(
                bytes, length: length, via, branch, code, at: now, location: &location,
                outbox: &outbox)
        } else {
            // Nothing but a final response is passed on (RFC 4320 §4.1).
            _ = calls[branch: branch].other.receive(.provisional, at: now)
        }
        calls.reschedule(branch: branch)
    }

    private mutating func receiveInviteResponse<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, length: Int, _ via: ViaValue, _ branch: SlotHandle, _ code: UInt32,
        contact: TransportAddress?, now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        let handle = calls[branch: branch].call
        let event: InviteClientTransaction.Event =
            code < 200
            ? .provisional(is100: code == 100) : code < 300 ? .success : .failure
        switch calls[branch: branch].invite.receive(event, at: now) {
        case .nothing, .send, .timeOut, .timerC, .end: break
        case .deliver where code < 200:
            calls[branch: branch].flags.insert(.provisional)
            if code > 100, !calls[call: handle].flags.contains(.answered) {
                outbox.begin()
                ForwardedResponse.write(bytes, index, top: via, contact: contact, &outbox)
                sendResponse(handle, code, at: now, &outbox)
            }
            if calls[branch: branch].flags.contains(.cancelOwed) {
                sendCancel(branch, at: now, &outbox)
            }
        case .deliver:
            passSuccess(
                bytes, via, branch, code, isFirst: true, contact: contact, at: now, &outbox)
        case .passSuccess:
            passSuccess(
                bytes, via, branch, code, isFirst: false, contact: contact, at: now, &outbox)
        case .deliverAndAck:
            acknowledge(branch, bytes, &outbox)
            takeFinal(
                bytes, length: length, via, branch, code, at: now, location: &location,
                outbox: &outbox)
        case .ackOnly: acknowledge(branch, bytes, &outbox)
        case .ackAgain: resendAck(branch, &outbox)
        }
    }

    /// A 2xx goes back at once, whatever else has been sent (§16.7 step 5); the other branches are
    /// cancelled (step 10).
    ///
    /// - Parameter isFirst: whether it is the first of its branch, which may have counted as
    ///   unanswered.
    private mutating func passSuccess(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ branch: SlotHandle, _ code: UInt32, isFirst: Bool,
        contact: TransportAddress?, at now: Instant, _ outbox: inout Outbox
    ) {
        let handle = calls[branch: branch].call
        calls.noteAnswered(branch: branch)
        calls[branch: branch].successes &+= 1
        outbox.begin()
        ForwardedResponse.write(bytes, index, top: via, contact: contact, &outbox)
        noteSuccess(bytes, branch, contact: contact)
        sendResponse(handle, code, at: now, &outbox)
        guard isFirst else { return }
        calls.setSent(of: branch, .none)
        calls.dropTargets(of: handle)
        calls[call: handle].flags.insert(.closed)
        calls.releaseRequest(of: handle)
        releaseKept(handle)
        cancelOthers(of: handle, but: branch, .answeredElsewhere, at: now, &outbox)
    }

    /// A final response other than a 2xx to an INVITE: it may be the best, or open new branches.
    private mutating func takeFinal<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, length: Int, _ via: ViaValue, _ branch: SlotHandle, _ code: UInt32,
        at now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        let handle = calls[branch: branch].call
        guard calls.noteAnswered(branch: branch), !calls[call: handle].flags.contains(.answered)
        else { return }
        // What answers a request other than INVITE with a 2xx ends the call as well.
        if code < 300 {
            outbox.begin()
            ForwardedResponse.write(bytes, index, top: via, &outbox)
            sendResponse(handle, code, at: now, &outbox)
            calls.dropTargets(of: handle)
            calls[call: handle].flags.insert(.closed)
            releaseKept(handle)
            return
        }
        if code == 430 || code == 408,
            tryNextFlow(of: branch, at: now, location: &location, outbox: &outbox)
        {
            return
        }
        if code >= 600 {
            calls.dropTargets(of: handle)
            calls[call: handle].flags.insert(.closed)
            cancelOthers(of: handle, but: branch, .refusedForAll(code), at: now, &outbox)
        }
        var chain = calls[branch: branch].origin.parent
        if follow(bytes, of: branch, location: &location, outbox: &outbox) {
            if !options.redirects.waits { chain = calls[branch: branch].number }
            if options.redirects.cancelsOthers {
                cancelOthers(of: handle, but: branch, .redirected(code), at: now, &outbox)
            }
        } else if code == 487, calls[branch: branch].why == .unanswered {
            // It ended because nobody answered in time, not because its caller gave up (§16.8).
            if calls[call: handle].best.offerSilence(of: calls[branch: branch].number)
                == .best(keepsOthers: false)
            {
                releaseKept(handle)
            }
        } else if code != 487 || !wasGivenUp(branch) {
            keep(code, bytes.extracting(0..<length), of: branch, handle)
        }
        proceed(handle, in: chain, at: now, location: &location, outbox: &outbox)
    }

    /// Calls a phone by its next flow when the one before leads nowhere (RFC 5626 §7, §5.3); `false` if
    /// it has no other.
    mutating func tryNextFlow<Location: LocationService & ~Copyable>(
        of branch: SlotHandle, at now: Instant, location: inout Location, outbox: inout Outbox
    ) -> Bool {
        let handle = calls[branch: branch].call
        let old = calls[branch: branch]
        guard old.flags.contains(.toContact), !calls[call: handle].flags.contains(.closed) else {
            return false
        }
        let flows = table.liveFlows(of: old.id)
        var attempt = Int(old.attempt) + 1
        // What was heard of meanwhile has gone to the front.
        while attempt < flows.count, table[flows[attempt]].flow.peer == old.peer { attempt += 1 }
        guard attempt < flows.count, calls[call: handle].breadth?.take(old.breadth) == true,
            let request = recall(calls[call: handle].request)
        else { return false }
        var target = CallTarget(.contact, old.id)
        target.attempt = UInt8(attempt)
        target.origin = old.origin
        let opened = calls[call: handle].opened
        open(
            target, of: handle, breadth: old.breadth, request, at: now, location: &location,
            outbox: &outbox)
        giveBack(request)
        return calls[call: handle].opened > opened
    }

    /// Whether a branch was cancelled for a redirect, which is what its call comes to.
    private func wasGivenUp(_ branch: SlotHandle) -> Bool {
        if case .redirected = calls[branch: branch].why { return true }
        return false
    }

    /// Keeps a response that may be the best, or whose challenges go along with it.
    mutating func keep(
        _ code: UInt32, _ bytes: Span<UInt8>, of branch: SlotHandle, _ handle: SlotHandle
    ) {
        switch calls[call: handle].best.offer(code, from: calls[branch: branch].number) {
        case .drop: return
        case .best(keepsOthers: false): releaseKept(handle)
        case .best, .challenges: break
        }
        calls.setResponse(ofBranch: branch, calls.bytes.store(bytes) ?? .none)
    }

    /// Forgets the responses of a call that will not be sent.
    mutating func releaseKept(_ handle: SlotHandle) {
        var next = calls[call: handle].firstBranch
        while next != .none {
            let branch = next
            next = calls[branch: branch].next
            guard calls[branch: branch].response != .none else { continue }
            calls.setResponse(ofBranch: branch, .none)
            calls.reschedule(branch: branch)
        }
    }

    /// Counts a target that could not be tried, as if it had been answered so here.
    mutating func offer(_ code: UInt32, of handle: SlotHandle) {
        calls[call: handle].best.offerOwn(code)
    }

    /// Goes on with a call when a branch of a chain has ended: to the next targets, or to its answer.
    mutating func proceed<Location: LocationService & ~Copyable>(
        _ handle: SlotHandle, in chain: UInt16, at now: Instant, location: inout Location,
        outbox: inout Outbox
    ) {
        guard !calls[call: handle].flags.contains(.answered) else { return }
        let isInvite = calls[call: handle].flags.contains(.invite)
        if !isInvite, calls[call: handle].other.isExpired(at: now) {
            // Whoever were called now would answer nobody.
            calls[call: handle].flags.insert(.closed)
            calls.dropTargets(of: handle)
        }
        if calls[call: handle].firstTarget != .none,
            !calls[call: handle].flags.contains(.closed)
        {
            guard let request = recall(calls[call: handle].request) else { return }
            launchNext(
                handle, in: chain, request, at: now, location: &location, outbox: &outbox)
            giveBack(request)
        }
        guard calls[call: handle].unanswered == 0 else { return }
        answerBest(handle, at: now, &outbox)
    }

    /// Tries what comes next in a chain, or when nothing is left of it, in the one where the redirect
    /// came from; then what there was no room for beside others.
    private mutating func launchNext<Location: LocationService & ~Copyable>(
        _ handle: SlotHandle, in chain: UInt16, _ request: borrowing Recalled, at now: Instant,
        location: inout Location, outbox: inout Outbox
    ) {
        var chain = chain
        while true {
            // Redirects that wait for others to end come before what the location service had.
            let waits = options.redirects.waits && chain == 0 && !calls.isActive(0, of: handle)
            launch(
                handle, in: waits ? calls.waitingChain(of: handle) ?? 0 : chain, request, at: now,
                location: &location, outbox: &outbox)
            guard chain > 0, !calls.isActive(chain, of: handle) else { break }
            chain = calls.chain(of: handle, above: chain)
        }
        while calls[call: handle].unanswered == 0, !calls[call: handle].flags.contains(.closed),
            let waiting = calls.waitingChain(of: handle)
        {
            let opened = calls[call: handle].opened
            launch(
                handle, in: waiting, request, at: now, location: &location, outbox: &outbox)
            guard calls[call: handle].opened > opened || calls.waitingChain(of: handle) != waiting
            else { return }
        }
    }

    /// The best of what came goes back (§16.7 step 6), as soon as there is room for it.
    mutating func answerBest(_ handle: SlotHandle, at now: Instant, _ outbox: inout Outbox) {
        guard outbox.hasRoom(for: Self.datagramBytesMax) else {
            calls[call: handle].flags.insert(.answerOwed)
            calls.reschedule(call: handle)
            return
        }
        calls[call: handle].flags.remove(.answerOwed)
        let best = calls[call: handle].best
        calls.dropTargets(of: handle)
        guard best.isSent(toInvite: calls[call: handle].flags.contains(.invite)) else {
            // Copies of the request are still known until its sender gives up.
            calls.noteAnswered(call: handle)
            calls[call: handle].flags.insert(.closed)
            releaseKept(handle)
            calls.reschedule(call: handle)
            return
        }
        guard let branch = calls.branch(of: handle, numbered: best.branch),
            let response = recall(calls[branch: branch].response)
        else {
            answerOwn(handle, best.forwardedStatus, at: now, &outbox)
            releaseKept(handle)
            return
        }
        outbox.begin()
        var aggregate = Self.begin(response, &outbox)
        if BestResponse.isChallenge(best.status) {
            var next = calls[call: handle].firstBranch
            while next != .none {
                let other = next
                next = calls[branch: other].next
                guard other != branch, let more = recall(calls[branch: other].response) else {
                    continue
                }
                Self.add(more, to: &aggregate, &outbox)
                giveBack(more)
            }
        }
        Self.finish(response, aggregate, &outbox)
        giveBack(response)
        sendResponse(handle, best.forwardedStatus, at: now, &outbox)
        releaseKept(handle)
    }

    /// Sends the ACK of a final response other than a 2xx, and keeps it in place of the request
    /// (§17.1.1.3).
    private mutating func acknowledge(
        _ branch: SlotHandle, _ bytes: Span<UInt8>, _ outbox: inout Outbox
    ) {
        guard let request = recall(calls[branch: branch].sent) else { return }
        // Kept before it is sent: where there is no room to send it, the next copy of the response brings
        // it out, and not the request.
        work.begin()
        let isWritten = Self.writeAck(of: request, answeredBy: bytes, index, &work)
        giveBack(request)
        let kept = isWritten ? Self.store(work, in: &calls.bytes) : .none
        work.abandon()
        calls.setSent(of: branch, kept)
        resendAck(branch, &outbox)
    }

    private static func store(
        _ work: borrowing Outbox, in pool: inout BytePool
    ) -> BytesHandle {
        work.overflowed ? .none : pool.store(work.open) ?? .none
    }

    // MARK: Writing what was recalled

    private static func begin(
        _ response: borrowing Recalled, _ outbox: inout Outbox
    ) -> AggregatedResponse {
        guard let via = try? response.index.topVia(response.span) else {
            preconditionFailure("its topmost Via brought it here")
        }
        return AggregatedResponse.begin(response.span, response.index, top: via, &outbox)
    }

    private static func add(
        _ response: borrowing Recalled, to aggregate: inout AggregatedResponse,
        _ outbox: inout Outbox
    ) {
        aggregate.add(response.span, response.index, &outbox)
    }

    private static func finish(
        _ response: borrowing Recalled, _ aggregate: AggregatedResponse, _ outbox: inout Outbox
    ) {
        aggregate.finish(response.span, response.index, &outbox)
    }

    private static func writeAck(
        of request: borrowing Recalled, answeredBy bytes: Span<UInt8>,
        _ index: borrowing MessageIndex, _ outbox: inout Outbox
    ) -> Bool {
        do throws(SIPParseError) {
            try BranchRequest.beginAck(
                of: request.span, request.index, answeredBy: bytes, index, &outbox)
        } catch {
            return false
        }
        BranchRequest.finish(&outbox)
        return true
    }
}
