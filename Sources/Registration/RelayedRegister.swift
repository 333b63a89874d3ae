public import Bytes
public import Keys
public import SIPMessage

/// Writes a REGISTER as it goes to the main registrar: our Via on top, our Contacts in place of the
/// phone's, our lifetime; all else as the phone sent it (RFC 3261 §16.6).
public struct RelayedRegister {
    /// Where the request came from.
    public let source: TransportAddress
    public let contact: MainContact
    /// The contact IDs, in the order of the request's contacts.
    public var ids = InlineArray<16, ContactID>(repeating: ContactID(high: 0, low: 0))
    /// The lifetime to ask for each contact, in the same order.
    public var seconds = InlineArray<16, UInt32>(repeating: 0)
    /// The lifetime to ask for the one contact of an AOR.
    public var sharedSeconds: UInt32 = 0
    /// Says where the request came from; what the phone wrote under its name stays behind.
    public var sourceHeader: SourceHeader?
    /// Whether the Path of an edge goes on below ours.
    public var keepsPath = false

    public init(source: TransportAddress, contact: MainContact) {
        self.source = source
        self.contact = contact
    }

    /// Writes everything behind our Via and Path.
    ///
    /// - Parameter aor: the canonical address of record.
    public func writeRest(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex,
        _ meaning: borrowing RegisterMeaning, aor: Span<UInt8>, _ outbox: inout Outbox
    ) {
        var isTopVia = true
        var isTopRoute = true
        var contactsWritten = false
        if !index.has(.maxForwards) { outbox.write("Max-Forwards: 70\r\n") }
        sourceHeader?.write(source, &outbox)
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
            case .maxForwards: MaxForwards.writeLowered(bytes, field, &outbox)
            case .route:
                // The topmost names us: that is how the request came here.
                if isTopRoute {
                    TopRoute.writeRest(bytes, of: field, &outbox)
                } else {
                    outbox.write(bytes, field.line)
                }
                isTopRoute = false
            // We are the way; the Path of an unknown hop would lead past us.
            case .path where !keepsPath: break
            case .contact where !meaning.isWildcard:
                guard !contactsWritten else { break }
                contactsWritten = true
                if contact.placement == .addressOfRecord {
                    outbox.write("Contact: <")
                    contact.writeURI(aor: aor, &outbox)
                    outbox.write(">")
                    // One contact needs its lifetime once: in the Expires header field, if the
                    // phone sent one, as mid-registrars have always written it.
                    if !index.has(.expires) {
                        outbox.write(";expires=")
                        outbox.write(decimal: sharedSeconds)
                    }
                    outbox.write("\r\n")
                    break
                }
                for contactNumber in 0..<meaning.count where !isRepeated(contactNumber) {
                    write(
                        meaning[contactNumber], bytes, ids[contactNumber],
                        seconds[contactNumber], &outbox)
                }
            case .expires where !meaning.isWildcard && meaning.count > 0:
                outbox.write("Expires: ")
                var longest = sharedSeconds
                for contactNumber in 0..<meaning.count {
                    longest = max(longest, seconds[contactNumber])
                }
                outbox.write(decimal: longest)
                outbox.write("\r\n")
            case .supported where contact.placement != .path:
                Self.writeOptions(bytes, field, &outbox)
            default:
                if let sourceHeader, sourceHeader.isNamed(bytes, by: field) { break }
                outbox.write(bytes, field.line)
            }
        }
        outbox.write(bytes, index.headerEnd)
        outbox.write(bytes, index.body)
    }

    /// Whether it is another flow of a contact that stands before it.
    private func isRepeated(_ number: Int) -> Bool {
        guard contact.placement != .path else { return false }
        for earlier in 0..<number where ids[earlier] == ids[number] { return true }
        return false
    }

    private func write(
        _ request: ContactRequest, _ bytes: Span<UInt8>, _ id: ContactID, _ seconds: UInt32,
        _ outbox: inout Outbox
    ) {
        guard contact.placement != .path else {
            // Untouched but for its lifetime: the main registrar sees the phone as it is.
            RegisterAnswer.writeContact(
                bytes, element: request.element, without: request.expiresParameter,
                seconds: seconds, &outbox)
            return
        }
        outbox.write("Contact: <")
        contact.writeURI(id, bytes, request.uri, aor: bytes, &outbox)
        outbox.write(">")
        var cursor = ParameterCursor(request.parameters)
        while let parameter = try? cursor.next(bytes) {
            if Self.isKept(bytes, parameter.name) {
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
