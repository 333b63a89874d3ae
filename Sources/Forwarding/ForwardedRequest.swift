public import Bytes
public import SIPMessage

/// Writes a request as it goes to its next hop (RFC 3261 §16.6): what is not named here stays as it
/// came, byte for byte.
public struct ForwardedRequest: Sendable {
    /// What of the Route goes on (§16.4).
    public var route = RouteCut.nothing
    public var source: TransportAddress
    /// Says where the request came from; what a phone wrote under its name stays behind.
    public var sourceHeader: SourceHeader?
    /// Whether P-Asserted-Identity stays behind: its sender is a phone, which may assert nothing to
    /// other phones (RFC 3325 §5).
    public var leavesOutIdentity = false
    /// The branch's share of Max-Breadth, in place of what came (RFC 5393 §5.3.3); `nil` leaves it.
    public var maxBreadth: UInt32?
    /// What its Contact is to name in place of an address that leads nowhere, see ``ContactFix``.
    public var contact: TransportAddress?

    public init(source: TransportAddress) { self.source = source }

    /// Writes the start line with a target of the target set as request-URI (§16.6 step 2).
    public static func writeStartLine(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, target: SIPURI,
        in targetBytes: Span<UInt8>, _ outbox: inout Outbox
    ) {
        beginStartLine(bytes, index, &outbox)
        writeURI(target, in: targetBytes, &outbox)
        endStartLine(&outbox)
    }

    /// Begins a start line: the request-URI is to follow.
    public static func beginStartLine(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ outbox: inout Outbox
    ) {
        outbox.write(bytes, index.methodName)
        outbox.write(" ")
    }

    public static func endStartLine(_ outbox: inout Outbox) { outbox.write(" SIP/2.0\r\n") }

    /// Writes a URI without what a registered one, or one of a Route, may have but a request-URI may
    /// not: headers and `method` (§19.1.1 table 1).
    public static func writeURI(
        _ target: SIPURI, in targetBytes: Span<UInt8>, _ outbox: inout Outbox
    ) {
        var copy = EditedCopy(from: target.whole.start)
        var cursor = ParameterCursor(target.parameters)
        while let parameter = try? cursor.next(targetBytes) {
            if targetBytes.spellsIgnoringCase("method", in: parameter.name) {
                copy.drop(parameter.whole, targetBytes, &outbox)
            }
        }
        let end = target.headers.isEmpty ? target.whole.end : target.headers.start - 1
        copy.keep(upTo: end, targetBytes, &outbox)
    }

    /// Writes everything behind our Via and Record-Route.
    public func writeRest(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ outbox: inout Outbox
    ) {
        writeFields(bytes, index, &outbox)
        Self.writeEnd(bytes, index, &outbox)
    }

    /// Writes the empty line and the body.
    public static func writeEnd(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ outbox: inout Outbox
    ) {
        outbox.write(bytes, index.headerEnd)
        outbox.write(bytes, index.body)
    }

    /// Writes the fields behind our Via and Record-Route, for whoever has more to put behind them.
    public func writeFields(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ outbox: inout Outbox
    ) {
        var isTopVia = true
        if !index.has(.maxForwards) { outbox.write("Max-Forwards: 70\r\n") }
        sourceHeader?.write(source, &outbox)
        if let maxBreadth { MaxBreadth.write(maxBreadth, &outbox) }
        let fixed = contact.flatMap { ContactFix.range(bytes, index, observed: $0) }
        var number = 0
        while number < index.count {
            let field = index[number]
            number += 1
            switch field.name {
            case .contact:
                guard let contact, let fixed, fixed.start > field.line.start,
                    fixed.end < field.line.end
                else {
                    outbox.write(bytes, field.line)
                    break
                }
                ContactFix.write(bytes, field, fixed, contact, &outbox)
            case .via where isTopVia:
                isTopVia = false
                ResponseWriter.writeStamped(bytes, field, source, &outbox)
            case .maxForwards: MaxForwards.writeLowered(bytes, field, &outbox)
            case .route: route.write(bytes, field, &outbox)
            default:
                if let sourceHeader, sourceHeader.isNamed(bytes, by: field) { break }
                if leavesOutIdentity, field.isNamed("p-asserted-identity", bytes) { break }
                if maxBreadth != nil, MaxBreadth.isIn(field, bytes) { break }
                outbox.write(bytes, field.line)
            }
        }
    }
}

/// Writes a response as it goes back: without our Via, all else as it came (§16.7, §16.11).
public enum ForwardedResponse {
    /// - Parameter contact: what its Contact is to name, see ``ContactFix``.
    public static func write(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, top: ViaValue,
        contact: TransportAddress? = nil, _ outbox: inout Outbox
    ) {
        guard index.has(.via) else { return }
        var copy = EditedCopy(from: index.startLine.start)
        let fixed = contact.flatMap { ContactFix.range(bytes, index, observed: $0) }
        if let contact, let fixed, fixed.start < top.whole.start {
            copy.drop(fixed, bytes, &outbox)
            outbox.write(contact)
        }
        dropTopVia(bytes, index, top, &copy, &outbox)
        if let contact, let fixed, fixed.start > top.whole.start {
            copy.drop(fixed, bytes, &outbox)
            outbox.write(contact)
        }
        let end = index.body.isEmpty ? index.headerEnd.end : index.body.end
        copy.keep(upTo: end, bytes, &outbox)
    }

    static func dropTopVia(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ top: ViaValue,
        _ copy: inout EditedCopy, _ outbox: inout Outbox
    ) {
        guard let first = index.first(.via) else { return }
        let field = index[first]
        if top.isFollowed {
            let comma = bytes.skipSpace(from: top.whole.end, to: field.value.end)
            let next = bytes.skipSpace(from: comma + 1, to: field.value.end)
            copy.drop(ByteRange(top.whole.start, next), bytes, &outbox)
        } else {
            copy.drop(field.line, bytes, &outbox)
        }
    }
}

/// Where the response to a request goes: sealed into our Via, so that no Via of somebody else's
/// decides it.
public struct ReturnPath: Equatable, Sendable {
    public let peer: TransportAddress
    public let socket: UInt16

    public init(peer: TransportAddress, socket: UInt16) {
        self.peer = peer
        self.socket = socket
    }

    public func write(to buffer: inout ByteBuffer) {
        buffer.clear()
        buffer.append(eight: peer.high)
        buffer.append(eight: peer.low)
        buffer.append(two: peer.port)
        buffer.append(two: socket)
    }

    public init?(_ bytes: Span<UInt8>) {
        guard bytes.count == 20 else { return nil }
        peer = TransportAddress(
            high: bytes.load64(at: 0), low: bytes.load64(at: 8), port: bytes.two(at: 16))
        socket = bytes.two(at: 18)
    }
}
