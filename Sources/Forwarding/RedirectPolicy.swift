/// Which redirects are followed, and how far. Whether any of a source's are is the caller's to say:
/// following one sends a call where somebody else wants it.
public struct RedirectPolicy: Sendable {
    public var filter: RedirectFilter
    /// The most contacts followed for one request.
    public var totalMax: Int
    /// The most contacts followed of one 3xx, the best by `q`.
    public var perBranchMax: Int
    /// How many redirects may lead to a target, one after the other; 0 follows none.
    public var depthMax: Int

    public init(
        filter: RedirectFilter = RedirectFilter([], otherwise: .allow), totalMax: Int = 16,
        perBranchMax: Int = 8, depthMax: Int = 3
    ) {
        self.filter = filter
        self.totalMax = totalMax
        self.perBranchMax = perBranchMax
        self.depthMax = depthMax
    }

    /// Whether the contacts of such a response are places to try instead. A 305 names a proxy and a 380
    /// another service (RFC 3261 §21.3): they are the caller's to understand, and go back to it.
    public static func follows(_ status: UInt32) -> Bool { status >= 300 && status <= 302 }
}

/// What came of one contact of a 3xx.
public enum ContactFate: UInt8, CaseIterable, BitwiseCopyable, Sendable {
    /// The response cannot be followed: it is no redirect, or its contacts cannot all be read.
    case unread
    /// It is a target now, and no longer in the 3xx.
    case followed
    /// It was a target already, and is no longer in the 3xx: the caller need not try it again.
    case known
    /// It is where the request came to.
    case itself
    /// It is neither SIP nor SIPS: `tel`, `mailto`, `http`.
    case otherScheme
    /// It carries headers, a method or `maddr`, which make of it another request, or one to another
    /// host than it names.
    case carriesMore
    /// It is SIP, and the request is SIPS (RFC 3261 §16.7 step 4).
    case downgrade
    case filtered
    case tooDeep
    /// Too many for this 3xx, for this request, or for the set.
    case tooMany
    /// Nothing more is tried for this request.
    case stopped

    /// Whether the contact is taken out of the 3xx.
    var isGone: Bool { self == .followed || self == .known }
}
