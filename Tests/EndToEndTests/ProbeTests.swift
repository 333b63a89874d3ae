import Foundation
import Testing

extension EndToEnd {
    @Suite("Kamailio that is restarted with nothing, too fast to be seen down", .serialized)
    struct Probes {
        private static let period = 5

        private func configuration(_ form: Form) -> String {
            """
            [main]
            probe = "\(Self.period)s"
            \(form.keys.main)
            [register]
            \(form.keys.register)
            max_expires = "60s"
            """
        }

        @Test(arguments: [Form.parameter, .user, .path, .addressOfRecord])
        func `is found out within two probes, and told again by the phones`(form: Form)
            async throws
        {
            let folder = try Folder()
            let own = Endpoint("127.0.0.1", try Ports.take())
            let endpoint = Endpoint("127.0.0.1", try Ports.take())
            var main = try await Kamailio(at: endpoint, own: own, storesPath: true, in: folder)
            let midreg = try Midreg(
                main: endpoint, own: own, configuration: configuration(form), in: folder)
            try await midreg.start(workers: 2)
            let phones = try (0..<20).map { try Phone("user\($0)", server: midreg.endpoint) }
            for phone in phones { #expect(try await phone.register().status == 200) }
            #expect(try await main.rows().count == 20)
            let relayed = try await midreg.metrics().relayed
            for phone in phones { #expect(try await phone.register().status == 200) }
            #expect(try await midreg.metrics().relayed == relayed, "refreshes are absorbed")

            // Both workers have fetched their canaries, and found them.
            try await until(within: .seconds(40), "probes are answered") {
                try await midreg.metrics().probes("answered") >= 6
            }
            #expect(!midreg.log.contains("fetch_refused"), "Kamailio trusts main.own for that")
            #expect(!midreg.log.contains("main_forgot"))

            await main.stop()
            main = try await Kamailio(
                at: endpoint, own: own, storesPath: true, in: folder, called: "main-again")
            let begin = ContinuousClock.now
            try await until(within: .seconds(30), "midreg has noticed") {
                try await midreg.metrics().mainEvents("forgot") == 2
            }
            #expect(ContinuousClock.now - begin < .seconds(2 * Self.period + 1))
            #expect(try await midreg.metrics().mainEvents("down") == 0, "it was never seen down")

            if form == .parameter {
                // Each phone's next refresh after its moment, within a minute, is relayed.
                while try await main.rows().count < 20, ContinuousClock.now - begin < .seconds(80) {
                    for phone in phones { #expect(try await phone.register().status == 200) }
                    try await Task.sleep(for: .seconds(5))
                }
                #expect(try await main.rows().count == 20)
                #expect(try await midreg.metrics().mainEvents("forgot") == 2)
            }
            #expect(try await midreg.stop().ending == .exit(0))
            await main.stop()
        }

        @Test func `is asked by OPTIONS where it does not trust our own socket`() async throws {
            let stage = try await Stage(
                trusting: false, configuration: "[main]\nprobe = \"2s\"")
            #expect(try await stage.phone("alice").register().status == 200)
            try await until(within: .seconds(40), "the fetch is refused") {
                stage.midreg.log.contains("event=fetch_refused")
            }
            let answered = try await stage.midreg.metrics().probes("answered")
            try await until(within: .seconds(20), "probes go on") {
                try await stage.midreg.metrics().probes("answered") >= answered + 3
            }
            #expect(try await stage.midreg.metrics().mainEvents("down") == 0)
            #expect(try await stage.main.rows().count == 1)
            try await stage.end()
        }
    }
}
