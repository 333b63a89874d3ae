import Foundation

/// One reading of `/metrics`. The names that tests rely on stand here and nowhere else.
struct Metrics {
    private let samples: [(name: String, labels: [String: String], value: Double)]

    /// Reads the text format; lines that are no samples are skipped.
    init(_ text: String) {
        samples = text.split(whereSeparator: \.isNewline).compactMap { line in
            guard line.hasPrefix("midreg_"), let space = line.lastIndex(of: " "),
                let value = Double(line[line.index(after: space)...])
            else { return nil }
            let series = line[..<space]
            guard let brace = series.firstIndex(of: "{") else {
                return (String(series), [:], value)
            }
            var labels: [String: String] = [:]
            for pair in series[series.index(after: brace)...].dropLast().split(separator: ",") {
                let parts = pair.split(separator: "=", maxSplits: 1)
                if parts.count == 2 {
                    labels[String(parts[0])] = parts[1].trimmingCharacters(in: ["\""])
                }
            }
            return (String(series[..<brace]), labels, value)
        }
    }

    /// The sum over every series of that name whose labels fit.
    func sum(_ name: String, _ labels: [String: String] = [:]) -> Int {
        Int(
            samples.filter { sample in
                sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
            }.reduce(0) { $0 + $1.value })
    }

    /// REGISTERs answered here.
    var absorbed: Int { sum("midreg_register_requests_total", ["decision": "absorbed"]) }
    var relayed: Int { sum("midreg_register_requests_total", ["decision": "relayed"]) }
    func rejected(_ cause: String) -> Int {
        sum("midreg_register_rejected_total", ["cause": cause])
    }
    func relayed(_ cause: String) -> Int {
        sum("midreg_register_relayed_total", ["cause": cause])
    }
    /// Requests answered with an error of midreg's own.
    var rejected: Int { sum("midreg_register_rejected_total") }
    var dropped: Int { sum("midreg_sip_dropped_messages_total") }
    /// Datagrams that the kernel did not take, for example too large with our Via.
    var unsent: Int { sum("midreg_udp_send_errors_total") }
    /// Bytes of datagrams it has read; those that changed workers count twice.
    var receivedBytes: Int { sum("midreg_sip_received_bytes_total") }
    /// Datagrams that have left it, to whomever.
    var sent: Int { sum("midreg_sip_sent_messages_total") }
    func mainAnswers(_ code: String) -> Int {
        sum("midreg_main_responses_total", ["method": "REGISTER", "code": code])
    }
    func ownRemovals(_ result: String) -> Int {
        sum("midreg_own_removals_total", ["result": result])
    }
    func probes(_ result: String) -> Int { sum("midreg_main_probes_total", ["result": result]) }
    func mainEvents(_ kind: String) -> Int { sum("midreg_main_events_total", ["kind": kind]) }
    var callsToPhone: Int { sum("midreg_calls_total", ["to": "phone"]) }
    func callsRefused(_ cause: String) -> Int {
        sum("midreg_calls_refused_total", ["cause": cause])
    }
    var contacts: Int { sum("midreg_contacts") }
}
