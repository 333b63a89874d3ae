/// Why a row of a dump does not become a binding.
public struct Refusal: Error, Equatable, Sendable {
    public enum Reason: String, CaseIterable, Sendable {
        case broken = "the row is cut off, too long, or has another number of columns"
        case noContact = "there is no contact"
        case badContact = "the contact is no SIP URI"
        case noAOR = "there is no user"
        case noDomain = "there is no domain; give it with --domain"
        case badAOR = "user and domain are no address of record"
        case noExpiry = "there is no expiry that can be read"
        case permanent = "it never expires, which no main registrar has agreed to"
        case expired = "it has expired"
        case badSequence = "the CSeq is no number below 2^31"
        case badID = "the contact ID is no number below 2^64"
        case sameID = "another contact has the same contact ID"
        case behindProxy = "a Path leads to it through another proxy"
        case notUDP = "it is not reached by UDP"
        case noFlow = "neither received nor contact has an IP address"
        case nowhere = "nothing says how the main registrar calls us; give it with --advertised"
        case tooLong = "it is longer than a fact may be"
        case duplicate = "another row of the same contact expires later"
    }

    public let reason: Reason
    /// The column that shows it; `nil` if it is the row.
    public let column: Column?

    init(_ reason: Reason, _ column: Column? = nil) {
        self.reason = reason
        self.column = column
    }
}
