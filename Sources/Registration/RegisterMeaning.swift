public import Bytes
public import SIPMessage

/// One contact of a REGISTER and what is asked for it (RFC 3261 §10.2.1).
public struct ContactRequest: BitwiseCopyable, Sendable {
    /// The whole element: address and parameters.
    public let element: ByteRange
    public let uri: SIPURI
    /// After the first semicolon behind the address.
    public let parameters: ByteRange
    /// The `expires` parameter with its semicolon; none if it is not there.
    public let expiresParameter: ByteRange
    /// The value of `+sip.instance`; none if it is not there.
    public let instance: ByteRange
    /// The value of `reg-id` (RFC 5626 §4.2); none if it is not there.
    public let flowNumber: ByteRange
    /// Seconds asked for: the parameter, else the Expires header field, else the default.
    public let askedSeconds: UInt32
}

/// What a REGISTER means: whose it is and what it asks for each contact (RFC 3261 §10.3 steps 5-7).
/// A fixed room that is used again for the next.
public struct RegisterMeaning: ~Copyable {
    public private(set) var to = ByteRange.none
    public private(set) var isWildcard = false
    public private(set) var count = 0
    /// Whether some contact asks for more than 0 s.
    public private(set) var asksForBinding = false
    private var contacts = RigidBuffer<ContactRequest>(
        count: RegistrationLimits.contactsPerRequestMax, zeroed: .nothing)

    public init() {}

    public subscript(index: Int) -> ContactRequest {
        precondition(index < count, "the contact is there")
        return contacts[index]
    }

    /// No contact: the sender only asks which bindings there are (§10.2.3).
    public var isFetch: Bool { count == 0 && !isWildcard }

    /// - Parameter aor: gets the canonical address of record.
    /// - Throws: what is wrong with To, Expires or a Contact.
    public mutating func read(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, defaultSeconds: UInt32,
        aor: inout ByteBuffer
    ) throws(SIPParseError) {
        count = 0
        isWildcard = false
        asksForBinding = false
        guard let toValue = index.value(.to) else { throw SIPParseError(.missingHeader, at: 0) }
        let address = try NameAddress(bytes, from: toValue.start, to: toValue.end)
        to = address.uri
        aor.clear()
        try AddressOfRecord.write(bytes, try SIPURI(bytes, address.uri), to: &aor)

        let headerSeconds = try index.expires(bytes)?.seconds
        guard let first = index.value(.contact) else { return }
        if first.count == 1, bytes[first.start] == UInt8(ascii: "*") {
            // §10.2.2: alone, and with Expires 0.
            guard headerSeconds == 0 else { throw SIPParseError(.wildcard, at: first.start) }
            var field = (index.first(.contact) ?? 0) + 1
            while field < index.count {
                guard index[field].name != .contact else {
                    throw SIPParseError(.wildcard, at: index[field].line.start)
                }
                field += 1
            }
            isWildcard = true
            return
        }
        var cursor = AddressCursor(.contact, of: index)
        while let element = try cursor.next(bytes, index) {
            guard count < RegistrationLimits.contactsPerRequestMax else {
                throw SIPParseError(.tooManyContacts, at: element.whole.start)
            }
            let contact = try ContactRequest(
                bytes, element, headerSeconds: headerSeconds, defaultSeconds: defaultSeconds)
            if contact.askedSeconds > 0 { asksForBinding = true }
            contacts[count] = contact
            count += 1
        }
    }
}

extension ContactRequest {
    /// No contact; all of its bytes are 0.
    static var nothing: ContactRequest {
        ContactRequest(
            element: .none, uri: .nothing, parameters: .none, expiresParameter: .none,
            instance: .none, flowNumber: .none, askedSeconds: 0)
    }

    /// Reads one element of Contact.
    ///
    /// - Parameters:
    ///   - headerSeconds: the Expires header field, if there is one.
    ///   - defaultSeconds: what counts if nothing says how long.
    /// - Throws: at a contact that nobody could be reached by.
    public init(
        _ bytes: Span<UInt8>, _ element: NameAddress, headerSeconds: UInt32?,
        defaultSeconds: UInt32
    ) throws(SIPParseError) {
        guard element.whole.count <= RegistrationLimits.contactBytesMax else {
            throw SIPParseError(.contact, at: element.whole.start)
        }
        let uri = try SIPURI(bytes, element.uri)
        // A "?" outside brackets belongs to nobody (§20.10).
        guard uri.scheme != .other, element.isBracketed || uri.headers.isEmpty else {
            throw SIPParseError(.contact, at: element.uri.start)
        }
        var expires = ByteRange.none
        var asked = headerSeconds ?? defaultSeconds
        var instance = ByteRange.none
        var flowNumber = ByteRange.none
        var cursor = ParameterCursor(element.parameters)
        while let parameter = try cursor.next(bytes) {
            switch parameter.name.count {
            case 7 where bytes.spellsIgnoringCase("expires", in: parameter.name):
                // Twice would be two answers to one question.
                guard expires.isEmpty else {
                    throw SIPParseError(.contact, at: parameter.name.start)
                }
                expires = parameter.whole
                // §20.10: a malformed value counts as 3600.
                asked = (try? DeltaSeconds(bytes, parameter.value))?.seconds ?? 3_600
            case 13 where bytes.spellsIgnoringCase("+sip.instance", in: parameter.name):
                instance = parameter.value
            case 6 where bytes.spellsIgnoringCase("reg-id", in: parameter.name):
                flowNumber = parameter.value
            default: break
            }
        }
        self.init(
            element: element.whole, uri: uri, parameters: element.parameters,
            expiresParameter: expires, instance: instance, flowNumber: flowNumber,
            askedSeconds: asked)
    }
}
