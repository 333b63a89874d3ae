import Registration

/// What kind of history a seed makes: everything that is decided before its first step.
public struct Plan: Sendable {
    /// What the main registrar is told: each contact in its own way, or one for all of an AOR.
    public enum Mode: String, CaseIterable, Sendable {
        case contact, mirror, path
        case addressOfRecord = "aor"
        /// Each contact in its own way, and phones that keep two flows of one instance (RFC 5626).
        case flows

        /// What a campaign plays in turn if nobody says otherwise.
        public static let usual: [Mode] = [.contact, .mirror, .path, .addressOfRecord]

        /// A contact ID stands for an instance: another address of the same flow takes its place.
        var isByID: Bool { self == .contact || self == .mirror || self == .flows }
    }

    /// How the main registrar writes how long it holds a contact.
    enum ExpiryStyle { case parameter, header, missing }
    /// What it says to removals of our own.
    enum OwnRemovals { case accepted, refused }

    let mode: Mode
    var placement: MainContact.Placement
    var aors: Int
    var phonesOfAOR: [Int]
    var hostiles: Int
    /// Lifetimes phones ask for, in seconds.
    var lifetimes: [Int]
    var mainSeconds: Int
    var jitter: Double
    var refusesShort: Bool
    var faultsMs: UInt64

    var lossPercent: Int
    var doublePercent: Int
    var reorderPercent: Int
    /// Delays are multiples of it, so that datagrams meet in one round.
    var quantumMs: Int

    var busyPercent: Int
    var stalePercent: Int
    var slowPercent: Int
    var emptyPercent: Int
    /// The main registrar grants at most, in seconds; 0 is no limit.
    var mainMost: Int
    var mainMore: Int
    var mainLeast: Int
    var listsAll: Bool
    var expiryStyle: ExpiryStyle
    var ownRemovals: OwnRemovals
    var amnesias: Int

    var commitDelayMs: Int
    var storeFaults: Int
    var restarts: Int
    var removalsPerSecond: Int

    init(_ mode: Mode, _ chance: inout Chance) {
        self.mode = mode
        placement = chance.happens(50) ? .parameter : .user
        switch mode {
        case .contact, .mirror, .flows: break
        case .path: placement = .path
        case .addressOfRecord: placement = .addressOfRecord
        }
        aors = chance.between(1, 3)
        phonesOfAOR = []
        for _ in 0..<aors { phonesOfAOR.append(chance.pick([1, 1, 2, 2, 3, 4])) }
        hostiles = chance.pick([0, 1, 1, 2])
        let isLong = chance.happens(20)
        lifetimes = isLong ? [300, 600, 900, 1_800, 3_600] : [60, 61, 75, 90, 120]
        mainSeconds = isLong ? 3_600 : chance.pick([300, 600])
        jitter = chance.pick([0, 0.1])
        refusesShort = chance.happens(80)
        faultsMs = UInt64(isLong ? chance.between(1_800, 3_600) : chance.between(240, 480)) * 1_000

        lossPercent = chance.pick([0, 0, 2, 5, 10, 20, 30])
        doublePercent = chance.pick([0, 5, 20])
        reorderPercent = chance.pick([0, 5, 20])
        quantumMs = chance.pick([1, 5, 20])

        busyPercent = chance.pick([0, 0, 3, 10])
        stalePercent = chance.pick([0, 5, 20])
        slowPercent = chance.pick([0, 0, 5, 20])
        emptyPercent = chance.pick([0, 0, 0, 3])
        mainMost = chance.happens(20) ? mainSeconds * chance.between(20, 99) / 100 : 0
        mainMore = chance.happens(10) ? chance.between(1, 1_000) : 0
        mainLeast = chance.happens(10) ? mainSeconds + chance.between(-60, 200) : 0
        if mainMost > 0 { mainLeast = 0 }
        listsAll = chance.happens(60)
        expiryStyle = chance.pick([.parameter, .parameter, .header, .missing])
        ownRemovals = chance.happens(75) ? .accepted : .refused
        amnesias = chance.pick([0, 0, 0, 1])

        commitDelayMs = chance.pick([0, 0, 5, 50, 2_000])
        storeFaults = chance.pick([0, 0, 1, 2])
        restarts = chance.pick([0, 0, 1, 3])
        removalsPerSecond = chance.pick([1, 200])
    }
}
