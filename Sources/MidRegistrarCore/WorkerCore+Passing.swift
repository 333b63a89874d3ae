internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage

// Requests and responses that are passed on without state (RFC 3261 §16.11).
extension WorkerCore {
    mutating func forwardToPhone<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ flow: Flow, _ place: BindingIndex?,
        _ target: Flow, _ id: ContactID, keepsURI: Bool, isInDialog: Bool, _ route: RequestRoute,
        location: inout Location, outbox: inout Outbox
    ) {
        let cut = route.cut(leavesOutTop: false)
        let hop = edgeHop(
            bytes, place, target, following: cut.following, hasToken: keepsURI,
            location: &location)
        let strict = strictHop(
            bytes, cut, overPath: hop?.writesPath ?? false, toMain: false)
        // Back to the address the phone itself registered (the URI of its Contact).
        let contact = keepsURI ? nil : place.map { table[$0].record } ?? RecordNumber.none
        outbox.begin()
        ForwardedRequest.beginStartLine(bytes, index, &outbox)
        if let strict {
            strict.writeURI(bytes, path.span, &outbox)
        } else if !writeTarget(bytes, cut, contact, location: &location, &outbox) {
            outbox.abandon()
            refuse(
                480, "Temporarily Unavailable", bytes, via, flow.peer, flow.socket,
                .callsGone, &outbox)
            return
        }
        ForwardedRequest.endStartLine(&outbox)
        writeOurVia(bytes, via, flow, from: target.socket, &outbox)
        if !isInDialog {
            writeRecordRoute(
                index.method,
                FlowToken(contactID: id, peer: target.peer, socket: target.socket),
                towardsMain: false, &outbox)
        }
        if let hop, hop.writesPath {
            RouteSet.write(path.span, path: strict?.path ?? ByteRange(0, path.count), &outbox)
        }
        var request = ForwardedRequest(source: flow.peer)
        request.route = strict?.cut ?? cut
        request.leavesOutIdentity = !options.mainSide.contains(flow.peer)
        request.writeFields(bytes, index, &outbox)
        if strict != nil {
            outbox.write("Route: <")
            _ = writeTarget(bytes, cut, contact, location: &location, &outbox)
            outbox.write(">\r\n")
        }
        ForwardedRequest.writeEnd(bytes, index, &outbox)
        endForwarded(
            to: hop?.flow.peer ?? target.peer, from: target.socket, bytes, via, flow, &outbox)
    }

    mutating func forwardToMain(
        _ bytes: Span<UInt8>, _ via: ViaValue, _ flow: Flow, _ id: ContactID?, isInDialog: Bool,
        _ route: RouteCut, _ outbox: inout Outbox
    ) {
        let strict = strictHop(bytes, route, overPath: false, toMain: true)
        outbox.begin()
        ForwardedRequest.beginStartLine(bytes, index, &outbox)
        if let strict {
            strict.writeURI(bytes, path.span, &outbox)
        } else {
            route.writeTarget(bytes, &outbox)
        }
        ForwardedRequest.endStartLine(&outbox)
        writeOurVia(bytes, via, flow, from: options.mainSocket, &outbox)
        if !isInDialog, let id {
            writeRecordRoute(
                index.method,
                FlowToken(contactID: id, peer: flow.peer, socket: flow.socket),
                towardsMain: true, &outbox)
        }
        var request = ForwardedRequest(source: flow.peer)
        request.sourceHeader = options.sourceHeader
        request.contact = observed(ofRequest: index, via, id, flow)
        request.route = strict?.cut ?? route
        request.writeFields(bytes, index, &outbox)
        if strict != nil {
            outbox.write("Route: <")
            route.writeTarget(bytes, &outbox)
            outbox.write(">\r\n")
        }
        ForwardedRequest.writeEnd(bytes, index, &outbox)
        endForwarded(to: options.mainServer, from: options.mainSocket, bytes, via, flow, &outbox)
    }

    /// A next hop that wants its own URI as request-URI, and the target behind all Routes (RFC 3261
    /// §16.6 step 6): the first Route that is left has no `lr`.
    struct StrictHop {
        private let uri: SIPURI
        private let isInPath: Bool
        /// What of the edge's Path, and of the request's own Route, stays.
        let path: ByteRange
        let cut: RouteCut

        fileprivate init(ofPath uri: SIPURI, rest: ByteRange, _ cut: RouteCut) {
            (self.uri, isInPath, path, self.cut) = (uri, true, rest, cut)
        }

        fileprivate init(ofRoute uri: SIPURI, _ cut: RouteCut) {
            (self.uri, isInPath, path, self.cut) = (uri, false, .none, cut)
        }

        func writeURI(_ bytes: Span<UInt8>, _ path: Span<UInt8>, _ outbox: inout Outbox) {
            ForwardedRequest.writeURI(uri, in: isInPath ? path : bytes, &outbox)
        }
    }

    /// - Parameters:
    ///   - overPath: whether the Path that stands in `path` comes before the Route.
    ///   - toMain: whether it goes to the main registrar, as everything of a phone's does: then a router
    ///     that Route names by another's address is not the next hop, and what it needs is the main
    ///     registrar's to write (§16.6 step 6).
    func strictHop(
        _ bytes: Span<UInt8>, _ cut: RouteCut, overPath: Bool, toMain: Bool
    ) -> StrictHop? {
        if overPath {
            return RouteSet.strictRouter(path.span, path: ByteRange(0, path.count)).map {
                StrictHop(ofPath: $0.uri, rest: $0.rest, cut)
            }
        }
        guard cut.isStrict, let uri = try? SIPURI(bytes, cut.following) else { return nil }
        if toMain,
            let router = TransportAddress(
                host: bytes.extracting(uri.host.start..<uri.host.end),
                port: uri.port == 0 ? 5_060 : uri.port),
            !options.mainSide.contains(router)
        {
            return nil
        }
        return StrictHop(ofRoute: uri, cut.withoutFirst)
    }

    /// Writes the URI a request to a phone is for: the one it came with, or the one that the phone
    /// registered; `false` if there is none.
    ///
    /// - Parameter contact: where that one stands; `nil` for the one it came with.
    func writeTarget<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ cut: RouteCut, _ contact: RecordNumber?,
        location: inout Location, _ outbox: inout Outbox
    ) -> Bool {
        guard let contact else {
            cut.writeTarget(bytes, &outbox)
            return true
        }
        let isWritten = location.read(contact) { fact -> Bool in
            guard let (_, uri) = Fact.contact(in: fact) else { return false }
            ForwardedRequest.writeURI(uri, in: fact, &outbox)
            return true
        }
        return isWritten == true
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
    ///
    /// Each side gets the address by which it can reach us: the phone that of the listener its flow
    /// came by, the main registrar the one it has for all our contacts. Where they differ, two values
    /// are written (RFC 5658 §5), that of the side the request goes to above: it stands first in the
    /// route set there, and last in that of the other side. Both have the token, since each may be the
    /// topmost Route of what comes back.
    mutating func writeRecordRoute(
        _ method: Method, _ token: FlowToken, towardsMain: Bool, _ outbox: inout Outbox
    ) {
        switch method {
        case .invite, .subscribe, .refer, .notify, .other: break
        case .register, .ack, .cancel, .bye, .options, .message, .prack, .update, .info, .publish:
            return
        }
        let phone = options.sockets[Int(token.socket)].advertised
        let main = options.contact.advertised
        writeRecordRoute(token, at: towardsMain ? main : phone, &outbox)
        if phone != main { writeRecordRoute(token, at: towardsMain ? phone : main, &outbox) }
    }

    private mutating func writeRecordRoute(
        _ token: FlowToken, at address: TransportAddress, _ outbox: inout Outbox
    ) {
        outbox.write("Record-Route: <sip:")
        token.write(under: options.keys, scratch: &scratch, to: &outbox)
        outbox.write("@")
        outbox.write(address)
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
