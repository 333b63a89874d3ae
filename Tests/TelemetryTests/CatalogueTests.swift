import MidRegistrarCore
import Testing

@testable import Telemetry

@Suite("The catalogue of counters")
struct CatalogueTests {
    @Test func `shows each counter in one place of its own`() {
        var seen: [Place: Counter] = [:]
        for counter in Counter.allCases {
            // Two counters in one series would be added up or shown twice.
            let place: Place =
                switch counter.place {
                case .series(let family, let labels, _): .series(family, labels)
                case .bucket, .sum: counter.place
                }
            #expect(seen[place] == nil, "\(counter) and \(String(describing: seen[place]))")
            seen[place] = counter
        }
        #expect(seen.count == Counter.allCases.count)
    }

    @Test func `shows each gauge in a family of its own`() {
        let families = Gauge.allCases.map(\.place.family)
        #expect(Set(families).count == families.count)
        #expect(families.allSatisfy { $0.kind == .gauge && !$0.isPerWorker })
    }

    @Test(arguments: Counter.allCases)
    func `gives a counter to a family of its kind`(counter: Counter) {
        switch counter.place {
        case .series(let family, _, let divisor):
            #expect(family.kind == .counter)
            #expect(divisor > 0)
        case .bucket(let family, _, _), .sum(let family, _, _): #expect(family.kind == .histogram)
        }
    }

    @Test func `has the same label names throughout a family`() {
        var names: [Family: [String]] = [:]
        for counter in Counter.allCases {
            let own = counter.place.labels.map(\.name)
            #expect(names[counter.place.family, default: own] == own, "\(counter)")
            names[counter.place.family] = own
        }
    }

    @Test(arguments: Family.allCases)
    func `names a family by the rules of Prometheus`(family: Family) {
        let name = family.rawValue
        #expect(name.hasSuffix("_total") == (family.kind == .counter))
        #expect(name.hasPrefix("midreg_") || name.hasPrefix("process_"))
        #expect(name.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x5F })
        #expect(family.help.hasSuffix(".") && !family.help.contains("\n"))
    }

    @Test func `labels never name a phone, an address or a user`() {
        let allowed: Set = [
            "transport", "kind", "reason", "decision", "cause", "method", "code", "result", "to",
            "side",
        ]
        let used = Counter.allCases.flatMap { $0.place.labels.map(\.name) }
        #expect(Set(used).isSubset(of: allowed))
    }

    @Test(arguments: ["absorbed", "relayed"])
    func `has buckets in rising order and one without end`(decision: String) {
        var bounds: [UInt64?] = []
        for counter in Counter.allCases {
            guard case .bucket(_, let labels, let bound) = counter.place,
                labels == [Label("decision", decision)]
            else { continue }
            bounds.append(bound)
        }
        let finite = bounds.compactMap(\.self)
        #expect(bounds.count == 12 && finite.count == 11)
        #expect(finite == finite.sorted() && Set(finite).count == finite.count)
        #expect(bounds.last == .some(nil))
    }
}
