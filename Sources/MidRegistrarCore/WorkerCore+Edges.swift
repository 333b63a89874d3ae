internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage

// Requests that come through another proxy: an edge of ours, whose Via and Path tell of the phone, or
// anybody, whose do not.
extension WorkerCore {
    /// How the REGISTER at hand came.
    enum Passage {
        /// From its phone, by all it says: one Via, no Path.
        case direct
        /// Through an edge.
        case edge
        /// Through others: never absorbed, its Path not kept.
        case others
    }

    /// Finds how the REGISTER at hand came, and takes in what an edge says of the way behind it.
    ///
    /// An edge with one Via and without a Path is the phone itself, as far as can be told.
    ///
    /// - Throws: for the Path of an edge that cannot be read, or kept.
    mutating func readPassage(
        _ bytes: Span<UInt8>, _ via: ViaValue, from source: TransportAddress
    ) throws(SIPParseError) {
        passage = .direct
        way = 0
        path.clear()
        let hasPath = index.has(.path)
        guard index.viaFields > 1 || via.isFollowed || hasPath else { return }
        guard options.edges.contains(source) else {
            passage = .others
            if hasPath { counters.add(.pathFromNoEdge) }
            return
        }
        passage = .edge
        if hasPath {
            do throws(SIPParseError) {
                try readPath(bytes)
            } catch {
                counters.add(error.reason == .lineTooLong ? .pathTooLong : .pathMalformed)
                throw error
            }
        }
        way = fingerprints.way(
            bytes, path: path.span, last: try index.lastVia(bytes, top: via))
    }

    /// Puts the values of all Path fields into `path`, with commas between them (RFC 3327 §4).
    private mutating func readPath(_ bytes: Span<UInt8>) throws(SIPParseError) {
        var cursor = AddressCursor(.path, of: index)
        while let hop = try cursor.next(bytes, index) {
            guard hop.isBracketed else { throw SIPParseError(.address, at: hop.whole.start) }
            let uri = try SIPURI(bytes, hop.uri)
            guard uri.scheme != .other else { throw SIPParseError(.uri, at: hop.uri.start) }
            try checkNoHeaders(uri)
        }
        var number = 0
        while number < index.count {
            let field = index[number]
            number += 1
            guard field.name == .path else { continue }
            if !path.isEmpty { path.append(", ") }
            path.append(bytes, field.value)
            guard !path.overflowed else { throw SIPParseError(.lineTooLong, at: field.value.start) }
        }
    }

    /// The Path that an answer of our own repeats to an edge that asked for it (RFC 3327 §5.3), our
    /// own above it where the main registrar has it so.
    mutating func repeatPath(_ bytes: Span<UInt8>, _ own: FlowToken?, _ outbox: inout Outbox) {
        guard passage == .edge, !path.isEmpty, supports("path", bytes) else { return }
        outbox.write("Path: ")
        if mainContact(for: mode).placement == .path, let own {
            writePathURI(own, isOutbound: false, &outbox)
            outbox.write(", ")
        }
        outbox.write(path.span)
        outbox.write("\r\n")
    }

    // MARK: Calls

    /// Where a request to a phone behind an edge goes next.
    struct EdgeHop {
        let flow: Flow
        /// Whether the Path stands in `path`, and becomes the Route.
        let writesPath: Bool
    }

    /// The next hop towards a binding that came through an edge; `nil` for any other.
    ///
    /// Its Path is the Route set, unless the main registrar or the dialog has brought one. The first
    /// of it is the next hop if that is an edge that UDP reaches; everything else, and a Path that
    /// names its host, goes where the REGISTER came from. So a call goes to an edge, or not.
    ///
    /// - Parameter following: the URI of the Route behind our own; empty if there is none.
    mutating func edgeHop<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ place: BindingIndex?, _ flow: Flow, following: ByteRange,
        hasToken: Bool, location: inout Location
    ) -> EdgeHop? {
        guard let place, table[place].flags.contains(.byEdge) else { return nil }
        if hasToken, let following = try? SIPURI(bytes, following) {
            return EdgeHop(flow: self.flow(to: following, bytes, from: flow), writesPath: false)
        }
        path.clear()
        _ = location.read(table[place].record) { fact in
            path.append(fact, Fact.range(of: .path, in: fact))
        }
        guard !path.isEmpty, !path.overflowed else {
            return EdgeHop(flow: flow, writesPath: false)
        }
        guard options.edges.contains(flow.peer) else {
            counters.add(.pathOfFormerEdge)
            return EdgeHop(flow: flow, writesPath: false)
        }
        var next = flow
        if let hop = try? NameAddress(path.span, from: 0, to: path.count),
            let uri = try? SIPURI(path.span, hop.uri)
        {
            next = self.flow(to: uri, path.span, from: flow)
        }
        return EdgeHop(flow: next, writesPath: true)
    }

    /// To the edge that a URI names, from the socket of a flow; else that flow.
    private func flow(to uri: SIPURI, _ bytes: Span<UInt8>, from flow: Flow) -> Flow {
        guard uri.scheme == .sip,
            let address = TransportAddress(
                host: bytes.extracting(uri.host.start..<uri.host.end),
                port: uri.port == 0 ? 5_060 : uri.port),
            address.isIPv4 == flow.peer.isIPv4, options.edges.contains(address)
        else { return flow }
        if let transport = bytes.parameter("transport", in: uri.parameters),
            !bytes.spellsIgnoringCase("udp", in: transport)
        {
            return flow
        }
        return Flow(peer: address, socket: flow.socket)
    }

    /// Whether a request came from the edge that a flow belongs to, whatever its port.
    func isEdge(_ source: TransportAddress, of flow: TransportAddress) -> Bool {
        source.sameHost(as: flow) && options.edges.contains(source)
    }
}
