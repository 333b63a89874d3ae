import MidRegistrarCore
import Testing

@testable import Telemetry

@Suite("The summary for people")
struct SummaryTests {
    @Test func `tells the share absorbed first, then why it is not larger`() {
        let text = Summary.render(
            snapshot(
                figures(workers: 2) { worker, counters in
                    counters.add(.registerAbsorbed, worker == 0 ? 12_000 : 172)
                    counters.add(.registerRelayed, 85)
                    if worker == 0 { counters.add(.registerRejected, 3) }
                    counters.add(.relayNewContact, 50)
                    counters.add(.relayMainDue, 35)
                    counters.add(.rejectIntervalTooBrief, UInt64(3 * worker))
                    counters.add(.mainAnswer200, 600)
                    counters.add(.mainAnswer401, 40)
                    counters.add(.absorbedUnder50us, 6_000)
                    counters.add(.absorbedUnder250us, 80)
                    counters.add(.relayedSlower, 1)
                    counters.set(.bindings, 500)
                    counters.set(.addressesOfRecord, 490)
                }))
        #expect(
            text == """
                absorbed 98.5 % of 12,345 REGISTERs (relayed 170, rejected 3)
                contacts 1,000 of 980 addresses of record (0 removals owed)
                relayed: new contact 100, main due 70
                rejected: interval too brief 3
                main registrar answered: 200: 1,200, 401: 80
                dropped: none
                answered within: absorbed p50 ≤ 0.05 ms, p99 ≤ 0.25 ms; relayed p50 > 4000 ms, p99 > 4000 ms
                store: 7 commits (1 failed), p50 ≤ 10 ms, p99 > 100 ms; 1.2 MB of 1,073.7 MB used

                """)
    }

    @Test func `is whole before anything has happened`() {
        var snapshot = snapshot(SharedCells(workers: 1).read())
        snapshot.store = nil
        let lines = Summary.render(snapshot).split(separator: "\n")
        #expect(lines.first == "absorbed 0.0 % of 0 REGISTERs (relayed 0, rejected 0)")
        #expect(lines.last == "answered within: absorbed none; relayed none")
    }

    @Test(
        arguments: [
            (0, 0, "0.0 %"), (0, 5, "0.0 %"), (999_999, 1_000_000, "99.9 %"), (5, 5, "100.0 %"),
            (1, 3, "33.3 %"), (UInt64.max - 1, UInt64.max, "99.9 %"),
        ] as [(UInt64, UInt64, String)])
    func `rounds a share down, so that 100 % means all`(
        part: UInt64, whole: UInt64, expected: String
    ) {
        #expect(Summary.percent(part, of: whole) == expected)
    }

    @Test(
        arguments: [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")]
            as [(UInt64, String)])
    func `groups digits`(value: UInt64, expected: String) {
        #expect(Summary.grouped(value) == expected)
    }
}
