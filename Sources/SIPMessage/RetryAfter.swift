public import Bytes

/// When to ask again (RFC 3261 §20.33): `120 (in a meeting) ;duration=3600`.
public struct RetryAfter: BitwiseCopyable, Sendable {
    public let seconds: UInt32
    /// With its outer parentheses; empty if there is none.
    public let comment: ByteRange
    /// How long the callee will be there from then on, in seconds; `nil` if that is not said.
    public let duration: UInt32?
    /// After the first semicolon, without it.
    public let parameters: ByteRange

    /// Reads all of `range`.
    ///
    /// - Throws: a ``SIPParseError`` at the first byte that cannot belong to it.
    public init(_ bytes: Span<UInt8>, _ range: ByteRange) throws(SIPParseError) {
        let end = range.end
        let first = bytes.skipSpace(from: range.start, to: end)
        var at = first
        while at < end, bytes[at].isDigit { at += 1 }
        seconds = try DeltaSeconds(bytes, ByteRange(first, at)).seconds
        at = bytes.skipSpace(from: at, to: end)
        if at < end, bytes[at] == UInt8(ascii: "(") {
            let close = try bytes.endOfComment(from: at, to: end)
            comment = ByteRange(at, close)
            at = bytes.skipSpace(from: close, to: end)
        } else {
            comment = .none
        }
        guard at < end else {
            duration = nil
            parameters = .none
            return
        }
        guard bytes[at] == UInt8(ascii: ";") else { throw SIPParseError(.number, at: at) }
        parameters = bytes.trimmed(ByteRange(at + 1, end))
        guard !parameters.isEmpty else { throw SIPParseError(.parameter, at: at) }
        var found: UInt32?
        var cursor = ParameterCursor(parameters)
        while let parameter = try cursor.next(bytes) {
            guard bytes.spellsIgnoringCase("duration", in: parameter.name) else { continue }
            guard found == nil, !parameter.value.isEmpty else {
                throw SIPParseError(.parameter, at: parameter.name.start)
            }
            found = try DeltaSeconds(bytes, parameter.value).seconds
        }
        duration = found
    }
}

extension MessageIndex {
    /// The Retry-After header field; `nil` if there is none (RFC 3261 §20.33).
    public func retryAfter(_ bytes: Span<UInt8>) throws(SIPParseError) -> RetryAfter? {
        guard let value = value(.retryAfter) else { return nil }
        return try RetryAfter(bytes, value)
    }
}

extension Span<UInt8> {
    /// The offset after the comment that opens at `start`; comments may stand in comments (RFC 3261
    /// §25.1 `comment`). Counted, not called again, so depth costs no stack.
    ///
    /// - Throws: `.parameter` at `start` if it does not close before `end`.
    func endOfComment(from start: Int, to end: Int) throws(SIPParseError) -> Int {
        var depth = 0
        var at = start
        while at < end {
            switch self[at] {
            case UInt8(ascii: "("): depth += 1
            case UInt8(ascii: ")"):
                depth -= 1
                if depth == 0 { return at + 1 }
            case UInt8(ascii: "\\"):
                guard at + 1 < end, self[at + 1] != 0x0D, self[at + 1] != 0x0A else {
                    throw SIPParseError(.parameter, at: at)
                }
                at += 1
            default: break
            }
            at += 1
        }
        throw SIPParseError(.parameter, at: start)
    }
}
