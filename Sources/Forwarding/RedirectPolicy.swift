public import Bytes

/// Which redirects are followed, and how far: following one sends a call where somebody else wants it.
public struct RedirectPolicy: Sendable {
    /// Whether those of the main registrar are.
    public var followsMain = false
    /// Whether those of every phone are.
    public var followsPhones = false
    /// Hosts whose redirects are followed, whatever is said of phones.
    public var trusted = Edges([])
    public var filter: RedirectFilter
    /// The most contacts followed for one request.
    public var totalMax: Int
    /// The most contacts followed of one 3xx, the best by `q`.
    public var perBranchMax: Int
    /// How many redirects may lead to a target, one after the other; 0 follows none.
    public var depthMax: Int
    /// Whether what is called because of a redirect waits until all that rings has ended.
    public var waits = false
    /// Whether what else rings or waits is given up for a redirect that is followed.
    public var cancelsOthers = false
    /// Whether a request says by Diversion who redirected it (RFC 5806).
    public var writesDiversion = false
    /// Whether a request says by History-Info where it has been (RFC 7044).
    public var writesHistory = false

    public init(
        filter: RedirectFilter = RedirectFilter([], otherwise: .allow), totalMax: Int = 16,
        perBranchMax: Int = 8, depthMax: Int = 3
    ) {
        self.filter = filter
        self.totalMax = totalMax
        self.perBranchMax = perBranchMax
        self.depthMax = depthMax
    }

    /// Whether what is called because of a redirect learns of it.
    public var tells: Bool { writesDiversion || writesHistory }

    /// Whether a redirect of anybody is followed.
    public var followsAny: Bool { followsMain || followsPhones || !trusted.isEmpty }

    /// Whether a redirect is followed.
    ///
    /// - Parameter isMain: whether it answers what was sent to the main registrar.
    public func follows(_ source: TransportAddress, isMain: Bool) -> Bool {
        isMain ? followsMain : followsPhones || trusted.contains(source)
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

    /// Whether the contact is taken out of the 3xx.
    var isGone: Bool { self == .followed || self == .known }
}
