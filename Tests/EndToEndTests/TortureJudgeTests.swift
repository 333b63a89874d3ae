import Testing

@Suite("The judge of torture messages")
struct TortureJudgeTests {
    typealias Judgement = EndToEnd.Torture.Judgement

    private func vector(_ name: String) throws -> TortureVector {
        try #require(try TortureVector.all().first { $0.name == name })
    }

    /// As a proxy passes it on, with the main registrar's 200 that came back.
    private func forwarded(
        _ vector: TortureVector, replacing old: String = "", with new: String = ""
    ) -> TortureOutcome {
        var text = String(latin: vector.message.startLine) + "Via: SIP/2.0/UDP us;branch=x\r\n"
        for field in vector.message.fields {
            let hops = field.name == "max-forwards" ? Int(field.value) : nil
            text += hops.map { "Max-Forwards: \($0 - 1)\r\n" } ?? String(latin: field.line)
        }
        text += "\r\n" + String(latin: vector.message.body)
        if !old.isEmpty { text = text.replacing(old, with: new) }
        return TortureOutcome(
            atMain: [RawMessage(text.latinBytes)], atSource: [answer(vector, 200)], sent: 2)
    }

    private func answer(_ vector: TortureVector, _ status: Int) -> RawMessage {
        var text = "SIP/2.0 \(status) So\r\n"
        for name in ["via", "from", "to", "call-id", "cseq"] {
            text += vector.message.all(name).map { String(latin: $0.line) }.joined()
        }
        return RawMessage((text + "\r\n").latinBytes)
    }

    @Test(
        arguments: [
            ("lwsdisp", "", "", .ideal), ("mpart01", "", "", .ideal),
            ("lwsdisp", "l: 0", "L: 0", .fail), ("lwsdisp", "OPTIONS sip:", "OPTIONS SIP:", .fail),
            ("lwsdisp", "Call-ID", "Route: <sip:x>\r\nCall-ID", .fail),
            ("lwsdisp", "Via: SIP/2.0/UDP us;branch=x\r\n", "", .fail),
            ("lwsdisp", "Max-Forwards: 69", "Max-Forwards: 70", .fail),
            ("mpart01", "Content-Type: text/plain", "Content-Type: text/plane", .fail),
            ("escruri", "", "", .fail), ("escruri", "?Route=%3Csip:example.com%3E", "", .ideal),
            ("trws", "", "", .fail), ("trws", "SIP/2.0  \r\n", "SIP/2.0\r\n", .ideal),
            ("lwsstart", "", "", .fail), ("ltgtruri", "", "", .fail), ("mcl01", "", "", .fail),
            ("multi01", "", "", .fail), ("clerr", "", "", .fail), ("badvers", "", "", .fail),
        ] as [(String, String, String, Judgement)])
    func `sees what was forwarded, and how`(
        name: String, old: String, new: String, expected: Judgement
    ) throws {
        let vector = try vector(name)
        let (word, judgement) = EndToEnd.Torture.judge(
            vector, forwarded(vector, replacing: old, with: new))
        #expect(judgement == expected, "\(word)")
    }

    @Test(
        arguments: [
            ("badinv01", 400, .ideal), ("badvers", 505, .ideal), ("badvers", 400, .tolerable),
            ("wsinv", 400, .fail), ("bcast", 400, .fail), ("unksm2", 200, .fail),
        ] as [(String, Int, Judgement)])
    func `sees what was answered`(name: String, status: Int, expected: Judgement) throws {
        let vector = try vector(name)
        let outcome = TortureOutcome(atSource: [answer(vector, status)], sent: 1)
        #expect(EndToEnd.Torture.judge(vector, outcome).1 == expected)
    }

    @Test func `misses nothing that was sent elsewhere, twice or to nobody`() throws {
        let response = try vector("bcast")
        #expect(EndToEnd.Torture.judge(response, TortureOutcome()).1 == .ideal)
        #expect(EndToEnd.Torture.judge(response, TortureOutcome(sent: 1)).1 == .fail)
        #expect(EndToEnd.Torture.judge(response, TortureOutcome(fall: "crash")).1 == .fail)
        let request = try vector("lwsdisp")
        var outcome = forwarded(request)
        outcome.atMain += outcome.atMain
        outcome.sent = 3
        #expect(EndToEnd.Torture.judge(request, outcome).1 == .fail)
        outcome = forwarded(request)
        outcome.atSource = []
        outcome.sent = 1
        #expect(EndToEnd.Torture.judge(request, outcome).1 == .fail)
        outcome.atSource = [answer(try vector("trws"), 200)]
        outcome.sent = 2
        #expect(EndToEnd.Torture.judge(request, outcome).1 == .fail)
    }
}
