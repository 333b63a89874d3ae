import Bytes
import Forwarding
import SIPMessage
import Testing

@Suite("A 3xx is followed (RED-3, RED-5; RFC 3261 §16.7 step 4)")
struct RedirectTargetsTests {
    static func response(_ contacts: String, status: Int = 302, body: String = "") -> String {
        "SIP/2.0 \(status) Moved\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\n"
            + "From: <sip:a@x.test>;tag=9\nTo: <sip:b@x.test>;tag=1\nCall-ID: c\nCSeq: 1 INVITE\n"
            + "\(contacts)Content-Length: \(body.count)\n\n\(body)"
    }

    @Test func `by q, one without as 1, and the 3xx is empty then`() throws {
        var trial = try Trial()
        try trial.follow(
            "Contact: <sip:c@x.test>;q=0.5, <sip:d@x.test>\nm: \"D, <e>\" <sip:e@x.test>;q=0.9,"
                + "sip:f@x.test;q=1.0\n")
        #expect(trial.targets == ["sip:d@x.test", "sip:f@x.test", "sip:e@x.test", "sip:c@x.test"])
        for (number, q) in [(1, 1_000), (2, 1_000), (3, 900), (4, 500)] as [(Int, UInt16)] {
            let target = trial.set[number]
            #expect(target.q == q && target.origin.depth == 1 && target.number == 0)
        }
        #expect(trial.count(.followed) == 4)
        #expect(trial.redirect.isAllGone == true)
        #expect(trial.remaining == Self.response(""))
    }

    @Test(arguments: [
        (300, 1), (301, 1), (302, 1), (303, 0), (305, 0), (380, 0), (404, 0),
    ])
    func `if its status says to try elsewhere`(status: Int, followed: Int) throws {
        var trial = try Trial()
        try trial.follow("Contact: <sip:c@x.test>\n", status: status)
        #expect(trial.targets.count == followed)
        #expect(trial.redirect.isAllGone == (followed == 1))
        let left = followed == 1 ? "" : "Contact: <sip:c@x.test>\n"
        #expect(trial.remaining == Self.response(left, status: status))
    }

    @Test func `and keeps what is not followed, as it came`() throws {
        let mail = "Contact: <mailto:a@x.test>, <sip:c@x.test> ;q=0.1\n"
        let other = "X: y\nContact:  <tel:+1900>  ,<http://x.test/>\n"
        var trial = try Trial()
        try trial.follow(mail + other, body: "body")
        #expect(trial.targets == ["sip:c@x.test"])
        #expect(trial.count(.otherScheme) == 3)
        #expect(trial.redirect.isAllGone == false)
        let expected = Self.response("Contact: <mailto:a@x.test>\n" + other, body: "body")
        #expect(trial.remaining == expected)
    }

    @Test(
        arguments: [
            ("<sip:c@x.test>", false, .followed), ("<sips:c@x.test>", false, .followed),
            ("<sips:c@x.test>", true, .followed), ("<sip:c@x.test>", true, .downgrade),
            ("<tel:+1900>", true, .otherScheme), ("<sip:c@x.test?Subject=x>", false, .carriesMore),
            ("<sip:c@x.test;method=BYE>", false, .carriesMore),
            ("<sip:c@x.test;maddr=10.0.0.1>", false, .carriesMore),
            ("<sip:c@x.test;transport=tcp>", false, .followed),
            ("<sip:me@own.test>", false, .itself),
            ("<sip:b@192.0.2.1>", false, .known), ("<sip:%62@192.0.2.1>;q=0.4", false, .known),
            ("<sip:c@bad.test>", false, .filtered), ("<sip:c@bad.test>", true, .downgrade),
        ] as [(String, Bool, ContactFate)])
    func `each contact has one fate`(contact: String, isSecure: Bool, fate: ContactFate) throws {
        var trial = try Trial(own: isSecure ? "sips:me@own.test" : "sip:me@own.test")
        trial.policy.filter = RedirectFilter(
            [.init(.deny, host: HostPattern("bad.test"))], otherwise: .allow)
        try trial.follow("Contact: \(contact)\n")
        for other in ContactFate.allCases {
            #expect(trial.count(other) == (other == fate ? 1 : 0), "\(other)")
        }
        #expect(trial.targets.count == (fate == .followed ? 1 : 0))
        // Where none is followed, the 3xx is passed on as it came.
        #expect(trial.redirect.isAllGone == (fate == .followed))
        let isGone = fate == .followed || fate == .known
        #expect(trial.remaining == Self.response(isGone ? "" : "Contact: \(contact)\n"))
    }

    @Test(arguments: [
        "", "Contact: *\n", "Contact: <sip:c@x.test>, <sip:\n", "Contact: <sip:c@x.test>;q=2\n",
        "Contact: <sip:c@x.test>\nContact: <sip:d@x y>\n", "Contact: <sip:c@x.test>,\n",
    ])
    func `not at all if its contacts cannot be read`(contacts: String) throws {
        var trial = try Trial()
        try trial.follow(contacts)
        #expect(trial.targets.isEmpty)
        #expect(trial.redirect.isAllGone == false)
        #expect(trial.redirect.count == 0)
        #expect(trial.remaining == Self.response(contacts))
    }

    private static func many(_ count: Int) -> String {
        (0..<count).map { "Contact: <sip:\($0)@x.test>;q=0.\(100 + $0)\n" }.joined()
    }

    @Test func `up to the limits, the best first`() throws {
        var trial = try Trial()
        trial.policy.perBranchMax = 3
        trial.policy.totalMax = 4
        try trial.follow(Self.many(6))
        #expect(trial.targets == ["sip:5@x.test", "sip:4@x.test", "sip:3@x.test"])
        #expect(trial.count(.tooMany) == 3)
        #expect(trial.remaining == Self.response(Self.many(3)))
        // A second 3xx has what is left of the total; what is known is taken out without counting.
        try trial.follow(Self.many(6), depth: 2)
        #expect(trial.targets.count == 4)
        #expect(trial.count(.known) == 3)
        #expect(trial.count(.followed) == 1)
        #expect(trial.count(.tooMany) == 2)
        #expect(trial.set[4].origin.depth == 2)
    }

    @Test func `taking out what was tried, whatever the limits`() throws {
        var trial = try Trial()
        trial.policy.perBranchMax = 1
        try trial.follow(
            "Contact: <sip:c@x.test>, <sip:b@192.0.2.1>;q=0.1, <sip:d@x.test>;q=0.2\n")
        #expect(trial.count(.known) == 1)
        #expect(trial.count(.tooMany) == 1)
        #expect(trial.remaining == Self.response("Contact: <sip:d@x.test>;q=0.2\n"))
    }

    @Test(
        arguments: [
            ("", .unsaid), (";rc=1.1", .sameUser), (";q=1;MP=1", .otherUser), (";np=1", .unsaid),
        ] as [(String, Target.Mapping)])
    func `noting what it says of the user`(parameter: String, mapping: Target.Mapping) throws {
        var trial = try Trial()
        try trial.follow("Contact: <sip:c@x.test>\(parameter)\n", status: 301)
        let target = trial.set[1]
        #expect(target.origin.mapping == mapping)
        #expect(target.origin.status == 301)
        #expect(target.origin.parent == 1)
    }

    @Test(arguments: [(0, 0, ContactFate.tooDeep), (1, 1, .followed), (5, 1, .followed)])
    func `up to a depth`(depthMax: Int, followed: Int, fate: ContactFate) throws {
        var trial = try Trial()
        trial.policy.depthMax = depthMax
        try trial.follow("Contact: <sip:c@x.test>, <mailto:x@y>\n")
        #expect(trial.targets.count == followed)
        #expect(trial.count(fate) == 1)
        #expect(trial.count(.otherScheme) == 1)
    }

    @Test func `a redirect of a redirect is one deeper`() throws {
        for (depthMax, followed) in [(1, 0), (2, 1)] {
            var trial = try Trial()
            trial.policy.depthMax = depthMax
            try trial.follow("Contact: <sip:c@x.test>\n")
            try trial.follow("Contact: <sip:d@x.test>\n", depth: 2)
            #expect(trial.count(.followed) == followed)
            #expect(trial.count(.tooDeep) == 1 - followed)
        }
    }

    @Test func `as far as the set has room`() throws {
        var trial = try Trial(targetsMax: 3)
        try trial.follow(Self.many(4))
        #expect(trial.count(.followed) == 2)
        #expect(trial.count(.tooMany) == 2)
    }

    @Test func `but not what the caller denies or has no room for`() throws {
        var trial = try Trial()
        let contacts = "Contact: <sip:c@x.test>\nContact: <sip:d@x.test>\nContact: <sip:e@x.test>\n"
        try trial.follow(contacts, denying: 1, givingUp: "sip:e@x.test")
        #expect(trial.count(.followed) == 1)
        #expect(trial.count(.filtered) == 1)
        #expect(trial.count(.tooMany) == 1)
        #expect(
            trial.remaining
                == Self.response("Contact: <sip:d@x.test>\nContact: <sip:e@x.test>\n"))
    }

    @Test(arguments: [(64, 16), (65, 0)])
    func `if its contacts are not too many`(contacts: Int, followed: Int) throws {
        var trial = try Trial()
        trial.policy.perBranchMax = 64
        try trial.follow(Self.many(contacts))
        #expect(trial.count(.followed) == followed)
        #expect(trial.redirect.count == (followed > 0 ? contacts : 0))
    }

    @Test func `and another after it, with nothing left of the first`() throws {
        var trial = try Trial()
        try trial.follow(Self.many(3))
        try trial.follow("Contact: <tel:1>\n")
        #expect(trial.redirect.count == 1)
        #expect(trial.count(.followed) == 0)
        #expect(trial.redirect.isAllGone == false)
        try trial.follow("Contact: <sip:z@x.test>\n", status: 404)
        #expect(trial.redirect.count == 0)
    }
}

/// One binding that was called and answers with a 3xx.
private struct Trial: ~Copyable {
    var set: TargetSet
    var redirect = RedirectTargets()
    var policy = RedirectPolicy()
    /// What is left of the last 3xx.
    var remaining = ""

    init(own text: String = "sip:me@own.test", targetsMax: Int = 32) throws {
        let bytes = Array("\(text) sip:b@192.0.2.1".utf8)
        let own = try SIPURI(bytes.span, ByteRange(0, text.utf8.count))
        let binding = try SIPURI(bytes.span, ByteRange(text.utf8.count + 1, bytes.count))
        var targets = TargetSet(targetsMax: targetsMax, bytesMax: 8_192)
        targets.begin(bytes.span, requestURI: own)
        targets.add(bytes.span, binding, number: 1, Target.Origin())
        set = targets
    }

    mutating func follow(
        _ contacts: String, status: Int = 302, body: String = "", depth: UInt8 = 1,
        denying denied: Int? = nil, givingUp gone: String? = nil
    ) throws {
        let sample = try Sample(
            RedirectTargetsTests.response(contacts, status: status, body: body))
        var origin = Target.Origin()
        (origin.parent, origin.depth, origin.status) = (1, depth, UInt16(status))
        redirect.read(sample.bytes.span, sample.index)
        if let denied { redirect.deny(denied) }
        redirect.follow(
            sample.bytes.span, policy: policy, origin, into: &set)
        if let gone, let place = targets.firstIndex(of: gone) {
            redirect.giveUp(set[place + 1], of: set, sample.bytes.span)
        }
        var outbox = Outbox(bytesMax: 70_000, messagesMax: 1)
        outbox.begin()
        redirect.writeRemaining(sample.bytes.span, sample.index, &outbox)
        remaining = outbox.openText.replacing("\r\n", with: "\n")
        _ = try Sample(remaining)
    }

    /// The URIs of the targets after the first, in the order of their numbers.
    var targets: [String] {
        let bytes = set.bytes
        var uris: [String] = []
        for number in 1..<max(1, set.count) {
            let range = set[number].uri.whole
            var text: [UInt8] = []
            for at in range.start..<range.end { text.append(bytes[at]) }
            uris.append(String(decoding: text, as: UTF8.self))
        }
        return uris
    }

    func count(_ fate: ContactFate) -> Int { redirect.count(of: fate) }
}
