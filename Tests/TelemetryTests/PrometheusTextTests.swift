import Glibc
import MidRegistrarCore
import Testing

@testable import Telemetry

@Suite("The text for Prometheus")
struct PrometheusTextTests {
    /// Two workers in which each cell differs from its neighbours.
    let text = PrometheusText.render(
        snapshot(
            figures(workers: 2) { worker, counters in
                for counter in Counter.allCases {
                    counters.add(counter, UInt64(100 + counter.rawValue))
                }
                for gauge in Gauge.allCases { counters.set(gauge, 1) }
            }))

    @Test(
        .enabled(if: access("/usr/bin/promtool", X_OK) == 0, "promtool is not installed"),
        arguments: [0, 1, 2])
    func `passes promtool without a complaint`(workers: Int) throws {
        let page =
            workers == 0
            ? PrometheusText.render(snapshot(SharedCells(workers: 1).read())) : text
        let path = "/tmp/midreg-metrics-\(getpid())-\(workers)"
        let file = try #require(fopen(path, "w"))
        fputs(workers == 2 ? page.replacing("# HELP midreg_aors", with: "# HULP x") : page, file)
        fclose(file)
        defer { unlink(path) }
        let tool = try #require(
            popen("/usr/bin/promtool check metrics < \(path) 2>&1; echo code=$?", "r"))
        var said = ""
        while let line = readLine(from: tool) { said += line }
        pclose(tool)
        // The last case shows that the tool would complain.
        #expect((said == "code=0\n") == (workers != 2), "\(said)")
    }

    private func readLine(from file: UnsafeMutablePointer<FILE>) -> String? {
        var buffer = [CChar](repeating: 0, count: 1_024)
        guard fgets(&buffer, 1_024, file) != nil else { return nil }
        return String(
            decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    @Test func `shows each family once, in one piece`() {
        var names: [Substring] = []
        var samples: Set<Substring> = []
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# TYPE ") {
                names.append(line.split(separator: " ")[2])
            } else if !line.hasPrefix("#") {
                let series = line.prefix { $0 != " " }
                #expect(samples.insert(series).inserted, "\(series) is there twice")
                #expect(series.hasPrefix(names.last ?? "?"))
            }
        }
        #expect(names.map(String.init) == Family.allCases.map(\.rawValue))
    }

    @Test(
        arguments: [
            #"midreg_sip_received_messages_total{worker="1",transport="udp",kind="request"} 100"#,
            #"midreg_register_requests_total{decision="absorbed"} "#
                + "\(200 + 2 * Counter.registerAbsorbed.rawValue)",
            #"midreg_contacts 2"#, "midreg_store_down 1",
            #"midreg_register_duration_seconds_bucket{decision="absorbed",le="5e-05"} "#
                + "\(200 + 2 * Counter.absorbedUnder50us.rawValue)",
            #"midreg_register_duration_seconds_count{decision="relayed"} "#
                + "\((Counter.relayedUnder1ms.rawValue...Counter.relayedSlower.rawValue).reduce(0) { $0 + 200 + 2 * $1 })",
            #"midreg_store_commit_duration_seconds_bucket{le="0.1"} 7"#,
            #"midreg_store_commit_duration_seconds_bucket{le="+Inf"} 8"#,
            "midreg_store_commit_duration_seconds_sum 0.5",
            #"midreg_store_facts_total{operation="write"} 20"#,
            #"midreg_build_info{version="0.1.0",swift="6.3"} 1"#,
            "midreg_start_time_seconds 1795399307.25", "process_open_fds 23",
            #"midreg_log_suppressed_total{event="dropped"} 318"#,
        ])
    func `holds the line`(line: String) {
        #expect(text.split(separator: "\n").contains(Substring(line)))
    }

    @Test(
        arguments: [
            (0, 0, 0, "NaN"), (3, 1, 0, "0.75"), (1, 0, 0, "1"), (0, 2, 1, "0"), (1, 1, 2, "0.25"),
        ] as [(UInt64, UInt64, UInt64, String)])
    func `has the share absorbed as one number`(
        absorbed: UInt64, relayed: UInt64, rejected: UInt64, expected: String
    ) {
        let text = PrometheusText.render(
            snapshot(
                figures { _, counters in
                    counters.add(.registerAbsorbed, absorbed)
                    counters.add(.registerRelayed, relayed)
                    counters.add(.registerRejected, rejected)
                }))
        #expect(text.contains("\nmidreg_register_absorbed_ratio \(expected)\n"))
    }

    @Test func `leaves out what there is not`() {
        var snapshot = snapshot(figures { _, _ in })
        snapshot.store = nil
        snapshot.process = nil
        let text = PrometheusText.render(snapshot)
        #expect(!text.contains("midreg_store_commits_total") && !text.contains("process_"))
    }

    @Test(
        arguments: [
            ("plain", "plain"), (#"a"b"#, #"a\"b"#), (#"a\b"#, #"a\\b"#), ("a\nb", #"a\nb"#),
            ("ä", "ä"),
        ])
    func `escapes a label's value`(value: String, expected: String) {
        #expect(PrometheusText.escapedLabel(value) == expected)
    }

    @Test(
        arguments: [
            (0, "0"), (1, "1"), (0.000_05, "5e-05"), (0.002_5, "0.0025"), (1e20, "1e+20"),
            (.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"),
        ] as [(Double, String)])
    func `writes numbers as Prometheus reads them`(value: Double, expected: String) {
        #expect(PrometheusText.number(value) == expected)
    }
}
