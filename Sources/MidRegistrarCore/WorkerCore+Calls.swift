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
        /// 200 to OPTIONS: of ours, or in a phone's place.
        case options(Counter)
        /// A phone's request that is for the phones of another worker.
        case elsewhere(Int)
        case drop
    }

    mutating func receiveRequest<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, length: Int, _ via: ViaValue, from source: TransportAddress,
        socket: UInt16, now: Instant, mayHandOver: Bool, isVouched: Bool,
        location: inout Location, outbox: inout Outbox
    ) -> Disposition {
        let uri: SIPURI
        let route: RequestRoute
        let from: SIPURI
        let toTag: ByteRange
        do throws(SIPParseError) {
            let requestURI = try SIPURI(bytes, index.requestURI)
            try checkNoHeaders(requestURI)
            guard let fromValue = index.value(.from), let toValue = index.value(.to) else {
                throw SIPParseError(.missingHeader, at: 0)
            }
            let address = try NameAddress(bytes, from: fromValue.start, to: fromValue.end)
            from = try SIPURI(bytes, address.uri)
            let to = try NameAddress(bytes, from: toValue.start, to: toValue.end)
            _ = try SIPURI(bytes, to.uri)
            toTag = to.tag
            let local = options.sockets[Int(socket)]
            route = try RequestRoute(
                bytes, index, for: requestURI,
                at: .init(port: local.local.port, advertisedPort: local.advertised.port),
                own: options.ownAddresses, under: options.keys, scratch: &scratch)
            uri = route.target
            try checkNoHeaders(uri)
        } catch {
            refuse(error, bytes, via, source, socket, &outbox)
            return .done
        }

        let hasToTag = !toTag.isEmpty
        let token = route.token
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
        if options.workers > 1, !isVouched {
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
        var way =
            isVouched
            ? wayOfPhone(bytes, uri, nil, hasToTag: hasToTag, isVouched: true)
            : way(
                bytes, uri, port: route.targetPort, token: token, id: id,
                registration: temporary?.registration, sharedKey: sharedKey, fromKey: fromKey,
                hasToTag: hasToTag, flow, location: &location)
        if case .elsewhere(let owner) = way { return .handOverVouched(to: owner) }
        if options.answersQualify, index.method == .options, !hasToTag,
            options.mainSide.contains(source)
        {
            way = qualified(way)
        }
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
                route: route.cut(leavesOutTop: isToMain(way) && route.mayBeOurs), now: now,
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
        case .answer, .options, .elsewhere, .drop: break
        }
        switch way {
        case .answer(let code, let reason, let counter):
            refuse(code, reason, bytes, via, source, socket, counter, &outbox)
        case .drop, .elsewhere: counters.add(.droppedAck)
        case .options(let counter):
            counters.add(counter)
            outbox.begin()
            ResponseWriter.begin(
                200, "OK", to: bytes, index, source: source, toTag: tag(bytes, via), &outbox)
            outbox.write("Allow: REGISTER, INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE\r\n")
            ResponseWriter.finish(&outbox)
            if !outbox.end(to: source, from: socket) { counters.add(.droppedOutboxFull) }
        case .toPhone(let place, let target, let id):
            forwardToPhone(
                bytes, via, flow, place, target, id, keepsURI: token != nil,
                isInDialog: hasToTag, route, location: &location, outbox: &outbox)
        case .toMain(let id):
            forwardToMain(
                bytes, via, flow, id, isInDialog: hasToTag,
                // A phone that has us as its outbound proxy names us here, by a name that we need not
                // know; passed on, it would send the main registrar's copy back to us. An address we
                // do know, so another's stays where it is (§16.4).
                route.cut(leavesOutTop: route.mayBeOurs && !hasToTag), &outbox)
        case .toAOR(let key):
            guard let place = reachable(key) else { return .done }
            forwardToPhone(
                bytes, via, flow, place, table[place].flow, table[place].id, keepsURI: false,
                isInDialog: hasToTag, route, location: &location, outbox: &outbox)
        }
        return .done
    }

    /// Whether a request outside a dialog gets transactions.
    private func opensCall(_ way: Way) -> Bool {
        switch way {
        case .answer, .options, .elsewhere, .drop: return false
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
        case .answer, .options, .elsewhere, .drop: return
        }
        if index.method == .cancel { counters.add(.callsCancel) }
        if index.method == .ack { counters.add(.callsAck) }
    }

    /// The AOR of an address: of the caller, by which a phone's own requests are steered: only the owner of its
    /// bindings can tell a phone from a stranger.
    mutating func callerKey(_ bytes: Span<UInt8>, _ from: SIPURI) -> AORKey? {
        aorText.clear()
        guard (try? AddressOfRecord.write(bytes, from, to: &aorText)) != nil else { return nil }
        return AORKey(aorText.span, under: options.keys)
    }
}
