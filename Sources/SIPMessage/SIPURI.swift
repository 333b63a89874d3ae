public import Bytes

/// The parts of a SIP or SIPS URI (RFC 3261 §19.1), as offsets; of any other URI only the scheme.
public struct SIPURI: BitwiseCopyable, Sendable {
    public enum Scheme: UInt8, BitwiseCopyable, Sendable { case sip, sips, other }

    public let scheme: Scheme
    public let whole: ByteRange
    /// User part without password; empty if there is none.
    public let user: ByteRange
    public let hasUser: Bool
    public let password: ByteRange
    /// Host; an IPv6 address with its brackets.
    public let host: ByteRange
    /// 0 if none is given.
    public let port: UInt16
    /// After the first `;`, without it.
    public let parameters: ByteRange
    /// After the `?`, without it.
    public let headers: ByteRange

    /// No URI; all of its bytes are 0.
    public static var nothing: SIPURI { SIPURI() }

    private init() {
        scheme = .sip
        whole = .none
        user = .none
        hasUser = false
        password = .none
        host = .none
        port = 0
        parameters = .none
        headers = .none
    }

    /// Reads all of `range` as a URI.
    ///
    /// - Throws: a ``SIPParseError`` at the first byte that cannot belong to it.
    public init(_ bytes: Span<UInt8>, _ range: ByteRange) throws(SIPParseError) {
        guard range.count <= MessageIndex.uriBytesMax else {
            throw SIPParseError(.uriTooLong, at: range.start + MessageIndex.uriBytesMax)
        }
        whole = range
        let end = range.end
        // scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
        var at = range.start
        if bytes.startsWithSIPScheme(range) {
            at += 3
        } else {
            at = try endOfScheme(bytes, range)
        }
        let name = ByteRange(range.start, at)
        if name.count == 3, bytes.spellsIgnoringCase("sip", in: name) {
            scheme = .sip
        } else if name.count == 4, bytes.spellsIgnoringCase("sips", in: name) {
            scheme = .sips
        } else {
            for offset in (at + 1)..<max(at + 1, end)
            where bytes[offset].isLinearSpace || bytes[offset] == 0x3C || bytes[offset] == 0x3E {
                throw SIPParseError(.uri, at: offset)
            }
            scheme = .other
            user = .none
            hasUser = false
            password = .none
            host = .none
            port = 0
            parameters = .none
            headers = .none
            return
        }
        at += 1

        // userinfo = user [ ":" password ] "@"; the first "@" ends it, since "@" stands nowhere
        // else unescaped.
        let plain = bytes.skipPlain(from: at, to: end)
        let sign =
            plain == end || bytes[plain] == 0x40
            ? plain : bytes.find(0x40, 0x40, 0x40, 0x40, from: plain, to: end)
        if sign < end, sign == plain, sign > at {
            // Letters, digits, "-" and ".": a user without password, and nothing to check.
            user = ByteRange(at, sign)
            password = .none
            hasUser = true
            at = sign + 1
        } else if sign < end {
            let colon = bytes.find(0x3A, 0x3A, 0x3A, 0x3A, from: at, to: sign)
            user = ByteRange(at, colon)
            password = colon < sign ? ByteRange(colon + 1, sign) : .none
            guard !user.isEmpty else { throw SIPParseError(.uri, at: at) }
            try checkUserInfo(bytes, user)
            try checkUserInfo(bytes, password)
            hasUser = true
            at = sign + 1
        } else {
            user = .none
            password = .none
            hasUser = false
        }

        let hostStart = at
        if at < end, bytes[at] == 0x5B {
            let close = bytes.find(0x5D, 0x5D, 0x5D, 0x5D, from: at, to: end)
            guard close < end else { throw SIPParseError(.uri, at: at) }
            let literal = bytes.extracting(at..<(close + 1))
            guard TransportAddress(host: literal, port: 0) != nil else {
                throw SIPParseError(.uri, at: at)
            }
            at = close + 1
        } else {
            at = bytes.endOfHost(from: at, to: end)
        }
        host = ByteRange(hostStart, at)
        guard !host.isEmpty else { throw SIPParseError(.uri, at: at) }
        if at < end, bytes[at] == 0x3A {
            let digits = at + 1
            at = digits
            while at < end, bytes[at].isDigit { at += 1 }
            port = try bytes.port(in: ByteRange(digits, at))
        } else {
            port = 0
        }

        var parameterRange = ByteRange.none
        var headerRange = ByteRange.none
        if at < end, bytes[at] == 0x3B {
            let stop = bytes.find(0x3F, 0x3F, 0x3F, 0x3F, from: at, to: end)
            parameterRange = ByteRange(at + 1, stop)
            try checkParameters(bytes, parameterRange)
            at = stop
        }
        if at < end, bytes[at] == 0x3F {
            headerRange = ByteRange(at + 1, end)
            guard !headerRange.isEmpty else { throw SIPParseError(.uri, at: at) }
            try checkHeaders(bytes, headerRange)
            at = end
        }
        guard at == end else { throw SIPParseError(.uri, at: at) }
        parameters = parameterRange
        headers = headerRange
    }
}

/// The offset of the colon after a scheme.
private func endOfScheme(_ bytes: Span<UInt8>, _ range: ByteRange) throws(SIPParseError) -> Int {
    let end = range.end
    var at = range.start
    while at < end, bytes[at] != 0x3A {
        let byte = bytes[at].lowercased
        let isLetter = byte >= 0x61 && byte <= 0x7A
        guard
            isLetter
                || (at > range.start
                    && (byte.isDigit || byte == 0x2B || byte == 0x2D || byte == 0x2E))
        else { throw SIPParseError(.uri, at: at) }
        at += 1
    }
    guard at < end, at > range.start else { throw SIPParseError(.uri, at: at) }
    return at
}

/// `unreserved / escaped / user-unreserved`; "#", which many dialling plans use unescaped, passes.
private func checkUserInfo(_ bytes: Span<UInt8>, _ range: ByteRange) throws(SIPParseError) {
    var at = range.start
    while true {
        at = bytes.skipPlain(from: at, to: range.end)
        guard at < range.end else { return }
        if bytes[at].isPlainUserByte {
            at += 1
            continue
        }
        guard bytes[at] == 0x25, at + 2 < range.end, bytes[at + 1].hexDigitValue != nil,
            bytes[at + 2].hexDigitValue != nil
        else { throw SIPParseError(.uri, at: at) }
        at += 3
    }
}

/// `pname [ "=" pvalue ]`, with ";" between two: none empty, so that every reader finds the same ones.
private func checkParameters(
    _ bytes: Span<UInt8>, _ range: ByteRange
) throws(SIPParseError) {
    var at = range.start
    while true {
        let name = at
        at = bytes.skipPlain(from: at, to: range.end)
        while at < range.end, bytes[at] != 0x3B, bytes[at] != 0x3D {
            at = try afterURIByte(bytes, at, range.end)
        }
        guard at > name else { throw SIPParseError(.uri, at: at) }
        if at < range.end, bytes[at] == 0x3D {
            at += 1
            let value = at
            at = bytes.skipPlain(from: at, to: range.end)
            while at < range.end, bytes[at] != 0x3B {
                at = try afterURIByte(bytes, at, range.end)
            }
            guard at > value else { throw SIPParseError(.uri, at: at) }
        }
        guard at < range.end else { return }
        at += 1
    }
}

/// `hname "=" hvalue`, with "&" between two; the value may be empty.
private func checkHeaders(_ bytes: Span<UInt8>, _ range: ByteRange) throws(SIPParseError) {
    var at = range.start
    while at < range.end {
        at = try afterURIByte(bytes, at, range.end)
    }
}

/// The offset after one byte or escape of a parameter or a header of a URI. "@", "," and "#" are not
/// among them: a reader that looks for the last "@", splits a list first, or knows fragments would
/// read another URI.
private func afterURIByte(
    _ bytes: Span<UInt8>, _ at: Int, _ end: Int
) throws(SIPParseError) -> Int {
    switch bytes[at] {
    case 0x25:
        guard at + 2 < end, bytes[at + 1].hexDigitValue != nil, bytes[at + 2].hexDigitValue != nil
        else { throw SIPParseError(.uri, at: at) }
        return at + 3
    case 0x00...0x20, 0x22, 0x23, 0x2C, 0x3C, 0x3E, 0x40, 0x7F...: throw SIPParseError(.uri, at: at)
    default: return at + 1
    }
}

extension Span<UInt8> {
    /// A port, 1 to 65 535; 0 stands for "none given" everywhere else, so it is not let in.
    func port(in range: ByteRange) throws(SIPParseError) -> UInt16 {
        let number = try number(in: range, max: 65_535)
        guard number > 0 else { throw SIPParseError(.number, at: range.start) }
        return UInt16(number)
    }
}

extension Span<UInt8> {
    /// Whether `range` starts with "sip:", read in one step where eight bytes can be read.
    @inline(__always) func startsWithSIPScheme(_ range: ByteRange) -> Bool {
        guard range.count >= 4, range.start + 8 <= count else { return false }
        return UInt32(truncatingIfNeeded: load64(at: range.start)) | 0x0020_2020 == 0x3A70_6973
    }

    /// The offset after a host name or an IPv4 address that starts at `start`.
    @inline(__always) func endOfHost(from start: Int, to end: Int) -> Int {
        var at = skipPlain(from: start, to: end)
        while at < end, self[at].isHostByte { at = skipPlain(from: at + 1, to: end) }
        return at
    }
}

extension UInt8 {
    /// A byte of a host name or an IPv4 address; "_" is not in the grammar but in many networks.
    var isHostByte: Bool {
        // ALPHA / DIGIT / "-" / "." / "_"
        isIn(0x03FF_6000_0000_0000, 0x07FF_FFFE_87FF_FFFE)
    }

    /// A byte that stands for itself in user and password (`unreserved / user-unreserved`, "#").
    var isPlainUserByte: Bool {
        isIn(0xABFF_FFDA_0000_0000, 0x47FF_FFFE_87FF_FFFE)
    }
}

/// One `;name` or `;name=value` of a list of parameters.
public struct Parameter: BitwiseCopyable, Sendable {
    public let name: ByteRange
    /// Empty if there is no "="; a quoted string with its quotes.
    public let value: ByteRange
    /// From the semicolon before it to its end.
    public let whole: ByteRange
}

/// Walks over `a;b=c;d="e;f"`, which is what stands after the first semicolon.
public struct ParameterCursor: BitwiseCopyable, Sendable {
    private var at: Int
    private let end: Int

    public init(_ range: ByteRange) {
        at = range.start
        end = range.end
    }

    /// The next parameter if it and its value are nothing but letters, digits, "-" and "." between
    /// semicolons: then it can be read in two steps. Else `nil`, and nothing has moved.
    @inline(__always) private mutating func nextPlain(_ bytes: Span<UInt8>) -> Parameter? {
        let name = at
        guard name > 0, bytes[name - 1] == 0x3B else { return nil }
        let nameEnd = bytes.skipPlain(from: name, to: end)
        guard nameEnd > name else { return nil }
        var value = ByteRange.none
        var stop = nameEnd
        if nameEnd < end, bytes[nameEnd] == 0x3D {
            stop = bytes.skipPlain(from: nameEnd + 1, to: end)
            guard stop > nameEnd + 1 else { return nil }
            value = ByteRange(nameEnd + 1, stop)
        }
        guard stop == end || (bytes[stop] == 0x3B && stop + 1 < end) else { return nil }
        at = stop + 1
        return Parameter(
            name: ByteRange(name, nameEnd), value: value, whole: ByteRange(name - 1, stop))
    }

    /// The next parameter; `nil` at the end.
    ///
    /// - Throws: at a byte that fits no parameter.
    @inline(__always) public mutating func next(
        _ bytes: Span<UInt8>
    ) throws(SIPParseError) -> Parameter? {
        guard at < end else { return nil }
        if let plain = nextPlain(bytes) { return plain }
        return try nextOfAnyKind(bytes)
    }

    @inline(never) private mutating func nextOfAnyKind(
        _ bytes: Span<UInt8>
    ) throws(SIPParseError) -> Parameter {
        var nameStart = bytes.skipSpace(from: at, to: end)
        let nameFrom = nameStart
        var semicolon = max(0, nameFrom - 1)
        while semicolon > 0, bytes[semicolon].isLinearSpace { semicolon -= 1 }
        // URI parameters allow more than token bytes in names ("[", "/", ":", "&", "$"); UTF-8 stands
        // only in quoted strings.
        while true {
            nameStart = bytes.skipPlain(from: nameStart, to: end)
            guard nameStart < end else { break }
            switch bytes[nameStart] {
            case 0x3B, 0x3D, 0x20, 0x09, 0x0D, 0x0A: break
            case 0x22, 0x3C, 0x3E, 0x2C, 0x7F...: throw SIPParseError(.parameter, at: nameStart)
            default:
                nameStart += 1
                continue
            }
            break
        }
        let name = ByteRange(nameFrom, nameStart)
        // A semicolon with nothing behind it, or two of them, is no parameter.
        guard !name.isEmpty else { throw SIPParseError(.parameter, at: nameFrom) }
        var after = bytes.skipSpace(from: nameStart, to: end)
        var value = ByteRange.none
        if after < end, bytes[after] == 0x3D {
            let valueStart = bytes.skipSpace(from: after + 1, to: end)
            var valueEnd = valueStart
            if valueStart < end, bytes[valueStart] == 0x22 {
                guard let close = bytes.endOfQuotedString(from: valueStart, to: end) else {
                    throw SIPParseError(.parameter, at: valueStart)
                }
                valueEnd = close
            } else {
                valueEnd = bytes.skipPlain(from: valueEnd, to: end)
                while valueEnd < end, bytes[valueEnd] != 0x3B, !bytes[valueEnd].isLinearSpace {
                    switch bytes[valueEnd] {
                    case 0x22, 0x2C, 0x3C, 0x3E, 0x7F...:
                        throw SIPParseError(.parameter, at: valueEnd)
                    default: break
                    }
                    valueEnd += 1
                }
            }
            guard valueEnd > valueStart else { throw SIPParseError(.parameter, at: valueStart) }
            value = ByteRange(valueStart, valueEnd)
            after = bytes.skipSpace(from: valueEnd, to: end)
            nameStart = valueEnd
        }
        if after < end {
            guard bytes[after] == 0x3B, after + 1 < end else {
                throw SIPParseError(.parameter, at: after)
            }
        }
        at = after + 1
        return Parameter(name: name, value: value, whole: ByteRange(semicolon, nameStart))
    }
}

extension Span<UInt8> {
    /// The value of parameter `name` (in lower case); empty if it stands there without one.
    public func parameter(_ name: StaticString, in range: ByteRange) -> ByteRange? {
        var cursor = ParameterCursor(range)
        while let parameter = try? cursor.next(self) {
            if spellsIgnoringCase(name, in: parameter.name) { return parameter.value }
        }
        return nil
    }
}
