public import Bytes
public import Keys
public import SIPMessage

/// How our Contact looks to the main registrar, and how it is read back from there.
public struct MainContact: Sendable {
    /// What the main registrar gets in place of the phone's contact.
    public enum Placement: Sendable, Equatable {
        /// `sip:USER@US;ctid=ID`
        case parameter
        /// `sip:ID@US`
        case user
        /// The phone's own contact, and a Path that leads here (RFC 3327).
        case path
        /// `sip:alice%40example.test@US`: one for all phones of the AOR.
        case addressOfRecord
    }

    public let placement: Placement
    /// The address every worker receives on, as the main registrar is to call it.
    public let advertised: TransportAddress

    public init(placement: Placement, advertised: TransportAddress) {
        self.placement = placement
        self.advertised = advertised
    }

    /// Writes the URI that stands at the main registrar for a contact of a phone's.
    ///
    /// - Parameters:
    ///   - uri: the phone's contact, in `bytes`.
    ///   - aor: its canonical address of record.
    public func writeURI(
        _ id: ContactID, _ bytes: Span<UInt8>, _ uri: SIPURI, aor: Span<UInt8>,
        _ outbox: inout Outbox
    ) {
        switch placement {
        case .parameter:
            outbox.write("sip:")
            if !uri.user.isEmpty {
                outbox.write(bytes, uri.user)
                outbox.write(UInt8(ascii: "@"))
            }
            outbox.write(advertised)
            outbox.write(";ctid=")
            id.write(to: &outbox)
        case .user:
            outbox.write("sip:")
            id.write(to: &outbox)
            outbox.write(UInt8(ascii: "@"))
            outbox.write(advertised)
        case .path: outbox.write(bytes, uri.whole)
        case .addressOfRecord: writeURI(aor: aor, &outbox)
        }
    }

    /// Writes the one URI that stands at the main registrar for all phones of an AOR.
    public func writeURI(aor: Span<UInt8>, _ outbox: inout Outbox) {
        outbox.write("sip:")
        AddressOfRecord.writeAsUserPart(aor, &outbox)
        outbox.write(UInt8(ascii: "@"))
        outbox.write(advertised)
    }

    /// The contact ID in a URI, wherever it stands; `nil` if there is none that we made.
    public static func contactID(
        _ bytes: Span<UInt8>, _ uri: SIPURI, under keys: KeyRing
    ) -> ContactID? {
        if let value = bytes.parameter("ctid", in: uri.parameters),
            let id = ContactID(bytes.extracting(value.start..<value.end), under: keys)
        {
            return id
        }
        // A public GRUU of ours (RFC 5627 §3.1).
        if let value = bytes.parameter("gr", in: uri.parameters),
            let id = ContactID(bytes.extracting(value.start..<value.end), under: keys)
        {
            return id
        }
        guard uri.user.count == ContactID.characters else { return nil }
        return ContactID(bytes.extracting(uri.user.start..<uri.user.end), under: keys)
    }

    /// The number in a URI that an imported contact may have: it stands where an ID of ours would.
    public static func importedNumber(_ bytes: Span<UInt8>, _ uri: SIPURI) -> UInt64? {
        if let value = bytes.parameter("ctid", in: uri.parameters) {
            return ContactID.number(bytes.extracting(value.start..<value.end))
        }
        return ContactID.number(bytes.extracting(uri.user.start..<uri.user.end))
    }

    /// Whether a URI names a contact.
    public static func names(
        _ id: ContactID, _ bytes: Span<UInt8>, _ uri: SIPURI, under keys: KeyRing
    ) -> Bool {
        if let number = id.importedNumber { return importedNumber(bytes, uri) == number }
        return contactID(bytes, uri, under: keys) == id
    }

    /// What a 2xx of the main registrar says about one of our contacts.
    public enum Grant: Equatable, Sendable {
        case absent
        /// Seconds from `expires`, else the Expires header field, else `nil`.
        case seconds(UInt32?)
    }

    /// Looks for our contact in a 2xx.
    ///
    /// - Parameter isOurs: says of a URI of `bytes` whether it is the one we registered.
    public static func grant(
        in bytes: Span<UInt8>, _ index: borrowing MessageIndex, where isOurs: (SIPURI) -> Bool
    ) -> Grant {
        // A contact of somebody else's that cannot be read spoils its own field only.
        for number in 0..<index.count where index[number].name == .contact {
            let value = index[number].value
            if let grant = grant(in: bytes, value, index, where: isOurs) { return grant }
        }
        return .absent
    }

    private static func grant(
        in bytes: Span<UInt8>, _ field: ByteRange, _ index: borrowing MessageIndex,
        where isOurs: (SIPURI) -> Bool
    ) -> Grant? {
        var at = field.start
        while at < field.end, let element = try? NameAddress(bytes, from: at, to: field.end) {
            at = bytes.skipSpace(from: element.whole.end, to: field.end) + 1
            guard let uri = try? SIPURI(bytes, element.uri), isOurs(uri) else { continue }
            if let value = element.expires,
                let granted = try? DeltaSeconds(bytes, value)
            {
                return .seconds(granted.seconds)
            }
            return .seconds((try? index.expires(bytes))?.seconds)
        }
        return nil
    }
}
