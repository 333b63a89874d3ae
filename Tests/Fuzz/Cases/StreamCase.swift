import Bytes
import SIPMessage

/// A stream: the first byte says how it is split, the others are it.
///
/// Cut at random and at once it must be the same messages, and the parser must agree on each.
struct StreamCase: FuzzCase, ~Copyable {
    private struct Cut: Equatable {
        var ends: [Int] = []
        var pings = 0
        var refused: SIPParseError?
        var used = 0
        var finding: String?
    }

    private var index = MessageIndex()

    mutating func run(_ bytes: Span<UInt8>) -> String? {
        let stream = bytes.extracting(1...)
        let whole = cut(stream, seed: nil)
        let split = cut(stream, seed: UInt64(bytes[0]))
        if let finding = whole.finding ?? split.finding { return finding }
        guard split == whole else { return "at once \(whole), split \(split)" }
        return compareWithParser(stream, whole)
    }

    private func cut(_ stream: Span<UInt8>, seed: UInt64?) -> Cut {
        var cut = Cut()
        var framer = StreamFramer()
        var random = seed ?? 0
        var arrived = seed == nil ? stream.count : 0
        while true {
            // Bytes that have not arrived lie behind those that have, and must not matter.
            let isPadded = random & 1 == 1
            let rest = stream.extracting(cut.used..<(isPadded ? stream.count : arrived))
            switch framer.next(rest, count: arrived - cut.used) {
            case .needsMore:
                // In a message is what has begun with anything but a line end.
                let hasBegun = arrived > cut.used && stream[cut.used] != 0x0D
                if framer.isInMessage != hasBegun { cut.finding = "begun or not" }
                guard arrived < stream.count else { return cut }
                random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let large = (random >> 40) & 3 == 0
                arrived = min(stream.count, arrived + 1 + Int((random >> 33) % (large ? 97 : 5)))
            case .keepAlive(let length, let pings):
                cut.pings += pings
                cut.used += length
            case .message(let length):
                cut.used += length
                cut.ends.append(cut.used)
            case .bad(let error):
                cut.finding = cut.finding ?? error.finding(in: arrived - cut.used)
                cut.refused = SIPParseError(error.reason, at: cut.used + error.offset)
                // It stays so.
                if framer.next(rest, count: arrived - cut.used) != .bad(error)
                    || framer.isInMessage
                {
                    cut.finding = "refused and then not"
                }
                return cut
            }
        }
    }

    /// What the parser makes of the same bytes as a datagram, for the first message.
    private mutating func compareWithParser(_ stream: Span<UInt8>, _ cut: Cut) -> String? {
        var start = 0
        while start < stream.count, stream[start] == 0x0D || stream[start] == 0x0A { start += 1 }
        let parsed = MessageParser().parse(stream, length: stream.count, into: &index)
        let isLong = stream.count - start > StreamFramer.messageBytesMax
        switch parsed {
        case .keepAlive:
            return cut.ends.isEmpty && cut.refused == nil ? nil : "line ends, but \(cut)"
        case .message where index.has(.contentLength):
            return cut.ends.first == index.body.end || isLong ? nil : "\(index.body) but \(cut)"
        case .message:
            let wanted = SIPParseError(.contentLength, at: index.headerEnd.start)
            return cut.refused == wanted || isLong ? nil : "no length, but \(cut)"
        case .bad:
            guard let end = cut.ends.first else { return nil }
            let again = MessageParser().parse(stream, length: end, into: &index)
            return again == parsed ? nil : "\(parsed), cut out \(again)"
        }
    }
}
