public import Bytes
public import SIPMessage

/// The contacts of one 3xx on their way into the target set (RFC 3261 §16.7 step 4). What is followed
/// is taken out of the 3xx before that becomes one of the final responses; if nothing is left, it
/// does not.
///
/// It is room that is taken once and used for one response after the other: ``read(_:_:)``,
/// ``deny(_:)`` for what the caller does not want, ``follow(_:policy:_:into:)``, then
/// ``isAllGone`` or ``writeRemaining(_:_:_:)``.
public struct RedirectTargets: ~Copyable {
    /// The most contacts that are looked at; of a longer list none is followed.
    public static let contactsMax = 64

    // Not private: the compiler (6.3.1) crashes in whoever stores a buffer of a private type of ours.
    struct Contact: BitwiseCopyable {
        var whole: ByteRange
        var uri: SIPURI
        var q: UInt16
        var field: UInt16
        var fate: ContactFate
        var mapping: Target.Mapping
    }

    private var contacts = RigidBuffer<Contact>(
        count: contactsMax,
        zeroed: Contact(
            whole: .none, uri: .nothing, q: 0, field: 0, fate: .unread, mapping: .unsaid))
    /// How many contacts the response has; 0 if they cannot all be read.
    public private(set) var count = 0

    public init() {}

    /// How many contacts had this fate.
    public func count(of fate: ContactFate) -> Int {
        var total = 0
        for number in 0..<count where contacts[number].fate == fate { total += 1 }
        return total
    }

    /// Whether no contact is left: the 3xx is dropped then, and what the followed ones answer stands
    /// for it. Not so for one that had none, or none that is followed: the caller learns what it says.
    public var isAllGone: Bool {
        for number in 0..<count where !contacts[number].fate.isGone { return false }
        return count(of: .followed) > 0
    }

    /// Reads the contacts of a response, all or none: who wrote a list that breaks off may have meant
    /// another. None of what is no redirect.
    public mutating func read(_ bytes: Span<UInt8>, _ index: borrowing MessageIndex) {
        count = 0
        guard RedirectPolicy.follows(UInt32(truncatingIfNeeded: index.statusCode)) else { return }
        count = (try? readAll(bytes, index)) ?? 0
    }

    /// The URI of a contact; numbers are those of the response, from 0.
    public func uri(_ number: Int) -> SIPURI {
        precondition(number >= 0 && number < count, "the contact is there")
        return contacts[number].uri
    }

    /// Leaves a contact to whoever sent the request.
    public mutating func deny(_ number: Int) { contacts[number].fate = .filtered }

    /// Puts the contacts that may be followed into the target set, the best by `q` first; one without
    /// `q` counts as 1, as RFC 3261 has it for bindings (OpenSIPS takes 0.01).
    ///
    /// - Parameters:
    ///   - bytes: of the response that was read.
    ///   - origin: of each new target.
    public mutating func follow(
        _ bytes: Span<UInt8>, policy: RedirectPolicy, _ origin: Target.Origin,
        into targets: inout TargetSet
    ) {
        var followed = 0
        while let number = best() {
            let uri = contacts[number].uri
            var fate =
                targets.has(bytes, uri)
                ? .known : Self.judge(bytes, uri, policy: policy, isSecure: targets.isSecure)
            if fate == .followed, Int(origin.depth) > policy.depthMax { fate = .tooDeep }
            if fate == .followed,
                followed >= policy.perBranchMax || targets.followedCount >= policy.totalMax
            {
                fate = .tooMany
            }
            if fate == .followed {
                var origin = origin
                origin.mapping = contacts[number].mapping
                switch targets.follow(bytes, uri, q: contacts[number].q, origin) {
                case .added: followed += 1
                case .known: fate = .known
                case .itself: fate = .itself
                case .full: fate = .tooMany
                }
            }
            contacts[number].fate = fate
        }
    }

    /// Takes back that the contact with a target's URI is followed: there was no room for it after all.
    public mutating func giveUp(
        _ target: Target, of targets: borrowing TargetSet, _ bytes: Span<UInt8>
    ) {
        for number in 0..<count where contacts[number].fate == .followed {
            if SIPURI.equivalent(
                contacts[number].uri, in: bytes, target.uri, in: targets.bytes)
            {
                contacts[number].fate = .tooMany
            }
        }
    }

    /// What becomes of a contact by what it is.
    private static func judge(
        _ bytes: Span<UInt8>, _ uri: SIPURI, policy: RedirectPolicy, isSecure: Bool
    ) -> ContactFate {
        guard uri.scheme != .other else { return .otherScheme }
        guard uri.headers.isEmpty, bytes.parameter("method", in: uri.parameters) == nil,
            bytes.parameter("maddr", in: uri.parameters) == nil
        else { return .carriesMore }
        if isSecure, uri.scheme == .sip { return .downgrade }
        return policy.filter.allows(bytes, uri) ? .followed : .filtered
    }

    private mutating func readAll(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex
    ) throws(SIPParseError) -> Int {
        var cursor = AddressCursor(.contact, of: index)
        var found = 0
        while let element = try cursor.next(bytes, index) {
            guard found < Self.contactsMax else {
                throw SIPParseError(.tooManyContacts, at: element.whole.start)
            }
            var q = QValue.unsaid
            if let value = bytes.parameter("q", in: element.parameters) {
                q = try QValue(bytes, value)
            }
            contacts[found] = Contact(
                whole: element.whole, uri: try SIPURI(bytes, element.uri), q: q.thousandths,
                field: UInt16(truncatingIfNeeded: cursor.lastField), fate: .unread,
                mapping: Self.mapping(bytes, element))
            found += 1
        }
        return found
    }

    private static func mapping(_ bytes: Span<UInt8>, _ contact: NameAddress) -> Target.Mapping {
        if bytes.parameter("rc", in: contact.parameters) != nil { return .sameUser }
        return bytes.parameter("mp", in: contact.parameters) != nil ? .otherUser : .unsaid
    }

    /// The undecided contact with the highest `q`, of equals the first.
    private func best() -> Int? {
        var best: Int?
        for number in 0..<count where contacts[number].fate == .unread {
            if let found = best, contacts[found].q >= contacts[number].q { continue }
            best = number
        }
        return best
    }

    /// Writes the 3xx without the contacts that were taken out of it; all else as it came.
    ///
    /// - Precondition: they are the bytes that were followed.
    public func writeRemaining(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ outbox: inout Outbox
    ) {
        var copy = EditedCopy(from: index.startLine.start)
        var number = 0
        while number < count {
            let field = Int(contacts[number].field)
            let first = number
            var isWhole = true
            while number < count, Int(contacts[number].field) == field {
                if contacts[number].fate.isGone { isWhole = false }
                number += 1
            }
            if isWhole { continue }
            copy.drop(index[field].line, bytes, &outbox)
            for contact in first..<number where !contacts[contact].fate.isGone {
                outbox.write("Contact: ")
                outbox.write(bytes, contacts[contact].whole)
                outbox.write("\r\n")
            }
        }
        let end = index.body.isEmpty ? index.headerEnd.end : index.body.end
        copy.keep(upTo: end, bytes, &outbox)
    }
}
