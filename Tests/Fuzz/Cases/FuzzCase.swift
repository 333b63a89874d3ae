import Bytes

/// Something that any bytes may be given to. It is made once and used for input after input.
protocol FuzzCase: ~Copyable {
    init()
    /// - Returns: what is wrong; `nil` if all is as it should be. A trap is a finding too.
    mutating func run(_ bytes: Span<UInt8>) -> String?
}

/// A case that somebody outside can hold.
public class Fuzzed {
    /// - Returns: what is wrong; `nil` if all is as it should be.
    public func run(_ bytes: Span<UInt8>) -> String? { nil }
}

private final class Keeper<Case: FuzzCase & ~Copyable>: Fuzzed {
    private var fuzzed = Case()
    override func run(_ bytes: Span<UInt8>) -> String? { fuzzed.run(bytes) }
}

/// All cases, by the name of their folder in `Tests/Fuzz/Corpus`.
public enum FuzzCaseName: String, CaseIterable, Sendable {
    case datagram, stream, address, lists, digest, rewrite, worker, settings, record

    public func make() -> Fuzzed {
        switch self {
        case .datagram: Keeper<DatagramCase>()
        case .stream: Keeper<StreamCase>()
        case .address: Keeper<AddressCase>()
        case .lists: Keeper<ListsCase>()
        case .digest: Keeper<DigestCase>()
        case .rewrite: Keeper<RewriteCase>()
        case .worker: Keeper<WorkerCase>()
        case .settings: Keeper<SettingsCase>()
        case .record: Keeper<RecordCase>()
        }
    }
}

/// One datagram, read completely.
struct DatagramCase: FuzzCase, ~Copyable {
    private var reading = WholeReading()

    mutating func run(_ bytes: Span<UInt8>) -> String? {
        reading.read(bytes, length: bytes.count).finding
    }
}

extension ByteRange {
    /// Whether nothing of it lies outside; an absent part lies anywhere.
    func lies(in other: ByteRange) -> Bool {
        isEmpty || (start >= other.start && end <= other.end)
    }
}

extension Span<UInt8> {
    var everything: ByteRange { ByteRange(0, count) }
    var array: [UInt8] { withUnsafeBufferPointer { Array($0) } }

    /// What of the header part of a message a careless reader would take for something else: CR and
    /// LF that end no line, and control bytes but those behind a backslash (§25.1 `quoted-pair`).
    func rawControl(in range: ByteRange) -> String? {
        for at in range.start..<range.end {
            switch self[at] {
            case 0x0D where at + 1 >= count || self[at + 1] != 0x0A: return "a bare CR at \(at)"
            case 0x0A where at == 0 || self[at - 1] != 0x0D: return "a bare LF at \(at)"
            case 0x09, 0x0A, 0x0D: break
            case ..<0x20, 0x7F:
                if at == 0 || self[at - 1] != 0x5C { return "byte \(self[at]) at \(at)" }
            default: break
            }
        }
        return nil
    }
}
