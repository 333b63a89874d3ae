public import Bytes
public import Keys

/// What one worker has noticed of the main registrar: whether it answers, whether it has forgotten
/// what it held, whether it is overloaded.
///
/// It draws its conclusions from the answers to what is relayed anyway, and from those to probes of
/// our own. None of them can be forced by one subscriber: each needs several AORs.
public struct MainHealth: Sendable {
    /// Relays without any answer for so long mean that it is down, in milliseconds.
    public static let silenceMs: UInt64 = 10_000
    /// Probes in a row without any answer that mean the same.
    public static let missesMin = 2
    /// Different AORs within ``witnessMs`` whose answers say that it has forgotten them.
    public static let witnessesMin = 8
    public static let witnessMs: UInt64 = 60_000
    /// Different AORs within a second that were answered 503, and half of all answers.
    public static let overloadedMin = 10
    /// How long a back-off lasts if nothing says how long, and at most, in seconds.
    public static let backOffSeconds: UInt32 = 5
    public static let backOffSecondsMax: UInt32 = 60

    public enum Change: Equatable, Sendable {
        case none, wentDown, cameUp
        /// It does not have any more what it agreed to.
        case forgot
        case overloaded
    }

    /// Since when it has owed an answer to something, without giving any.
    private var owesSince: Instant?
    /// Probes without any answer since anything came from it.
    private var misses = 0
    /// Whether it has ever answered a probe, and anything else.
    private var answersProbes = false
    private var answersOthers = false
    public private(set) var isDown = false
    /// Whether it lists all contacts of an AOR in its answers; it has done so since it came up.
    public private(set) var listsAll = false

    private var witnesses = Witnesses()
    private var believesFrom = Instant(milliseconds: 0)
    private var refused = Witnesses()
    private var second: UInt64 = 0
    private var answersInSecond = 0
    private var refusedInSecond = 0
    public private(set) var backsOffUntil = Instant(milliseconds: 0)

    public init() {}

    /// Something was sent that it has to answer.
    public mutating func noteRelay(at now: Instant) -> Change {
        guard let since = owesSince else {
            owesSince = now
            return .none
        }
        guard !isDown, now.millisecondsSince(since) >= Self.silenceMs else { return .none }
        isDown = true
        return .wentDown
    }

    /// A probe was given up without any answer.
    ///
    /// One that answers other requests and never a probe has a firewall in front of it or a mind of
    /// its own: its silence to probes says nothing.
    public mutating func noteProbeMissed() -> Change {
        misses += 1
        guard !isDown, misses >= Self.missesMin, answersProbes || !answersOthers else {
            return .none
        }
        isDown = true
        return .wentDown
    }

    /// Anything came from it.
    public mutating func noteAnswer(toProbe: Bool = false, at now: Instant) -> Change {
        owesSince = nil
        misses = 0
        if toProbe { answersProbes = true } else { answersOthers = true }
        guard isDown else { return .none }
        isDown = false
        listsAll = false
        return .cameUp
    }

    /// Two contacts of ours stood in one answer.
    public mutating func noteListing() { listsAll = true }

    /// An answer says that it does not know what it agreed to: 404 to a known AOR, or a list that
    /// misses one of ours.
    public mutating func noteMissing(_ aor: AORKey, at now: Instant) -> Change {
        // Those that come while it is being told again say nothing new.
        guard now >= believesFrom,
            witnesses.add(aor, at: now, within: Self.witnessMs) >= Self.witnessesMin
        else { return .none }
        return noteForgotten(at: now)
    }

    /// It was asked for bindings of two AORs, one after the other, and has neither.
    public mutating func noteForgotten(at now: Instant) -> Change {
        guard now >= believesFrom else { return .none }
        witnesses = Witnesses()
        believesFrom = now.advanced(byMilliseconds: Self.witnessMs)
        return .forgot
    }

    /// A final answer came to a relayed REGISTER.
    ///
    /// - Parameter retryAfter: of a 503, in seconds.
    public mutating func noteFinal(
        _ code: Int, _ aor: AORKey, retryAfter: UInt32?, at now: Instant
    ) -> Change {
        if now.milliseconds / 1_000 != second {
            second = now.milliseconds / 1_000
            (answersInSecond, refusedInSecond) = (0, 0)
            refused = Witnesses()
        }
        answersInSecond += 1
        guard code == 503 else { return .none }
        refusedInSecond += 1
        let different = refused.add(aor, at: now, within: 1_000)
        guard different >= Self.overloadedMin, refusedInSecond * 2 >= answersInSecond,
            now >= backsOffUntil
        else { return .none }
        let seconds = max(1, min(retryAfter ?? Self.backOffSeconds, Self.backOffSecondsMax))
        backsOffUntil = now.advanced(bySeconds: seconds)
        return .overloaded
    }

    /// Whether a request is to be answered here instead of troubling it; one in eight goes through,
    /// so that its recovery is seen.
    public func holdsBack(_ transaction: UInt64, at now: Instant) -> Bool {
        now < backsOffUntil && transaction & 7 != 0
    }

    /// Counts different AORs by a few bits each: an estimate that is never too high.
    private struct Witnesses: Sendable {
        private var bits: UInt64 = 0
        private var since = Instant(milliseconds: 0)

        /// Returns how many there have been.
        mutating func add(_ aor: AORKey, at now: Instant, within ms: UInt64) -> Int {
            if bits == 0 || now.millisecondsSince(since) > ms {
                bits = 0
                since = now
            }
            bits |= 1 << (aor.low >> 8 & 63)
            return bits.nonzeroBitCount
        }
    }
}

/// Times at which everything that the main registrar agreed to before is confirmed anew, each
/// binding at a moment of its own (ruling the amount that comes to it at once).
public struct Resync: Sendable {
    private var start = Instant(milliseconds: 0)
    private var overMs: UInt64 = 0
    private var earlierStart = Instant(milliseconds: 0)
    private var earlierOverMs: UInt64 = 0

    public init() {}

    /// Everything confirmed before `now` is due within `seconds`.
    public mutating func begin(at now: Instant, over seconds: UInt32) {
        (earlierStart, earlierOverMs) = (start, overMs)
        (start, overMs) = (now, UInt64(seconds) * 1_000)
    }

    /// Whether a binding was confirmed before it began, so that the main registrar may not have it.
    public func doubts(confirmed: Instant) -> Bool {
        confirmed <= start && start.milliseconds > 0
    }

    /// The one of two that began last.
    public func later(_ other: Resync) -> Resync { other.start > start ? other : self }

    /// What a store keeps of it.
    public var words: [UInt64] {
        [start.milliseconds, overMs, earlierStart.milliseconds, earlierOverMs]
    }

    /// What a store has kept; `nil` if these are not the words of one.
    public init?(words: [UInt64]) {
        guard words.count == 4 else { return nil }
        (start, overMs) = (Instant(milliseconds: words[0]), words[1])
        (earlierStart, earlierOverMs) = (Instant(milliseconds: words[2]), words[3])
        // None takes longer.
        guard overMs <= Self.overMsMax, earlierOverMs <= Self.overMsMax else { return nil }
    }

    private static let overMsMax = UInt64(UInt32.max) * 1_000

    /// Whether a binding's lease is not to be believed any more.
    ///
    /// - Parameter confirmed: when the request arrived that the main registrar agreed to last.
    @inline(__always)
    public func isDue(_ id: ContactID, confirmed: Instant, at now: Instant) -> Bool {
        guard doubts(confirmed: confirmed) else { return false }
        return Self.isDue(id, start, overMs, now)
            || confirmed <= earlierStart && Self.isDue(id, earlierStart, earlierOverMs, now)
    }

    private static func isDue(
        _ id: ContactID, _ start: Instant, _ overMs: UInt64, _ now: Instant
    ) -> Bool {
        // The contact ID is a keyed hash: its bits spread the bindings evenly.
        let share = id.high & 0xFFFF
        return now >= start.advanced(byMilliseconds: (overMs * share) >> 16)
    }
}
