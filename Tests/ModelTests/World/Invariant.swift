/// What must hold after every step, whatever has happened.
public enum Invariant: String, CaseIterable, Sendable {
    case kept =
        "I1 an acknowledged binding is found until its expiry or removal, also after a restart"
    case earned =
        "I2 no binding appears, moves or ends without the main registrar's 2xx to who may ask for it, or a refresh by the same flow"
    case leased = "I3 what a phone is granted until t, the main registrar holds until t"
    case released =
        "I4 nothing stays at the main registrar longer than the binding here, a sweep and its place in the queue"
    case counted = "I5 CSeq rises per Call-ID over requests of our own"
    case idempotent = "I7 a copy has no new effect"
    case empty = "I8 when everything has expired, table and store are empty"
    case live = "I12 when faults stop, every phone is registered at both within two of its periods"
    case sane = "every answer has its request, and every history ends"

    /// As it is named in this project's specification.
    public var name: String { String(rawValue.prefix { $0 != " " }) }
}
