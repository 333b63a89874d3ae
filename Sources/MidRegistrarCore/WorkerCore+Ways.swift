internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage

// Who may ask for what, and where that goes: decided before anything is written.
extension WorkerCore {
    /// The table of who may ask for what: contact IDs and flow tokens are the main side's, a
    /// dialog's token also its phone's, everything else a phone's towards the main registrar.
    mutating func way<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ uri: SIPURI, port: UInt16, token: FlowToken?, id: ContactID?,
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
            bytes.extracting(uri.host.start..<uri.host.end), port: port)
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
            if index.method == .options, !uri.hasUser { return .options(.optionsAnswered) }
            // Phones that were given our address as their domain call users at it; the main
            // registrar knows them. What was meant for a contact ID is none of theirs.
            let isUser = uri.hasUser && bytes.parameter("ctid", in: uri.parameters) == nil
            if !isMain, isUser, let caller = phone(fromKey, flow) {
                return wayOfPhone(bytes, uri, caller, hasToTag: hasToTag, isVouched: false)
            }
            if !isMain, isUser, options.edges.contains(flow.peer) { return .toMain(nil) }
            if isAck { return .drop }
            // The same to a stranger whether the ID exists or not.
            return isMain ? .answer(404, "Not Found", .callsUnknownID) : forbidden
        }
        if isMain { return isAck ? .drop : .answer(404, "Not Found", .rejectNotFound) }
        if let caller = phone(fromKey, flow) {
            return wayOfPhone(bytes, uri, caller, hasToTag: hasToTag, isVouched: false)
        }
        if options.strangers == .main || options.edges.contains(flow.peer) { return .toMain(nil) }
        return isAck ? .drop : forbidden
    }

    /// Where a phone's own request goes: to the main registrar, but for methods that stay here if a
    /// phone of the AOR that is called can be reached here. Only the owner of that AOR knows.
    ///
    /// - Parameter caller: `nil` if another worker has found who it is.
    mutating func wayOfPhone(
        _ bytes: Span<UInt8>, _ uri: SIPURI, _ caller: ContactID?, hasToTag: Bool, isVouched: Bool
    ) -> Way {
        guard options.localMethods.includes(index.method), !hasToTag, uri.hasUser,
            let key = callerKey(bytes, uri)
        else { return .toMain(caller) }
        let owner = key.steering.owner(among: options.workers)
        if options.workers > 1, owner != options.worker, !isVouched { return .elsewhere(owner) }
        guard reachable(key) != nil else { return .toMain(caller) }
        counters.add(.callsLocal)
        return .toAOR(key)
    }

    /// What an OPTIONS of the main side to a phone is answered in its place.
    func qualified(_ way: Way) -> Way {
        switch way {
        case .toPhone, .toAOR: return .options(.qualifyReachable)
        case .answer(430, _, _), .answer(480, _, _):
            return .answer(480, "Temporarily Unavailable", .qualifyGone)
        case .toMain, .answer, .options, .elsewhere, .drop: return way
        }
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
                guard let (_, own) = Fact.contact(in: fact) else { return false }
                return SIPURI.equivalent(uri, in: bytes, own, in: fact)
            }
            if isNamed == true { return other }
        }
        return nil
    }

    /// Whether a binding is the newest flow of its contact that can be reached: a contact is called, and
    /// told of, once (RFC 5626 §7).
    func isNewestFlow(_ place: BindingIndex) -> Bool {
        table[place].state == .live && table.liveFlows(of: table.id(place)).newest == place
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

    func hasSeveralReachable(_ key: AORKey) -> Bool {
        var count = 0
        var next = table.first(of: key)
        while let place = next {
            next = table.next(after: place)
            if table[place].state == .live, !table[place].isUnreachable { count += 1 }
        }
        return count > 1
    }

    /// The binding of an AOR that was heard of last.
    func reachable(_ key: AORKey) -> BindingIndex? {
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
}
