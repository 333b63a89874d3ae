/// The bounds of registering, each with its reason.
public enum RegistrationLimits {
    /// Contacts in one REGISTER: more than a phone has addresses, fewer than an answer can list.
    public static let contactsPerRequestMax = 16
    /// Live flows of one contact: RFC 5626 §4.2.1 has a phone keep two, and none needs more than a
    /// path for each of its interfaces and address families.
    public static let flowsPerContactMax = 4
    /// RFC 3261 §17.1.1.1: the round-trip estimate.
    public static let t1Ms: UInt64 = 500
    /// 64·T1: after it nobody sends a copy of a request any more.
    public static let transactionMs: UInt64 = 64 * t1Ms
    /// A larger step of CSeq is not believed without the main registrar.
    public static let sequenceStepMax: UInt32 = 1 << 20
    /// What a phone is granted at most where the main registrar alone decides: 20 days, so that all
    /// times of a binding lie as near to each other as the table keeps them.
    public static let mirroredSecondsMax: UInt32 = 1_728_000
    /// A contact as it is kept, in bytes.
    public static let contactBytesMax = 1_024
    /// The Path of an edge as it is kept, in bytes: a handful of proxies with a token each.
    public static let pathBytesMax = 1_024
    /// Header fields of a 2xx that absorbed answers repeat, in bytes.
    public static let replyBlockBytesMax = 2_048
    /// Bytes of the largest fact: its strings and the fixed part.
    public static let factBytesMax = 8_192
}
