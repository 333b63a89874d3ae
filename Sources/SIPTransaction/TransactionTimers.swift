/// The times that all transactions share (RFC 3261 §17.1.1.1 and table 4), in milliseconds.
public enum TransactionTimers {
    /// The estimate of a round trip; the first interval between copies.
    public static let t1Ms: UInt64 = 500
    /// The longest interval between copies, except of an INVITE.
    public static let t2Ms: UInt64 = 4_000
    /// How long a message may live in the network.
    public static let t4Ms: UInt64 = 5_000
    /// 64·T1: timers B, F, H, J, L and M, and what a cancelled INVITE is given (§9.1).
    public static let timeoutMs = 64 * t1Ms
    /// Timer D over UDP: "at least 32 s", whatever T1 may be.
    public static let timerDMs: UInt64 = 32_000
    /// Timer C must be longer than this (§16.6 step 11).
    public static let timerCAboveMs: UInt64 = 180_000
    /// When Timer E of the client would be set to T2: not before, and then at the latest, a request
    /// other than INVITE is answered with 100 (RFC 4320 §4.1).
    public static let tryingMs = t1Ms + 2 * t1Ms + 4 * t1Ms
}
