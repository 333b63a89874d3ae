/// How long answers took, in buckets that are at most 1/32 of their value wide.
struct LatencyHistogram: Sendable {
    private var counts = [UInt32](repeating: 0, count: 60 * 32)
    private(set) var count = 0

    mutating func record(nanoseconds: UInt64) {
        counts[Self.bucket(of: nanoseconds)] += 1
        count += 1
    }

    /// The time, in nanoseconds, within which the given share was answered: the largest value of
    /// the bucket it falls into; 0 if there is nothing.
    ///
    /// - Parameter share: more than 0, at most 1; 0.5 gives the median.
    func quantile(_ share: Double) -> UInt64 {
        let rank = max(1, Int((Double(count) * share).rounded(.up)))
        var reached = 0
        for (bucket, more) in counts.enumerated() where more > 0 {
            reached += Int(more)
            if reached >= rank { return Self.upperBound(of: bucket) }
        }
        return 0
    }

    /// Values below 32 have a bucket each; above, every doubling has 32.
    private static func bucket(of value: UInt64) -> Int {
        guard value >= 32 else { return Int(value) }
        let shift = 58 - value.leadingZeroBitCount
        return shift * 32 + Int(value >> UInt64(shift))
    }

    private static func upperBound(of bucket: Int) -> UInt64 {
        guard bucket >= 32 else { return UInt64(bucket) }
        let shift = UInt64(bucket / 32 - 1)
        return (UInt64(bucket % 32 + 33) << shift) &- 1
    }
}
