public import Bytes
public import SIPMessage

/// Writes the best response of a response context back (RFC 3261 §16.7 steps 3, 6 to 9): without our
/// Via, a 503 as a 500, and a 401 or 407 with the challenges of all others behind its own.
///
/// ``begin(_:_:top:bytesMax:_:)`` with the best, ``add(_:_:_:)`` for each other 401 and 407 in the
/// order of arrival, ``finish(_:_:_:)`` with the best again.
public struct AggregatedResponse: BitwiseCopyable, Sendable {
    private let bytesMax: Int
    private var fields: Int
    /// Whether a challenge did not fit and was left out.
    public private(set) var leftOut = false

    /// Writes the header of the best up to its end.
    ///
    /// - Parameters:
    ///   - top: its topmost Via, which is ours.
    ///   - bytesMax: the longest message that may come of it; challenges that would make it longer
    ///     are left out.
    public static func begin(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, top: ViaValue,
        bytesMax: Int = MessageIndex.messageBytesMax, _ outbox: inout Outbox
    ) -> AggregatedResponse {
        ForwardedResponse.writeHead(bytes, index, top: top, &outbox)
        let rest = index.headerEnd.count + index.body.count
        return AggregatedResponse(
            bytesMax: bytesMax - rest, fields: top.isFollowed ? index.count : index.count - 1)
    }

    private init(bytesMax: Int, fields: Int) {
        self.bytesMax = bytesMax
        self.fields = fields
    }

    /// Writes the challenges of another response, byte for byte, but none that stands there already:
    /// branches that lead to one registrar bring the same.
    public mutating func add(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ outbox: inout Outbox
    ) {
        var number = 0
        while number < index.count {
            let field = index[number]
            number += 1
            guard field.name == .wwwAuthenticate || field.name == .proxyAuthenticate,
                !Self.has(outbox.open, bytes, field.line)
            else { continue }
            // The next hop is to read it with as many fields as we would.
            guard fields < MessageIndex.headersMax,
                outbox.openCount + field.line.count <= bytesMax
            else {
                leftOut = true
                continue
            }
            outbox.write(bytes, field.line)
            fields += 1
        }
    }

    /// Whether a field stands in a message, byte for byte.
    private static func has(
        _ message: Span<UInt8>, _ bytes: Span<UInt8>, _ line: ByteRange
    ) -> Bool {
        var at = 0
        while at + line.count <= message.count {
            if message.same(ByteRange(at, at + line.count), as: bytes, line) { return true }
            at = message.find(0x0A, 0x0A, 0x0A, 0x0A, from: at, to: message.count) + 1
        }
        return false
    }

    /// Writes the empty line and the body of the best.
    public func finish(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ outbox: inout Outbox
    ) {
        outbox.write(bytes, index.headerEnd)
        outbox.write(bytes, index.body)
    }
}

extension ForwardedResponse {
    /// Writes a final response's start line, a 503's as that of a 500, and its fields without our
    /// Via; neither the empty line nor the body.
    static func writeHead(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, top: ViaValue,
        _ outbox: inout Outbox
    ) {
        let status = UInt32(truncatingIfNeeded: index.statusCode)
        var copy = EditedCopy(from: index.startLine.start)
        if BestResponse.forwardedStatus(status) != status {
            outbox.write("SIP/2.0 500 Server Internal Error\r\n")
            copy.drop(index.startLine, bytes, &outbox)
        }
        dropTopVia(bytes, index, top, &copy, &outbox)
        copy.keep(upTo: index.headerEnd.start, bytes, &outbox)
    }
}
