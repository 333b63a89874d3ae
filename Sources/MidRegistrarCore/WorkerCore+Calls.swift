internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage
internal import SIPTransaction

// Requests other than REGISTER: from the main registrar to phones by contact ID, AOR or flow token,
// from a phone to the main registrar. What opens a call (an INVITE outside a dialog, or anything for
// several phones) is proxied with state (§16.2 ff.), all else without (§16.11).
extension WorkerCore {
    /// Where a request is going, found before anything is written.
    enum Way {
        case toPhone(BindingIndex?, Flow, ContactID)
        /// To all phones of an AOR.
        case toAOR(AORKey)
        case toMain(ContactID?)
        case answer(UInt32, StaticString, Counter)
        case options
        case drop
    }

    mutating func receiveRequest<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, length: Int, _ via: ViaValue, from source: TransportAddress,
        socket: UInt16, now: Instant, mayHandOver: Bool, location: inout Location,
        outbox: inout Outbox
    ) -> Disposition {
        let uri: SIPURI
        var topRoute: SIPURI?
        var secondRoute: SIPURI?
        let from: SIPURI
        let toTag: ByteRange
        do throws(SIPParseError) {
            uri = try SIPURI(bytes, index.requestURI)
            try checkNoHeaders(uri)
            guard let fromValue = index.value(.from), let toValue = index.value(.to) else {
                throw SIPParseError(.missingHeader, at: 0)
            }
            let address = try NameAddress(bytes, from: fromValue.start, to: fromValue.end)
            from = try SIPURI(bytes, address.uri)
            let to = try NameAddress(bytes, from: toValue.start, to: toValue.end)
            _ = try SIPURI(bytes, to.uri)
            toTag = to.tag
            if index.has(.route) {
                var cursor = AddressCursor(.route, of: index)
                while let route = try cursor.next(bytes, index) {
                    let parsed = try SIPURI(bytes, route.uri)
                    if topRoute == nil {
                        topRoute = parsed
                    } else if secondRoute == nil {
                        secondRoute = parsed
                    }
                }
            }
        } catch {
            refuse(error, bytes, via, source, socket, &outbox)
            return .done
        }

        let hasToTag = !toTag.isEmpty
        var token: FlowToken?
        var routeIsOurs = false
        var routeMayBeOurs = false
        if let topRoute {
            token = FlowToken(
                bytes.extracting(topRoute.user.start..<topRoute.user.end), under: options.keys,
                scratch: &scratch)
            let host = bytes.extracting(topRoute.host.start..<topRoute.host.end)
            routeIsOurs =
                token != nil || options.ownAddresses.contains(host, port: topRoute.port)
            // A phone that has us as its outbound proxy names us here, by a name that we need not
            // know; passed on, it would send the main registrar's copy back to us. An address we
            // do know, so another's stays where it is (§16.4).
            routeMayBeOurs = routeIsOurs || TransportAddress(host: host, port: 0) == nil
        }
        let temporary =
            uri.scheme == .other
            ? nil
            : TemporaryGRUU(
                bytes.extracting(uri.user.start..<uri.user.end), under: options.keys,
                scratch: &scratch)
        let id =
            uri.scheme == .other
            ? nil
            : temporary?.contactID ?? MainContact.contactID(bytes, uri, under: options.keys)
                ?? importedID(bytes, uri)

        // INVITE, its CANCEL, ACK and copies agree in all of these, so they meet at one worker.
        let sharedKey = id == nil ? sharedKey(bytes, uri) : nil
        let fromKey = callerKey(bytes, from)
        if options.workers > 1 {
            let steering =
                (token?.contactID ?? id)?.steering ?? sharedKey?.steering ?? fromKey?.steering
            if let owner = steering?.owner(among: options.workers), owner != options.worker {
                guard mayHandOver else { return .done }
                return .handOver(to: owner)
            }
        }

        let flow = Flow(peer: source, socket: socket)
        let key: TransactionKey
        do throws(SIPParseError) {
            key = try callKey(bytes, via, source)
        } catch {
            refuse(error, bytes, via, source, socket, &outbox)
            return .done
        }
        if calls.count > 0, let call = calls.find(key) {
            receiveAgain(
                bytes, length: length, via, flow, call, now: now, location: &location,
                outbox: &outbox)
            return .done
        }
        if index.method == .ack, hasToTag,
            ResponseWriter.isTag(tag(bytes, via), bytes, toTag)
        {
            // Of a refusal of our own that left nothing behind: it ends here (§17.1.1.3).
            counters.add(.droppedAck)
            return .done
        }
        guard uri.scheme != .other else {
            refuse(
                416, "Unsupported URI Scheme", bytes, via, source, socket, .rejectScheme, &outbox)
            return .done
        }
        let way = way(
            bytes, uri, token: token, id: id, registration: temporary?.registration,
            sharedKey: sharedKey, fromKey: fromKey, hasToTag: hasToTag, flow, location: &location)
        if let value = index.value(.maxForwards),
            let hops = try? bytes.number(in: value, max: UInt64(UInt32.max)), hops == 0,
            !isOptions(way)
        {
            refuse(483, "Too Many Hops", bytes, via, source, socket, .rejectMaxForwards, &outbox)
            return .done
        }
        if index.method != .ack, index.method != .cancel,
            !checkExtensions(bytes, via, flow, &outbox)
        {
            return .done
        }
        countRequest(way, hasToTag: hasToTag)
        if !hasToTag,
            answersWithContacts(
                way, bytes, via, flow, at: now, location: &location, outbox: &outbox)
        {
            return .done
        }
        if !hasToTag, opensCall(way) {
            openCall(
                bytes, length: length, via, flow, key: key, to: way, keepsURI: token != nil,
                leavesOutRoute: routeIsOurs || isToMain(way) && routeMayBeOurs, now: now,
                location: &location, outbox: &outbox)
            return .done
        }
        switch way {
        case .toPhone, .toAOR, .toMain:
            if index.method == .cancel, !hasToTag {
                // Its call is here, or was never (§9.2).
                refuse(
                    481, "Call/Transaction Does Not Exist", bytes, via, source, socket,
                    .callsUnknownTransaction, &outbox)
                return .done
            }
            if index.method == .ack { noteAck(bytes) }
        case .answer, .options, .drop: break
        }
        switch way {
        case .answer(let code, let reason, let counter):
            refuse(code, reason, bytes, via, source, socket, counter, &outbox)
        case .drop: counters.add(.droppedAck)
        case .options:
            counters.add(.optionsAnswered)
            outbox.begin()
            ResponseWriter.begin(
                200, "OK", to: bytes, index, source: source, toTag: tag(bytes, via), &outbox)
            outbox.write("Allow: REGISTER, INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE\r\n")
            ResponseWriter.finish(&outbox)
            if !outbox.end(to: source, from: socket) { counters.add(.droppedOutboxFull) }
        case .toPhone(let place, let target, let id):
            forwardToPhone(
                bytes, via, flow, place, target, id, keepsURI: token != nil,
                isInDialog: hasToTag, leavesOutRoute: routeIsOurs,
                following: routeIsOurs ? secondRoute : topRoute, location: &location,
                outbox: &outbox)
        case .toMain(let id):
            forwardToMain(
                bytes, via, flow, id, isInDialog: hasToTag,
                leavesOutRoute: routeIsOurs || routeMayBeOurs && !hasToTag, &outbox)
        case .toAOR(let key):
            guard let place = reachable(key) else { return .done }
            forwardToPhone(
                bytes, via, flow, place, table[place].flow, table[place].id, keepsURI: false,
                isInDialog: hasToTag, leavesOutRoute: routeIsOurs,
                following: routeIsOurs ? secondRoute : topRoute, location: &location,
                outbox: &outbox)
        }
        return .done
    }

    /// Whether a request outside a dialog gets transactions.
    private func opensCall(_ way: Way) -> Bool {
        switch way {
        case .answer, .options, .drop: return false
        case .toPhone, .toMain: return index.method == .invite
        case .toAOR(let key):
            switch index.method {
            case .invite: return true
            case .ack, .cancel: return false
            case .register, .bye, .options, .message, .subscribe, .notify, .refer, .prack, .update,
                .info, .publish, .other:
                return hasSeveralReachable(key)
            }
        }
    }

    private func isToMain(_ way: Way) -> Bool {
        if case .toMain = way { return true }
        return false
    }

    /// A request-URI has no headers (§19.1.1, table 1). One that does is refused rather than cleaned:
    /// the next reader might make header fields of them (RFC 4475 §3.1.2.11), and a cleaned one is
    /// not the one that the sender's digest covers.
    func checkNoHeaders(_ uri: SIPURI) throws(SIPParseError) {
        guard uri.headers.isEmpty else { throw SIPParseError(.uri, at: uri.headers.start) }
    }

    private func isOptions(_ way: Way) -> Bool {
        if case .options = way { return true }
        return false
    }

    private mutating func countRequest(_ way: Way, hasToTag: Bool) {
        switch way {
        case .toPhone, .toAOR: counters.add(hasToTag ? .callsInDialog : .callsToPhone)
        case .toMain: counters.add(hasToTag ? .callsInDialog : .callsToMain)
        case .answer, .options, .drop: return
        }
        if index.method == .cancel { counters.add(.callsCancel) }
        if index.method == .ack { counters.add(.callsAck) }
    }

    /// The AOR of an address: of the caller, by which a phone's own requests are steered: only the owner of its
    /// bindings can tell a phone from a stranger.
    private mutating func callerKey(_ bytes: Span<UInt8>, _ from: SIPURI) -> AORKey? {
        aorText.clear()
        guard (try? AddressOfRecord.write(bytes, from, to: &aorText)) != nil else { return nil }
        return AORKey(aorText.span, under: options.keys)
    }

    // MARK: Deciding

    /// The table of who may ask for what: contact IDs and flow tokens are the main side's, a
    /// dialog's token also its phone's, everything else a phone's towards the main registrar.
    private mutating func way<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ uri: SIPURI, token: FlowToken?, id: ContactID?,
        registration: UInt64?, sharedKey: AORKey?, fromKey: AORKey?, hasToTag: Bool, _ flow: Flow,
        location: inout Location
    ) -> Way {
        let isMain = options.mainSide.contains(flow.peer)
        let isAck = index.method == .ack
        let forbidden = Way.answer(403, "Forbidden", .callsForbidden)
        if let token {
            var place = liveFlow(of: token) ?? table.find(token.contactID)
            if isMain, !hasToTag, place.map({ table[$0].state == .live }) != true {
                place = beside(place, token, bytes, uri, location: &location) ?? place
            }
            let present = place.flatMap { table[$0].state == .live ? table[$0].flow : nil }
            if isMain, !hasToTag, present == nil {
                // Our Path of a binding that is gone (RFC 5626 §5.3): nobody is called by it.
                return isAck ? .drop : .answer(430, "Flow Failed", .rejectFlowFailed)
            }
            if isMain, !hasToTag, let place, table[place].isUnreachable {
                return isAck ? .drop : .answer(480, "Temporarily Unavailable", .callsGone)
            }
            if isMain {
                guard let target = present ?? usableFlow(token) else {
                    return isAck ? .drop : .answer(430, "Flow Failed", .rejectFlowFailed)
                }
                return .toPhone(place, target, place.map { table[$0].id } ?? token.contactID)
            }
            let isPhone =
                flow.peer == token.peer || isBound(token.contactID, by: flow)
                || isEdge(flow.peer, of: token.peer)
            guard isPhone, hasToTag else { return isAck ? .drop : forbidden }
            return .toMain(token.contactID)
        }
        let isOurs = options.ownAddresses.contains(
            bytes.extracting(uri.host.start..<uri.host.end), port: uri.port)
        if let id {
            guard isMain else { return isAck ? .drop : forbidden }
            guard table.find(id) != nil else {
                counters.add(.callsOrphan)
                note(CoreEvent(.orphanCall, source: flow.peer))
                return isAck ? .drop : .answer(480, "Temporarily Unavailable", .callsGone)
            }
            // A temporary GRUU ends with the registration it was given for (RFC 5627 §5.3).
            guard registration.map({ isRegistered(id, by: $0) }) ?? true,
                let newest = table.liveFlows(of: id).newest
            else {
                return isAck ? .drop : .answer(480, "Temporarily Unavailable", .callsGone)
            }
            return .toPhone(newest, table[newest].flow, id)
        }
        if isOurs, let sharedKey {
            guard isMain else { return isAck ? .drop : forbidden }
            if reachable(sharedKey) != nil { return .toAOR(sharedKey) }
            if isAck { return .drop }
            return table.first(of: sharedKey) == nil
                ? .answer(404, "Not Found", .callsUnknownID)
                : .answer(480, "Temporarily Unavailable", .callsGone)
        }
        if isOurs {
            if index.method == .options, !uri.hasUser { return .options }
            // Phones that were given our address as their domain call users at it; the main
            // registrar knows them. What was meant for a contact ID is none of theirs.
            let isUser = uri.hasUser && bytes.parameter("ctid", in: uri.parameters) == nil
            if !isMain, isUser, let caller = phone(fromKey, flow) { return .toMain(caller) }
            if !isMain, isUser, options.edges.contains(flow.peer) { return .toMain(nil) }
            if isAck { return .drop }
            // The same to a stranger whether the ID exists or not.
            return isMain ? .answer(404, "Not Found", .callsUnknownID) : forbidden
        }
        if isMain { return isAck ? .drop : .answer(404, "Not Found", .rejectNotFound) }
        if let caller = phone(fromKey, flow) { return .toMain(caller) }
        if options.strangers == .main || options.edges.contains(flow.peer) { return .toMain(nil) }
        return isAck ? .drop : forbidden
    }

    /// The live flow by which a token's contact is reached: the one that the token names if it is
    /// still bound and the phone answers by it, else the one heard of last; one that does not answer
    /// if there is no other.
    private func liveFlow(of token: FlowToken) -> BindingIndex? {
        let flows = table.liveFlows(of: token.contactID)
        for number in 0..<flows.count {
            let flow = table[flows[number]].flow
            if flow.peer == token.peer, flow.socket == token.socket { return flows[number] }
        }
        return flows.newest
            ?? table.liveFlows(of: token.contactID, includingUnreachable: true).newest
    }

    private func isBound(_ id: ContactID, by flow: Flow) -> Bool {
        let flows = table.liveFlows(of: id, includingUnreachable: true)
        for number in 0..<flows.count {
            let binding = table[flows[number]]
            if binding.flow == flow { return true }
            if binding.flags.contains(.byEdge), isEdge(flow.peer, of: binding.flow.peer) {
                return true
            }
        }
        return false
    }

    /// Whether a flow of a contact is bound by the registration of a temporary GRUU.
    private func isRegistered(_ id: ContactID, by registration: UInt64) -> Bool {
        let flows = table.liveFlows(of: id, includingUnreachable: true)
        for number in 0..<flows.count
        where UInt64(table[flows[number]].callID) == registration {
            return true
        }
        return false
    }

    /// The binding a request-URI names beside the one whose token it came by: contacts of one
    /// REGISTER have one Path, which names the first of them.
    private mutating func beside<Location: LocationService & ~Copyable>(
        _ place: BindingIndex?, _ token: FlowToken, _ bytes: Span<UInt8>, _ uri: SIPURI,
        location: inout Location
    ) -> BindingIndex? {
        var aor = place.map { table[$0].aor }
        if aor == nil, let value = index.value(.to),
            let to = try? NameAddress(bytes, from: value.start, to: value.end),
            let toURI = try? SIPURI(bytes, to.uri)
        {
            aor = callerKey(bytes, toURI)
        }
        guard let aor else { return nil }
        var next = table.first(of: aor)
        while let other = next {
            next = table.next(after: other)
            guard table[other].state == .live, table[other].flow.peer == token.peer,
                table[other].flow.socket == token.socket
            else { continue }
            let isNamed = location.read(table[other].record) { fact -> Bool in
                let range = Fact.range(of: .contact, in: fact)
                guard let contact = try? NameAddress(fact, from: range.start, to: range.end),
                    let own = try? SIPURI(fact, contact.uri)
                else { return false }
                return SIPURI.equivalent(uri, in: bytes, own, in: fact)
            }
            if isNamed == true { return other }
        }
        return nil
    }

    /// The ID of a contact that was imported with the number in a request-URI.
    func importedID(_ bytes: Span<UInt8>, _ uri: SIPURI) -> ContactID? {
        guard !importedSteering.isEmpty,
            let number = MainContact.importedNumber(bytes, uri),
            let steering = importedSteering[number]
        else { return nil }
        return ContactID(imported: number, steering: SteeringBits(steering))
    }

    /// The AOR whose one contact a request-URI is.
    mutating func sharedKey(_ bytes: Span<UInt8>, _ uri: SIPURI) -> AORKey? {
        guard uri.scheme != .other,
            AddressOfRecord.read(userPart: uri.user, of: bytes, into: &sharedUser)
        else { return nil }
        return AORKey(sharedUser.span, under: options.keys)
    }

    private func hasSeveralReachable(_ key: AORKey) -> Bool {
        var count = 0
        var next = table.first(of: key)
        while let place = next {
            next = table.next(after: place)
            if table[place].state == .live, !table[place].isUnreachable { count += 1 }
        }
        return count > 1
    }

    /// The binding of an AOR that was heard of last.
    private func reachable(_ key: AORKey) -> BindingIndex? {
        var latest: BindingIndex?
        var next = table.first(of: key)
        while let place = next {
            next = table.next(after: place)
            guard table[place].state == .live, !table[place].isUnreachable else { continue }
            if let best = latest, table[best].lastHeard >= table[place].lastHeard { continue }
            latest = place
        }
        return latest
    }

    /// The binding whose flow a request of a phone came by.
    private func phone(_ key: AORKey?, _ flow: Flow) -> ContactID? {
        guard let key else { return nil }
        var next = table.first(of: key)
        while let place = next {
            let isIts =
                table[place].flow.peer == flow.peer
                || table[place].flags.contains(.byEdge)
                    && isEdge(flow.peer, of: table[place].flow.peer)
            if table[place].state == .live, isIts { return table[place].id }
            next = table.next(after: place)
        }
        return nil
    }

    /// A UDP flow named by a token is there as long as its socket is.
    private func usableFlow(_ token: FlowToken) -> Flow? {
        guard Int(token.socket) < options.sockets.count,
            options.sockets[Int(token.socket)].role != .own,
            options.sockets[Int(token.socket)].local.isIPv4 == token.peer.isIPv4
        else { return nil }
        return Flow(peer: token.peer, socket: token.socket)
    }

    // MARK: Writing

    private mutating func forwardToPhone<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ flow: Flow, _ place: BindingIndex?,
        _ target: Flow, _ id: ContactID, keepsURI: Bool, isInDialog: Bool, leavesOutRoute: Bool,
        following: SIPURI?, location: inout Location, outbox: inout Outbox
    ) {
        let hop = edgeHop(
            bytes, place, target, following: following, hasToken: keepsURI, location: &location)
        outbox.begin()
        if keepsURI {
            outbox.write(bytes, index.startLine)
        } else {
            // Back to the address the phone itself registered (the URI of its Contact).
            let record = place.map { table[$0].record } ?? .none
            let written = location.read(record) { fact -> Bool in
                let range = Fact.range(of: .contact, in: fact)
                guard
                    let contact = try? NameAddress(fact, from: range.start, to: range.end),
                    let uri = try? SIPURI(fact, contact.uri)
                else { return false }
                ForwardedRequest.writeStartLine(bytes, index, target: uri, in: fact, &outbox)
                return true
            }
            guard written == true else {
                outbox.abandon()
                refuse(
                    480, "Temporarily Unavailable", bytes, via, flow.peer, flow.socket,
                    .callsGone, &outbox)
                return
            }
        }
        writeOurVia(bytes, via, flow, from: target.socket, &outbox)
        if !isInDialog {
            writeRecordRoute(
                index.method,
                FlowToken(contactID: id, peer: target.peer, socket: target.socket), &outbox)
        }
        if let hop, hop.writesPath {
            RouteSet.write(path.span, path: ByteRange(0, path.count), &outbox)
        }
        var request = ForwardedRequest(source: flow.peer)
        request.leavesOutTopRoute = leavesOutRoute
        request.writeRest(bytes, index, &outbox)
        endForwarded(
            to: hop?.flow.peer ?? target.peer, from: target.socket, bytes, via, flow, &outbox)
    }

    private mutating func forwardToMain(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ flow: Flow, _ id: ContactID?, isInDialog: Bool,
        leavesOutRoute: Bool, _ outbox: inout Outbox
    ) {
        outbox.begin()
        outbox.write(bytes, index.startLine)
        writeOurVia(bytes, via, flow, from: options.mainSocket, &outbox)
        if !isInDialog, let id {
            writeRecordRoute(
                index.method,
                FlowToken(contactID: id, peer: flow.peer, socket: flow.socket), &outbox)
        }
        var request = ForwardedRequest(source: flow.peer)
        request.sourceHeader = options.sourceHeader
        request.leavesOutTopRoute = leavesOutRoute
        request.writeRest(bytes, index, &outbox)
        endForwarded(to: options.mainServer, from: options.mainSocket, bytes, via, flow, &outbox)
    }

    /// A branch that is a function of the request alone; CANCEL and non-2xx ACK get their INVITE's.
    private mutating func writeOurVia(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ flow: Flow, from socket: UInt16,
        _ outbox: inout Outbox
    ) {
        ReturnPath(peer: flow.peer, socket: flow.socket).write(to: &sealed)
        outbox.write("Via: SIP/2.0/UDP ")
        outbox.write(options.sockets[Int(socket)].advertised)
        outbox.write(";branch=")
        SealedVia.write(
            .request, SteeringBits(0), transaction: tag(bytes, via), body: sealed,
            under: options.keys, scratch: &scratch, to: &outbox)
        outbox.write(";rport\r\n")
    }

    /// Only what can form a dialog or a subscription needs to come back this way (§16.6 step 4).
    mutating func writeRecordRoute(
        _ method: Method, _ token: FlowToken, _ outbox: inout Outbox
    ) {
        switch method {
        case .invite, .subscribe, .refer, .notify, .other: break
        case .register, .ack, .cancel, .bye, .options, .message, .prack, .update, .info, .publish:
            return
        }
        outbox.write("Record-Route: <sip:")
        token.write(under: options.keys, scratch: &scratch, to: &outbox)
        outbox.write("@")
        outbox.write(options.contact.advertised)
        outbox.write(";lr>\r\n")
    }

    // MARK: Responses

    mutating func forwardResponse(
        _ bytes: Span<UInt8>, _ top: ViaValue, _ seal: SealedVia,
        carried: borrowing ByteBuffer, _ outbox: inout Outbox
    ) {
        guard
            let path = ReturnPath(carried.span.extracting(seal.body.start..<seal.body.end)),
            Int(path.socket) < options.sockets.count,
            let second = try? index.secondVia(bytes, after: top),
            seal.transaction == tag(bytes, second)
        else {
            counters.add(.droppedSealBroken)
            return
        }
        counters.add(.callResponses)
        outbox.begin()
        ForwardedResponse.write(bytes, index, top: top, &outbox)
        if !outbox.end(to: path.peer, from: path.socket) { counters.add(.droppedOutboxFull) }
    }
}
