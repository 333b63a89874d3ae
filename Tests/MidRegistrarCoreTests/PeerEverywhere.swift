import CoreScene
import Foundation

/// Where midreg does other than the peers in every message, so that no page has to say it.
enum Everywhere {
    /// What midreg has to send where the peer sent `lines`; each with the place of its line there.
    static func midregs(of lines: [String], _ sent: Sent) -> [(text: String, at: Int)] {
        var found: [(text: String, at: Int)] = []
        var vias = 0
        for (at, line) in lines.enumerated() {
            // A list and as many fields mean the same (§7.3.1); only the peers write lists.
            if line.hasPrefix("Contact: "), sent.code != 0 {
                let parts = line.dropFirst(9).components(separatedBy: ", <")
                found += parts.enumerated().map { number, part in
                    ("Contact: " + (number == 0 ? "" : "<") + part, at)
                }
                continue
            }
            // Who answers is told by nobody but the main registrar.
            if line == "Server: OpenSIPS" { continue }
            // Only the neighbour's Via is written to; those below stay as they came.
            let isOurs = line.hasSuffix(";branch=z9hG4bK-mid")
            let isBelow = vias > 0 && line.hasPrefix("Via: ") && !isOurs
            if line.hasPrefix("Via: "), !isOurs { vias += 1 }
            found.append((isBelow ? line : midregs(of: line, sent), at))
        }
        // What midreg answers itself has the request's fields in the request's order…
        if let to = found.firstIndex(where: { $0.text.hasPrefix("To: ") }), to + 1 < found.count,
            found[to + 1].text.hasPrefix("From: "), lines.contains("Server: OpenSIPS")
        {
            found.swapAt(to, to + 1)
        }
        // …and a 200 the date, as a registrar's should (§10.3 step 8).
        let date = "Date: Tue, 14 Nov 2023 22:13:20 GMT"
        if sent.first("Date") == date.dropFirst(6), lines.contains("Server: OpenSIPS"),
            let end = found.firstIndex(where: { $0.text.hasPrefix("Content-Length: ") })
        {
            found.insert((date, -1), at: end)
        }
        return found
    }

    private static func midregs(of line: String, _ sent: Sent) -> String {
        // The peers' scripts put the main registrar's address there; midreg leaves the phone's,
        // or the digest's `uri` would not be the request's (registration C2).
        if line == "REGISTER sip:127.0.0.1:5070 SIP/2.0" {
            return "REGISTER sip:example.test SIP/2.0"
        }
        guard line.hasPrefix("Via: ") else { return line }
        // Ours comes from a socket of a fixed range and carries rport (ruling 8).
        if line.hasSuffix(";branch=z9hG4bK-mid") {
            let port = sent.socket == listener ? 5_060 : sent.socket == mainSocket ? 5_160 : 5_170
            return "Via: SIP/2.0/UDP 127.0.0.1:\(port);branch=z9hG4bK-mid;rport"
        }
        // The order of a Via's parameters has no meaning (§20.42): ours come last. They are there
        // whether or not the neighbour asked (ruling 25 b).
        let parts = line.components(separatedBy: ";")
        let sentBy = parts[0].components(separatedBy: " ").last ?? ""
        let own = sentBy.components(separatedBy: ":")
        func value(_ name: String, or other: String?) -> [String] {
            let there = parts.filter { $0.hasPrefix(name) }
            return there.isEmpty ? other.map { [name + $0] } ?? [] : there
        }
        return
            ([parts[0]] + value("branch=", or: nil) + value("received=", or: own.first)
            + value("rport=", or: own.last)).joined(separator: ";")
    }
}
