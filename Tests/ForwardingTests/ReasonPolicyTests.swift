import Bytes
import Forwarding
import SIPMessage
import Testing

@Suite("The Reason of a CANCEL (CAN-3 to CAN-6, RFC 3326)")
struct ReasonPolicyTests {
    @Test(
        arguments: [
            (.answeredElsewhere, "200;text=\"Call completed elsewhere\""),
            (.unanswered, "480;text=\"NO_ANSWER\""),
            (.refusedForAll(600), "600;text=\"Busy Everywhere\""),
            (.refusedForAll(603), "603;text=\"Decline\""),
            (.refusedForAll(607), "607;text=\"Unwanted\""),
            (.refusedForAll(699), "699;text=\"Global Failure\""),
            (.redirected(302), "302;text=\"Moved Temporarily\""),
            (.redirected(399), "399;text=\"Redirected\""),
        ] as [(CancelCause, String)])
    func `of our own says why`(cause: CancelCause, expected: String) throws {
        let text = written { ReasonPolicy().write(cause, &$0) }
        #expect(text == "Reason: SIP;cause=\(expected)\n")
        let value = Array(text.dropFirst(8).dropLast().utf8)
        let reason = try ReasonValue(value.span, ByteRange(0, value.count))
        #expect(reason.cause.map(String.init) == String(expected.prefix(3)))
    }

    @Test(
        arguments: [
            (408, "no answer", true), (408, "Ü", true), (300, "", true), (699, "a", true),
            (299, "a", false), (700, "a", false), (408, "a\"b", false), (408, "a\\", false),
            (408, "a\r\nX: y", false), (408, "a\u{7F}", false), (408, "a\tb", false),
        ] as [(UInt32, String, Bool)])
    func `of one that nobody answered is the operator's`(
        cause: UInt32, text: String, isTaken: Bool
    ) {
        var policy = ReasonPolicy()
        #expect(policy.setUnanswered(cause: cause, text: text) == isTaken)
        let expected = isTaken ? "\(cause);text=\"\(text)\"" : "480;text=\"NO_ANSWER\""
        #expect(written { policy.write(.unanswered, &$0) } == "Reason: SIP;cause=\(expected)\n")
    }

    static let two =
        "Reason: SIP ;cause=200 ;text=\"x, y\", Q.850;cause=16\nreason: Q.850;cause=26\n"
    static let ours = "Reason: SIP;cause=487;text=\"ORIGINATOR_CANCEL\"\n"

    @Test(
        arguments: [
            (.pass, two, two), (.pass, "", ours), (.pass, "Reason: SIP;cause=x\n", ours),
            (.pass, "Reason: Q.850;cause=1\nReason: \"\n", ours), (.replace, two, ours),
            (.replace, "", ours), (.drop, two, ""), (.drop, "", ""),
        ] as [(ReasonPolicy.Handling, String, String)])
    func `of the caller's passes, is replaced or goes`(
        handling: ReasonPolicy.Handling, fields: String, expected: String
    ) throws {
        let sample = try Sample(
            "CANCEL sip:b@x.test SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\n"
                + "From: <sip:a@x.test>;tag=9\nTo: <sip:b@x.test>\nCall-ID: c\nCSeq: 1 CANCEL\n"
                + fields + "Content-Length: 0\n\n")
        for isMain in [true, false] {
            var policy = ReasonPolicy()
            policy.fromMain = isMain ? handling : .drop
            policy.fromOthers = isMain ? .drop : handling
            for source in [SourceClass.main, .phone, .stranger] {
                let text = written {
                    policy.writeCallers(sample.bytes.span, sample.index, from: source, &$0)
                }
                #expect(text == ((source == .main) == isMain ? expected : ""), "\(source)")
            }
        }
    }

    @Test func `of the caller's passes from the main side only, if nobody says otherwise`() {
        let policy = ReasonPolicy()
        #expect(policy.fromMain == .pass)
        #expect(policy.fromOthers == .replace)
    }
}
