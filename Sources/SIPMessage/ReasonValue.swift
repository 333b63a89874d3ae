public import Bytes

/// Why a request was sent (RFC 3326): `SIP ;cause=200 ;text="Call completed elsewhere"`.
public struct ReasonValue: BitwiseCopyable, Sendable {
    public let whole: ByteRange
    /// `SIP`, `Q.850` or any other token.
    public let namedProtocol: ByteRange
    /// `nil` if none is given; above 2³² − 1 is refused.
    public let cause: UInt32?
    /// With its quotes; empty if none is given.
    public let text: ByteRange
    /// After the first semicolon, without it.
    public let parameters: ByteRange

    /// Reads all of `range` as one value.
    ///
    /// - Throws: a ``SIPParseError`` at the first byte that cannot belong to it.
    public init(_ bytes: Span<UInt8>, _ range: ByteRange) throws(SIPParseError) {
        let first = bytes.skipSpace(from: range.start, to: range.end)
        let nameEnd = bytes.endOfToken(from: first, to: range.end)
        namedProtocol = ByteRange(first, nameEnd)
        guard nameEnd > first else { throw SIPParseError(.reason, at: first) }
        let at = bytes.skipSpace(from: nameEnd, to: range.end)
        whole = bytes.trimmed(range)
        guard at < range.end else {
            cause = nil
            text = .none
            parameters = .none
            return
        }
        guard bytes[at] == UInt8(ascii: ";") else { throw SIPParseError(.reason, at: at) }
        parameters = bytes.trimmed(ByteRange(at + 1, range.end))
        guard !parameters.isEmpty else { throw SIPParseError(.parameter, at: at) }
        var causeFound: UInt32?
        var textFound = ByteRange.none
        var cursor = ParameterCursor(parameters)
        while let parameter = try cursor.next(bytes) {
            let isCause = bytes.spellsIgnoringCase("cause", in: parameter.name)
            let isText = bytes.spellsIgnoringCase("text", in: parameter.name)
            // Each at most once: of two, one reader would believe the other.
            let isAgain = isCause && causeFound != nil || isText && !textFound.isEmpty
            guard !isAgain, !parameter.value.isEmpty || !isCause else {
                throw SIPParseError(.parameter, at: parameter.name.start)
            }
            if isCause {
                causeFound = UInt32(
                    try bytes.number(in: parameter.value, max: UInt64(UInt32.max)))
            } else if isText {
                guard !parameter.value.isEmpty,
                    bytes[parameter.value.start] == UInt8(ascii: "\"")
                else { throw SIPParseError(.parameter, at: parameter.name.start) }
                textFound = parameter.value
            }
        }
        cause = causeFound
        text = textFound
    }
}

/// Walks over all reasons of a message, of several fields and of comma lists. The same protocol may
/// come again: RFC 3326 §2 says no, RFC 9366 says yes, and nothing hangs on which is the first.
public struct ReasonCursor: BitwiseCopyable, Sendable {
    private var cursor: ListCursor

    public init(of index: borrowing MessageIndex) { cursor = ListCursor(.reason, of: index) }

    /// The next reason; `nil` after the last.
    public mutating func next(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex
    ) throws(SIPParseError) -> ReasonValue? {
        guard let element = try cursor.next(bytes, index) else { return nil }
        return try ReasonValue(bytes, element)
    }
}
