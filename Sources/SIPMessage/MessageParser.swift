internal import Bytes

/// Reads the bytes of one datagram into a ``MessageIndex`` (RFC 3261 §7, §25), once, from front to
/// back, in time linear in the bytes.
///
/// What is not understood passes; what would be read in two ways is refused: bare CR or LF, control
/// bytes, doubled single header fields, a length that does not fit.
public struct MessageParser: Sendable {
    public enum Outcome: Equatable, Sendable {
        case message
        /// Nothing but line ends: a keep-alive (RFC 5626 §4.4.1).
        case keepAlive
        /// Not a message; the index holds the fields that could be read, for an answer.
        case bad(SIPParseError)
    }

    public init() {}

    /// - Parameters:
    ///   - bytes: the message, and any padding behind it.
    ///   - length: how many bytes the message has.
    ///   - index: is overwritten.
    public func parse(
        _ bytes: Span<UInt8>, length: Int, into index: inout MessageIndex
    ) -> Outcome {
        precondition(length <= bytes.count, "the message lies inside")
        index.reset()
        var at = 0
        while at < length, bytes[at] == 0x0D || bytes[at] == 0x0A { at += 1 }
        guard at < length else { return .keepAlive }

        var firstError: SIPParseError?
        do throws(SIPParseError) {
            at = try startLine(bytes, at, length, &index)
        } catch {
            // With a method and an end of line, an answer may still be possible.
            guard index.isRequest, !index.startLine.isEmpty else { return .bad(error) }
            at = index.startLine.end
            firstError = error
        }
        do throws(SIPParseError) {
            at = try headers(bytes, at, length, &index, &firstError)
            if firstError == nil { try finish(bytes, at, length, &index) }
        } catch {
            firstError = firstError ?? error
        }
        if let firstError { return .bad(firstError) }
        return .message
    }

    // MARK: Start line

    private func startLine(
        _ bytes: Span<UInt8>, _ start: Int, _ length: Int, _ index: inout MessageIndex
    ) throws(SIPParseError) -> Int {
        let end = bytes.findControl(from: start, to: length)
        guard end + 1 < length, bytes[end] == 0x0D, bytes[end + 1] == 0x0A else {
            throw SIPParseError(.startLine, at: end)
        }
        index.startLine = ByteRange(start, end + 2)
        let version: ByteRange
        if end - start >= 12, bytes.spellsIgnoringCase("sip/", in: ByteRange(start, start + 4)) {
            // Status-Line = SIP-Version SP Status-Code SP Reason-Phrase
            let space = bytes.find(0x20, 0x20, 0x20, 0x20, from: start, to: end)
            version = ByteRange(start, space)
            guard space + 4 < end, bytes[space + 4] == 0x20 else {
                throw SIPParseError(.startLine, at: space)
            }
            let code = try bytes.number(in: ByteRange(space + 1, space + 4), max: 999)
            guard code >= 100, code <= 699 else { throw SIPParseError(.startLine, at: space + 1) }
            index.statusCode = Int(code)
        } else {
            let space = bytes.endOfToken(from: start, to: end)
            guard space > start, space < end, bytes[space] == 0x20 else {
                throw SIPParseError(.startLine, at: space)
            }
            index.isRequest = true
            index.methodName = ByteRange(start, space)
            index.method = Method(bytes, index.methodName)
            let second = bytes.find(0x20, 0x09, 0x20, 0x09, from: space + 1, to: end)
            guard second > space + 1, second < end, bytes[second] == 0x20 else {
                throw SIPParseError(.startLine, at: second)
            }
            index.requestURI = ByteRange(space + 1, second)
            version = ByteRange(second + 1, end)
        }
        try checkStartLine(index)
        guard bytes.spellsIgnoringCase("sip/2.0", in: version) else {
            let isVersion =
                version.count > 4
                && bytes.spellsIgnoringCase("sip/", in: ByteRange(version.start, version.start + 4))
                && bytes.find(0x20, 0x09, 0x20, 0x09, from: version.start, to: version.end)
                    == version.end
            throw SIPParseError(isVersion ? .version : .startLine, at: version.start)
        }
        return end + 2
    }

    // MARK: Header fields

    /// Reads fields up to the empty line; the first error is kept and reading goes on, so that an
    /// answer can be written from what is right.
    private func headers(
        _ bytes: Span<UInt8>, _ start: Int, _ length: Int, _ index: inout MessageIndex,
        _ error: inout SIPParseError?
    ) throws(SIPParseError) -> Int {
        var at = start
        while at < length {
            if bytes[at] == 0x0D, at + 1 < length, bytes[at + 1] == 0x0A {
                index.headerEnd = ByteRange(at, at + 2)
                return at + 2
            }
            // A line, and the lines folded to it (§7.3.1).
            let lineStart = at
            let (lineBreak, colon) = bytes.findLine(from: at, to: length)
            if length - lineBreak > 2, bytes[lineBreak] == 0x0D, bytes[lineBreak + 1] == 0x0A,
                bytes[lineBreak + 2] != 0x20, bytes[lineBreak + 2] != 0x09, colon > at,
                colon < lineBreak, bytes[colon] == 0x3A,
                lineBreak - at <= MessageIndex.lineBytesMax - 2
            {
                // Nearly all fields: one line, nothing to escape, a name of letters.
                at = lineBreak + 2
                let name = HeaderName(bytes, ByteRange(lineStart, colon))
                do throws(SIPParseError) {
                    try add(name, bytes, lineStart, colon, lineBreak, at, &index)
                } catch let thrown {
                    if thrown.reason == .tooManyHeaders { throw error ?? thrown }
                    error = error ?? thrown
                }
                continue
            }
            var valueEnd = at
            var isClean = true
            var escaped = -1
            repeat {
                var end = endOfText(bytes, at, length, &escaped)
                if end + 1 >= length || bytes[end] != 0x0D || bytes[end + 1] != 0x0A {
                    guard end < length else { throw error ?? SIPParseError(.noEnd, at: length) }
                    let byte = bytes[end]
                    error =
                        error
                        ?? SIPParseError(
                            byte == 0x0D || byte == 0x0A ? .bareCarriageReturn : .controlByte,
                            at: end)
                    isClean = false
                    end = bytes.find(0x0A, 0x0A, 0x0A, 0x0A, from: end, to: length)
                    guard end < length else { throw error ?? SIPParseError(.noEnd, at: length) }
                    valueEnd = end
                    at = end + 1
                } else {
                    valueEnd = end
                    at = end + 2
                }
            } while at < length && (bytes[at] == 0x20 || bytes[at] == 0x09)
            guard isClean else { continue }
            do throws(SIPParseError) {
                try field(bytes, lineStart, valueEnd, at, escaped, &index)
            } catch let thrown {
                if thrown.reason == .tooManyHeaders { throw error ?? thrown }
                error = error ?? thrown
            }
        }
        throw error ?? SIPParseError(.noEnd, at: length)
    }

    /// The first control byte that is not behind a backslash; of the others the first goes to
    /// `escaped`.
    private func endOfText(
        _ bytes: Span<UInt8>, _ start: Int, _ length: Int, _ escaped: inout Int
    ) -> Int {
        var end = bytes.findControl(from: start, to: length)
        while end < length, end > start, bytes[end - 1] == 0x5C, bytes[end] != 0x0D,
            bytes[end] != 0x0A
        {
            if escaped < 0 { escaped = end }
            end = bytes.findControl(from: end + 1, to: length)
        }
        return end
    }

    private func field(
        _ bytes: Span<UInt8>, _ start: Int, _ valueEnd: Int, _ lineEnd: Int, _ escaped: Int,
        _ index: inout MessageIndex
    ) throws(SIPParseError) {
        guard lineEnd - start <= MessageIndex.lineBytesMax else {
            throw SIPParseError(.lineTooLong, at: start)
        }
        let colon = bytes.find(0x3A, 0x20, 0x09, 0x0D, from: start, to: valueEnd)
        guard colon > start else { throw SIPParseError(.headerName, at: start) }
        var value = colon
        // HCOLON = *( SP / HTAB ) ":" SWS
        while value < valueEnd, bytes[value] == 0x20 || bytes[value] == 0x09 { value += 1 }
        guard value < valueEnd, bytes[value] == 0x3A else {
            throw SIPParseError(.noColon, at: value)
        }
        let name = HeaderName(bytes, ByteRange(start, colon))
        if name == .other {
            let end = bytes.endOfToken(from: start, to: colon)
            guard end == colon else { throw SIPParseError(.headerName, at: end) }
        }
        if escaped >= 0 {
            // `quoted-pair` may hold any byte but CR and LF, but only in a quoted string (§25.1).
            let unquoted = name.holdsAddresses ? unquotedControl(bytes, value, valueEnd) : escaped
            guard unquoted == valueEnd else { throw SIPParseError(.controlByte, at: unquoted) }
        }
        try add(name, bytes, start, value, valueEnd, lineEnd, &index)
    }

    @inline(__always) private func add(
        _ name: HeaderName, _ bytes: Span<UInt8>, _ start: Int, _ colon: Int, _ valueEnd: Int,
        _ lineEnd: Int, _ index: inout MessageIndex
    ) throws(SIPParseError) {
        guard index.count < MessageIndex.headersMax else {
            throw SIPParseError(.tooManyHeaders, at: start)
        }
        var value = colon + 1
        if value < valueEnd, bytes[value] == 0x20 { value += 1 }
        let field = HeaderField(
            name: name, line: ByteRange(start, lineEnd),
            value: bytes.trimmed(ByteRange(value, valueEnd)))
        if name == .via { index.viaFields += 1 }
        guard index.add(field) else { throw SIPParseError(.doubledHeader, at: start) }
    }

    /// The first control byte that is not an escaped one of a quoted string, or `end`.
    private func unquotedControl(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
        var at = start
        var isQuoted = false
        while at < end {
            switch bytes[at] {
            case 0x22: isQuoted.toggle()
            case 0x5C where isQuoted: at += 1
            case 0x09, 0x0A, 0x0D: break  // only as white space and folds
            case ..<0x20, 0x7F: return at
            default: break
            }
            at += 1
        }
        return end
    }

    // MARK: What every message must have (§8.1.1, §20)

    private func finish(
        _ bytes: Span<UInt8>, _ bodyStart: Int, _ length: Int, _ index: inout MessageIndex
    ) throws(SIPParseError) {
        guard index.has(.via), index.has(.from), index.has(.to) else {
            throw SIPParseError(.missingHeader, at: bodyStart)
        }
        guard let callID = index.value(.callID), let sequence = index.value(.cseq) else {
            throw SIPParseError(.missingHeader, at: bodyStart)
        }
        try checkCallID(bytes, callID)
        try readSequence(bytes, sequence, &index)
        if let forwards = index.value(.maxForwards) {
            // 0 to 255 (§20.22); a larger one has no successor that we could write.
            _ = try bytes.number(in: forwards, max: 255)
        }
        var bodyEnd = length
        if let value = index.value(.contentLength) {
            let count: UInt64
            do throws(SIPParseError) {
                count = try bytes.number(in: value, max: 1 << 40)
            } catch {
                throw SIPParseError(.contentLength, at: error.offset)
            }
            guard count <= UInt64(length - bodyStart) else {
                throw SIPParseError(.contentLength, at: value.start)
            }
            // Bytes of a datagram past the length are not part of the message (§18.3).
            bodyEnd = bodyStart + Int(count)
        }
        guard bodyEnd - index.startLine.start <= MessageIndex.messageBytesMax else {
            throw SIPParseError(
                .messageTooLarge, at: index.startLine.start + MessageIndex.messageBytesMax)
        }
        index.body = ByteRange(bodyStart, bodyEnd)
    }

    /// `callid = word [ "@" word ]`: no white space, no list, nothing empty.
    private func checkCallID(_ bytes: Span<UInt8>, _ value: ByteRange) throws(SIPParseError) {
        guard !value.isEmpty else { throw SIPParseError(.callID, at: value.start) }
        let space = bytes.find(0x20, 0x09, 0x0D, 0x2C, from: value.start, to: value.end)
        guard space == value.end else { throw SIPParseError(.callID, at: space) }
    }

    /// `CSeq = 1*DIGIT LWS Method`, below 2³¹ (§8.1.1.5).
    private func readSequence(
        _ bytes: Span<UInt8>, _ value: ByteRange, _ index: inout MessageIndex
    ) throws(SIPParseError) {
        var at = value.start
        while at < value.end, bytes[at].isDigit { at += 1 }
        let digits = ByteRange(value.start, at)
        let number: UInt64
        do throws(SIPParseError) {
            number = try bytes.number(in: digits, max: 1 << 31 - 1)
        } catch {
            throw SIPParseError(.sequence, at: error.offset)
        }
        let method = bytes.skipSpace(from: at, to: value.end)
        guard method > at, bytes.endOfToken(from: method, to: value.end) == value.end,
            method < value.end
        else { throw SIPParseError(.sequence, at: at) }
        index.sequenceDigits = digits
        index.sequenceNumber = UInt32(number)
        index.sequenceMethod = ByteRange(method, value.end)
        if index.isRequest {
            guard bytes.same(index.methodName, as: bytes, index.sequenceMethod) else {
                throw SIPParseError(.methodMismatch, at: method)
            }
        } else {
            index.method = Method(bytes, index.sequenceMethod)
        }
    }
}
