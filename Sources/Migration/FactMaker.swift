public import Bytes
public import Keys
public import Registration
internal import SIPMessage

/// Makes facts of the rows of a dump.
///
/// The main registrar has agreed to nothing that is known here, so a fact is dirty: the contact's
/// first REGISTER is relayed. Its lease is taken to end with the row. Of several rows of one contact
/// the one that expires last counts.
public struct FactMaker: ~Copyable {
    public struct Options: Sendable {
        /// The domain of rows that have none, as usrloc writes them without `use_domain`.
        public var domain: [UInt8] = []
        /// What a date without a zone is ahead of UTC, in seconds.
        public var zoneSeconds = 0
        /// How the main registrar calls us; by default the socket of the row.
        public var advertised = TransportAddress.none
        public init() {}
    }

    private struct Contact: Hashable {
        let aor: AORKey
        /// Tells the flows of an instance apart.
        let identity: UInt64

        func isSame(as other: Contact) -> Bool {
            aor == other.aor && Fingerprints.isSameContact(identity, other.identity)
        }
    }

    private struct Place {
        let number: Int
        let expiry: UInt64
    }

    private let keys: KeyRing
    private let fingerprints: Fingerprints
    private let options: Options
    private let now: Instant
    private let wallSeconds: UInt64
    private var places: [Contact: Place] = [:]
    private var owners: [ContactID: Contact] = [:]
    private var buffer = ByteBuffer(bytesMax: 65_536)
    private var canonical = ByteBuffer(bytesMax: 512)
    private var work = Outbox(bytesMax: 8_192, messagesMax: 1)

    /// - Parameters:
    ///   - now: on midreg's timeline.
    ///   - wallSeconds: the same moment in seconds since 1970.
    public init(_ options: Options, keys: KeyRing, now: Instant, wallSeconds: UInt64) {
        self.options = options
        self.keys = keys
        self.now = now
        self.wallSeconds = wallSeconds
        fingerprints = Fingerprints(keys)
    }

    /// The bytes of the fact that was made last.
    public var fact: Span<UInt8> {
        @_lifetime(borrow self)
        get { buffer.span }
    }

    /// Contacts so far, those the store had before too.
    public var count: Int { places.count }

    /// Takes note of a fact that is in the store, of the present version; returns its number, in
    /// order from 0.
    public mutating func know(_ fact: Fact) -> Int {
        let contact = Contact(aor: fact.aor, identity: fact.identity)
        let place = Place(
            number: places[contact]?.number ?? places.count, expiry: fact.mainExpiry.milliseconds)
        places[contact] = place
        owners[Self.unique(fact.id)] = contact
        return place.number
    }

    /// Makes the fact of a row.
    ///
    /// - Returns: the contact's number, in order from 0; one that was returned before is replaced.
    /// - Throws: why there is none.
    public mutating func make(_ row: DumpRow) throws(Refusal) -> (number: Int, isNew: Bool) {
        if row.isBroken { throw Refusal(.broken) }
        guard let uri = row[.contact] else { throw Refusal(.noContact, .contact) }
        let domain = try writeAOR(row)
        let left = try secondsLeft(row)
        var sequence: UInt64 = 0
        if let text = row[.sequence] {
            guard let number = Self.decimal(text), number < 1 << 31 else {
                throw Refusal(.badSequence, .sequence)
            }
            sequence = number
        }
        if row[.path] != nil { throw Refusal(.behindProxy, .path) }

        let element = Self.element(uri, row)
        guard
            let address = try? NameAddress(element.span, from: 0, to: element.count),
            address.whole.end == element.count,
            let contact = try? ContactRequest(
                element.span, address, headerSeconds: nil, defaultSeconds: left)
        else { throw Refusal(.badContact, .contact) }

        let aor = AORKey(canonical.span, under: keys)
        let identity = fingerprints.identity(element.span, contact, separatesFlows: false)
        var fact = Fact(aor: aor, id: try id(row, aor, identity))
        fact.identity = fingerprints.flowIdentity(element.span, contact)
        fact.sequence = UInt32(sequence)
        try readFlow(row, element, contact.uri, &fact)
        fact.askedSeconds = Self.number32(row[.asked]) ?? left
        fact.grantedSeconds = Self.number32(row[.granted]) ?? left
        fact.mainExpiry = now.advanced(bySeconds: left)
        fact.confirmed = now
        fact.arrival = now
        fact.marks = [.dirty]
        let callID = row[.callID] ?? []
        fact.callIDFingerprint = fingerprints.text(callID.span, ByteRange(0, callID.count))

        let key = Contact(aor: aor, identity: fact.identity)
        let known = places[key]
        if let owner = owners[Self.unique(fact.id)], !owner.isSame(as: key) {
            throw Refusal(.sameID, .contactID)
        }
        if let known, known.expiry >= fact.mainExpiry.milliseconds { throw Refusal(.duplicate) }
        write(fact, element, contact.uri, callID, domain)
        guard !buffer.overflowed else { throw Refusal(.tooLong) }
        let place = Place(
            number: known?.number ?? places.count, expiry: fact.mainExpiry.milliseconds)
        places[key] = place
        owners[Self.unique(fact.id)] = key
        return (place.number, known == nil)
    }

    /// A number that was imported is one contact's only, whoever owns it.
    private static func unique(_ id: ContactID) -> ContactID {
        guard let number = id.importedNumber else { return id }
        return ContactID(imported: number, steering: SteeringBits(0))
    }

    // MARK: Parts of a row

    /// Puts the canonical AOR into `canonical`; returns the domain.
    private mutating func writeAOR(_ row: DumpRow) throws(Refusal) -> [UInt8] {
        let column: Column = row[.addressOfRecord] == nil ? .username : .addressOfRecord
        guard var text = row[.addressOfRecord] ?? row[.username] else {
            throw Refusal(.noAOR, .username)
        }
        if text.starts(with: "sip:".utf8) { text.removeFirst(4) }
        if !text.contains(UInt8(ascii: "@")) {
            guard let domain = row[.domain] ?? (options.domain.isEmpty ? nil : options.domain)
            else { throw Refusal(.noDomain, .domain) }
            text.append(UInt8(ascii: "@"))
            text += domain
        }
        text = Array("sip:".utf8) + text
        canonical.clear()
        do throws(SIPParseError) {
            let uri = try SIPURI(text.span, ByteRange(0, text.count))
            try AddressOfRecord.write(text.span, uri, to: &canonical)
            return Array(text[uri.host.start..<uri.host.end])
        } catch {
            throw Refusal(.badAOR, column)
        }
    }

    private func secondsLeft(_ row: DumpRow) throws(Refusal) -> UInt32 {
        if let text = row[.expiresIn] {
            if let left = Self.decimal(text) {
                guard left > 0 else { throw Refusal(.expired, .expires) }
                return UInt32(min(left, UInt64(UInt32.max)))
            }
            switch String(decoding: text, as: UTF8.self) {
            case "permanent": throw Refusal(.permanent, .expires)
            case "expired", "deleted": throw Refusal(.expired, .expires)
            case _ where text.first == UInt8(ascii: "-"): throw Refusal(.expired, .expires)
            default: throw Refusal(.noExpiry, .expires)
            }
        }
        guard let text = row[.expires], let end = Self.moment(text, options.zoneSeconds) else {
            throw Refusal(.noExpiry, .expires)
        }
        if end == 0 { throw Refusal(.permanent, .expires) }
        guard end > wallSeconds else { throw Refusal(.expired, .expires) }
        return UInt32(min(end - wallSeconds, UInt64(UInt32.max)))
    }

    /// Seconds since 1970, from a number or from `YYYY-MM-DD HH:MM:SS`.
    static func moment(_ text: [UInt8], _ zoneSeconds: Int) -> UInt64? {
        if let number = decimal(text) { return number }
        guard text.count >= 19 else { return nil }
        var parts: [Int] = []
        for (start, end) in [(0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19)] {
            guard let part = decimal(Array(text[start..<end])) else { return nil }
            parts.append(Int(part))
        }
        guard text[4] == 0x2D, text[7] == 0x2D, text[13] == 0x3A, text[16] == 0x3A,
            (1...12).contains(parts[1]), (1...31).contains(parts[2]), parts[3] < 24,
            parts[4] < 60, parts[5] < 61
        else { return nil }
        // Days since 1970 of the civil calendar, years beginning in March.
        let year = parts[1] > 2 ? parts[0] : parts[0] - 1
        let month = parts[1] > 2 ? parts[1] - 3 : parts[1] + 9
        let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5
        let ofDay = parts[3] * 3_600 + parts[4] * 60 + parts[5]
        let seconds = (days + parts[2] - 1 - 719_468) * 86_400 + ofDay - zoneSeconds
        return seconds < 0 ? 0 : UInt64(seconds)
    }

    static func decimal(_ text: [UInt8]) -> UInt64? {
        guard !text.isEmpty, text.count <= 20 else { return nil }
        return UInt64(String(decoding: text, as: UTF8.self))
    }

    private static func number32(_ text: [UInt8]?) -> UInt32? {
        text.flatMap { UInt32(String(decoding: $0, as: UTF8.self)) }
    }

    /// The contact as the phone sent it, as far as the row tells.
    private static func element(_ uri: [UInt8], _ row: DumpRow) -> [UInt8] {
        if uri.contains(UInt8(ascii: "<")) { return uri }
        var element = [UInt8(ascii: "<")] + uri + [UInt8(ascii: ">")]
        if let instance = row[.instance] {
            element += ";+sip.instance=".utf8
            let isQuoted = instance.first == UInt8(ascii: "\"")
            element += isQuoted ? instance : [0x22] + instance + [0x22]
        }
        if let number = row[.flowNumber], number != [0x30] {
            element += ";reg-id=".utf8
            element += number
        }
        return element
    }

    /// A number that OpenSIPS gave the contact, or an ID of ours, is kept; else it is made.
    private func id(
        _ row: DumpRow, _ aor: AORKey, _ identity: UInt64
    ) throws(Refusal) -> ContactID {
        guard let text = row[.contactID] else {
            return ContactID(aor, identity: identity, under: keys)
        }
        if let number = ContactID.number(text.span) {
            return ContactID(imported: number, steering: aor.steering)
        }
        guard let id = ContactID(text.span, under: keys), id.steering == aor.steering else {
            throw Refusal(.badID, .contactID)
        }
        return id
    }

    private func readFlow(
        _ row: DumpRow, _ element: [UInt8], _ contact: SIPURI, _ fact: inout Fact
    ) throws(Refusal) {
        if let socket = row[.socket] {
            let parts = socket.split(separator: UInt8(ascii: ":"), maxSplits: 1)
            guard parts.count == 2, parts[0].map({ $0 | 0x20 }) == Array("udp".utf8) else {
                throw Refusal(.notUDP, .socket)
            }
            let text = Array(parts[1])
            fact.local = TransportAddress(hostPort: text.span, defaultPort: 5_060) ?? .none
        }
        let received = row[.received]
        let bytes = received ?? element
        guard
            let uri = received == nil
                ? contact : try? SIPURI(bytes.span, ByteRange(0, bytes.count))
        else { throw Refusal(.noFlow, .received) }
        let column: Column = received == nil ? .contact : .received
        if let transport = bytes.span.parameter("transport", in: uri.parameters),
            !bytes.span.spellsIgnoringCase("udp", in: transport)
        {
            throw Refusal(.notUDP, column)
        }
        guard uri.scheme == .sip else { throw Refusal(.notUDP, column) }
        guard
            let peer = TransportAddress(
                host: bytes.span.extracting(uri.host.start..<uri.host.end),
                port: uri.port == 0 ? 5_060 : uri.port)
        else { throw Refusal(.noFlow, column) }
        fact.peer = peer
        // Its contact at the main registrar would be nobody's, and could not be removed there.
        guard fact.local != .none || options.advertised != .none else {
            throw Refusal(.nowhere, .socket)
        }
    }

    private mutating func write(
        _ fact: Fact, _ element: [UInt8], _ uri: SIPURI, _ callID: [UInt8], _ domain: [UInt8]
    ) {
        fact.begin(&buffer)
        Fact.append(.addressOfRecord, canonical, to: &buffer)
        Fact.append(.contact, element.span, ByteRange(0, element.count), to: &buffer)
        Fact.append(.callID, callID.span, ByteRange(0, callID.count), to: &buffer)
        let start = buffer.count
        buffer.append("sip:")
        buffer.append(domain.span)
        Fact.close(.requestURI, from: start, in: &buffer)
        Fact.append(.toURI, canonical, to: &buffer)
        Fact.append(.fromURI, canonical, to: &buffer)
        let main = MainContact(
            placement: .parameter,
            advertised: options.advertised == .none ? fact.local : options.advertised)
        work.begin()
        Self.write(main, fact.id, element, uri, canonical, &work)
        let mainStart = buffer.count
        buffer.append(openOf: work)
        Fact.close(.mainContact, from: mainStart, in: &buffer)
        work.abandon()
        Fact.close(.replyBlock, from: buffer.count, in: &buffer)
    }
    private static func write(
        _ main: MainContact, _ id: ContactID, _ element: [UInt8], _ uri: SIPURI,
        _ aor: borrowing ByteBuffer, _ outbox: inout Outbox
    ) {
        main.writeURI(id, element.span, uri, aor: aor.span, &outbox)
    }
}
