import Glibc
import Modelling

/// `Histories --count N --seed S`: plays N histories, each from a seed of its own made of S, up to the
/// first that breaks an invariant; `--only SEED` plays the one with that seed.
@main
struct Histories {
    static func main() throws {
        var options = [
            "--count": "10000", "--seed": "1", "--only": "", "--mode": "contact", "--past": "0",
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
        guard let mode = Plan.Mode(rawValue: options["--mode"] ?? "") else {
            throw Failure("--mode is contact, mirror, path or aor")
        }
        let campaign: Campaign
        if let only = UInt64(options["--only"] ?? "") {
            print("seed \(only)")
            campaign = Campaign(seeds: [only], mode: mode)
        } else {
            print("seed \(seed), \(count) histories")
            campaign = Campaign(seed: seed, count: count, mode: mode)
        }
        let result = campaign.run(past: Int(options["--past"] ?? "") ?? 0)
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
