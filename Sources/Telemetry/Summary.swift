internal import MidRegistrarCore

/// What `midreg counters` prints: the share absorbed first, then why it is not larger.
package enum Summary {
    package static func render(_ snapshot: Snapshot) -> String {
        let workers = snapshot.workers
        var lines = [share(snapshot)]
        lines.append(
            "contacts \(grouped(workers.total(.bindings)))"
                + " of \(grouped(workers.total(.addressesOfRecord))) addresses of record"
                + " (\(grouped(workers.total(.removalsOwed))) removals owed)")
        lines.append("relayed: " + breakdown(workers, .registerRelayed, "cause"))
        lines.append("rejected: " + breakdown(workers, .registerRejected, "cause"))
        lines.append("main registrar answered: " + breakdown(workers, .mainResponses, "code"))
        lines.append("dropped: " + breakdown(workers, .sipDropped, "reason"))
        lines.append(
            "answered within: absorbed \(times(workers.registerDuration(decision: "absorbed")))"
                + "; relayed \(times(workers.registerDuration(decision: "relayed")))")
        if let store = snapshot.store { lines.append(self.store(store, workers)) }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func share(_ snapshot: Snapshot) -> String {
        let workers = snapshot.workers
        return
            "absorbed \(percent(workers.total(.registerAbsorbed), of: snapshot.decidedRegisters))"
            + " of \(grouped(snapshot.decidedRegisters)) REGISTERs"
            + " (relayed \(grouped(workers.total(.registerRelayed))),"
            + " rejected \(grouped(workers.total(.registerRejected))))"
    }

    /// A share with one decimal, rounded down: 100.0 % means all.
    static func percent(_ part: UInt64, of whole: UInt64) -> String {
        guard whole > 0 else { return "0.0 %" }
        let (high, low) = part.multipliedFullWidth(by: 1_000)
        let tenths = part >= whole ? 1_000 : whole.dividingFullWidth((high, low)).quotient
        return "\(tenths / 10).\(tenths % 10) %"
    }

    /// What is not zero in a family, the most frequent first.
    private static func breakdown(
        _ workers: WorkerFigures, _ family: Family, _ label: String
    ) -> String {
        var parts: [(name: String, count: UInt64)] = []
        for counter in Counter.allCases where counter.place.family == family {
            let count = workers.total(counter)
            guard count > 0 else { continue }
            let value = counter.place.labels.first { $0.name == label }?.value ?? ""
            parts.append((String(value.map { $0 == "_" ? " " : $0 }), count))
        }
        guard !parts.isEmpty else { return "none" }
        parts.sort { $0.count != $1.count ? $0.count > $1.count : $0.name < $1.name }
        let separator = label == "code" ? ": " : " "
        return parts.map { "\($0.name)\(separator)\(grouped($0.count))" }.joined(separator: ", ")
    }

    private static func times(_ histogram: Histogram) -> String {
        guard histogram.count > 0 else { return "none" }
        return "p50 \(milliseconds(histogram.quantile(0.5))),"
            + " p99 \(milliseconds(histogram.quantile(0.99)))"
    }

    /// A histogram knows the bucket, not the time, so the bucket's bound is told.
    private static func milliseconds(_ quantile: Histogram.Quantile) -> String {
        switch quantile {
        case .none: "none"
        case .atMost(let seconds): "≤ \(PrometheusText.number(seconds * 1_000)) ms"
        case .more(let seconds): "> \(PrometheusText.number(seconds * 1_000)) ms"
        }
    }

    private static func store(_ store: StoreSnapshot, _ workers: WorkerFigures) -> String {
        "store: \(grouped(store.commitsDone)) commits (\(grouped(store.commitsFailed)) failed),"
            + " \(times(store.commitDuration)); \(megabytes(store.usedBytes))"
            + " of \(megabytes(store.sizeBytes)) used"
            + (workers.highest(.storeDown) > 0 ? "; DOWN: everything is relayed" : "")
    }

    private static func megabytes(_ bytes: UInt64) -> String {
        let tenths = bytes / 100_000
        return "\(grouped(tenths / 10)).\(tenths % 10) MB"
    }

    /// `1234567` as `1,234,567`.
    static func grouped(_ value: UInt64) -> String {
        let digits = Array(String(value))
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return text
    }
}
