import Foundation
import Modelling
import Testing

@Suite("Registering, in every history, against a plain model")
struct ModelTests {
    /// `MIDREG_MODEL_SEED` and `MIDREG_MODEL_COUNT` choose others.
    private func number(_ name: String, or value: UInt64) -> UInt64 {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) } ?? value
    }

    /// Stands for R10; #244, #1094, #1151, #1178, #1183, #2451, #3606.
    @Test func `breaks no invariant`() {
        let seed = number("MIDREG_MODEL_SEED", or: 1)
        let count = number("MIDREG_MODEL_COUNT", or: 250)
        print("seed \(seed), \(count) histories")
        let result = Campaign(seed: seed, count: Int(count)).run()
        print(result.tally.text)
        #expect(result.violations == [])
    }

    @Test func `breaks no invariant with phones that keep two flows`() {
        let seed = number("MIDREG_MODEL_SEED", or: 2)
        let count = number("MIDREG_MODEL_COUNT", or: 100)
        print("seed \(seed), \(count) histories with flows")
        let result = Campaign(seed: seed, count: Int(count), modes: [.flows]).run()
        print(result.tally.text)
        #expect(result.violations == [])
    }

    @Test func `is the same again from the same seed`() {
        let campaign = Campaign(seed: 7, count: 5)
        #expect(campaign.run().digest == campaign.run().digest)
    }
}

@Suite("Calls, in every history, against what holds of all of them")
struct CallModelTests {
    /// `MIDREG_MODEL_SEED` and `MIDREG_CALLS_COUNT` choose others.
    private func number(_ name: String, or value: UInt64) -> UInt64 {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) } ?? value
    }

    @Test func `break no invariant`() {
        let seed = number("MIDREG_MODEL_SEED", or: 1)
        let count = number("MIDREG_CALLS_COUNT", or: 600)
        print("seed \(seed), \(count) histories of calls")
        let result = CallCampaign(seed: seed, count: Int(count)).run()
        print(result.tally.text)
        #expect(result.violations == [])
    }

    @Test func `are the same again from the same seed`() {
        let campaign = CallCampaign(seed: 7, count: 5)
        #expect(campaign.run().digest == campaign.run().digest)
    }
}
