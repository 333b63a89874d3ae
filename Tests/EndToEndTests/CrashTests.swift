import Foundation
import Testing

extension EndToEnd {
    @Suite("kill -9 in the middle of load", .serialized)
    struct Crash {
        /// Stands for R20; #3354.
        @Test func `loses none of 100,000 bindings whose 200 a phone had received`() async throws {
            let folder = try Folder()
            let mainEndpoint = Endpoint("127.0.0.1", try Ports.take())
            let main = try await Load.mainRegistrar(at: mainEndpoint, in: folder)
            let midreg = try Midreg(main: mainEndpoint, in: folder)
            try await midreg.start()

            let phones = try Load.Phones(server: midreg.endpoint, in: folder)
            let registering = try phones.start(
                "register", count: 160_000,
                arguments: ["--seconds", "280", "--acked", phones.acknowledgedPath])
            try await until(within: .seconds(270), "100,000 phones are registered") {
                if registering.hasEnded { throw HarnessError("phones: \(registering.log)") }
                return phones.acknowledgedCount >= 100_000
            }
            #expect(!registering.hasEnded, "there was load to the last")
            try await midreg.crash()
            await registering.stop()
            let acknowledged = phones.acknowledged
            #expect(acknowledged.count >= 100_000)

            try await midreg.start()
            // The first field of each line is the address of record.
            let listed = Set(
                try await midreg.contacts().compactMap { line in
                    line.split(whereSeparator: \.isWhitespace).first.map(withoutScheme)
                })
            let lost = acknowledged.subtracting(listed)
            #expect(lost.count == 0, "for example \(Array(lost.prefix(5)))")

            // No storm: the main registrar sees none of the refreshes that follow.
            // The phones' names have ten digits; they registered in the order of their numbers, but
            // an early one may have been waiting for its copy.
            let known =
                (0..<160_000).first { number in
                    let digits = String(number)
                    let zeros = String(repeating: "0", count: 10 - digits.count)
                    return !acknowledged.contains("u\(zeros)\(digits)@example.test")
                } ?? 160_000
            try #require(known > 10_000)
            let refreshing = try phones.start(
                "refresh", count: known, arguments: ["--count", "20000", "--seconds", "60"])
            let ending = try await refreshing.end(within: .seconds(90))
            #expect(ending == .exit(0), "\(refreshing.log)")
            let counted = try await midreg.metrics()
            #expect(counted.absorbed == 20_000)
            #expect(counted.relayed == 0)
            #expect(try await midreg.stop().ending == .exit(0))
            await main.stop()
        }
    }
}
