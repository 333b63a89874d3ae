import Bytes
import Forwarding
import SIPMessage
import Testing

@Suite("A redirect server's answer (RED-1, RFC 3261 §8.3)")
struct RedirectAnswerTests {
    @Test(
        arguments: [
            (.multipleChoices, "300 Multiple Choices"),
            (.movedPermanently, "301 Moved Permanently"),
            (.movedTemporarily, "302 Moved Temporarily"), (.useProxy, "305 Use Proxy"),
            (.alternativeService, "380 Alternative Service"),
        ] as [(RedirectAnswer.Code, String)])
    func `names the bindings`(code: RedirectAnswer.Code, line: String) throws {
        let sample = try Sample(MaxBreadthTests.invite(""))
        let uris = Array("sip:b@192.0.2.1:5070;x=y|sip:c@own.test".utf8)
        let text = written { outbox in
            RedirectAnswer.begin(
                code, to: sample.bytes.span, sample.index,
                source: TransportAddress(ipv4: 1, port: 2), toTag: 0xAB, &outbox)
            RedirectAnswer.beginContact(&outbox)
            outbox.write(uris.span, ByteRange(0, 24))
            RedirectAnswer.endContact(q: 500, expires: 60, &outbox)
            RedirectAnswer.beginContact(&outbox)
            outbox.write(uris.span, ByteRange(25, uris.count))
            RedirectAnswer.endContact(q: nil, expires: nil, &outbox)
            ResponseWriter.finish(&outbox)
        }
        #expect(
            text == "SIP/2.0 \(line)\n"
                + "Via: SIP/2.0/UDP h;branch=z9hG4bKa;received=0.0.0.1;rport=2\n"
                + "From: <sip:a@x.test>;tag=9\nTo: <sip:b@x.test>;tag=00000000000000ab\n"
                + "Call-ID: c\nCSeq: 1 INVITE\n"
                + "Contact: <sip:b@192.0.2.1:5070;x=y>;q=0.5;expires=60\n"
                + "Contact: <sip:c@own.test>\nContent-Length: 0\n\n")
        let answer = try Sample(text)
        #expect(answer.values(.contact).count == 2)
    }

    @Test func `keeps each q as it was`() throws {
        for q in UInt16(0)...1_000 {
            let text = written {
                RedirectAnswer.endContact(q: q, expires: nil, &$0)
            }
            let value = Array(text.dropFirst(">;q=".count).dropLast().utf8)
            let read = try QValue(value.span, ByteRange(0, value.count))
            #expect(read.thousandths == q)
            #expect(q == 0 || q == 1_000 ? value.count == 1 : value.last != 0x30)
        }
    }
}
