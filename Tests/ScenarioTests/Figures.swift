import CoreScene
import MidRegistrarCore
import Telemetry

/// Counters and gauges by the names that operators know.
enum Figures {
    /// The sum of all series of a family that have the labels; `nil` if there is none.
    static func value(_ series: String, of scene: Scene) -> UInt64? {
        let name = series.prefix { $0 != "{" }
        guard let family = Family(rawValue: String(name)) else { return nil }
        let wanted = series.dropFirst(name.count).matches(of: #/(\w+)="([^"]*)"/#)
            .map { Label(String($0.1), String($0.2)) }
        let gauges = Gauge.allCases.filter { $0.place.family == family }
        if !gauges.isEmpty {
            return wanted.isEmpty ? gauges.reduce(0) { $0 + scene.gauge($1) } : nil
        }
        let counters = Counter.allCases.filter { counter in
            counter.place.family == family && wanted.allSatisfy(counter.place.labels.contains)
        }
        return counters.isEmpty ? nil : counters.reduce(0) { $0 + scene.counter($1) }
    }
}
