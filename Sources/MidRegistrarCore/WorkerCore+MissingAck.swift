internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage
internal import SIPTransaction

// An ACK of a 2xx goes from end to end and is nobody's between them to answer for (RFC 3261 §13.2.2.4).
// What midreg sees go by tells where it was lost: who accepted a call repeats its 2xx until the ACK
// has come (§13.3.1.4).
extension WorkerCore {
    /// 2xx of one branch from which on its ACK counts as missing: the third comes 1.5 s after the first.
    private static let successesMax: UInt16 = 3

    /// By what an ACK and the 2xx it answers know each other here.
    private func ackKey(_ bytes: Span<UInt8>) -> TransactionKey? {
        guard let callID = index.value(.callID), let value = index.value(.from),
            let from = try? NameAddress(bytes, from: value.start, to: value.end),
            let toValue = index.value(.to),
            let to = try? NameAddress(bytes, from: toValue.start, to: toValue.end)
        else { return nil }
        var hash = KeyedHash(options.keys.transaction)
        hash.update(word: UInt64(index.sequenceNumber))
        hash.update(bytes, from.tag)
        hash.update(0x20)
        hash.update(bytes, to.tag)
        hash.update(0x20)
        hash.update(bytes, callID)
        return TransactionKey(value: hash.finish() | 1)
    }

    /// A 2xx of a call has come; it is one too many if others came before it and no ACK was heard of,
    /// or one was and was of no use.
    ///
    /// - Parameter fix: what its Contact was made to name, if that was changed.
    mutating func noteSuccess(
        _ bytes: Span<UInt8>, _ branch: SlotHandle, contact fix: TransportAddress?
    ) {
        let handle = calls[branch: branch].call
        if let key = ackKey(bytes) { calls.note(ackKey: key, of: handle) }
        guard calls[branch: branch].successes >= Self.successesMax,
            !calls[call: handle].flags.contains(.ackMissing)
        else { return }
        calls[call: handle].flags.insert(.ackMissing)
        let isHeard = calls[call: handle].flags.contains(.acknowledged)
        counters.add(isHeard ? .acksUnheard : .acksUnsent)
        var contact: [UInt8] = []
        var isPrivate = false
        if let value = index.value(.contact),
            let address = try? NameAddress(bytes, from: value.start, to: value.end),
            let uri = try? SIPURI(bytes, address.uri)
        {
            let fixed = fix.flatMap { ContactFix.range(bytes, index, observed: $0) }
            for at in uri.whole.start..<(fixed?.start ?? uri.whole.end) {
                contact.append(bytes[at])
            }
            if let fix, let fixed {
                contact += Array(fix.text.utf8)
                for at in fixed.end..<uri.whole.end { contact.append(bytes[at]) }
            }
            let said = TransportAddress(
                host: bytes.extracting(uri.host.start..<uri.host.end), port: uri.port)
            isPrivate = (fixed == nil ? said : fix)?.isPrivate ?? false
        }
        var callID: [UInt8] = []
        if let value = index.value(.callID) {
            for at in value.start..<value.end { callID.append(bytes[at]) }
        }
        note(
            CoreEvent(
                isHeard ? .ackUnheard : .ackUnsent,
                source: isHeard ? calls[branch: branch].peer : calls[call: handle].peer,
                number: isPrivate ? 1 : 0, aor: String(decoding: contact, as: UTF8.self),
                callID: String(decoding: callID, as: UTF8.self)))
    }

    /// An ACK that is passed on without state.
    mutating func noteAck(_ bytes: Span<UInt8>) {
        guard calls.count > 0, let key = ackKey(bytes), let handle = calls.find(ackKey: key) else {
            return
        }
        calls[call: handle].flags.insert(.acknowledged)
    }
}
