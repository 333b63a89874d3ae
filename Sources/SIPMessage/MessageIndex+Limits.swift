internal import Bytes

extension MessageIndex {
    /// Longest message, in bytes: what a slot of the mailbox between workers carries; no UDP datagram
    /// is longer.
    public static let messageBytesMax = 65_535
    /// Longest URI that is read, in bytes: as long as the longest contact that is kept
    /// (`RegistrationLimits.contactBytesMax`), so that no URI of a call to a phone is longer.
    public static let uriBytesMax = 1_024
    /// Most Via values: each hop adds one and takes one of the 70 that Max-Forwards begins with
    /// (§8.1.1.6), so more of them are a loop or a bomb, which every hop behind us would have to read.
    public static let viasMax = 70

    /// Counts the Via values, those in one field too. One field with one value, which is what a phone
    /// sends, is not looked at again. What stands below our own is not judged (§16.3 step 1): a field
    /// that cannot be split counts as far as it can.
    ///
    /// - Throws: `.tooManyVias` where the 71st begins.
    public func checkViaCount(
        _ bytes: Span<UInt8>, top: ViaValue
    ) throws(SIPParseError) {
        guard top.isFollowed || viaFields > 1 else { return }
        var values = 0
        for number in (first(.via) ?? count)..<count where fields[number].name == .via {
            let value = fields[number].value
            var at = value.start
            repeat {
                values += 1
                guard values <= Self.viasMax else { throw SIPParseError(.tooManyVias, at: at) }
                let stop = (try? endOfElement(bytes, from: at, to: value.end)) ?? value.end
                at = stop + 1
            } while at <= value.end
        }
    }
}

/// A start line is no longer than a field, and tells of a request-URI that is (§21.4.15: 414).
func checkStartLine(_ index: borrowing MessageIndex) throws(SIPParseError) {
    guard index.requestURI.count <= MessageIndex.uriBytesMax else {
        throw SIPParseError(.uriTooLong, at: index.requestURI.start + MessageIndex.uriBytesMax)
    }
    guard index.startLine.count <= MessageIndex.lineBytesMax else {
        throw SIPParseError(.lineTooLong, at: index.startLine.start)
    }
}
