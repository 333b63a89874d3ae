public import Bytes
public import Keys
public import SIPMessage

/// How our Contact looks to the main registrar, and how it is read back from there.
public struct MainContact: Sendable {
    /// Where the contact ID stands in our Contact's URI.
    public enum Placement: Sendable, Equatable {
        /// `sip:USER@US;ctid=ID`
        case parameter
        /// `sip:ID@US`
        case user
    }

    public let placement: Placement
    /// The address every worker receives on, as the main registrar is to call it.
    public let advertised: TransportAddress

    public init(placement: Placement, advertised: TransportAddress) {
        self.placement = placement
        self.advertised = advertised
    }

    /// Writes the URI for a contact of the phone's.
    public func writeURI(
        _ id: ContactID, _ bytes: Span<UInt8>, user: ByteRange, _ outbox: inout Outbox
    ) {
        outbox.write("sip:")
        switch placement {
        case .parameter:
            if !user.isEmpty {
                outbox.write(bytes, user)
                outbox.write(UInt8(ascii: "@"))
            }
            outbox.write(advertised)
            outbox.write(";ctid=")
            id.write(to: &outbox)
        case .user:
            id.write(to: &outbox)
            outbox.write(UInt8(ascii: "@"))
            outbox.write(advertised)
        }
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
        guard uri.user.count == ContactID.characters else { return nil }
        return ContactID(bytes.extracting(uri.user.start..<uri.user.end), under: keys)
    }

    /// What a 2xx of the main registrar says about one of our contacts.
    public enum Grant: Equatable, Sendable {
        case absent
        /// Seconds from `expires`, else the Expires header field, else `nil`.
        case seconds(UInt32?)
    }

    public static func grant(
        of id: ContactID, in bytes: Span<UInt8>, _ index: borrowing MessageIndex,
        under keys: KeyRing
    ) -> Grant {
        // A contact of somebody else's that cannot be read spoils its own field only.
        for number in 0..<index.count where index[number].name == .contact {
            let value = index[number].value
            if let grant = grant(of: id, in: bytes, value, index, under: keys) { return grant }
        }
        return .absent
    }

    private static func grant(
        of id: ContactID, in bytes: Span<UInt8>, _ field: ByteRange,
        _ index: borrowing MessageIndex, under keys: KeyRing
    ) -> Grant? {
        var at = field.start
        while at < field.end, let element = try? NameAddress(bytes, from: at, to: field.end) {
            at = bytes.skipSpace(from: element.whole.end, to: field.end) + 1
            guard let uri = try? SIPURI(bytes, element.uri),
                contactID(bytes, uri, under: keys) == id
            else { continue }
            if let value = bytes.parameter("expires", in: element.parameters),
                let seconds = try? bytes.number(in: value, max: UInt64(UInt32.max))
            {
                return .seconds(UInt32(seconds))
            }
            if let value = index.value(.expires),
                let seconds = try? bytes.number(in: value, max: UInt64(UInt32.max))
            {
                return .seconds(UInt32(seconds))
            }
            return .seconds(nil)
        }
        return nil
    }
}

/// Writes a REGISTER as it goes to the main registrar: our Via on top, our Contacts in place of the
/// phone's, our lifetime; all else as the phone sent it (RFC 3261 §16.6).
public enum RelayedRegister {
    /// Writes everything behind our Via.
    ///
    /// - Parameters:
    ///   - seconds: the lifetime to ask for each contact, in the order of `meaning`.
    public static func writeRest(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex,
        _ meaning: borrowing RegisterMeaning, source: TransportAddress, contact: MainContact,
        ids: InlineArray<16, ContactID>, seconds: InlineArray<16, UInt32>,
        _ outbox: inout Outbox
    ) {
        var isTopVia = true
        var isTopRoute = true
        var contactsWritten = false
        if !index.has(.maxForwards) { outbox.write("Max-Forwards: 70\r\n") }
        var number = 0
        while number < index.count {
            let field = index[number]
            number += 1
            switch field.name {
            case .via:
                if isTopVia {
                    ResponseWriter.writeStamped(bytes, field, source, &outbox)
                } else {
                    outbox.write(bytes, field.line)
                }
                isTopVia = false
            case .maxForwards:
                let value = (try? bytes.number(in: field.value, max: 255)) ?? 70
                outbox.write("Max-Forwards: ")
                outbox.write(decimal: value > 0 ? value - 1 : 0)
                outbox.write("\r\n")
            case .route:
                // The topmost names us: that is how the request came here.
                if isTopRoute {
                    TopRoute.writeRest(bytes, of: field, &outbox)
                } else {
                    outbox.write(bytes, field.line)
                }
                isTopRoute = false
            case .path: break  // Our Contact is the way; a Path would lead past it.
            case .contact where !meaning.isWildcard:
                guard !contactsWritten else { break }
                contactsWritten = true
                for contactNumber in 0..<meaning.count {
                    write(
                        meaning[contactNumber], bytes, contact, ids[contactNumber],
                        seconds[contactNumber], &outbox)
                }
            case .expires where !meaning.isWildcard && meaning.count > 0:
                outbox.write("Expires: ")
                var longest: UInt32 = 0
                for contactNumber in 0..<meaning.count {
                    longest = max(longest, seconds[contactNumber])
                }
                outbox.write(decimal: longest)
                outbox.write("\r\n")
            case .supported: writeOptions(bytes, field, &outbox)
            default: outbox.write(bytes, field.line)
            }
        }
        outbox.write(bytes, index.headerEnd)
        outbox.write(bytes, index.body)
    }

    private static func write(
        _ request: ContactRequest, _ bytes: Span<UInt8>, _ contact: MainContact, _ id: ContactID,
        _ seconds: UInt32, _ outbox: inout Outbox
    ) {
        outbox.write("Contact: <")
        contact.writeURI(id, bytes, user: request.uri.user, &outbox)
        outbox.write(">")
        var cursor = ParameterCursor(request.parameters)
        while let parameter = try? cursor.next(bytes) {
            if isKept(bytes, parameter.name) {
                outbox.write(";")
                outbox.write(bytes, ByteRange(parameter.name.start, parameter.whole.end))
            }
        }
        outbox.write(";expires=")
        outbox.write(decimal: seconds)
        outbox.write("\r\n")
    }

    /// What names a flow or a GRUU of somebody else's making does not pass (RFC 5626 §6).
    private static func isKept(_ bytes: Span<UInt8>, _ name: ByteRange) -> Bool {
        !(bytes.spellsIgnoringCase("expires", in: name)
            || bytes.spellsIgnoringCase("reg-id", in: name)
            || bytes.spellsIgnoringCase("pub-gruu", in: name)
            || bytes.spellsIgnoringCase("temp-gruu", in: name)
            || bytes.spellsIgnoringCase("temp-gruu-cookie", in: name)
            || bytes.spellsIgnoringCase("received", in: name))
    }

    /// Supported or Require without `outbound` and `gruu`, which are not ours to serve: passed on,
    /// the main registrar would answer for us (RFC 5626 §6, RFC 5627 §5).
    public static func writeOptions(
        _ bytes: Span<UInt8>, _ field: HeaderField, _ outbox: inout Outbox
    ) {
        var isFirst = true
        var at = field.value.start
        while at < field.value.end {
            let comma = bytes.find(0x2C, 0x2C, 0x2C, 0x2C, from: at, to: field.value.end)
            let option = bytes.trimmed(ByteRange(at, comma))
            at = comma + 1
            if option.isEmpty || bytes.spellsIgnoringCase("outbound", in: option)
                || bytes.spellsIgnoringCase("gruu", in: option)
            {
                continue
            }
            if isFirst {
                outbox.write(field.name == .require ? "Require: " : "Supported: ")
            } else {
                outbox.write(", ")
            }
            outbox.write(bytes, option)
            isFirst = false
        }
        if !isFirst { outbox.write("\r\n") }
    }
}
