import Bytes
import Forwarding
import SIPMessage
import Testing

/// What goes out parses again, to the fields that came in; so no next hop reads other fields than
/// were judged here (RFC 3261 §16.6).
@Suite("A forwarded message is read again as it was read here")
struct RoundTripTests {
    static let register = """
        REGISTER sip:example.test SIP/2.0
        Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bKn;rport
        Max-Forwards: 70
        From: Bob <sip:bob@example.test>;tag=4
        To:
         <sip:bob@example.test>
        i: 8438@998
        CSeq: 1826 REGISTER
        Contact: <sip:bob@192.0.2.7:5062>;expires=600
        X-Other: a, "b"
        Content-Length: 0


        """
    static let invite = """
        INVITE sip:alice@example.test SIP/2.0
        v: SIP/2.0/UDP h;received=1.2.3.4;branch=z9hG4bKa, SIP/2.0/TCP [::1]
        Route: <sip:p1.test;lr>, <sip:p2.test;lr>
        From: "A, \\"q\\"; n" <sip:carol@chicago.test>;tag=19
        To: sip:alice@example.test
        Call-ID: a84b4c
        CSeq: 314 INVITE
        l: 4

        body
        """
    static let ringing = """
        SIP/2.0 180 Ring it
        Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours, SIP/2.0/UDP h;branch=z9hG4bKa
        Via: SIP/2.0/TCP [::1]
        f: "A \\"q\\"" <sip:carol@chicago.test>;tag=19
        t: sip:alice@example.test;tag=2
        Call-ID: a84b4c
        CSeq: 314 INVITE
        Content-Length: 0


        """

    @Test(arguments: [(register, 30_000), (invite, 30_000)])
    func `a request, with each byte in each place`(text: String, least: Int) throws {
        let original = bytes(text)
        var trip = RoundTrip()
        var outbox = Outbox(bytesMax: 4_096, messagesMax: 4)
        var taken = 0
        for at in original.indices {
            var changed = original
            for byte in UInt8.min...UInt8.max {
                changed[at] = byte
                guard trip.forwardRequest(changed, &outbox) else { continue }
                taken += 1
                let wrong = trip.differences(changed, outbox.open, viasAdded: 1)
                try #require(wrong == nil, "\(wrong ?? "") with \(byte) at \(at)")
            }
        }
        #expect(taken > least)
    }

    @Test func `a response, with each byte in each place`() throws {
        let original = bytes(Self.ringing)
        var trip = RoundTrip()
        var outbox = Outbox(bytesMax: 4_096, messagesMax: 4)
        var taken = 0
        for at in original.indices {
            var changed = original
            for byte in UInt8.min...UInt8.max {
                changed[at] = byte
                guard trip.forwardResponse(changed, &outbox) else { continue }
                taken += 1
                let wrong = trip.differences(changed, outbox.open, viasAdded: 0)
                try #require(wrong == nil, "\(wrong ?? "") with \(byte) at \(at)")
            }
        }
        #expect(taken > 20_000)
    }

    static let moved = """
        SIP/2.0 302 Moved
        Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours, SIP/2.0/UDP h;branch=z9hG4bKa
        From: <sip:carol@chicago.test>;tag=19
        To: <sip:alice@example.test>;tag=2
        Call-ID: a84b4c
        CSeq: 314 INVITE
        Contact: "A, b" <sip:a@x.test>;q=0.7,<tel:1>
        m: <sip:c@x.test;transport=tcp>
        Content-Length: 0


        """

    @Test func `what is left of a 3xx, with each byte in each place`() throws {
        let original = bytes(Self.moved)
        var trip = RedirectTrip()
        var outbox = Outbox(bytesMax: 4_096, messagesMax: 1)
        var taken = 0
        for at in original.indices {
            var changed = original
            for byte in UInt8.min...UInt8.max {
                changed[at] = byte
                guard trip.follow(changed, &outbox) else { continue }
                taken += 1
                let wrong = trip.difference(outbox.open)
                try #require(wrong == nil, "\(wrong ?? "") with \(byte) at \(at)")
            }
        }
        #expect(taken > 20_000)
    }

    private func bytes(_ text: String) -> [UInt8] {
        Array(text.replacing("\n", with: "\r\n").utf8)
    }
}

/// A 3xx that is followed, and what was written of it.
private struct RedirectTrip: ~Copyable {
    private var index = MessageIndex()
    private var redirect = RedirectTargets()
    private var set = TargetSet(targetsMax: 8, bytesMax: 4_096)
    private let policy = RedirectPolicy()
    private var contacts = 0
    private static let target = Array("sip:b@192.0.2.1".utf8)
    private static var origin: Target.Origin {
        var origin = Target.Origin()
        (origin.parent, origin.depth) = (1, 1)
        return origin
    }

    /// `false` if the response is refused.
    mutating func follow(_ bytes: [UInt8], _ outbox: inout Outbox) -> Bool {
        let span = bytes.span
        let target = Self.target
        guard MessageParser().parse(span, length: span.count, into: &index) == .message,
            !index.isRequest,
            let uri = try? SIPURI(target.span, ByteRange(0, target.count))
        else { return false }
        set.begin(target.span, requestURI: uri)
        set.add(target.span, uri, number: 1, Target.Origin())
        redirect.read(span, index)
        redirect.follow(span, policy: policy, Self.origin, into: &set)
        outbox.clear()
        outbox.begin()
        redirect.writeRemaining(span, index, &outbox)
        contacts = index.count
        return true
    }

    /// What is wrong with what was written: it must be read again, and followed again give nothing
    /// new.
    mutating func difference(_ new: Span<UInt8>) -> String? {
        let before = (
            count: redirect.count,
            gone: redirect.count(of: .followed) + redirect.count(of: .known)
        )
        let targets = set.count
        guard MessageParser().parse(new, length: new.count, into: &index) == .message else {
            return "it is not taken"
        }
        guard before.count > 0 else {
            return targets == 1 && index.count == contacts ? nil : "it was followed unread"
        }
        guard targets == 1 + redirect.count(of: .followed) else { return "another target" }
        redirect.read(new, index)
        redirect.follow(new, policy: policy, Self.origin, into: &set)
        guard redirect.count == before.count - before.gone else { return "other contacts" }
        return set.count == targets ? nil : "it is followed twice"
    }
}

/// How a message is read, and what was written from it.
private struct RoundTrip: ~Copyable {
    private var before = MessageIndex()
    private var after = MessageIndex()
    private var isFirstViaGone = false

    /// `false` if the request is refused.
    mutating func forwardRequest(_ bytes: [UInt8], _ outbox: inout Outbox) -> Bool {
        let span = bytes.span
        guard MessageParser().parse(span, length: span.count, into: &before) == .message,
            before.isRequest, (try? before.topVia(span)) != nil,
            let target = try? SIPURI(span, before.requestURI), target.headers.isEmpty
        else { return false }
        outbox.clear()
        outbox.begin()
        ForwardedRequest.writeStartLine(span, before, target: target, in: span, &outbox)
        outbox.write("Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKours\r\n")
        let source = TransportAddress(ipv4: 0xC633_6409, port: 40_000)
        ForwardedRequest(source: source).writeRest(span, before, &outbox)
        return true
    }

    /// `false` if the response is refused, or has nowhere to go.
    mutating func forwardResponse(_ bytes: [UInt8], _ outbox: inout Outbox) -> Bool {
        let span = bytes.span
        guard MessageParser().parse(span, length: span.count, into: &before) == .message,
            !before.isRequest, let top = try? before.topVia(span),
            let second = try? before.secondVia(span, after: top), !second.whole.isEmpty
        else { return false }
        outbox.clear()
        outbox.begin()
        ForwardedResponse.write(span, before, top: top, &outbox)
        isFirstViaGone = !top.isFollowed
        return true
    }

    /// What differs between the message and what was written; `nil` if it is as it should be.
    mutating func differences(
        _ bytes: [UInt8], _ new: Span<UInt8>, viasAdded: Int
    ) -> String? {
        let old = bytes.span
        let outcome = MessageParser().parse(new, length: new.count, into: &after)
        guard outcome == .message else { return "it is not taken: \(outcome)" }
        var framer = StreamFramer()
        if after.has(.contentLength) {
            guard framer.next(new, count: new.count) == .message(length: new.count) else {
                return "a stream ends it elsewhere"
            }
        }
        guard old.same(before.body, as: new, after.body) else { return "another body" }
        guard old.same(before.methodName, as: new, after.methodName),
            old.same(before.requestURI, as: new, after.requestURI)
        else { return "another start line" }
        // Fields in their order, but for those that a proxy adds.
        var at = viasAdded
        if before.isRequest, !before.has(.maxForwards) { at += 1 }
        var isTopVia = true
        for number in 0..<before.count {
            let field = before[number]
            if field.name == .via, isTopVia, isFirstViaGone {
                isTopVia = false
                continue
            }
            guard at < after.count, after[at].name == field.name else {
                return "field \(number) is another"
            }
            let value = after[at].value
            if let wrong = rawControl(new, value, field.name) { return wrong }
            switch field.name {
            case .via where isTopVia:
                isTopVia = false
                guard before.isRequest else { break }
                guard let via = try? ViaValue(new, from: value.start, to: value.end),
                    let mine = try? ViaValue(old, from: field.value.start, to: field.value.end),
                    old.same(mine.branch, as: new, via.branch),
                    new.spells(";received=198.51.100.9", in: via.received)
                else { return "the topmost Via is not the sender's, stamped" }
            case .maxForwards where before.isRequest:
                let hops = try? old.number(in: field.value, max: 255)
                let left = try? new.number(in: value, max: 255)
                guard let hops, let left, left + 1 == hops || hops == 0 else { return "hops" }
            default:
                guard old.same(field.value, as: new, value) else { return "value of \(field.name)" }
            }
            at += 1
        }
        guard at == after.count else { return "\(after.count - at) fields more" }
        return nil
    }

    /// A CR or LF that is no fold's, or a control byte that is not a `quoted-pair` of a display name
    /// (§25.1; RFC 4475 §3.1.1.2 has such a NUL and wants it kept).
    private func rawControl(_ bytes: Span<UInt8>, _ value: ByteRange, _ name: HeaderName) -> String?
    {
        for at in value.start..<value.end {
            switch bytes[at] {
            case 0x0D:
                guard bytes[at + 1] == 0x0A, bytes[at + 2] == 0x20 || bytes[at + 2] == 0x09 else {
                    return "a bare CR"
                }
            case 0x0A: guard at > 0, bytes[at - 1] == 0x0D else { return "a bare LF" }
            case 0x09: break
            case ..<0x20, 0x7F:
                let quotes: Set<HeaderName> = [.from, .to, .contact, .route]
                guard bytes[at - 1] == 0x5C, quotes.contains(name) else { return "a control byte" }
            default: break
            }
        }
        return nil
    }
}
