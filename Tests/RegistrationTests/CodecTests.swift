import Bytes
import Keys
import Registration
import SIPMessage
import Testing

@Suite("A fact")
struct FactTests {
    private func sample() -> [UInt8] {
        var fact = Fact(
            aor: AORKey(high: 1, low: 2), id: ContactID(high: 3, low: 4))
        fact.identity = 5
        fact.contactFingerprint = 6
        fact.callIDFingerprint = 7
        fact.transaction = 8
        fact.peer = TransportAddress(ipv4: 9, port: 10)
        fact.local = TransportAddress(high: 11, low: 12, port: 13)
        fact.server = TransportAddress(ipv4: 14, port: 15)
        fact.sequence = 16
        fact.askedSeconds = 17
        fact.grantedSeconds = 18
        fact.mainExpiry = at(19)
        fact.confirmed = at(20)
        fact.arrival = at(21)
        fact.dirtyUntil = at(22)
        fact.marks = [.dirty]
        var buffer = ByteBuffer(bytesMax: 1_000)
        fact.begin(&buffer)
        for text in Fact.Text.allCases {
            let bytes = Array("\(text)".utf8)
            Fact.append(text, bytes.span, ByteRange(0, bytes.count), to: &buffer)
        }
        Fact.remark(&buffer, [.dirty, .removalOwed])
        var bytes: [UInt8] = []
        let span = buffer.span
        for at in span.indices { bytes.append(span[at]) }
        return bytes
    }

    @Test func `reads back whole`() {
        let bytes = sample()
        guard let fact = Fact(bytes.span) else {
            Issue.record("a fact")
            return
        }
        #expect(fact.aor == AORKey(high: 1, low: 2))
        #expect(Fact.aorKey(bytes.span) == fact.aor)
        #expect(fact.id == ContactID(high: 3, low: 4))
        #expect(
            [fact.identity, fact.contactFingerprint, fact.callIDFingerprint, fact.transaction]
                == [5, 6, 7, 8])
        #expect(fact.peer == TransportAddress(ipv4: 9, port: 10))
        #expect(fact.local == TransportAddress(high: 11, low: 12, port: 13))
        #expect(fact.server == TransportAddress(ipv4: 14, port: 15))
        #expect([fact.sequence, fact.askedSeconds, fact.grantedSeconds] == [16, 17, 18])
        #expect(
            [fact.mainExpiry, fact.confirmed, fact.arrival, fact.dirtyUntil].map(\.milliseconds)
                == [19, 20, 21, 22])
        #expect(fact.marks == [.dirty, .removalOwed])
        for text in Fact.Text.allCases {
            let range = Fact.range(of: text, in: bytes.span)
            #expect(String(decoding: bytes[range.start..<range.end], as: UTF8.self) == "\(text)")
        }
    }

    @Test func `is refused when any byte is missing or too many`() {
        let bytes = sample()
        for count in 0..<bytes.count {
            let part = Array(bytes[..<count])
            #expect(Fact(part.span) == nil)
        }
        let more = bytes + [0]
        #expect(Fact(more.span) == nil)
        var version = bytes
        version[0] = 9
        #expect(Fact(version.span) == nil)
    }
}

@Suite("What travels in our Via")
struct RelayStateTests {
    @Test(arguments: ["192.0.2.1:5062", "[2001:db8::1]:5062"], [[], RelayState.Marks.shared])
    func `reads back, and cut bytes give nothing`(peer: String, marks: RelayState.Marks) {
        guard let address = TransportAddress(hostPort: peer, defaultPort: 1) else { return }
        let elements = ["<sip:a@b>;q=1", "<sip:c@d>"].map { Array($0.utf8) }
        let uri = Array("sip:other.test".utf8)
        var buffer = ByteBuffer(bytesMax: 500)
        RelayState.begin(
            marks.union([.requestURI, .authorized, .knowsPath]), Flow(peer: address, socket: 3),
            sharedSeconds: 3_600, contacts: 2, to: &buffer)
        for (number, element) in elements.enumerated() {
            RelayState.append(
                ContactID(high: UInt64(number), low: 9), askedSeconds: 70, element.span,
                ByteRange(0, element.count), to: &buffer)
        }
        buffer.append(uri.span)
        var bytes: [UInt8] = []
        let span = buffer.span
        for at in span.indices { bytes.append(span[at]) }
        guard let state = RelayState(bytes.span) else {
            Issue.record("a state")
            return
        }
        #expect(state.flow == Flow(peer: address, socket: 3))
        #expect(state.marks.isSuperset(of: [.authorized, .requestURI, .knowsPath]))
        #expect(state.sharedSeconds == (marks.isEmpty ? 0 : 3_600))
        var offset = state.firstContact
        for (number, element) in elements.enumerated() {
            guard let contact = state.contact(bytes.span, at: &offset) else {
                Issue.record("a contact")
                return
            }
            #expect(contact.id == ContactID(high: UInt64(number), low: 9))
            #expect(contact.askedSeconds == 70)
            #expect(Array(bytes[contact.element.start..<contact.element.end]) == element)
        }
        guard let range = state.requestURI(at: offset) else {
            Issue.record("a URI")
            return
        }
        #expect(Array(bytes[range.start..<range.end]) == uri)
        for count in 0..<bytes.count {
            let part = Array(bytes[..<count])
            guard let cut = RelayState(part.span) else { continue }
            var at = cut.firstContact
            while cut.contact(part.span, at: &at) != nil {}
        }
    }
}

@Suite("Our Contact at the main registrar")
struct MainContactTests {
    @Test(
        arguments: [MainContact.Placement.parameter, .user],
        ["192.0.2.9:5060", "[2001:db8::9]:5060"])
    func `is written and read back`(placement: MainContact.Placement, us: String) throws {
        guard let address = TransportAddress(hostPort: us, defaultPort: 1) else { return }
        let id = ContactID(AORKey(high: 1 << 60, low: 2), identity: 3, under: testKeys)
        let contact = MainContact(placement: placement, advertised: address)
        var outbox = Outbox(bytesMax: 500, messagesMax: 1)
        let phone = Array("sip:alice@192.0.2.1".utf8)
        outbox.begin()
        contact.writeURI(
            id, phone.span, try SIPURI(phone.span, ByteRange(0, phone.count)), aor: phone.span,
            &outbox)
        let text = outbox.openText
        #expect(
            text
                == (placement == .parameter
                    ? "sip:alice@\(us);ctid=\(id.text)" : "sip:\(id.text)@\(us)"))
        // Some registrars give it back in capitals, or with the address of the packet.
        for spelled in [text, "sip:" + text.dropFirst(4).uppercased()] {
            let bytes = Array(spelled.utf8)
            let uri = try SIPURI(bytes.span, ByteRange(0, bytes.count))
            #expect(MainContact.contactID(bytes.span, uri, under: testKeys) == id)
        }
        let wrong = Array(
            (text.components(id.text).joined(separator: "a" + id.text.dropFirst())).utf8)
        let uri = try SIPURI(wrong.span, ByteRange(0, wrong.count))
        #expect(
            MainContact.contactID(wrong.span, uri, under: testKeys)
                == (id.text.hasPrefix("a") ? id : nil))
    }
}

extension String {
    func components(_ separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }
}

@Suite("What a REGISTER means (RFC 3261 §10.3)")
struct RegisterMeaningTests {
    /// Seconds asked for each contact, -1 for the wildcard; nothing if it is refused.
    private func read(_ fields: [String]) -> [Int]? {
        let text =
            ([
                "REGISTER sip:e.test SIP/2.0", "Via: SIP/2.0/UDP a;branch=z9hG4bK1",
                "From: <sip:a@e.test>;tag=1", "To: <sip:a@E.test:5060;x=1>", "Call-ID: c",
                "CSeq: 1 REGISTER",
            ] + fields + ["", ""]).joined(separator: "\r\n")
        let bytes = Array(text.utf8) + [UInt8](repeating: 0, count: 64)
        var index = MessageIndex()
        guard
            MessageParser().parse(bytes.span, length: text.utf8.count, into: &index) == .message
        else { return nil }
        var meaning = RegisterMeaning()
        var asked: [Int] = []
        var aor = ByteBuffer(bytesMax: 512)
        do {
            try meaning.read(bytes.span, index, defaultSeconds: 1_800, aor: &aor)
        } catch { return nil }
        #expect(aor.span.count == "sip:a@e.test".utf8.count)
        if meaning.isWildcard { return [-1] }
        for number in 0..<meaning.count { asked.append(Int(meaning[number].askedSeconds)) }
        return asked
    }

    /// Stands for R12.
    @Test(
        arguments: [
            ([], []),
            (["Contact: <sip:a@b>"], [1_800]),
            (["Contact: <sip:a@b>", "Expires: 70"], [70]),
            (["Contact: <sip:a@b>;expires=80", "Expires: 70"], [80]),
            (["Contact: sip:a@b;expires=80"], [80]),
            (["m: <sip:a@b>;EXPIRES=0", "Expires: 70"], [0]),
            (["Contact: <sip:a@b>;expires=0"], [0]),
            (["Contact: <sip:a@b>;expires=soon", "Expires: 70"], [3_600]),
            (["Contact: <sip:a@b>;expires=99999999999"], [4_294_967_295]),
            (["Contact: <sip:a@b>", "Expires: 99999999999999999999"], [4_294_967_295]),
            (["Contact: <sip:a@b>;expires=1;expires=2"], nil),
            (["Contact: <sip:a@b>", "Expires: soon"], nil),
            (
                ["Contact: <sip:a@b>, <sip:c@d>;expires=5", "Contact: <sip:e@f>", "Expires: 9"],
                [9, 5, 9]
            ),
            (["Contact: *", "Expires: 0"], [-1]),
            (["Contact: *"], nil),
            (["Contact: *", "Expires: 1"], nil),
            (["Contact: *", "Contact: <sip:a@b>", "Expires: 0"], nil),
            (["Contact: <sip:a@b>", "Contact: *", "Expires: 0"], nil),
            (["Contact: *, <sip:a@b>", "Expires: 0"], nil),
            (["Contact:"], nil),
            (["Contact: <mailto:a@b>"], nil),
            (["Contact: sip:a@b?x=1"], nil),
        ] as [([String], [Int]?)])
    func `is what its fields say`(fields: [String], expected: [Int]?) {
        #expect(read(fields) == expected)
    }

    @Test func `has at most sixteen contacts, none longer than a kilobyte`() {
        let contacts = (0..<16).map { "Contact: <sip:a@b\($0)>" }
        #expect(read(contacts)?.count == 16)
        #expect(read(contacts + ["Contact: <sip:a@x>"]) == nil)
        let long = String(repeating: "x", count: 1_024 - "<sip:a@>".utf8.count)
        #expect(read(["Contact: <sip:a@\(long)>"]) == [1_800])
        #expect(read(["Contact: <sip:a@\(long)x>"]) == nil)
    }
}
