import Foundation

/// A folder of a test's own, taken away with it; kept if `MIDREG_KEEP` is set, to look at the logs.
final class Folder: Sendable {
    let path: String

    init() throws {
        let base = FileManager.default.temporaryDirectory.path
        path = "\(base)/midreg-e2e-\(getpid())-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o755])
    }

    deinit {
        if ProcessInfo.processInfo.environment["MIDREG_KEEP"] == nil {
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    /// The path of something in the folder.
    func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    func makeFolder(_ name: String) throws {
        try FileManager.default.createDirectory(
            atPath: self(name), withIntermediateDirectories: true)
    }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String {
        try Data(text.utf8).write(to: URL(fileURLWithPath: self(name)))
        return self(name)
    }

    func read(_ name: String) -> String {
        guard let data = FileManager.default.contents(atPath: self(name)) else { return "" }
        return String(decoding: data, as: UTF8.self)
    }
}

/// The configuration and scenarios of the peers, beside this test's sources.
enum Peers {
    static func path(_ name: String) -> String {
        "\(Repository.root)/Tests/EndToEndTests/Peers/\(name)"
    }

    /// A template with each `@NAME@` filled in.
    static func filled(_ name: String, _ values: [String: String]) throws -> String {
        guard let data = FileManager.default.contents(atPath: path(name)) else {
            throw HarnessError("no \(path(name))")
        }
        var text = String(decoding: data, as: UTF8.self)
        for (key, value) in values { text = text.replacingOccurrences(of: "@\(key)@", with: value) }
        return text
    }
}

enum Repository {
    /// The folder with Package.swift.
    static let root: String = {
        var parts = #filePath.split(separator: "/")
        parts.removeLast(4)
        return "/" + parts.joined(separator: "/")
    }()
}
