internal import Bytes
internal import Registration

/// What stands around a record's bytes in the store: a version byte, then a checksum of eight bytes.
///
/// The checksum covers the version, the record's number (or the note's own constant) and the bytes.
package enum RecordFrame {
    /// The schema of facts and notes; a store with another one is set aside.
    static let version: UInt8 = 1
    /// Bytes before the record's own.
    package static let bytes = 9

    /// The checksum of what is framed under `number`.
    static func sum(_ record: Span<UInt8>, number: UInt64) -> UInt64 {
        checksum(record, seed: number ^ UInt64(version) << 56)
    }

    /// The record inside `framed`; `nil` if its version or its checksum is not right.
    @_lifetime(copy framed)
    package static func record(in framed: Span<UInt8>, number: UInt64) -> Span<UInt8>? {
        guard framed.count >= bytes, framed[0] == version else { return nil }
        let record = framed.extracting(bytes..<framed.count)
        var stored: UInt64 = 0
        for offset in 1...8 { stored = stored << 8 | UInt64(framed[9 - offset]) }
        guard stored == sum(record, number: number) else { return nil }
        return record
    }

    /// `record` with its frame, for the few small notes.
    package static func framed(_ record: [UInt8], number: UInt64) -> [UInt8] {
        let sum = sum(record.span, number: number)
        var all: [UInt8] = [version]
        for byte in 0..<8 { all.append(UInt8(truncatingIfNeeded: sum >> UInt64(8 * byte))) }
        return all + record
    }
}
