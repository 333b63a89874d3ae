internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage
internal import SIPTransaction

// The stateful proxy (RFC 3261 §16): a call outside a dialog gets a server transaction and a response
// context; each of its targets a branch with a client transaction.
//
// A request is kept as it came, and read again by ``recall(_:)`` whenever it is written to a branch or
// answered; ``index`` always stands for what was just received.
extension WorkerCore {
    // MARK: Opening

    /// Opens a call for a request that none is open for yet.
    mutating func openCall<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, length: Int, _ via: ViaValue, _ flow: Flow, key: TransactionKey,
        to way: Way, keepsURI: Bool, route: RouteCut, now: Instant,
        location: inout Location, outbox: inout Outbox
    ) {
        let breadth: MaxBreadth
        do throws(SIPParseError) {
            breadth = try MaxBreadth(bytes, index)
        } catch {
            refuse(error, bytes, via, flow.peer, flow.socket, &outbox)
            return
        }
        let isFromMain = options.mainSide.contains(flow.peer)
        let loop = LoopPart(bytes, index, also: isFromMain ? 1 : 0, under: options.keys)
        guard loop.find(in: bytes, index, under: options.keys, scratch: &scratch) != .loop else {
            refuse(
                482, "Loop Detected", bytes, via, flow.peer, flow.socket, .callsLooped, &outbox)
            return
        }
        guard let handle = calls.open(key: key) else {
            refuseFull(bytes, via, flow, key, &outbox)
            return
        }
        guard let request = calls.bytes.store(bytes.extracting(0..<length)) else {
            calls.close(handle)
            refuseFull(bytes, via, flow, key, &outbox)
            return
        }
        calls[call: handle].request = request
        calls[call: handle].peer = flow.peer
        calls[call: handle].socket = flow.socket
        calls[call: handle].breadth = breadth
        calls[call: handle].loop = loop
        calls[call: handle].tag = tag(bytes, via)
        if isFromMain { calls[call: handle].flags.insert(.fromMain) }
        if options.redirects.followsAny { calls[call: handle].flags.insert(.keepsBranches) }
        calls[call: handle].route = route
        counters.add(.callsOpened)
        if index.method == .invite {
            calls[call: handle].flags.insert(.invite)
            calls[call: handle].invite = InviteServerTransaction()
            // From what was just read: most calls are read again only once, for their branches.
            outbox.begin()
            Self.beginResponse(
                100, "Trying", to: bytes, index, source: flow.peer, tag: nil, &outbox)
            ResponseWriter.finish(&outbox)
            sendResponse(handle, 100, at: now, &outbox)
        } else {
            calls[call: handle].other = NonInviteServerTransaction(now: now)
        }
        gather(way, keepsURI: keepsURI, for: handle, location: &location)
        proceed(handle, in: 0, at: now, location: &location, outbox: &outbox)
        calls.reschedule(call: handle)
    }

    /// By which a request, its copies, its CANCEL and the ACK of its refusal know the call.
    /// The address it came from belongs to it: nobody else cancels a call whose branch he has seen.
    ///
    /// - Throws: if the peer is one of RFC 2543 and From or To cannot be read.
    func callKey(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ source: TransportAddress
    ) throws(SIPParseError) -> TransactionKey {
        let key = options.keys.transaction
        let transaction =
            index.method == .cancel
            ? try TransactionKey(cancelledBy: bytes, index, via: via, under: key)
            : try TransactionKey(of: bytes, index, via: via, under: key)
        var hash = KeyedHash(key)
        hash.update(word: transaction.value)
        hash.update(word: source.high)
        hash.update(word: source.low)
        return TransactionKey(value: hash.finish())
    }

    /// A request of which the call is here: a copy, a CANCEL, or the ACK of what we answered.
    mutating func receiveAgain<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, length: Int, _ via: ViaValue, _ flow: Flow, _ handle: SlotHandle,
        now: Instant, location: inout Location, outbox: inout Outbox
    ) {
        let isInvite = calls[call: handle].flags.contains(.invite)
        switch index.method {
        case .cancel:
            receiveCancel(
                bytes, length: length, via, flow, handle, at: now, location: &location,
                outbox: &outbox)
        case .ack:
            counters.add(.callsAck)
            guard isInvite else { return }
            _ = calls[call: handle].invite.receive(.ack, at: now)
            calls.reschedule(call: handle)
        case .invite, .register, .bye, .options, .message, .subscribe, .notify, .refer, .prack,
            .update, .info, .publish, .other:
            counters.add(.callsCopies)
            let answers =
                isInvite
                ? calls[call: handle].invite.receive(.request, at: now) == .answerAgain
                : calls[call: handle].other.receive(.request, at: now) == .answerAgain
            if answers { resendResponse(handle, &outbox) }
        }
    }

    private mutating func refuseFull(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ flow: Flow, _ key: TransactionKey,
        _ outbox: inout Outbox
    ) {
        refuse(
            503, "Service Unavailable", bytes, via, flow.peer, flow.socket, .callsPoolFull,
            retryAfter: spreadRetry(key.value), &outbox)
    }

    /// Puts the targets of a call into their order (§16.5).
    private mutating func gather<Location: LocationService & ~Copyable>(
        _ way: Way, keepsURI: Bool, for handle: SlotHandle, location: inout Location
    ) {
        switch way {
        case .toMain(let caller): add(CallTarget(.main, caller), to: handle)
        case .toPhone(let place, let flow, let id) where keepsURI:
            var target = CallTarget(.flow, id)
            target.place = place
            target.peer = flow.peer
            target.socket = flow.socket
            add(target, to: handle)
        case .toPhone(_, _, let id): add(CallTarget(.contact, id), to: handle)
        case .toAOR(let key):
            var next = table.first(of: key)
            while let place = next {
                next = table.next(after: place)
                guard isNewestFlow(place) else { continue }
                var target = CallTarget(.contact, table[place].id)
                if options.forkOrder == .byQ {
                    let q = location.read(table[place].record) { fact in
                        Fact.contact(in: fact).flatMap { Self.q(of: $0.value, in: fact) }
                    }
                    let unsaid = QValue.unsaid.thousandths
                    target.rank = Int16(unsaid) - Int16((q ?? nil) ?? unsaid)
                }
                add(target, to: handle)
            }
        case .answer, .options, .elsewhere, .drop: break
        }
    }

    /// Adds a target; one that there is no room for counts as one that we had no room for.
    private mutating func add(_ target: CallTarget, to handle: SlotHandle) {
        if !calls.add(target, to: handle) { offer(503, of: handle) }
    }

    /// What a phone gave its contact as preference, in thousandths; `nil` if nothing that can be read.
    static func q(of contact: NameAddress, in fact: Span<UInt8>) -> UInt16? {
        guard let text = fact.parameter("q", in: contact.parameters) else { return nil }
        return (try? QValue(fact, text))?.thousandths
    }

    // MARK: Branches

    /// Opens branches for a chain's next group of targets, and for the one after if none could be
    /// opened.
    mutating func launch<Location: LocationService & ~Copyable>(
        _ handle: SlotHandle, in chain: UInt16, _ request: borrowing Recalled, at now: Instant,
        location: inout Location, outbox: inout Outbox
    ) {
        while !calls.isActive(chain, of: handle), !calls[call: handle].flags.contains(.closed) {
            let group = calls.nextGroup(of: handle, in: chain)
            guard group > 0 else { return }
            let branchesLeft = options.branchesMax - Int(calls[call: handle].opened)
            guard branchesLeft > 0 else {
                calls.dropTargets(of: handle)
                return
            }
            // What does not fit beside the others is tried after them (RFC 5393 §5.5).
            let available = Int(calls[call: handle].breadth?.available ?? 1)
            let count = min(group, branchesLeft, available)
            guard count > 0, let shares = calls[call: handle].breadth?.divide(among: count) else {
                return
            }
            for number in 0..<count {
                guard let target = calls.takeTarget(of: handle, in: chain) else { break }
                open(
                    target, of: handle, breadth: shares[number], request, at: now,
                    location: &location, outbox: &outbox)
                calls.drop(target.uri)
            }
        }
    }

    /// Opens one branch; a target that cannot be reached counts as answered.
    mutating func open<Location: LocationService & ~Copyable>(
        _ target: CallTarget, of handle: SlotHandle, breadth: UInt32,
        _ request: borrowing Recalled, at now: Instant, location: inout Location,
        outbox: inout Outbox
    ) {
        let place = place(of: target)
        guard let flow = flow(to: target, place) else {
            calls[call: handle].breadth?.giveBack(breadth)
            offer(480, of: handle)
            return
        }
        let hop = edgeHop(
            request.span, place, flow, following: calls[call: handle].route.following,
            hasToken: target.kind == .flow, location: &location)
        let peer = hop?.flow.peer ?? flow.peer
        guard let branch = calls.openBranch(of: handle) else {
            calls[call: handle].breadth?.giveBack(breadth)
            offer(503, of: handle)
            return
        }
        let isInvite = calls[call: handle].flags.contains(.invite)
        calls[branch: branch].peer = peer
        calls[branch: branch].socket = flow.socket
        calls[branch: branch].attempt = target.attempt
        calls[branch: branch].origin = target.origin
        calls[branch: branch].breadth = breadth
        calls[branch: branch].hasID = target.hasID
        calls[branch: branch].id = target.id
        switch target.kind {
        case .main, .redirected: calls[branch: branch].flags.insert(.toMain)
        case .contact: calls[branch: branch].flags.insert(.toContact)
        case .flow: break
        }
        if isInvite {
            calls[branch: branch].flags.insert(.invite)
            calls[branch: branch].invite = InviteClientTransaction(
                now: now, timerCMs: options.timerCMs)
        } else {
            calls[branch: branch].other = NonInviteClientTransaction(now: now)
        }
        outbox.begin()
        guard
            write(
                target, place, flow, branch, breadth: breadth, request,
                writesPath: hop?.writesPath ?? false, location: &location, &outbox),
            !outbox.overflowed, outbox.openCount <= Self.datagramBytesMax,
            let sent = calls.bytes.store(outbox.open)
        else {
            outbox.abandon()
            calls.noteAnswered(branch: branch)
            calls.close(branch: branch)
            offer(503, of: handle)
            return
        }
        calls[branch: branch].sent = sent
        outbox.end(to: peer, from: flow.socket)
        calls.reschedule(branch: branch)
        counters.add(.branchesOpened)
    }

    /// The binding by which a target is reached.
    func place(of target: CallTarget) -> BindingIndex? {
        guard target.kind == .contact else { return target.place }
        let flows = table.liveFlows(of: target.id)
        return Int(target.attempt) < flows.count ? flows[Int(target.attempt)] : nil
    }

    private func flow(to target: CallTarget, _ place: BindingIndex?) -> Flow? {
        switch target.kind {
        case .contact: return place.map { table[$0].flow }
        case .flow: return Flow(peer: target.peer, socket: target.socket)
        case .main, .redirected: return Flow(peer: options.mainServer, socket: options.mainSocket)
        }
    }

    /// Writes the request as it goes to one target (§16.6); `false` if it cannot be.
    private mutating func write<Location: LocationService & ~Copyable>(
        _ target: CallTarget, _ place: BindingIndex?, _ flow: Flow, _ branch: SlotHandle,
        breadth: UInt32, _ request: borrowing Recalled, writesPath: Bool,
        location: inout Location, _ outbox: inout Outbox
    ) -> Bool {
        let handle = calls[branch: branch].call
        let bytes = request.span
        let route = calls[call: handle].route
        let isToMain = target.kind == .main || target.kind == .redirected
        let strict = strictHop(bytes, route, overPath: writesPath, toMain: isToMain)
        ForwardedRequest.beginStartLine(bytes, request.index, &outbox)
        if let strict {
            strict.writeURI(bytes, path.span, &outbox)
        } else {
            guard writeTarget(target, place, bytes, route, location: &location, &outbox) else {
                return false
            }
        }
        ForwardedRequest.endStartLine(&outbox)
        outbox.write("Via: SIP/2.0/UDP ")
        outbox.write(options.sockets[Int(flow.socket)].advertised)
        outbox.write(";branch=")
        guard let loop = calls[call: handle].loop else { return false }
        ForkedBranch(slot: branch.slot, generation: branch.generation, loop: loop).write(
            options.steering, under: options.keys, body: &sealed, scratch: &scratch, to: &outbox)
        outbox.write(";rport\r\n")
        if target.hasID {
            // Towards the main registrar the caller's flow is what leads back.
            let back =
                isToMain
                ? Flow(peer: calls[call: handle].peer, socket: calls[call: handle].socket) : flow
            writeRecordRoute(
                request.index.method,
                FlowToken(contactID: target.id, peer: back.peer, socket: back.socket),
                towardsMain: isToMain, &outbox)
        }
        if writesPath {
            RouteSet.write(path.span, path: strict?.path ?? ByteRange(0, path.count), &outbox)
        }
        var copy = ForwardedRequest(source: calls[call: handle].peer)
        copy.route = strict?.cut ?? route
        copy.maxBreadth = breadth
        copy.leavesOutIdentity = !isToMain && !calls[call: handle].flags.contains(.fromMain)
        if isToMain {
            copy.sourceHeader = options.sourceHeader
            let back = Flow(peer: calls[call: handle].peer, socket: calls[call: handle].socket)
            if let via = try? request.index.topVia(bytes) {
                let caller = target.hasID ? target.id : nil
                copy.contact = observed(ofRequest: request.index, via, caller, back)
            }
        }
        if target.origin.depth > 0, options.redirects.tells {
            writeRetargeted(copy, target, branch, request, location: &location, &outbox)
        } else {
            copy.writeFields(bytes, request.index, &outbox)
        }
        if strict != nil {
            outbox.write("Route: <")
            _ = writeTarget(target, place, bytes, route, location: &location, &outbox)
            outbox.write(">\r\n")
        }
        ForwardedRequest.writeEnd(bytes, request.index, &outbox)
        return true
    }

    /// Writes the URI that a target is called by; `false` if there is none.
    private func writeTarget<Location: LocationService & ~Copyable>(
        _ target: CallTarget, _ place: BindingIndex?, _ bytes: Span<UInt8>, _ route: RouteCut,
        location: inout Location, _ outbox: inout Outbox
    ) -> Bool {
        switch target.kind {
        case .main, .flow:
            return writeTarget(bytes, route, nil, location: &location, &outbox)
        case .contact:
            return writeTarget(
                bytes, route, place.map { table[$0].record } ?? RecordNumber.none,
                location: &location, &outbox)
        case .redirected:
            Self.writeURI(calls.bytes, target.uri, &outbox)
            return true
        }
    }

    // MARK: Answering

    /// Sends a response of our own, keeps it for copies of the request, and moves the server
    /// transaction on.
    mutating func answerOwn(
        _ handle: SlotHandle, _ code: UInt32, at now: Instant, _ outbox: inout Outbox
    ) {
        guard let request = recall(calls[call: handle].request) else {
            calls.noteAnswered(call: handle)
            calls[call: handle].flags.insert(.ended)
            return
        }
        let reason: StaticString =
            switch code {
            case 100: "Trying"
            case 408: "Request Timeout"
            case 430: "Flow Failed"
            case 480: "Temporarily Unavailable"
            case 487: "Request Terminated"
            case 503: "Service Unavailable"
            default: "Server Internal Error"
            }
        outbox.begin()
        Self.beginResponse(
            code, reason, to: request, source: calls[call: handle].peer,
            tag: code == 100 ? nil : calls[call: handle].tag, &outbox)
        giveBack(request)
        if code == 503 {
            outbox.write("Retry-After: ")
            outbox.write(decimal: spreadRetry(calls[call: handle].key.value))
            outbox.write("\r\n")
        }
        ResponseWriter.finish(&outbox)
        sendResponse(handle, code, at: now, &outbox)
    }

    private static func beginResponse(
        _ code: UInt32, _ reason: StaticString, to request: borrowing Recalled,
        source: TransportAddress, tag: UInt64?, _ outbox: inout Outbox
    ) {
        beginResponse(
            code, reason, to: request.span, request.index, source: source, tag: tag, &outbox)
    }

    private static func beginResponse(
        _ code: UInt32, _ reason: StaticString, to bytes: Span<UInt8>,
        _ index: borrowing MessageIndex, source: TransportAddress, tag: UInt64?,
        _ outbox: inout Outbox
    ) {
        ResponseWriter.begin(
            code, reason, to: bytes, index, source: source, toTag: tag, &outbox)
        guard code == 100 else { return }
        // A 100 brings it back (§8.2.6.1).
        for number in 0..<index.count where index[number].isNamed("timestamp", bytes) {
            outbox.write(bytes, index[number].line)
        }
    }

    /// Sends the open message of the outbox as response of a call.
    mutating func sendResponse(
        _ handle: SlotHandle, _ code: UInt32, at now: Instant, _ outbox: inout Outbox
    ) {
        guard !outbox.overflowed else {
            outbox.abandon()
            counters.add(.droppedOutboxFull)
            return
        }
        let isInvite = calls[call: handle].flags.contains(.invite)
        let goes: Bool
        if isInvite {
            // A 2xx is repeated by the phone, not by us (RFC 6026 §7.1).
            goes =
                calls[call: handle].invite.receive(
                    code < 200 ? .provisional : code < 300 ? .success : .failure, at: now) == .send
        } else {
            goes =
                code == 100
                || calls[call: handle].other.receive(
                    code < 200 ? .provisional : .final, at: now) == .send
        }
        guard goes else {
            outbox.abandon()
            return
        }
        if !isInvite || code < 200 || code >= 300 {
            calls.setResponse(of: handle, calls.bytes.store(outbox.open) ?? .none)
        } else if calls[call: handle].invite.state == .accepted {
            calls.setResponse(of: handle, .none)
        }
        outbox.end(to: calls[call: handle].peer, from: calls[call: handle].socket)
        if code >= 200 {
            calls.noteAnswered(call: handle)
        }
        calls.reschedule(call: handle)
    }
}
