import Foundation

/// Reads generated messages with both readers and sorts where they differ.
package final class Comparison {
    /// One kind of difference; its key says what differs, in messages with which defect.
    package struct Class: Sendable {
        package var count = 0
        /// The number of the message that shows it, the shortest.
        package var number: UInt64 = 0
        package var example: [UInt8] = []
        package var ours = ""
        package var theirs = ""
    }

    package private(set) var classes: [String: Class] = [:]
    package private(set) var messages: UInt64 = 0
    package private(set) var bothGood = 0
    package private(set) var bothBad = 0
    /// Messages that brought sofia-sip down, by what was wrong with them.
    package private(set) var falls: [Defect: Int] = [:]
    /// Messages with a defect that neither refuses.
    package private(set) var passed: [Defect: Int] = [:]

    private let seed: UInt64
    private let sofia: String
    private let folder: String

    /// - Parameter sofia: the program that `Tests/Differential/build` makes.
    package init(seed: UInt64, sofia: String) throws {
        self.seed = seed
        self.sofia = sofia
        folder =
            FileManager.default.temporaryDirectory.path
            + "/midreg-differential-\(getpid())-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// Compares the next `count` messages.
    package func run(_ count: Int) throws {
        var left = count
        while left > 0 {
            let part = min(left, 20_000)
            try compare(part)
            left -= part
        }
    }

    private func compare(_ count: Int) throws {
        var samples: [Sample] = []
        for _ in 0..<count {
            var generator = Generator(seed: seed, number: messages)
            messages += 1
            let sample = generator.sample()
            samples.append(sample)
        }
        let first = messages - UInt64(count)
        let theirs = try theirReading(samples.map(\.bytes))
        var reading = OurReading()
        var strict: [(sample: Sample, number: UInt64)] = []
        for (index, sample) in samples.enumerated() {
            let number = first + UInt64(index)
            if !sort(sample, number, reading.read(sample.bytes), theirs[index]) {
                strict.append((sample, number))
            }
        }
        // What only sofia refuses is shown to it once more with each fold as the space that it is.
        let again = try theirReading(strict.map { Self.unfolded($0.sample.bytes) })
        for ((sample, number), theirs) in zip(strict, again) {
            let errors = Self.errors(theirs)
            let why =
                theirs["verdict"] == "good" && errors.isEmpty
                ? "a fold" : ([theirs["why"] ?? ""] + errors).joined(separator: " ")
            note("only sofia refuses (\(why))", sample, number, "good", why)
        }
    }

    /// Fields that it could not read and that we read too; others it leaves out in silence.
    private static func errors(_ theirs: [String: String]) -> [String] {
        Set((theirs["errors"] ?? "").split(separator: ",").map(String.init))
            .intersection(read).sorted()
    }

    /// With a space for each fold of the header (§7.3.1).
    private static func unfolded(_ bytes: [UInt8]) -> [UInt8] {
        var at = bytes.prefix { $0 == 0x0D || $0 == 0x0A }.count
        var text = Array(bytes[..<at])
        var isHeader = true
        while at < bytes.count {
            if isHeader, at + 2 < bytes.count, bytes[at] == 0x0D, bytes[at + 1] == 0x0A {
                isHeader = at + 3 >= bytes.count || bytes[at + 2] != 0x0D
                if bytes[at + 2] == 0x20 || bytes[at + 2] == 0x09 {
                    text.append(0x20)
                    at += 3
                    continue
                }
            }
            text.append(bytes[at])
            at += 1
        }
        return text
    }

    private func theirReading(_ messages: [[UInt8]]) throws -> [[String: String]] {
        let (from, to) = ("\(folder)/in", "\(folder)/out")
        var input = Data()
        for message in messages {
            withUnsafeBytes(of: UInt32(message.count).littleEndian) { input.append(contentsOf: $0) }
            input.append(contentsOf: message)
        }
        try input.write(to: URL(fileURLWithPath: from))
        _ = FileManager.default.createFile(atPath: to, contents: nil)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: sofia)
        process.standardInput = FileHandle(forReadingAtPath: from)
        process.standardOutput = FileHandle(forWritingAtPath: to)
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure("\(sofia) ended with \(process.terminationStatus)")
        }
        let output = FileManager.default.contents(atPath: to) ?? Data()
        let lines = String(decoding: output, as: UTF8.self).split(separator: "\n")
        guard lines.count == messages.count else {
            throw Failure("\(lines.count) lines for \(messages.count) messages")
        }
        return lines.map(Self.fields)
    }

    private static func fields(_ line: Substring) -> [String: String] {
        var fields: [String: String] = [:]
        for field in line.split(separator: "\t") {
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { fields[String(parts[0])] = String(parts[1]) }
        }
        return fields
    }

    // MARK: Sorting

    /// False if only sofia refuses it.
    private func sort(
        _ sample: Sample, _ number: UInt64, _ ours: [String: String], _ theirs: [String: String]
    ) -> Bool {
        if theirs["why"] == "crash" { falls[sample.defect, default: 0] += 1 }
        let isGood = ours["verdict"] == "good"
        let isGoodThere = theirs["verdict"] == "good" && Self.errors(theirs).isEmpty
        if isGood, isGoodThere {
            bothGood += 1
            if sample.defect != .none { passed[sample.defect, default: 0] += 1 }
            for key in Self.compared {
                let (mine, other) = (Self.plain(ours[key] ?? ""), Self.plain(theirs[key] ?? ""))
                guard mine != other else { continue }
                let isFold = mine == other.replacingOccurrences(of: "\\r\\n", with: "")
                let kind = isFold ? "fold read as part of a URI" : "\(key) read differently"
                note(kind, sample, number, mine, other)
            }
        } else if isGood {
            return false
        } else if isGoodThere {
            note(
                "only we refuse (\(ours["why"] ?? ""))", sample, number, ours["near"] ?? "", "good")
        } else {
            bothBad += 1
            if sample.defect == .none {
                note(
                    "valid, refused by both (\(ours["why"] ?? ""))", sample, number,
                    ours["near"] ?? "", theirs["why"] ?? "")
            }
        }
        return true
    }

    private func note(
        _ what: String, _ sample: Sample, _ number: UInt64, _ ours: String, _ theirs: String
    ) {
        var entry = classes["\(sample.defect)\t\(what)"] ?? Class()
        if entry.count == 0 || sample.bytes.count < entry.example.count {
            entry.number = number
            entry.example = sample.bytes
            (entry.ours, entry.theirs) = (ours, theirs)
        }
        entry.count += 1
        classes["\(sample.defect)\t\(what)"] = entry
    }

    private static let read: Set = [
        "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Route", "Max-Forwards",
        "Content-Length", "?",
    ]
    private static let compared = [
        "start", "uri", "via", "from", "to", "callid", "cseq", "contacts", "routes", "forwards",
        "length", "body",
    ]

    /// Without what both may write as they like: escapes of what needs none, in URIs (§19.1.4),
    /// leading zeros of ports.
    private static func plain(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        var at = 0
        while at < bytes.count {
            if bytes[at] == 0x25, at + 2 < bytes.count,
                let value = UInt8(
                    String(decoding: bytes[at + 1...at + 2], as: UTF8.self), radix: 16)
            {
                let isPlain =
                    "-_.!~*'()".utf8.contains(value)
                    || (0x30...0x39).contains(value) || (0x41...0x5A).contains(value)
                    || (0x61...0x7A).contains(value)
                if isPlain {
                    out.append(value)
                } else {
                    out += Array(
                        String(decoding: bytes[at..<at + 3], as: UTF8.self).uppercased().utf8)
                }
                at += 3
            } else {
                out.append(bytes[at])
                at += 1
            }
        }
        return String(decoding: out, as: UTF8.self)
            .replacingOccurrences(of: "|0", with: "|")
    }
}

/// Why a comparison could not be made.
package struct Failure: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
