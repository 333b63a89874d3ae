import MidRegistrarCore
import Testing

@testable import Telemetry

@Suite("A histogram")
struct HistogramTests {
    let histogram = Histogram(
        upperBoundsSeconds: [0.001, 0.01, 0.1], counts: [50, 49, 0, 1], sumSeconds: 1)

    @Test func `adds up what each bucket holds alone`() {
        #expect(histogram.cumulativeCounts == [50, 99, 99, 100])
        #expect(histogram.count == 100)
    }

    @Test(
        arguments: [
            (0.01, .atMost(seconds: 0.001)), (0.5, .atMost(seconds: 0.001)),
            (0.501, .atMost(seconds: 0.01)), (0.99, .atMost(seconds: 0.01)),
            (0.991, .more(seconds: 0.1)), (1, .more(seconds: 0.1)),
        ] as [(Double, Histogram.Quantile)])
    func `knows within which bound a share stayed`(share: Double, expected: Histogram.Quantile) {
        #expect(histogram.quantile(share) == expected)
    }

    @Test func `says nothing of no durations`() {
        let empty = Histogram(upperBoundsSeconds: [1], counts: [0, 0], sumSeconds: 0)
        #expect(empty.quantile(0.5) == .none)
    }

    @Test func `is made of all workers' buckets and sums`() {
        let workers = figures(workers: 2) { worker, counters in
            counters.add(.absorbedUnder50us, 3)
            counters.add(.absorbedUnder1s, UInt64(worker))
            counters.add(.absorbedSlower)
            counters.add(.absorbedMicroseconds, 250)
            counters.add(.relayedUnder4s, 2)
            counters.add(.relayedMilliseconds, 3_500)
        }
        let absorbed = workers.registerDuration(decision: "absorbed")
        #expect(absorbed.upperBoundsSeconds.first == 0.000_05)
        #expect(absorbed.upperBoundsSeconds.last == 1)
        #expect(absorbed.counts == [6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2])
        #expect(absorbed.sumSeconds == 0.000_5)
        let relayed = workers.registerDuration(decision: "relayed")
        #expect(relayed.upperBoundsSeconds.last == 4)
        #expect(relayed.counts.last == 0 && relayed.count == 4)
        #expect(relayed.sumSeconds == 7)
    }
}
