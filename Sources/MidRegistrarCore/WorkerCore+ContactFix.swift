internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage
internal import SIPTransaction

// The Contact of a phone behind a NAT, rewritten to where its packets come from (`calls.fix_contact`).
//
// What leads back to a phone is the flow token in our Record-Route, whatever its Contact says. This
// is for main registrars and callers that go by the Contact alone.
extension WorkerCore {
    /// What the Contact of a response of a branch is to name; `nil` leaves it as it is.
    ///
    /// Only of what makes a dialog (1xx with a tag, 2xx), from the very address that the request went
    /// to, and with no Record-Route above our own: whoever put one there stands between us and the
    /// phone.
    mutating func observed(
        ofResponse bytes: Span<UInt8>, _ code: UInt32, on branch: SlotHandle,
        from source: TransportAddress
    ) -> TransportAddress? {
        guard options.fixesContacts, code > 100, code < 300,
            calls[branch: branch].hasID, source == calls[branch: branch].peer,
            hasToTag(bytes), routeBeginsWithUs(bytes)
        else { return nil }
        return observed(
            calls[branch: branch].id, Flow(peer: source, socket: calls[branch: branch].socket))
    }

    /// What the Contact of a phone's request is to name: one Via says that it came straight from it.
    func observed(
        ofRequest index: borrowing MessageIndex, _ via: ViaValue, _ id: ContactID?, _ flow: Flow
    ) -> TransportAddress? {
        guard options.fixesContacts, let id, index.viaFields == 1, !via.isFollowed else {
            return nil
        }
        return observed(id, flow)
    }

    /// The address of a flow by which a phone behind a NAT has registered without a proxy between.
    private func observed(_ id: ContactID, _ flow: Flow) -> TransportAddress? {
        let flows = table.liveFlows(of: id, includingUnreachable: true)
        for number in 0..<flows.count where table[flows[number]].flow == flow {
            let flags = table[flows[number]].flags
            return flags.contains(.behindNAT) && flags.isDisjoint(with: [.byEdge, .indirect])
                ? flow.peer : nil
        }
        return nil
    }

    private func hasToTag(_ bytes: Span<UInt8>) -> Bool {
        guard let value = index.value(.to),
            let to = try? NameAddress(bytes, from: value.start, to: value.end)
        else { return false }
        return !to.tag.isEmpty
    }

    private mutating func routeBeginsWithUs(_ bytes: Span<UInt8>) -> Bool {
        guard index.has(.recordRoute) else { return true }
        var cursor = AddressCursor(.recordRoute, of: index)
        guard let top = try? cursor.next(bytes, index), let uri = try? SIPURI(bytes, top.uri) else {
            return false
        }
        return FlowToken(
            bytes.extracting(uri.user.start..<uri.user.end), under: options.keys,
            scratch: &scratch) != nil
    }
}
