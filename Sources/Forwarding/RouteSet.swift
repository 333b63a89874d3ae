public import Bytes
public import SIPMessage

/// The way to a binding that was registered over edges: its whole Path, which becomes the Route of
/// what is sent there (RFC 3327 §5.3), before the Routes that came. The next hop is its first URI.
public enum RouteSet {
    /// Writes one Route field.
    ///
    /// - Parameter path: the value of a Path field, one or several addresses with commas.
    public static func write(
        _ bytes: Span<UInt8>, path: ByteRange, _ outbox: inout Outbox
    ) {
        guard !path.isEmpty else { return }
        outbox.write("Route: ")
        outbox.write(bytes, path)
        outbox.write("\r\n")
    }

    /// The first URI of a Path if it names a strict router, which is to get it as request-URI
    /// (RFC 3261 §16.6 step 6), and what then stays of the Path; `nil` if it has an `lr`, or is none
    /// that could.
    public static func strictRouter(
        _ bytes: Span<UInt8>, path: ByteRange
    ) -> (uri: SIPURI, rest: ByteRange)? {
        guard let first = try? NameAddress(bytes, from: path.start, to: path.end),
            let uri = try? SIPURI(bytes, first.uri), uri.scheme != .other,
            bytes.parameter("lr", in: uri.parameters) == nil
        else { return nil }
        let comma = bytes.skipSpace(from: first.whole.end, to: path.end)
        guard comma < path.end else { return (uri, .none) }
        return (uri, bytes.trimmed(ByteRange(comma + 1, path.end)))
    }

    /// The URI the request is sent to.
    ///
    /// - Throws: a ``SIPParseError`` where it cannot be read; `.uri` at one that is neither SIP nor
    ///   SIPS, or that has no `lr`: a strict router wants another request (RFC 3261 §16.6 step 6).
    public static func nextHop(
        _ bytes: Span<UInt8>, path: ByteRange
    ) throws(SIPParseError) -> SIPURI {
        let first = try NameAddress(bytes, from: path.start, to: path.end)
        let uri = try SIPURI(bytes, first.uri)
        // Of another scheme no parameters are read.
        guard bytes.parameter("lr", in: uri.parameters) != nil else {
            throw SIPParseError(.uri, at: uri.whole.start)
        }
        return uri
    }
}
