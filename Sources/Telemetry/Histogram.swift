internal import MidRegistrarCore

/// How often a duration fell into each of a few buckets.
package struct Histogram: Equatable, Sendable {
    /// Where each bucket but the last ends, in rising order; a bucket holds its upper bound.
    package let upperBoundsSeconds: [Double]
    /// What fell into each bucket alone; the last has no upper bound.
    package let counts: [UInt64]
    /// All durations together.
    package let sumSeconds: Double

    package init(upperBoundsSeconds: [Double], counts: [UInt64], sumSeconds: Double) {
        precondition(
            counts.count == upperBoundsSeconds.count + 1, "each bound has a count, and the rest too"
        )
        self.upperBoundsSeconds = upperBoundsSeconds
        self.counts = counts
        self.sumSeconds = sumSeconds
    }

    /// The number of durations.
    package var count: UInt64 { counts.reduce(0, &+) }

    /// What took at most as long as each bound; the last is ``count``.
    package var cumulativeCounts: [UInt64] {
        var sum: UInt64 = 0
        return counts.map { count in
            sum &+= count
            return sum
        }
    }

    /// A time within which the given share stayed: the bound of the bucket it falls into.
    package enum Quantile: Equatable, Sendable {
        case none
        case atMost(seconds: Double)
        /// It lies beyond the last bound.
        case more(seconds: Double)
    }

    /// - Parameter share: more than 0, at most 1; 0.5 gives the median.
    package func quantile(_ share: Double) -> Quantile {
        let total = count
        guard total > 0 else { return .none }
        let rank = max(1, (Double(total) * share).rounded(.up))
        for (bound, reached) in zip(upperBoundsSeconds, cumulativeCounts)
        where Double(reached) >= rank {
            return .atMost(seconds: bound)
        }
        return .more(seconds: upperBoundsSeconds.last ?? 0)
    }
}

extension WorkerFigures {
    /// The time to an answer for one decision, over all workers.
    package func registerDuration(decision: String) -> Histogram {
        let labels = [Label("decision", decision)]
        var bounds: [Double] = []
        var counts: [UInt64] = []
        var seconds = 0.0
        for counter in Counter.allCases {
            let place = counter.place
            guard place.family == .registerDuration, place.labels == labels else { continue }
            switch place {
            case .bucket(_, _, let microseconds):
                if let microseconds { bounds.append(Double(microseconds) / 1_000_000) }
                counts.append(total(counter))
            case .sum(_, _, let divisor): seconds = Double(total(counter)) / Double(divisor)
            case .series: break
            }
        }
        return Histogram(upperBoundsSeconds: bounds, counts: counts, sumSeconds: seconds)
    }
}
