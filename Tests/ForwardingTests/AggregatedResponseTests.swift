import Bytes
import Forwarding
import SIPMessage
import Testing

@Suite("The best response goes back with the challenges of all (RFC 3261 §16.7 step 7)")
struct AggregatedResponseTests {
    static func response(
        _ status: String, _ fields: String = "",
        via: String = "Via: SIP/2.0/UDP h;branch=z9hG4bKa\n",
        tag: String = "1", body: String = ""
    ) -> String {
        "SIP/2.0 \(status)\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours\n\(via)"
            + "From: <sip:a@x.test>;tag=9\nTo: <sip:b@x.test>;tag=\(tag)\nCall-ID: c\n"
            + "CSeq: 1 INVITE\n\(fields)Content-Length: \(body.count)\n\n\(body)"
    }

    private func aggregate(
        _ best: String, _ others: [String] = [], bytesMax: Int = MessageIndex.messageBytesMax
    ) throws -> (text: String, leftOut: Bool) {
        let sample = try Sample(best)
        var leftOut = false
        let text = try written { outbox in
            let span = sample.bytes.span
            var writer = AggregatedResponse.begin(
                span, sample.index, top: try sample.index.topVia(span), bytesMax: bytesMax,
                &outbox)
            for other in others {
                let message = try Sample(other)
                writer.add(message.bytes.span, message.index, &outbox)
            }
            writer.finish(span, sample.index, &outbox)
            leftOut = writer.leftOut
        }
        return (text, leftOut)
    }

    private static let first = "WWW-Authenticate: Digest realm=\"a\", nonce=\"1\"\n"
    private static let second = "WWW-Authenticate: Digest realm=\"a\", nonce=\"2\"\n"
    private static let proxy = "proxy-authenticate :  Digest realm=\"p\",\n nonce=\"3\"\n"

    @Test(arguments: [
        ("401 Unauthorized", first, [second + proxy], second + proxy),
        ("407 Proxy Authentication Required", proxy, [first, second], first + second),
        ("401 Unauthorized", first, [first, second, second, first], second),
        ("401 Unauthorized", proxy, ["X: y\n" + proxy, "Retry-After: 5\n" + second], second),
        ("401 Unauthorized", "", [first], first),
        ("404 Not Found", "X: y\n", [], ""),
    ])
    func `behind its own, as they came, each once`(
        status: String, own: String, others: [String], added: String
    ) throws {
        let (text, leftOut) = try aggregate(
            Self.response(status, own),
            others.map { Self.response("401 Unauthorized", $0, tag: "2") })
        let expected = Self.response(status, own)
            .replacing("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours\n", with: "")
            .replacing("Content-Length: 0\n", with: "Content-Length: 0\n" + added)
        #expect(text == expected)
        #expect(!leftOut)
        _ = try Sample(text)
    }

    @Test func `with its body, and our Via taken out of a list`() throws {
        let best = Self.response("401 No", Self.first, body: "body")
            .replacing("z9hG4bKours\nVia: ", with: "z9hG4bKours , ")
        let (text, _) = try aggregate(best, [Self.response("407 No", Self.proxy)])
        #expect(text.hasPrefix("SIP/2.0 401 No\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\nFrom: "))
        #expect(text.hasSuffix("Content-Length: 4\n" + Self.proxy + "\nbody"))
    }

    @Test(arguments: [
        ("503 Try later", "500 Server Internal Error"), ("500 Oops", "500 Oops"),
        ("504 Slow", "504 Slow"), ("603 No", "603 No"),
    ])
    func `with its own start line, but a 503 with that of a 500`(
        status: String, expected: String
    ) throws {
        let (text, _) = try aggregate(Self.response(status, "Retry-After: 120\n"))
        #expect(
            text
                == Self.response(expected, "Retry-After: 120\n")
                .replacing("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours\n", with: ""))
    }

    @Test(arguments: [(0, false), (-1, true)])
    func `with those that fit`(less: Int, isLeftOut: Bool) throws {
        let best = Self.response("401 No", Self.first, body: "body")
        let whole = try aggregate(best, [Self.response("401 No", Self.second)]).text
        let length = whole.replacing("\n", with: "\r\n").utf8.count
        let (text, leftOut) = try aggregate(
            best, [Self.response("401 No", Self.second)], bytesMax: length + less)
        #expect(leftOut == isLeftOut)
        let expected = isLeftOut ? try aggregate(best).text : whole
        #expect(text == expected)
    }

    @Test(arguments: [(0, false), (1, true)])
    func `with no more fields than a message may have`(more: Int, isLeftOut: Bool) throws {
        // Seven fields of its own, one of which stays behind.
        let room = MessageIndex.headersMax - 7 + 1 + more
        let own = String(repeating: "X: y\n", count: 50)
        let others = (0..<(room - 50)).map {
            Self.response("401 No", "WWW-Authenticate: Digest realm=\"\($0)\", nonce=\"\($0)\"\n")
        }
        let (text, leftOut) = try aggregate(Self.response("401 No", own), others)
        #expect(leftOut == isLeftOut)
        let sample = try Sample(text)
        #expect(sample.values(.wwwAuthenticate).count == others.count - (isLeftOut ? more : 0))
    }
}
