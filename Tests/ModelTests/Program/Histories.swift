import Glibc
import Modelling

/// `Histories --count N --seed S`: plays N histories, each from a seed of its own made of S, up to the
/// first that breaks an invariant, the modes in turn; `--only SEED --mode MODE` plays one again.
@main
struct Histories {
    static func main() throws {
        var options = [
            "--count": "10000", "--seed": "1", "--only": "", "--mode": "all", "--past": "0",
        ]
        var words = CommandLine.arguments.dropFirst()
        while let name = words.popFirst() {
            guard options[name] != nil, let value = words.popFirst() else {
                throw Failure("usage: Histories [--count N] [--seed S] [--only SEED] [--mode MODE]")
            }
            options[name] = value
        }
        guard let count = Int(options["--count"] ?? ""), let seed = UInt64(options["--seed"] ?? "")
        else { throw Failure("--count and --seed are numbers") }
        let past = Int(options["--past"] ?? "") ?? 0
        if options["--mode"] == "calls" {
            playCalls(seed, count, only: UInt64(options["--only"] ?? ""), past)
            return
        }
        let mode = Plan.Mode(rawValue: options["--mode"] ?? "")
        guard mode != nil || options["--mode"] == "all" else {
            throw Failure(
                "--mode is contact, mirror, path, aor, flows, calls or all (but the last two)")
        }
        let modes = mode.map { [$0] } ?? Plan.Mode.usual
        let campaign: Campaign
        if let only = UInt64(options["--only"] ?? "") {
            print("seed \(only)")
            campaign = Campaign(seeds: [only], modes: modes)
        } else {
            print("seed \(seed), \(count) histories")
            campaign = Campaign(seed: seed, count: count, modes: modes)
        }
        let result = campaign.run(past: past)
        for violation in result.violations { print(violation) }
        print(result.tally.text)
        print("digest \(String(result.digest, radix: 16))")
        if !result.violations.isEmpty { exit(1) }
    }

    private static func playCalls(_ seed: UInt64, _ count: Int, only: UInt64?, _ past: Int) {
        print(only.map { "seed \($0)" } ?? "seed \(seed), \(count) histories of calls")
        let campaign =
            only.map { CallCampaign(seeds: [$0]) } ?? CallCampaign(seed: seed, count: count)
        let result = campaign.run(past: past)
        for violation in result.violations { print(violation) }
        print(result.tally.text)
        print("digest \(String(result.digest, radix: 16))")
        if !result.violations.isEmpty { exit(1) }
    }
}

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
