public import Bytes
public import SIPMessage

/// Diversion fields (RFC 5806) of a branch that a redirect led to: the callee is told who was called,
/// the latest first, so they stand before those that came.
public enum Diversion {
    /// Writes one.
    ///
    /// - Parameters:
    ///   - uri: of who was called and redirects, without angle brackets.
    ///   - reason: one of RFC 5806's: a plain 3xx does not say why.
    public static func write(
        _ bytes: Span<UInt8>, _ uri: ByteRange, reason: StaticString = "unknown",
        _ outbox: inout Outbox
    ) {
        outbox.write("Diversion: <")
        outbox.write(bytes, uri)
        outbox.write(">;reason=")
        outbox.write(reason)
        outbox.write("\r\n")
    }
}

/// History-Info fields (RFC 7044) of a branch that a redirect led to: an entry for each target on the
/// way to it, behind those that came.
///
/// Branch n has the index of the request with `.n` behind it (§10.3), that of a request without any
/// is 1.
public struct HistoryInfo: BitwiseCopyable, Sendable {
    /// The index of the last entry; empty if there is no entry.
    private let last: ByteRange
    /// Whether a hop before us changed the request-URI without an entry.
    private let isGap: Bool

    /// Reads the entries of a request as it came.
    ///
    /// - Throws: a ``SIPParseError`` if they cannot be read: then none can be added.
    public init(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex
    ) throws(SIPParseError) {
        var last = ByteRange.none
        var uri = ByteRange.none
        var number = 0
        while number < index.count {
            let field = index[number]
            number += 1
            guard field.isNamed("history-info", bytes) else { continue }
            var at = field.value.start
            while true {
                let entry = try NameAddress(bytes, from: at, to: field.value.end)
                guard let value = bytes.parameter("index", in: entry.parameters),
                    Self.isIndex(bytes, value)
                else { throw SIPParseError(.parameter, at: entry.whole.start) }
                last = value
                uri = entry.uri
                at = bytes.skipSpace(from: entry.whole.end, to: field.value.end)
                guard at < field.value.end else { break }
                at += 1
            }
        }
        self.last = last
        isGap = last.isEmpty ? false : try !Self.leads(bytes, to: index.requestURI, uri)
    }

    /// Whether a URI, its headers aside (they are Reason and Privacy of the entry), is the other.
    private static func leads(
        _ bytes: Span<UInt8>, to requestURI: ByteRange, _ entry: ByteRange
    ) throws(SIPParseError) -> Bool {
        let whole = try SIPURI(bytes, entry)
        let end = whole.headers.isEmpty ? entry.end : whole.headers.start - 1
        return SIPURI.equivalent(
            try SIPURI(bytes, ByteRange(entry.start, end)), in: bytes,
            try SIPURI(bytes, requestURI), in: bytes)
    }

    /// Numbers with dots between them.
    private static func isIndex(_ bytes: Span<UInt8>, _ range: ByteRange) -> Bool {
        var isDigitBefore = false
        for at in range.start..<range.end {
            guard bytes[at].isDigit || bytes[at] == 0x2E && isDigitBefore else { return false }
            isDigitBefore = bytes[at].isDigit
        }
        return isDigitBefore
    }

    /// Writes the entries of the branch of a target.
    ///
    /// - Parameters:
    ///   - request: the request as it came, whose index this is.
    ///   - place: of the target, in `targets`, where all are that lead to it.
    public func write(
        _ request: Span<UInt8>, _ index: borrowing MessageIndex, target place: Int,
        of targets: borrowing TargetSet, _ outbox: inout Outbox
    ) {
        if last.isEmpty {
            // For the hop before us, which wrote none (§10.3).
            outbox.write("History-Info: <")
            outbox.write(request, index.requestURI)
            outbox.write(">;index=1\r\n")
        }
        var depth: UInt8 = 0
        while depth <= targets[place].origin.depth {
            // Up to the one of this depth, and the one below it, which says how it ended.
            var at = place
            var below: Int?
            while targets[at].origin.depth > depth,
                let parent = targets.place(ofBranch: targets[at].origin.parent)
            {
                below = at
                at = parent
            }
            if targets[at].origin.depth == depth {
                write(request, at, endedFor: below, of: targets, &outbox)
            }
            depth += 1
        }
    }

    private func write(
        _ request: Span<UInt8>, _ place: Int, endedFor below: Int?,
        of targets: borrowing TargetSet, _ outbox: inout Outbox
    ) {
        let target = targets[place]
        let end = target.uri.headers.isEmpty ? target.uri.whole.end : target.uri.headers.start - 1
        outbox.write("History-Info: <")
        outbox.write(targets.bytes, ByteRange(target.uri.whole.start, end))
        if let below {
            outbox.write("?Reason=SIP%3Bcause%3D")
            outbox.write(decimal: UInt64(targets[below].origin.status))
        }
        outbox.write(">;index=")
        writeIndex(request, branch: target.number, &outbox)
        switch target.origin.mapping {
        // A binding is a contact of who was called.
        case .unsaid where target.origin.depth == 0, .sameUser: outbox.write(";rc=")
        case .otherUser: outbox.write(";mp=")
        case .unsaid:
            outbox.write("\r\n")
            return
        }
        writeIndex(request, branch: target.origin.parent, &outbox)
        outbox.write("\r\n")
    }

    /// The index of a branch; of the request, for 0.
    private func writeIndex(_ request: Span<UInt8>, branch: UInt16, _ outbox: inout Outbox) {
        if last.isEmpty { outbox.write("1") } else { outbox.write(request, last) }
        if isGap { outbox.write(".0") }
        guard branch > 0 else { return }
        outbox.write(".")
        outbox.write(decimal: UInt64(branch))
    }
}
