internal import Bytes
internal import Keys
internal import Registration
internal import SIPMessage

// Which binding a contact of a REGISTER means.
extension WorkerCore {
    /// The binding a contact means: by instance ID, else by what a push finds it by, else by URI
    /// (RFC 5626 §6, RFC 8599 §4.1, RFC 3261 §19.1.4).
    mutating func find<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ contact: ContactRequest, _ identity: UInt64, _ aor: AORKey,
        location: inout Location
    ) -> BindingIndex? {
        var next = table.first(of: aor)
        while let place = next {
            if table[place].identity == identity { return place }
            next = table.next(after: place)
        }
        next = table.first(of: aor)
        while let place = next {
            next = table.next(after: place)
            guard table[place].record != .none else { continue }
            let same = location.read(table[place].record) { fact -> Bool in
                let range = Fact.range(of: .contact, in: fact)
                guard
                    let stored = try? NameAddress(fact, from: range.start, to: range.end),
                    let uri = try? SIPURI(fact, stored.uri)
                else { return false }
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

    /// The contact ID of a contact without a binding; one that another contact has kept from earlier
    /// is passed over.
    func unusedID(_ aor: AORKey, identity: UInt64) -> ContactID {
        var id = ContactID(aor, identity: identity, under: options.keys)
        var number: UInt8 = 0
        while number < 255, let place = table.find(id), table[place].state != .tombstone {
            number += 1
            id = ContactID(aor, identity: identity, extension: number, under: options.keys)
        }
        return id
    }
}
