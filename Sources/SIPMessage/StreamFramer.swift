internal import Bytes

/// Finds where messages end in the bytes of a stream (RFC 3261 §18.3), and the keep-alives between
/// them (RFC 5626 §3.5.1).
///
/// It works over the caller's buffer and remembers how far it has looked, so that bytes may come one
/// by one and each is looked at a fixed number of times. It reads no more of a message than its end
/// hangs on: line ends and Content-Length, both by ``MessageParser``'s rules. What it cuts out, the
/// parser reads as if it had come as a datagram, and takes or refuses for the same reasons.
///
///     while true {
///         let rest = buffer.extracting(used...)
///         switch framer.next(rest, count: filled - used) {
///         case .needsMore: …read on
///         case .keepAlive(let length, let pings): …a CRLF for each ping; used += length
///         case .message(let length): …parser.parse(rest, length: length, …); used += length
///         case .bad(let error): …400 if the parser finds a Via, then close
///         }
///     }
public struct StreamFramer: BitwiseCopyable, Sendable {
    /// The longest message, in bytes: as long as the rooms above take as a datagram, so that what
    /// comes by stream can be passed on between workers and written to the outbox like any other.
    public static let messageBytesMax = MessageIndex.messageBytesMax

    public enum Step: Equatable, Sendable {
        /// All is right so far; call again with the same bytes and more behind them.
        case needsMore
        /// Line ends between messages. A pair of CRLF is a ping, which is answered with one CRLF; a
        /// single one is a pong, or noise that RFC 3261 §7.5 bids us ignore.
        ///
        /// Two pongs look like a ping however much time lies between them. Who sends pings itself
        /// takes any keep-alive as the answer and does not answer it.
        case keepAlive(length: Int, pings: Int)
        /// A whole message: the first `length` bytes.
        case message(length: Int)
        /// There is no telling where the next message begins. Every later step says the same.
        ///
        /// A length that is missing, wrong, doubled or too large is told when the header is there in
        /// full, so that it can be answered from it.
        case bad(SIPParseError)
    }

    private enum Part: BitwiseCopyable { case between, startLine, fields, body, refused }

    private var part = Part.between
    /// Whether the last thing was a CRLF that is half a ping if another follows.
    private var isHalfPing = false
    /// Whether the field that is being read is the Content-Length.
    private var isLengthOpen = false
    /// Bytes before this were looked at; in the body, where the message ends.
    private var at = 0
    private var lineStart = 0
    private var fields = 0
    /// Where the Content-Length's value lies, white space and folds included; none starts at 0.
    private var lengthStart = 0
    private var lengthEnd = 0
    /// What the header will be refused for, or was.
    private var error: SIPParseError?

    public init() {}

    /// Whether a message has begun and is not complete: who sent that much owes the rest soon.
    public var isInMessage: Bool {
        switch part {
        case .between, .refused: false
        case .startLine, .fields, .body: true
        }
    }

    /// Looks at what has arrived.
    ///
    /// - Parameters:
    ///   - bytes: begin where the last ``Step`` with a length ended, and may have padding at the end.
    ///   - count: how many bytes have arrived; not less than at the call before, but for a length
    ///     that was used up since.
    public mutating func next(_ bytes: Span<UInt8>, count: Int) -> Step {
        precondition(count <= bytes.count, "what has arrived lies inside")
        if part == .between {
            let step = lineEnds(bytes, count)
            guard part == .startLine else { return step }
        }
        if part != .body {
            do throws(SIPParseError) {
                if let error, part == .refused { throw error }
                guard try readHeader(bytes, count) else { return .needsMore }
            } catch {
                part = .refused
                self.error = error
                return .bad(error)
            }
        }
        guard count >= at else { return .needsMore }
        let length = at
        self = StreamFramer()
        return .message(length: length)
    }

    // MARK: Between messages

    /// Takes the line ends in front of a message; a CR waits for what comes behind it.
    private mutating func lineEnds(_ bytes: Span<UInt8>, _ count: Int) -> Step {
        var end = 0
        var pings = 0
        while end < count {
            if bytes[end] == 0x0D, end + 1 == count { break }
            if bytes[end] == 0x0D, bytes[end + 1] == 0x0A {
                if isHalfPing { pings += 1 }
                isHalfPing.toggle()
                end += 2
            } else if bytes[end] == 0x0D || bytes[end] == 0x0A {
                // Alone it means nothing, as in front of a datagram.
                isHalfPing = false
                end += 1
            } else {
                break
            }
        }
        guard end == 0 else { return .keepAlive(length: end, pings: pings) }
        if count > 0, bytes[0] != 0x0D { part = .startLine }
        return .needsMore
    }

    // MARK: Header

    /// Reads lines up to the empty one; `false` if it is not there yet.
    private mutating func readHeader(
        _ bytes: Span<UInt8>, _ count: Int
    ) throws(SIPParseError) -> Bool {
        let limit = min(count, Self.messageBytesMax)
        while let end = try lineEnd(bytes, limit) {
            if part == .startLine {
                part = .fields
            } else if end == lineStart {
                at = try messageEnd(bytes, bodyStart: end + 2)
                part = .body
                return true
            } else {
                try line(bytes, end)
            }
            lineStart = end + 2
            at = lineStart
        }
        guard limit < Self.messageBytesMax else {
            throw SIPParseError(.messageTooLarge, at: limit)
        }
        return false
    }

    /// The offset of the CRLF that ends the line; `nil` if it is not there yet.
    private mutating func lineEnd(
        _ bytes: Span<UInt8>, _ limit: Int
    ) throws(SIPParseError) -> Int? {
        var end = bytes.findControl(from: at, to: limit)
        if part == .fields {
            // A control byte behind a backslash may be right; the parser knows.
            while end < limit, end > lineStart, bytes[end - 1] == 0x5C, bytes[end] != 0x0D,
                bytes[end] != 0x0A
            {
                end = bytes.findControl(from: end + 1, to: limit)
            }
        }
        at = end
        guard end < limit else { return nil }
        if bytes[end] == 0x0D {
            guard end + 1 < limit else { return nil }
            if bytes[end + 1] == 0x0A { return end }
        }
        if part == .startLine { throw SIPParseError(.startLine, at: end) }
        let isLineEnd = bytes[end] == 0x0D || bytes[end] == 0x0A
        throw SIPParseError(isLineEnd ? .bareCarriageReturn : .controlByte, at: end)
    }

    /// Takes a line that begins a field or is folded to one (§7.3.1).
    private mutating func line(_ bytes: Span<UInt8>, _ end: Int) throws(SIPParseError) {
        let first = bytes[lineStart]
        if first == 0x20 || first == 0x09 {
            if isLengthOpen { lengthEnd = end }
            return
        }
        guard fields < MessageIndex.headersMax else {
            throw SIPParseError(.tooManyHeaders, at: lineStart)
        }
        fields += 1
        isLengthOpen = false
        // Content-Length, l
        guard first | 0x20 == 0x63 || first | 0x20 == 0x6C else { return }
        let nameEnd = bytes.find(0x3A, 0x20, 0x09, 0x0D, from: lineStart, to: end)
        guard HeaderName(bytes, ByteRange(lineStart, nameEnd)) == .contentLength else { return }
        var colon = nameEnd
        while colon < end, bytes[colon] == 0x20 || bytes[colon] == 0x09 { colon += 1 }
        guard colon < end, bytes[colon] == 0x3A else {
            error = error ?? SIPParseError(.noColon, at: colon)
            return
        }
        guard lengthStart == 0 else {
            error = error ?? SIPParseError(.doubledHeader, at: lineStart)
            return
        }
        isLengthOpen = true
        lengthStart = colon + 1
        lengthEnd = end
    }

    /// Where the message ends by its Content-Length, which a stream must have (§18.3, §20.14: "MUST
    /// be used"); to take it for 0 would make the next message of whatever the body is.
    private func messageEnd(
        _ bytes: Span<UInt8>, bodyStart: Int
    ) throws(SIPParseError) -> Int {
        if let error { throw error }
        guard lengthStart > 0 else { throw SIPParseError(.contentLength, at: bodyStart - 2) }
        let value = bytes.trimmed(ByteRange(lengthStart, lengthEnd))
        let length: UInt64
        do throws(SIPParseError) {
            length = try bytes.number(in: value, max: UInt64(Self.messageBytesMax))
        } catch {
            let isTooLarge = error.reason == .numberTooLarge
            throw SIPParseError(
                isTooLarge ? .messageTooLarge : .contentLength,
                at: isTooLarge ? value.start : error.offset)
        }
        guard Int(length) <= Self.messageBytesMax - bodyStart else {
            throw SIPParseError(.messageTooLarge, at: value.start)
        }
        return bodyStart + Int(length)
    }
}
