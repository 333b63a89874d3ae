import Foundation

/// sofia-sip as a second judge, of responses too: the program of `Tests/Differential`.
enum SofiaReader {
    /// For each message what it has against it, empty if nothing; `nil` without libsofia-sip-ua-dev.
    static func complaints(about messages: [[UInt8]], in folder: Folder) async throws -> [String]? {
        let built = try await run(["\(Repository.root)/Tests/Differential/build"])
        guard built.succeeded, let program = built.output.split(separator: "\n").last else {
            return nil
        }
        var input = Data()
        for message in messages {
            withUnsafeBytes(of: UInt32(message.count).littleEndian) { input.append(contentsOf: $0) }
            input.append(contentsOf: message)
        }
        let path = folder("messages")
        try input.write(to: URL(fileURLWithPath: path))
        let child = try Child(
            ["sh", "-c", "exec \"$0\" <\"$1\"", String(program), path], log: folder("sofia.log"))
        guard try await child.end() == .exit(0) else { throw HarnessError("sofia: \(child.log)") }
        let lines = child.log.split(separator: "\n")
        guard lines.count == messages.count else { throw HarnessError("sofia: \(lines.count)") }
        return lines.map { line in
            let fields = line.split(separator: "\t")
            let isGood = fields.contains("verdict=good") && fields.contains("errors=")
            return isGood ? "" : String(line)
        }
    }
}
