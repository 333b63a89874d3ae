import Bytes
import ContactStore
import Forwarding
import Registration

/// Bytes as they might lie in the store or in a Via's seal.
struct RecordCase: FuzzCase, ~Copyable {
    private var buffer = ByteBuffer(bytesMax: 1 << 16)

    mutating func run(_ bytes: Span<UInt8>) -> String? {
        if let finding = frame(bytes) { return finding }
        if let finding = fact(bytes) { return finding }
        return state(bytes)
    }

    private func frame(_ bytes: Span<UInt8>) -> String? {
        if let record = RecordFrame.record(in: bytes, number: 1) {
            guard record.count + RecordFrame.bytes == bytes.count else {
                return "a frame is longer"
            }
        }
        var framed = RecordFrame.framed(bytes.array, number: 7)
        guard RecordFrame.record(in: framed.span, number: 7)?.same(as: bytes) == true else {
            return "a framed record is not read again"
        }
        guard RecordFrame.record(in: framed.span, number: 8) == nil else {
            return "a record is read under another's number"
        }
        guard
            RecordFrame.record(in: framed.span.extracting(..<(framed.count - 1)), number: 7) == nil
        else { return "a record is read without its last byte" }
        let turned = Int(bytes[0]) % framed.count
        framed[turned] ^= 1 << (bytes[bytes.count - 1] & 7)
        guard RecordFrame.record(in: framed.span, number: 7) == nil else {
            return "a record is read with a bit turned"
        }
        return nil
    }

    private mutating func fact(_ bytes: Span<UInt8>) -> String? {
        var end = 216
        let fact = Fact(bytes)
        for text in Fact.Text.allCases {
            let range = Fact.range(of: text, in: bytes)
            guard range.lies(in: bytes.everything) else { return "\(text) lies outside" }
            guard fact != nil, !range.isEmpty else { continue }
            guard range.start == end else { return "\(text) does not follow the one before" }
            end = range.end
        }
        guard let fact else { return nil }
        guard end == bytes.count else { return "bytes behind the strings of a fact" }
        guard Fact.aorKey(bytes) == fact.aor else { return "another AOR" }
        fact.begin(&buffer)
        for text in Fact.Text.allCases {
            Fact.append(text, bytes, Fact.range(of: text, in: bytes), to: &buffer)
        }
        guard !buffer.overflowed else { return nil }
        guard let again = Fact(buffer.span) else { return "a fact written again is none" }
        for text in Fact.Text.allCases {
            let range = Fact.range(of: text, in: bytes)
            guard bytes.same(range, as: buffer.span, Fact.range(of: text, in: buffer.span)) else {
                return "\(text) is another when written again"
            }
        }
        guard again.id == fact.id, again.peer == fact.peer, again.server == fact.server,
            again.mainExpiry == fact.mainExpiry, again.marks == fact.marks
        else { return "a fact is another when written again" }
        return nil
    }

    private mutating func state(_ bytes: Span<UInt8>) -> String? {
        if let path = ReturnPath(bytes) {
            path.write(to: &buffer)
            guard buffer.span.same(as: bytes) else { return "another return path" }
        }
        guard let state = RelayState(bytes) else { return nil }
        guard state.path.lies(in: bytes.everything) else { return "a Path outside" }
        var at = state.firstContact
        for _ in 0..<state.contactCount {
            guard let contact = state.contact(bytes, at: &at) else { return nil }
            guard contact.element.lies(in: bytes.everything) else { return "a contact outside" }
        }
        guard let uri = state.requestURI(at: at) else { return nil }
        return uri.lies(in: bytes.everything) ? nil : "a request-URI outside"
    }
}
