import Bytes
import Dispatch
import Glibc
import Registration

@testable import ContactStore

/// A state directory of a test's own, gone with the test.
final class StateFolder: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/midreg-store-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { fatalError("a folder in /tmp can be made") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { remove(path) }

    private func remove(_ path: String) {
        if let entries = Self.entries(path) {
            for entry in entries { remove(path + "/" + entry) }
            rmdir(path)
        } else {
            unlink(path)
        }
    }

    static func entries(_ path: String) -> [String]? {
        guard let folder = opendir(path) else { return nil }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    var data: String { path + "/contacts/data.mdb" }

    func store(
        workers: Int = 1, mapBytes: Int = 64 << 20, durability: Durability = .commit,
        clock: StoreClock = .machine()
    ) throws -> FactStore {
        try FactStore.open(
            state: path, mapBytes: mapBytes, durability: durability, workers: workers,
            asideStamp: "20260102T030405", clock: clock)
    }
}

/// Counts what the committer says, so that a test waits for it and not for time.
final class Bell: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)
    @Sendable func ring(_ worker: Int) { semaphore.signal() }
    /// `false` if it did not ring within ten seconds.
    func heard() -> Bool { semaphore.wait(timeout: .now() + 10) == .success }
}

func readFile(_ path: String) -> [UInt8] {
    let file = open(path, O_RDONLY)
    guard file >= 0 else { return [] }
    defer { close(file) }
    let size = Int(lseek(file, 0, SEEK_END))
    var bytes = [UInt8](repeating: 0, count: size)
    let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, size, 0) }
    return Array(bytes.prefix(max(0, count)))
}

func writeFile(_ path: String, _ bytes: [UInt8]) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard file >= 0 else { return }
    defer { close(file) }
    var at = 0
    while at < bytes.count {
        let count = bytes.withUnsafeBytes {
            write(file, $0.baseAddress?.advanced(by: at), bytes.count - at)
        }
        guard count > 0 else { return }
        at += count
    }
}

/// A fact for tests: it says its own number and is as long as asked.
func fact(_ number: RecordNumber, _ version: Int = 0, bytes: Int = 200) -> [UInt8] {
    var all = Array("fact \(number.value) version \(version) ".utf8)
    while all.count < bytes { all.append(UInt8(truncatingIfNeeded: all.count &* 7)) }
    return all
}

func copied(_ span: Span<UInt8>) -> [UInt8] {
    var all: [UInt8] = []
    for index in span.indices { all.append(span[index]) }
    return all
}

extension WorkerLocation {
    mutating func stageFact(_ number: RecordNumber, _ version: Int = 0, bytes: Int = 200) {
        let value = fact(number, version, bytes: bytes)
        stage(number, value.span)
    }

    mutating func bytes(of number: RecordNumber) -> [UInt8]? { read(number, copied) }
}

func facts(in store: FactStore) throws -> [RecordNumber: [UInt8]] {
    var all: [RecordNumber: [UInt8]] = [:]
    _ = try store.forEachFact { number, bytes in all[number] = copied(bytes) }
    return all
}

/// Fills a store with facts 1…count and closes it.
func fill(_ folder: StateFolder, _ count: Int, durability: Durability = .commit) throws {
    let store = try folder.store(durability: durability)
    try store.start { _ in }
    var worker = store.location(forWorker: 0)
    for _ in 0..<count { worker.stageFact(worker.nextRecordNumber()) }
    guard worker.handOver() != nil else { fatalError("the queue has room") }
    store.close()
}
