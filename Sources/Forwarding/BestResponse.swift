/// Chooses among the final responses of the branches of one response context (RFC 3261 §16.7
/// step 6). It holds no bytes: the caller keeps those of the responses it is told to keep.
///
/// First a 6xx, of several the first. Then, once the caller has cancelled, a 487: who cancelled is
/// not to follow a redirect or to answer a challenge. Then the lowest class; in 4xx what helps to
/// send the request again, 401, 407, 415, 420, 484 in this order, then any other, and 408 last, since
/// one who answered says more than one who did not; in 5xx a 503 last. Of equals the first.
///
/// A 2xx is not chosen among, it goes back at once.
public struct BestResponse: BitwiseCopyable, Sendable {
    public enum Verdict: Equatable, Sendable {
        /// It is the best so far: keep its bytes. Those of the others may be dropped, unless
        /// `keepsOthers`: then they have challenges that go along.
        case best(keepsOthers: Bool)
        /// Keep it for its challenges: the best is a 401 or 407 like this one (§16.7 step 7).
        case challenges
        /// Its bytes are not needed.
        case drop
    }

    /// Whether the caller has cancelled the request.
    public private(set) var isCancelled = false
    /// Whether the best is one that nobody sent: then there are no bytes, and the response is made
    /// from the request.
    public private(set) var isOwn = false
    /// The number of the branch of the best, from 1; 0 if it is ours.
    public private(set) var branch: UInt16 = 0
    /// Its status as it came; 0 if there is none yet.
    public private(set) var status: UInt32 = 0

    public init() {}

    /// Takes in a final response that came on a branch.
    ///
    /// - Parameter status: 300 to 699.
    public mutating func offer(_ status: UInt32, from branch: UInt16) -> Verdict {
        take(status, from: branch, isOwn: false)
    }

    /// Takes in that a branch ended without a final response: as a 408 (§16.8), or, once the caller
    /// has cancelled, as the 487 that the CANCEL should have led to.
    public mutating func offerSilence(of branch: UInt16) -> Verdict {
        take(isCancelled ? 487 : 408, from: branch, isOwn: true)
    }

    /// Takes in that a target could not be tried, with the status that we would answer alone: it speaks
    /// of us, so a 503 of it stays one.
    public mutating func offerOwn(_ status: UInt32) { _ = take(status, from: 0, isOwn: true) }

    /// Notes that the caller has cancelled: from now on a 487 counts before all but a 6xx. One that
    /// was dropped before does not come back; branches that still ring will bring another.
    public mutating func cancel() { isCancelled = true }

    private mutating func take(_ status: UInt32, from branch: UInt16, isOwn: Bool) -> Verdict {
        precondition(status >= 300 && status < 700, "it is a final response and none of success")
        guard self.status == 0 || rank(status, isOwn) < rank(self.status, self.isOwn) else {
            return Self.isChallenge(status) && Self.isChallenge(self.status) ? .challenges : .drop
        }
        let keepsOthers = Self.isChallenge(status) && Self.isChallenge(self.status)
        (self.status, self.branch, self.isOwn) = (status, branch, isOwn)
        return .best(keepsOthers: keepsOthers)
    }

    /// The lower, the better.
    private func rank(_ status: UInt32, _ isOwn: Bool) -> UInt32 {
        switch status {
        case 600...: 0
        case 487 where isCancelled: isOwn ? 2 : 1
        case ..<400: 3
        case 401: 4
        case 407: 5
        case 415: 6
        case 420: 7
        case 484: 8
        case 408: isOwn ? 11 : 10
        case ..<500: 9
        case 503: 13
        default: 12
        }
    }

    /// Whether it may have challenges.
    public static func isChallenge(_ status: UInt32) -> Bool { status == 401 || status == 407 }

    /// What a response is sent on as: a 503 speaks of the one it came from and not of us, so it
    /// becomes a 500 (§16.7 step 6); its Retry-After stays. All others as they are.
    public static func forwardedStatus(_ status: UInt32) -> UInt32 { status == 503 ? 500 : status }

    /// What the best is sent on as; 408 if no branch brought anything (§16.7 step 6), 487 if the
    /// caller cancelled before any did.
    public var forwardedStatus: UInt32 {
        guard status > 0 else { return isCancelled ? 487 : 408 }
        return isOwn ? status : Self.forwardedStatus(status)
    }

    /// Whether anything is sent at all. A 408 to a request other than INVITE is not, whoever made
    /// it: it comes when the sender has given up long since (RFC 4320 §4.2).
    public func isSent(toInvite: Bool) -> Bool { toInvite || forwardedStatus != 408 }
}
