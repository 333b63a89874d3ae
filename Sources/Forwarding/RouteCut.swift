public import Bytes
internal import SIPMessage

/// What of a request's way goes on with it: where it is to end, and over which values of its Route.
///
/// Offsets of the request's bytes, so that a call keeps it beside them.
public struct RouteCut: Equatable, BitwiseCopyable, Sendable {
    /// Where the first value that goes on begins; past the end of everything if none does.
    let start: UInt32
    /// Where the second one begins.
    let second: UInt32
    /// Where the last one ends.
    let end: UInt32
    /// The request-URI, or the last Route where a strict router had put one of ours in its place.
    public let target: ByteRange
    /// The URI of the first value that goes on; empty if none does.
    public let following: ByteRange
    /// Whether the first value that goes on names a strict router: it has no `lr`.
    public let isStrict: Bool
    /// Whether maddr, port and transport of the target stay behind: they named us and nobody else.
    let isBare: Bool

    /// Everything goes on as it came.
    public static var nothing: RouteCut {
        RouteCut(
            start: 0, second: 0, end: .max, target: .none, following: .none, isStrict: false,
            isBare: false)
    }

    /// Without the first value that goes on, which has become the request-URI.
    public var withoutFirst: RouteCut {
        RouteCut(
            start: second, second: .max, end: end, target: target, following: .none,
            isStrict: false, isBare: isBare)
    }

    /// Writes the target as a request-URI, or as what stands in a Route.
    public func writeTarget(_ bytes: Span<UInt8>, _ outbox: inout Outbox) {
        guard isBare, let uri = try? SIPURI(bytes, target) else {
            outbox.write(bytes, target)
            return
        }
        var copy = EditedCopy(from: target.start)
        let hostPort = uri.parameters.isEmpty ? target.end : uri.parameters.start - 1
        copy.drop(ByteRange(uri.host.end, hostPort), bytes, &outbox)
        var cursor = ParameterCursor(uri.parameters)
        while let parameter = try? cursor.next(bytes) {
            let isLeft =
                bytes.spellsIgnoringCase("maddr", in: parameter.name)
                || bytes.spellsIgnoringCase("transport", in: parameter.name)
            if isLeft { copy.drop(parameter.whole, bytes, &outbox) }
        }
        copy.keep(upTo: target.end, bytes, &outbox)
    }

    /// Writes what goes on of one Route field, as it came.
    func write(_ bytes: Span<UInt8>, _ field: HeaderField, _ outbox: inout Outbox) {
        let from = max(field.value.start, Int(start))
        let to = min(field.value.end, Int(end))
        guard from < to else { return }
        guard to - from < field.value.count else {
            outbox.write(bytes, field.line)
            return
        }
        outbox.write("Route: ")
        outbox.write(bytes, ByteRange(from, to))
        outbox.write("\r\n")
    }
}
