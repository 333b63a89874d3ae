import Forwarding
import Testing

@Suite("The best of several responses (RFC 3261 §16.7 step 6)")
struct BestResponseTests {
    /// Each stands before the next, whichever comes first.
    static let order: [UInt32] = [603, 300, 401, 407, 415, 420, 484, 404, 408, 500, 503]

    @Test func `is the same in whatever order two of them come`() {
        for (place, better) in Self.order.enumerated() {
            for worse in Self.order[(place + 1)...] {
                var first = BestResponse()
                _ = first.offer(better, from: 1)
                let second = first.offer(worse, from: 2)
                #expect(first.status == better && first.branch == 1, "\(better) then \(worse)")
                #expect(second == (worse == 407 && better == 401 ? .challenges : .drop))
                var last = BestResponse()
                _ = last.offer(worse, from: 1)
                let both = worse == 407 && better == 401
                #expect(last.offer(better, from: 2) == .best(keepsOthers: both))
                #expect(last.status == better && last.branch == 2, "\(worse) then \(better)")
            }
        }
    }

    @Test(
        arguments: [
            (600, 603), (603, 600), (302, 301), (404, 486), (486, 404), (487, 404), (502, 500),
        ] as [(UInt32, UInt32)])
    func `of equals is the first`(first: UInt32, second: UInt32) {
        var best = BestResponse()
        #expect(best.offer(first, from: 7) == .best(keepsOthers: false))
        #expect(best.offer(second, from: 8) == .drop)
        #expect(best.status == first)
        #expect(best.branch == 7)
        #expect(!best.isOwn)
    }

    @Test(
        arguments: [
            (401, 401, .challenges), (407, 407, .challenges), (401, 407, .challenges),
            (407, 401, .best(keepsOthers: true)), (401, 302, .best(keepsOthers: false)),
            (401, 603, .best(keepsOthers: false)), (407, 415, .drop),
            (404, 401, .best(keepsOthers: false)),
            (302, 401, .drop), (603, 407, .drop),
        ] as [(UInt32, UInt32, BestResponse.Verdict)])
    func `keeps a challenge beside a challenge only`(
        first: UInt32, second: UInt32, verdict: BestResponse.Verdict
    ) {
        var best = BestResponse()
        _ = best.offer(first, from: 1)
        #expect(best.offer(second, from: 2) == verdict)
    }

    @Test func `is a 408 of our own if a branch stays silent, and gives way to one that came`() {
        var best = BestResponse()
        #expect(best.forwardedStatus == 408)
        #expect(best.offerSilence(of: 1) == .best(keepsOthers: false))
        #expect(best.isOwn)
        #expect(best.offerSilence(of: 2) == .drop)
        #expect(best.branch == 1)
        #expect(best.offer(408, from: 3) == .best(keepsOthers: false))
        #expect(!best.isOwn)
        #expect(best.offerSilence(of: 4) == .drop)
        #expect(best.offer(503, from: 5) == .drop)
        #expect(best.offer(404, from: 6) == .best(keepsOthers: false))
        #expect(best.status == 404)
    }

    @Test func `is a 503 only if it is our own`() {
        var best = BestResponse()
        best.offerOwn(503)
        #expect(best.isOwn)
        #expect(best.forwardedStatus == 503)
        #expect(best.offer(503, from: 1) == .drop)
        #expect(best.offer(500, from: 2) == .best(keepsOthers: false))
        var other = BestResponse()
        _ = other.offer(503, from: 1)
        #expect(other.forwardedStatus == 500)
    }

    @Test(
        arguments: [
            (486, 487), (302, 487), (401, 487), (408, 487), (500, 487), (603, 603),
        ] as [(UInt32, UInt32)])
    func `is a 487 once the caller has cancelled, before all but a 6xx`(
        other: UInt32, expected: UInt32
    ) {
        var before = BestResponse()
        _ = before.offer(other, from: 1)
        before.cancel()
        _ = before.offer(487, from: 2)
        #expect(before.status == expected)
        var after = BestResponse()
        after.cancel()
        _ = after.offer(487, from: 1)
        _ = after.offer(other, from: 2)
        #expect(after.status == expected)
        var uncancelled = BestResponse()
        _ = uncancelled.offer(other, from: 1)
        _ = uncancelled.offer(487, from: 2)
        #expect(uncancelled.status == (other == 408 || other == 500 ? 487 : other))
    }

    @Test func `is what came if no 487 follows a CANCEL`() {
        var best = BestResponse()
        best.cancel()
        #expect(best.forwardedStatus == 487)
        _ = best.offer(486, from: 1)
        #expect(best.forwardedStatus == 486)
        #expect(best.offerSilence(of: 2) == .best(keepsOthers: false))
        #expect(best.forwardedStatus == 487)
        #expect(best.isOwn)
        #expect(best.offer(487, from: 3) == .best(keepsOthers: false))
        #expect(!best.isOwn)
    }

    @Test(arguments: [(503, 500), (500, 500), (502, 502), (504, 504), (603, 603), (403, 403)])
    func `goes on as it is, but for a 503`(status: UInt32, forwarded: UInt32) {
        var best = BestResponse()
        _ = best.offer(status, from: 1)
        #expect(best.forwardedStatus == forwarded)
        #expect(best.status == status)
    }

    @Test(arguments: [(408, false), (404, true), (503, true)] as [(UInt32, Bool)])
    func `is sent, unless it is a 408 to another request than INVITE (RFC 4320 §4.2)`(
        status: UInt32, isSent: Bool
    ) {
        var best = BestResponse()
        #expect(!best.isSent(toInvite: false))
        #expect(best.isSent(toInvite: true))
        _ = best.offer(status, from: 1)
        #expect(best.isSent(toInvite: false) == isSent)
        #expect(best.isSent(toInvite: true))
        var silent = BestResponse()
        _ = silent.offerSilence(of: 1)
        #expect(!silent.isSent(toInvite: false))
    }
}
