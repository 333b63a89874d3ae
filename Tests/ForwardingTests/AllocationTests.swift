import Bytes
import CMallocCount
import Forwarding
import Keys
import SIPMessage
import Testing

@Suite("Forking takes no memory for a message")
struct AllocationTests {
    @Test func `once its rooms are there`() throws {
        let keys = KeyRing(secret: [UInt8](repeating: 7, count: 32).span)
        let request = try Sample(
            MaxBreadthTests.invite("Max-Breadth: 9\nHistory-Info: <sip:b@x.test>;index=1\n"))
        let cancel = try Sample(
            MaxBreadthTests.invite("Reason: SIP;cause=200\n")
                .replacing("INVITE sip", with: "CANCEL sip")
                .replacing("1 INVITE", with: "1 CANCEL"))
        let moved = try Sample(
            RedirectTargetsTests.response(
                "Contact: <sip:c@x.test;transport=tcp>, <sips:d@192.0.2.1>;q=0.1, <tel:1>\n"
                    + "Diversion: <sip:b@x.test>\n"))
        let denied = try Sample(
            AggregatedResponseTests.response(
                "401 No", "WWW-Authenticate: Digest realm=\"a\", nonce=\"1\"\n"))
        let policy = RedirectPolicy(
            filter: RedirectFilter(
                [
                    .init(.deny, host: HostPattern("10.0.0.0/8"), transport: "tls"),
                    .init(.deny, host: HostPattern(".bad.test"), user: "1900*"),
                    .init(.allow, transport: "tcp"), .init(.allow, scheme: .sips),
                ], otherwise: .deny))
        let reasons = ReasonPolicy()
        var set = TargetSet(targetsMax: 32, bytesMax: 4_096)
        var redirect = RedirectTargets()
        var outbox = Outbox(bytesMax: 65_536, messagesMax: 4)
        var body = ByteBuffer(bytesMax: 64)
        var scratch = ByteBuffer(bytesMax: 640)
        let span = request.bytes.span
        let uri = try SIPURI(span, request.index.requestURI)
        let top = try denied.index.topVia(denied.bytes.span)
        var before: UInt64 = 0
        var followed = 0
        let routed = try Sample(
            Tokens.fill(
                MaxBreadthTests.invite(
                    "Route: <sip:A@192.0.2.5:5060;lr>, <sip:y.test>, <sip:b@y.test>\n"
                ).replacing("INVITE sip:b@x.test", with: "INVITE sip:A@10.0.0.5:5060;lr")))
        let routedURI = try SIPURI(routed.bytes.span, routed.index.requestURI)
        let own = Tokens.own
        var goesStrict = false
        var finding = LoopPart.Finding.loop
        for round in 0..<3 {
            if round == 1 { before = midreg_mallocs_of_thread() }
            outbox.clear()
            outbox.begin()
            let way = try RequestRoute(
                routed.bytes.span, routed.index, for: routedURI,
                at: .init(port: 5_060, advertisedPort: 5_060), own: own, under: Tokens.keys,
                scratch: &scratch)
            goesStrict = way.token != nil && way.cut(leavesOutTop: false).isStrict
            var rest = ForwardedRequest(source: TransportAddress(ipv4: 1, port: 2))
            rest.route = way.cut(leavesOutTop: false).withoutFirst
            rest.route.writeTarget(routed.bytes.span, &outbox)
            rest.writeFields(routed.bytes.span, routed.index, &outbox)
            let loop = LoopPart(span, request.index, also: 1, under: keys)
            finding = loop.find(in: span, request.index, under: keys, scratch: &scratch)
            var breadth = try MaxBreadth(span, request.index)
            set.begin(span, requestURI: uri)
            set.add(span, uri, number: 1, Target.Origin())
            let shares = breadth.divide(among: 1)
            ForkedBranch(slot: 1, generation: 1, loop: loop).write(
                SteeringBits(7), under: keys, body: &body, scratch: &scratch, to: &outbox)
            var copy = ForwardedRequest(source: TransportAddress(ipv4: 1, port: 2))
            copy.maxBreadth = shares?[0]
            copy.writeFields(span, request.index, &outbox)
            ForwardedRequest.writeEnd(span, request.index, &outbox)
            var origin = Target.Origin()
            (origin.parent, origin.depth) = (1, 1)
            redirect.read(moved.bytes.span, moved.index)
            redirect.follow(
                moved.bytes.span, policy: policy, origin, into: &set)
            followed = set.followedCount
            redirect.writeRemaining(moved.bytes.span, moved.index, &outbox)
            Diversion.write(span, uri.whole, &outbox)
            try HistoryInfo(span, request.index)
                .write(span, request.index, target: 1, of: set, &outbox)
            var best = BestResponse()
            _ = best.offer(401, from: 0)
            _ = best.offerSilence(of: 1)
            var answer = AggregatedResponse.begin(
                denied.bytes.span, denied.index, top: top, &outbox)
            answer.add(denied.bytes.span, denied.index, &outbox)
            answer.finish(denied.bytes.span, denied.index, &outbox)
            reasons.write(.answeredElsewhere, &outbox)
            reasons.write(.unanswered, &outbox)
            reasons.writeCallers(cancel.bytes.span, cancel.index, from: .main, &outbox)
        }
        let mallocs = midreg_mallocs_of_thread() - before
        #expect(mallocs == 0)
        #expect(finding == .none)
        #expect(goesStrict)
        #expect(followed == 2)
        #expect(outbox.overflowed == false)
    }
}
