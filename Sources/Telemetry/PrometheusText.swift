internal import MidRegistrarCore

/// The text that Prometheus scrapes, in its exposition format 0.0.4.
package enum PrometheusText {
    /// What `Content-Type` says of it.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// The whole page: each family of the snapshot once, with help, type and all its series.
    package static func render(_ snapshot: Snapshot) -> String {
        var samples: [Family: [Sample]] = [:]
        collectWorkers(snapshot.workers, into: &samples)
        collectStore(snapshot.store, into: &samples)
        collectProcess(snapshot, into: &samples)
        // Not a number before the first REGISTER: an alert on a low share then stays silent.
        samples[.absorbedRatio] = [Sample(number(snapshot.absorbedRatio ?? .nan))]
        samples[.logSuppressed] = snapshot.suppressedLines.map { line in
            Sample(String(line.count), [Label("event", line.event)])
        }

        var text = ""
        text.reserveCapacity(32_768)
        for family in Family.allCases {
            guard let series = samples[family], !series.isEmpty else { continue }
            let name = family.rawValue
            text += "# HELP \(name) \(escapedHelp(family.help))\n"
            text += "# TYPE \(name) \(family.kind.rawValue)\n"
            for sample in series { sample.write(name, to: &text) }
        }
        return text
    }

    private static func collectWorkers(
        _ workers: WorkerFigures, into samples: inout [Family: [Sample]]
    ) {
        for counter in Counter.allCases {
            // Buckets and sums become one histogram below.
            guard case .series(let family, let labels, let divisor) = counter.place else {
                continue
            }
            if family.isPerWorker {
                for worker in 0..<workers.workers {
                    let value = scaled(workers[counter, worker: worker], divisor)
                    let all = [Label("worker", String(worker))] + labels
                    samples[family, default: []].append(Sample(value, all))
                }
            } else {
                let value = scaled(workers.total(counter), divisor)
                samples[family, default: []].append(Sample(value, labels))
            }
        }
        for gauge in Gauge.allCases {
            let place = gauge.place
            let value =
                switch place.combination {
                case .sum: workers.total(gauge)
                case .highest: workers.highest(gauge)
                }
            samples[place.family, default: []].append(Sample(String(value)))
        }
        for decision in ["absorbed", "relayed"] {
            samples[.registerDuration, default: []] += histogram(
                workers.registerDuration(decision: decision), [Label("decision", decision)])
        }
    }

    private static func collectStore(
        _ store: StoreSnapshot?, into samples: inout [Family: [Sample]]
    ) {
        guard let store else { return }
        samples[.storeCommits] = [
            Sample(String(store.commitsDone), [Label("result", "done")]),
            Sample(String(store.commitsFailed), [Label("result", "failed")]),
        ]
        samples[.storeCommitDuration] = histogram(store.commitDuration, [])
        samples[.storeFacts] = [
            Sample(String(store.factsWritten), [Label("operation", "write")]),
            Sample(String(store.factsRemoved), [Label("operation", "remove")]),
            Sample(String(store.factsLoaded), [Label("operation", "load")]),
        ]
        samples[.storeUsedBytes] = [Sample(String(store.usedBytes))]
        samples[.storeSizeBytes] = [Sample(String(store.sizeBytes))]
        samples[.storeCommitterCPU] = [Sample(number(store.committerCPUSeconds))]
    }

    private static func collectProcess(
        _ snapshot: Snapshot, into samples: inout [Family: [Sample]]
    ) {
        samples[.buildInfo] = [
            Sample(
                "1",
                [Label("version", snapshot.build.version), Label("swift", snapshot.build.swift)])
        ]
        samples[.startTime] = [Sample(number(snapshot.startTimeSeconds))]
        guard let process = snapshot.process else { return }
        samples[.processResidentMemory] = [Sample(String(process.residentBytes))]
        samples[.processCPU] = [Sample(number(process.cpuSeconds))]
        samples[.processOpenFiles] = [Sample(String(process.openFiles))]
    }

    private static func histogram(_ histogram: Histogram, _ labels: [Label]) -> [Sample] {
        var samples: [Sample] = []
        let bounds = histogram.upperBoundsSeconds.map(number) + ["+Inf"]
        for (bound, count) in zip(bounds, histogram.cumulativeCounts) {
            samples.append(
                Sample(String(count), labels + [Label("le", bound)], suffix: "_bucket"))
        }
        samples.append(Sample(number(histogram.sumSeconds), labels, suffix: "_sum"))
        samples.append(Sample(String(histogram.count), labels, suffix: "_count"))
        return samples
    }

    private static func scaled(_ value: UInt64, _ divisor: UInt64) -> String {
        divisor == 1 ? String(value) : number(Double(value) / Double(divisor))
    }

    /// A number as Prometheus writes it: no `.0`, `NaN`, `+Inf`.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        let text = String(value)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    /// Help text: backslash and line feed are escaped.
    static func escapedHelp(_ text: String) -> String { escaped(text, quotes: false) }

    /// A label's value: backslash, line feed and double quote are escaped.
    static func escapedLabel(_ text: String) -> String { escaped(text, quotes: true) }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private struct Sample {
        let suffix: String
        let labels: [Label]
        let value: String

        init(_ value: String, _ labels: [Label] = [], suffix: String = "") {
            self.suffix = suffix
            self.labels = labels
            self.value = value
        }

        func write(_ name: String, to text: inout String) {
            text += name
            text += suffix
            if !labels.isEmpty {
                text += "{"
                text += labels.map { "\($0.name)=\"\(escapedLabel($0.value))\"" }
                    .joined(separator: ",")
                text += "}"
            }
            text += " "
            text += value
            text += "\n"
        }
    }
}
