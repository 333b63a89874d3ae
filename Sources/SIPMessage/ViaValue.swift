public import Bytes

/// The topmost Via of a message or the one after it (RFC 3261 §20.42, RFC 3581).
public struct ViaValue: BitwiseCopyable, Sendable {
    /// The element without white space at its ends.
    public let whole: ByteRange
    public let transport: ByteRange
    /// Host and port as they stand there.
    public let sentBy: ByteRange
    public let host: ByteRange
    /// 0 if none is given.
    public let port: UInt16
    /// After the first semicolon, without it.
    public let parameters: ByteRange
    public let branch: ByteRange
    /// With the semicolon before it; none if it is not there.
    public let received: ByteRange
    public let rport: ByteRange
    public let hasRport: Bool
    /// Whether a comma and another Via follow in the same field.
    public let isFollowed: Bool

    /// Reads one Via from `start`.
    ///
    /// - Throws: a ``SIPParseError`` at the first byte that cannot belong to it.
    public init(
        _ bytes: Span<UInt8>, from start: Int, to end: Int
    ) throws(SIPParseError) {
        // sent-protocol = "SIP" SLASH "2.0" SLASH transport, SLASH = SWS "/" SWS
        var at = bytes.skipSpace(from: start, to: end)
        let first = at
        // Nearly all write it without white space: one word.
        if end - at > 8, bytes.load64(at: at) | 0x0020_2020 == 0x2F30_2E32_2F70_6973 {
            at = bytes.skipSpace(from: at + 8, to: end)
        } else {
            at = try afterVersion(bytes, at, end)
        }
        let transportEnd = bytes.endOfToken(from: at, to: end)
        transport = ByteRange(at, transportEnd)
        guard !transport.isEmpty else { throw SIPParseError(.via, at: at) }
        at = bytes.skipSpace(from: transportEnd, to: end)
        guard at > transportEnd else { throw SIPParseError(.via, at: at) }

        let sentByStart = at
        if at < end, bytes[at] == 0x5B {
            let close = bytes.find(0x5D, 0x5D, 0x5D, 0x5D, from: at, to: end)
            guard close < end else { throw SIPParseError(.via, at: at) }
            guard TransportAddress(host: bytes.extracting(at..<(close + 1)), port: 0) != nil else {
                throw SIPParseError(.via, at: at)
            }
            at = close + 1
        } else {
            at = bytes.endOfHost(from: at, to: end)
        }
        host = ByteRange(sentByStart, at)
        guard !host.isEmpty else { throw SIPParseError(.via, at: at) }
        var sentByEnd = at
        var portNumber: UInt16 = 0
        let colon = bytes.skipSpace(from: at, to: end)
        if colon < end, bytes[colon] == 0x3A {
            let digits = bytes.skipSpace(from: colon + 1, to: end)
            at = digits
            while at < end, bytes[at].isDigit { at += 1 }
            portNumber = try bytes.port(in: ByteRange(digits, at))
            sentByEnd = at
        }
        port = portNumber
        sentBy = ByteRange(sentByStart, sentByEnd)

        at = bytes.skipSpace(from: at, to: end)
        var branchRange = ByteRange.none
        var receivedRange = ByteRange.none
        var rportRange = ByteRange.none
        var rportSeen = false
        if at < end, bytes[at] == 0x3B {
            let stop = try endOfElement(bytes, from: at + 1, to: end)
            parameters = bytes.trimmed(ByteRange(at + 1, stop))
            guard !parameters.isEmpty else { throw SIPParseError(.via, at: at) }
            var cursor = ParameterCursor(parameters)
            while let parameter = try cursor.next(bytes) {
                switch parameter.name.count {
                // Each at most once: the answer must go, and be matched, one way only.
                case 6 where bytes.spellsIgnoringCase("branch", in: parameter.name):
                    guard branchRange.isEmpty, bytes.isToken(parameter.value) else {
                        throw SIPParseError(.via, at: parameter.name.start)
                    }
                    branchRange = parameter.value
                case 8 where bytes.spellsIgnoringCase("received", in: parameter.name):
                    guard receivedRange.isEmpty else {
                        throw SIPParseError(.via, at: parameter.name.start)
                    }
                    receivedRange = parameter.whole
                case 5 where bytes.spellsIgnoringCase("rport", in: parameter.name):
                    guard !rportSeen else {
                        throw SIPParseError(.via, at: parameter.name.start)
                    }
                    rportRange = parameter.whole
                    rportSeen = true
                default: break
                }
            }
            whole = bytes.trimmed(ByteRange(first, stop))
            isFollowed = stop < end
        } else {
            guard at >= end || bytes[at] == 0x2C else { throw SIPParseError(.via, at: at) }
            parameters = .none
            whole = ByteRange(first, sentByEnd)
            isFollowed = at < end
        }
        branch = branchRange
        received = receivedRange
        rport = rportRange
        hasRport = rportSeen
    }

    /// Whether the branch is unique by RFC 3261 (§8.1.1.7).
    public func hasMagicCookie(_ bytes: Span<UInt8>) -> Bool {
        branch.count > 7
            && bytes.spellsIgnoringCase(
                "z9hg4bk", in: ByteRange(branch.start, branch.start + 7))
    }
}

/// The offset after "SIP", "2.0" and the slashes behind them.
private func afterVersion(
    _ bytes: Span<UInt8>, _ start: Int, _ end: Int
) throws(SIPParseError) -> Int {
    let name = bytes.endOfToken(from: start, to: end)
    guard bytes.spellsIgnoringCase("sip", in: ByteRange(start, name)) else {
        throw SIPParseError(.via, at: start)
    }
    let at = try slash(bytes, name, end)
    let version = bytes.endOfToken(from: at, to: end)
    guard bytes.spells("2.0", in: ByteRange(at, version)) else {
        throw SIPParseError(.via, at: at)
    }
    return try slash(bytes, version, end)
}

private func slash(
    _ bytes: Span<UInt8>, _ start: Int, _ end: Int
) throws(SIPParseError) -> Int {
    let at = bytes.skipSpace(from: start, to: end)
    guard at < end, bytes[at] == 0x2F else { throw SIPParseError(.via, at: at) }
    return bytes.skipSpace(from: at + 1, to: end)
}

extension MessageIndex {
    /// The topmost Via.
    public func topVia(_ bytes: Span<UInt8>) throws(SIPParseError) -> ViaValue {
        guard let value = value(.via) else { throw SIPParseError(.via, at: 0) }
        return try ViaValue(bytes, from: value.start, to: value.end)
    }

    /// The last Via: of whoever made the request.
    public func lastVia(
        _ bytes: Span<UInt8>, top: ViaValue
    ) throws(SIPParseError) -> ViaValue {
        guard viaFields > 1 || top.isFollowed, var last = first(.via) else { return top }
        for number in last..<count where fields[number].name == .via { last = number }
        let value = fields[last].value
        var start = value.start
        while case let stop = try endOfElement(bytes, from: start, to: value.end), stop < value.end
        {
            start = stop + 1
        }
        return try ViaValue(bytes, from: start, to: value.end)
    }

    /// The Via after the topmost one; `nil` if that was the only one.
    public func secondVia(
        _ bytes: Span<UInt8>, after top: ViaValue
    ) throws(SIPParseError) -> ViaValue? {
        guard let first = first(.via) else { return nil }
        if top.isFollowed {
            let end = fields[first].value.end
            let comma = bytes.skipSpace(from: top.whole.end, to: end)
            return try ViaValue(bytes, from: comma + 1, to: end)
        }
        for index in (first + 1)..<max(first + 1, count) where fields[index].name == .via {
            let value = fields[index].value
            return try ViaValue(bytes, from: value.start, to: value.end)
        }
        return nil
    }
}
