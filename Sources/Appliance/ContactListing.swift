internal import Bytes
internal import ContactStore
internal import Keys
internal import Registration
internal import SIPMessage
internal import Transport

/// The bindings of a store, one a line, read beside a running daemon or without one.
package enum ContactListing {
    /// Calls `output` for every binding; returns how many there were.
    ///
    /// - Parameter aor: only this address of record, with or without `sip:`.
    /// - Throws: for a store that is not there or cannot be read, and an AOR that is none.
    @discardableResult
    package static func list(
        state: String, aor: String?, _ output: (String) -> Void
    ) throws(ApplianceError) -> Int {
        let wanted = try aor.map { (text) throws(ApplianceError) in try canonical(text) }
        do throws(StoreError) {
            let reader = try StoreReader.open(state: state)
            let timeline = Timeline(after: try reader.timeNote(), now: StoreClock.machine().read())
            let now = timeline.instant(atBootMs: Clock.bootMilliseconds())
            var count = 0
            _ = try reader.forEachFact { _, bytes in
                guard let fact = Fact(bytes) else { return }
                let name = text(bytes, .addressOfRecord)
                guard wanted == nil || wanted == name else { return }
                count += 1
                output(line(fact, name, bytes, now))
            }
            return count
        } catch {
            throw ApplianceError(error.description)
        }
    }

    private static func line(
        _ fact: Fact, _ name: String, _ bytes: Span<UInt8>, _ now: Instant
    ) -> String {
        var state = "live"
        if fact.marks.contains(.removalOwed) { state = "lapsed" }
        if fact.marks.contains(.refused) { state = "refused" }
        let path = text(bytes, .path)
        return "\(name) contact=\(text(bytes, .contact)) id=\(fact.id.text) state=\(state) "
            + "main_expires_in=\(fact.mainExpiry.secondsLeft(at: now)) "
            + "flow=udp:\(fact.peer.text) granted=\(fact.grantedSeconds) "
            + "callid=\(text(bytes, .callID)) cseq=\(fact.sequence)"
            + (path.isEmpty ? "" : " path=\(path)")
    }

    private static func text(_ bytes: Span<UInt8>, _ part: Fact.Text) -> String {
        let range = Fact.range(of: part, in: bytes)
        var found: [UInt8] = []
        // A contact comes from the network; a terminal is not to obey it.
        for offset in range.start..<range.end {
            found.append(bytes[offset] >= 0x20 && bytes[offset] != 0x7F ? bytes[offset] : 0x3F)
        }
        return String(decoding: found, as: UTF8.self)
    }

    private static func canonical(_ text: String) throws(ApplianceError) -> String {
        let bytes = Array(
            (text.hasPrefix("sip:") || text.hasPrefix("sips:") ? text : "sip:" + text).utf8)
        var buffer = ByteBuffer(bytesMax: 512)
        do throws(SIPParseError) {
            let uri = try SIPURI(bytes.span, ByteRange(0, bytes.count))
            try AddressOfRecord.write(bytes.span, uri, to: &buffer)
        } catch {
            throw ApplianceError("\(text) is no address of record such as alice@example.com")
        }
        var found: [UInt8] = []
        let span = buffer.span
        for offset in span.indices { found.append(span[offset]) }
        return String(decoding: found, as: UTF8.self)
    }
}
