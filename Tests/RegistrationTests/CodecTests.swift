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

    @Test(arguments: [
        // What two contacts are to each other: (same contact, same flow of it).
        (";+sip.instance=\"<urn:uuid:1>\"", ";+sip.instance=\"<urn:uuid:1>\"", true, true),
        (";+sip.instance=\"x\";reg-id=1", ";+sip.instance=\"x\";reg-id=2", true, false),
        (";+sip.instance=\"x\";reg-id=1", ";reg-id=1;+sip.instance=\"x\"", true, true),
        (";+sip.instance=\"x\";reg-id=1", ";+sip.instance=\"x\"", true, false),
        (";+sip.instance=\"x\";reg-id=1", ";+sip.instance=\"y\";reg-id=1", false, false),
        (";reg-id=1", ";reg-id=2", true, true),
        (";+sip.instance=\"x\";reg-id=a", ";+sip.instance=\"x\";reg-id=b", true, false),
        (
            ";+sip.instance=\"x\";reg-id=99999999999", ";+sip.instance=\"x\";reg-id=1", true,
            false
        ),
    ])
    func `of an earlier version has its flow's identity from now on`(
        one: String, other: String, sameContact: Bool, sameFlow: Bool
    ) {
        let secret = (0..<32).map { UInt8($0 + 1) }
        let fingerprints = Fingerprints(KeyRing(secret: secret.span))
        func identity(_ parameters: String) -> UInt64 {
            var buffer = ByteBuffer(bytesMax: 1_000)
            Fact(aor: AORKey(high: 1, low: 2), id: ContactID(high: 3, low: 4)).begin(&buffer)
            for text in Fact.Text.allCases {
                let bytes = text == .contact ? Array("<sip:a@192.0.2.1>\(parameters)".utf8) : []
                Fact.append(text, bytes.span, ByteRange(0, bytes.count), to: &buffer)
            }
            buffer[0] = 2
            guard var fact = Fact(buffer.span) else { return 0 }
            fact.migrate(buffer.span, fingerprints)
            return fact.identity
        }
        let (a, b) = (identity(one), identity(other))
        #expect(a != 0 && b != 0)
        #expect(Fingerprints.isSameContact(a, b) == sameContact)
        #expect((a == b) == sameFlow)
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

    /// As facts were written before edges were known: zeros where the length of a Path stands.
    @Test func `without a Path is one of this version too`() {
        let bytes = sample()
        let path = Fact.range(of: .path, in: bytes.span)
        var before = Array(bytes[..<path.start])
        #expect(path.end == bytes.count)
        #expect(Fact(before.span) == nil)
        before[200] = 0
        before[201] = 0
        #expect(Fact(before.span)?.mainExpiry == at(19))
        #expect(Fact.range(of: .path, in: before.span).isEmpty)
        for text in Fact.Text.allCases where text != .path {
            #expect(
                Fact.range(of: text, in: before.span) == Fact.range(of: text, in: bytes.span))
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
                ContactID(high: UInt64(number), low: 9), askedSeconds: 70, isKept: number == 1,
                element.span, ByteRange(0, element.count), to: &buffer)
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
            #expect(contact.isKept == (number == 1))
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

@Suite("What travels in our Via of a request that came through an edge")
struct EdgeStateTests {
    @Test(
        arguments: ["", "<sip:t@192.0.2.20;lr>, <sip:10.2.2.2;lr>"], [[], RelayState.Marks.shared])
    func `reads back, and cut bytes give no contact`(
        path: String, marks: RelayState.Marks
    ) throws {
        let flow = Flow(peer: TransportAddress(ipv4: 7, port: 8), socket: 3)
        var pathBytes = ByteBuffer(bytesMax: 100)
        pathBytes.append(Array(path.utf8).span)
        var buffer = ByteBuffer(bytesMax: 500)
        RelayState.begin(
            marks, flow, sharedSeconds: 60, way: 0x1234, path: pathBytes, contacts: 1, to: &buffer)
        let element = Array("<sip:a@b>".utf8)
        RelayState.append(
            ContactID(high: 1, low: 2), askedSeconds: 70, element.span,
            ByteRange(0, element.count), to: &buffer)
        var bytes: [UInt8] = []
        let span = buffer.span
        for at in span.indices { bytes.append(span[at]) }
        guard let state = RelayState(bytes.span) else {
            Issue.record("a state")
            return
        }
        #expect(state.marks.contains(.byEdge) && state.way == 0x1234 && state.flow == flow)
        #expect(String(decoding: bytes[state.path.start..<state.path.end], as: UTF8.self) == path)
        #expect(state.sharedSeconds == (marks.isEmpty ? 0 : 60))
        var offset = state.firstContact
        let contact = state.contact(bytes.span, at: &offset)
        #expect(contact.map { Array(bytes[$0.element.start..<$0.element.end]) } == element)
        for count in 0..<bytes.count {
            let part = Array(bytes[..<count])
            guard let cut = RelayState(part.span) else { continue }
            #expect(cut.path.end < count)
            var at = cut.firstContact
            let contact = cut.contact(part.span, at: &at)
            #expect(contact == nil)
        }
    }

    @Test func `is without one where it came by no edge`() throws {
        var buffer = ByteBuffer(bytesMax: 100)
        RelayState.begin(
            [.byEdge, .indirect], Flow(peer: TransportAddress(ipv4: 7, port: 8), socket: 3),
            contacts: 0, to: &buffer)
        guard let state = RelayState(buffer.span) else {
            Issue.record("a state")
            return
        }
        #expect(state.marks.contains(.indirect) && !state.marks.contains(.byEdge))
        #expect(state.way == 0 && state.path.isEmpty)
    }
}

@Suite("The way behind an edge")
struct WayTests {
    private func way(_ via: String, _ path: String) throws -> UInt64 {
        let bytes = Array("SIP/2.0/UDP \(via)".utf8)
        let parsed = try ViaValue(bytes.span, from: 0, to: bytes.count)
        let path = Array(path.utf8)
        return Fingerprints(testKeys).way(bytes.span, path: path.span, last: parsed)
    }

    @Test(
        arguments: [
            ("h:5062;branch=a", "<sip:e>", true), ("H:5062;branch=b;ttl=1", "<sip:e>", true),
            ("h:5062", "<sip:E>", false), ("h:5062", "", false), ("h:5062", "<sip:e>,", false),
            ("h:5063", "<sip:e>", false), ("h", "<sip:e>", false), ("i:5062", "<sip:e>", false),
            ("h:5062;received=1.1.1.1", "<sip:e>", false), ("h:5062;rport=1", "<sip:e>", false),
            ("h:5062;rport", "<sip:e>", true),
        ])
    func `is told by Path, sent-by, received and rport`(
        via: String, path: String, isSame: Bool
    ) throws {
        #expect(try (way(via, path) == way("h:5062;branch=z", "<sip:e>")) == isSame)
    }

    @Test(
        arguments: [
            ("192.0.2.1", "[::ffff:192.0.2.1]", true), ("192.0.2.1", "192.0.2.2", false),
            ("[2001:db8::1]", "[2001:DB8:0::1]", true), ("[::1]", "[::2]", false),
            ("h;received=192.0.2.1", "h;received=::ffff:192.0.2.1", true),
            ("h;received=2001:db8::1", "h;received=[2001:db8::1]", true),
            ("h;received=1.1.1.1;rport=12", "h;received=1.1.1.11;rport=2", false),
            ("h;rport=1;received=1.1.1.1", "h;received=1.1.1.1;rport=1", true),
            ("h;received=x", "x;received=h", false),
        ])
    func `has one spelling of an address`(one: String, other: String, isSame: Bool) throws {
        #expect(try (way(one, "") == way(other, "")) == isSame)
        #expect(try way(one, "") != 0)
    }

    /// Facts of phones without an edge keep their fingerprints.
    @Test func `is no part of a contact's fingerprint where there is none`() {
        let fingerprints = Fingerprints(testKeys)
        let bytes = Array("<sip:a@b>".utf8)
        func contact(_ way: UInt64) -> UInt64 {
            fingerprints.contact(
                bytes.span, element: ByteRange(0, bytes.count), askedSeconds: 60, way: way)
        }
        #expect(
            contact(0)
                == fingerprints.contact(
                    bytes.span, element: ByteRange(0, bytes.count), askedSeconds: 60))
        #expect(contact(0) != contact(1) && contact(1) != contact(2))
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

@Suite("What a relay asks for")
struct LifetimeTests {
    @Test(
        arguments: [
            (0, false, 0), (3_600, true, 0b1), (1_728_000, true, 0b10_0000_0010), (1, false, 0x3FF),
        ] as [(UInt32, Bool, UInt32)])
    func `is remembered whole`(seconds: UInt32, isThrottled: Bool, kept: UInt32) {
        let lifetime = RelayFilter.Lifetime(
            seconds: seconds, isThrottled: isThrottled, kept: kept)
        #expect(lifetime.seconds == seconds && lifetime.isThrottled == isThrottled)
        for number in 0..<16 {
            #expect(lifetime.keeps(number) == (kept >> UInt32(number) & 1 == 1))
        }
    }

    @Test func `is cut where there is no room, and nothing else with it`() {
        let lifetime = RelayFilter.Lifetime(seconds: .max, isThrottled: false, kept: .max)
        #expect(lifetime.seconds == (1 << 21) - 1 && !lifetime.isThrottled)
        #expect(lifetime.keeps(9) && !lifetime.keeps(10) && !lifetime.keeps(15))
    }
}
