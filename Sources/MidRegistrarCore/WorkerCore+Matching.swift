internal import Bytes
internal import Keys
internal import Registration
internal import SIPMessage

// Which binding a contact of a REGISTER means.
extension WorkerCore {
    /// The binding a contact means: by instance ID and flow, else by what a push finds it by, else by URI
    /// (RFC 5626 §6, RFC 8599 §4.1, RFC 3261 §19.1.4).
    mutating func find<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ contact: ContactRequest, _ identity: UInt64, _ aor: AORKey,
        sharesFlows: Bool, location: inout Location
    ) -> BindingIndex? {
        var next = table.first(of: aor)
        while let place = next {
            if table.identity(place) == identity { return place }
            next = table.next(after: place)
        }
        // Another flow of a known contact is nobody's binding yet.
        if sharesFlows, anyFlow(identity, of: aor) != nil { return nil }
        next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            guard table[place].record != .none else { continue }
            let same = location.read(table[place].record) { fact -> Bool in
                guard let (stored, uri) = Fact.contact(in: fact) else { return false }
                // Two instances are two contacts, whatever their URIs.
                if !contact.instance.isEmpty,
                    fact.parameter("+sip.instance", in: stored.parameters) != nil
                {
                    return false
                }
                if PushIdentity(bytes, contact.uri) != nil, PushIdentity(fact, uri) != nil {
                    return false
                }
                return SIPURI.equivalent(contact.uri, in: bytes, uri, in: fact)
            }
            if same == true { return place }
        }
        return nil
    }

    /// The contact ID of a contact without a binding: that of its other flows, where they share one,
    /// else of its own; one that another contact has kept from earlier is passed over.
    ///
    /// - Parameters:
    ///   - identity: of the contact and its flow.
    ///   - contactIdentity: what the ID is made of.
    func newID(
        _ aor: AORKey, identity: UInt64, contactIdentity: UInt64, sharesFlows: Bool
    ) -> ContactID {
        if sharesFlows, let place = anyFlow(identity, of: aor) { return table.id(place) }
        var id = ContactID(aor, identity: contactIdentity, under: options.keys)
        var number: UInt8 = 0
        while number < 255, let place = table.find(id), table[place].state != .tombstone {
            number += 1
            id = ContactID(
                aor, identity: contactIdentity, extension: number, under: options.keys)
        }
        return id
    }

    /// A flow of the same contact, a live one if there is.
    private func anyFlow(_ identity: UInt64, of aor: AORKey) -> BindingIndex? {
        var found: BindingIndex?
        var next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            guard Fingerprints.isSameContact(table.identity(place), identity) else { continue }
            if table.isLive(place) { return place }
            found = found ?? place
        }
        return found
    }

    /// The flow identity of a contact that a relayed request had.
    func identity(of contact: RelayState.SealedContact, in state: Span<UInt8>) -> UInt64? {
        guard
            let address = try? NameAddress(
                state, from: contact.element.start, to: contact.element.end),
            let parsed = try? ContactRequest(
                state, address, headerSeconds: contact.askedSeconds,
                defaultSeconds: contact.askedSeconds)
        else { return nil }
        return fingerprints.flowIdentity(state, parsed)
    }

    /// The binding of a contact that a relayed request had: of those with its ID the one of its flow;
    /// or one that is the same by its URI alone, and has had another identity up to now.
    func place(
        of contact: RelayState.SealedContact, in state: Span<UInt8>
    ) -> BindingIndex? {
        guard let any = table.find(contact.id) else { return nil }
        guard let identity = identity(of: contact, in: state) else { return any }
        var same: BindingIndex?
        var next = table.first(of: table[any].aor)
        while let place = next {
            next = table.next(after: place)
            guard table.id(place) == contact.id else { continue }
            if table.identity(place) == identity { return place }
            if !Fingerprints.isSameContact(table.identity(place), identity) { same = place }
        }
        return same
    }
}
