import Bytes
import Forwarding
import SIPMessage
import Testing

/// ACK-1: host and port of a Contact, and nothing else of a message, are another's.
@Suite("A Contact that is to name where its phone's packets come from")
struct ContactFixTests {
    private static let four = TransportAddress(ipv4: 0xCB00_7105, port: 40_000)
    private static let six = TransportAddress(high: 0x2001_0DB8_0000_0000, low: 7, port: 5_061)

    struct Case: Sendable, CustomTestStringConvertible {
        let contact: String
        let fixed: String
        var observed = ContactFixTests.four
        var testDescription: String { contact }
    }

    static let cases = [
        Case(
            contact: "Contact: <sip:alice@10.0.0.7:5060>",
            fixed: "Contact: <sip:alice@203.0.113.5:40000>"),
        Case(
            contact: "m :sip:10.0.0.7 ;expires=60", fixed: "m :sip:203.0.113.5:40000 ;expires=60"),
        Case(
            contact: "CONTACT: \"<sip:x@1.2.3.4:5>\" <sips:a:b@10.0.0.7;transport=tcp?x=y>;q=1",
            fixed: "CONTACT: \"<sip:x@1.2.3.4:5>\" "
                + "<sips:a:b@203.0.113.5:40000;transport=tcp?x=y>;q=1"),
        Case(
            contact: "Contact: <sip:alice@[fd00::1]:5060;lr>",
            fixed: "Contact: <sip:alice@[2001:db8::7]:5061;lr>", observed: six),
        Case(
            contact: "Contact: <sip:alice@[fd00::1]>",
            fixed: "Contact: <sip:alice@203.0.113.5:40000>"),
        // Right already, no address, no address alone, not one.
        Case(
            contact: "Contact: <sip:alice@203.0.113.5:40000>",
            fixed: "Contact: <sip:alice@203.0.113.5:40000>"),
        Case(
            contact: "Contact: <sip:alice@[2001:DB8:0::7]:5061>",
            fixed: "Contact: <sip:alice@[2001:DB8:0::7]:5061>", observed: six),
        Case(
            contact: "Contact: <sip:alice@phone.test:5060>",
            fixed: "Contact: <sip:alice@phone.test:5060>"),
        Case(
            contact: "Contact: <sip:alice@10.0.0.7;gr=urn:uuid:9>",
            fixed: "Contact: <sip:alice@10.0.0.7;gr=urn:uuid:9>"),
        Case(
            contact: "Contact: <sip:a@10.0.0.7>, <sip:b@10.0.0.8>",
            fixed: "Contact: <sip:a@10.0.0.7>, <sip:b@10.0.0.8>"),
        Case(contact: "Contact: <tel:+4930>", fixed: "Contact: <tel:+4930>"),
        Case(contact: "Subject: no Contact", fixed: "Subject: no Contact"),
    ]

    private static let after = """
        From: <sip:alice@example.test>;tag=a
        To: <sip:bob@example.test>;tag=b
        Call-ID: c
        CSeq: 1 INVITE
        Max-Forwards: 70
        Content-Length: 5

        10.0.
        """

    @Test(arguments: cases, [true, false])
    func `is changed in a response, wherever our Via stands`(test: Case, isFirst: Bool) throws {
        let ours = "Via: SIP/2.0/UDP 192.0.2.5;branch=z9hG4bKours, "
        let other = "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKother\n"
        func text(_ contact: String, _ via: String) -> String {
            "SIP/2.0 200 OK\n" + (isFirst ? contact + "\n" + via : via + contact + "\n")
                + Self.after
        }
        let sample = try Sample(text(test.contact, ours + other))
        let top = try sample.index.topVia(sample.bytes.span)
        let copy = written {
            ForwardedResponse.write(
                sample.bytes.span, sample.index, top: top, contact: test.observed, &$0)
        }
        #expect(copy == text(test.fixed, "Via: " + other))
        let plain = written {
            ForwardedResponse.write(sample.bytes.span, sample.index, top: top, &$0)
        }
        #expect(plain == text(test.contact, "Via: " + other))
    }

    @Test(arguments: cases)
    func `is changed in a request, and no other field`(test: Case) throws {
        let start = "INVITE sip:bob@example.test SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bKx"
        let sample = try Sample(start + "\n" + test.contact + "\n" + Self.after)
        var request = ForwardedRequest(source: TransportAddress(ipv4: 0x0A00_0007, port: 5_060))
        let plain = written { request.writeRest(sample.bytes.span, sample.index, &$0) }
        #expect(plain.contains("\n" + test.contact + "\n"))
        request.contact = test.observed
        let copy = written { request.writeRest(sample.bytes.span, sample.index, &$0) }
        #expect(copy == plain.replacing(test.contact, with: test.fixed))
    }
}
