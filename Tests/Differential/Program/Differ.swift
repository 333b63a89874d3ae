import Comparing
import Foundation

/// `Differ --count N --seed S --sofia PROGRAM`: compares and prints each class of differences;
/// `--show NUMBER` prints one message instead.
@main
struct Differ {
    static func main() throws {
        var options = ["--count": "1000000", "--seed": "1", "--sofia": "", "--show": ""]
        var words = CommandLine.arguments.dropFirst()
        while let name = words.popFirst() {
            guard options[name] != nil, let value = words.popFirst() else {
                throw Failure(
                    "usage: Differ --sofia PROGRAM [--count N] [--seed S] [--show NUMBER]")
            }
            options[name] = value
        }
        let number = { (name: String) in UInt64(options[name] ?? "") }
        guard let count = number("--count"), let seed = number("--seed") else {
            throw Failure("--count and --seed are numbers")
        }
        if let shown = number("--show") {
            var generator = Generator(seed: seed, number: shown)
            let sample = generator.sample()
            FileHandle.standardOutput.write(Data(sample.bytes))
            return
        }
        let comparison = try Comparison(seed: seed, sofia: options["--sofia"] ?? "")
        try comparison.run(Int(count))
        let passed = comparison.passed.map { "\($0.key) \($0.value)" }.sorted()
        let falls = comparison.falls.map { "\($0.key) \($0.value)" }.sorted()
        print("brought sofia-sip down: \(falls.joined(separator: ", "))")
        print("with a defect that neither refuses: \(passed.joined(separator: ", "))")
        print(
            "seed \(seed): \(comparison.messages) messages, \(comparison.bothGood) good for both,")
        print("\(comparison.bothBad) refused by both; differences by defect:")
        var undecided = 0
        for (key, entry) in comparison.classes.sorted(by: { $0.value.count > $1.value.count }) {
            let sentence = Decided.rule(for: key)?.sentence
            if sentence == nil { undecided += 1 }
            print(
                "\(entry.count)\t\(key)\t#\(entry.number)\t\(entry.ours)\t\(entry.theirs)\t"
                    + (sentence ?? "NOT DECIDED"))
        }
        if undecided > 0 {
            print("\(undecided) classes that nobody has decided")
            exit(1)
        }
    }
}
