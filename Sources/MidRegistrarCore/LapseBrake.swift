public import Bytes

/// Notices when so many bindings lapse at once that it is our network that failed and not the
/// phones: what they still have at the main registrar must not be taken from them at once.
public struct LapseBrake: ~Copyable {
    public enum Judgement: Equatable, Sendable {
        /// Phones go silent one by one: the removal goes its way.
        case single
        /// With this lapse it is too many.
        case massBegins
        /// One more of too many.
        case mass
    }

    /// Seconds within which lapses are counted together.
    public static let windowSeconds = 10
    /// Fewer lapses than this are never too many.
    public static let lapsesMin = 20
    /// More than one binding of so many is too many.
    public static let bindingsPerLapse = 20
    /// Seconds that a removal waits for its phone; after so many without another such second it is
    /// over.
    public static let waitSeconds: UInt32 = 60

    /// Lapses of the last seconds, each at its second modulo the window.
    private var lapses = RigidBuffer<UInt32>(count: windowSeconds, zeroed: 0)
    /// Their sum.
    public private(set) var recent = 0
    private var second: UInt64 = 0
    private var until = Instant(milliseconds: 0)

    public init() {}

    /// - Parameter others: bindings that are live after this one has lapsed.
    public mutating func noteLapse(others: Int, at now: Instant) -> Judgement {
        forget(before: now.milliseconds / 1_000)
        lapses[Int(second % UInt64(Self.windowSeconds))] += 1
        recent += 1
        let isMass = now < until
        if recent >= Self.lapsesMin, recent * Self.bindingsPerLapse > recent + others {
            until = now.advanced(bySeconds: Self.waitSeconds)
            return isMass ? .mass : .massBegins
        }
        return isMass ? .mass : .single
    }

    private mutating func forget(before now: UInt64) {
        let window = UInt64(Self.windowSeconds)
        guard now > second else { return }
        for passed in 1...min(now - second, window) {
            let place = Int((second + passed) % window)
            recent -= Int(lapses[place])
            lapses[place] = 0
        }
        second = now
    }
}
