import Bytes
import CMallocCount
import SIPMessage
import Testing

@Suite("Whatever comes from the network")
struct RobustnessTests {
    static let messages = [
        "wsinv", "intmeth", "escnull", "esc01", "longreq", "dblreq", "semiuri", "transports",
        "regescrt", "cparam02", "unreason", "mult-ip-in-header", "badinv01", "quotbal",
    ]

    /// A linear congruential generator (Knuth's MMIX), so that each run is the same.
    struct Generator {
        var state: UInt64
        mutating func below(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
    }

    @Test(arguments: 0..<messages.count)
    func `is read to its end without a trap, however it is changed`(number: Int) throws {
        var generator = Generator(state: UInt64(number))
        let original = Array(try file("Torture/\(Self.messages[number]).sip").prefix(640))
        let pieces = Array(" \t\r\n:;,<>\"\\@?&=%*[]/0ASIP2.".utf8)
        var reading = WholeReading()
        for _ in 0..<3_600 {
            var bytes = original
            for _ in 0...generator.below(4) where !bytes.isEmpty {
                let at = generator.below(bytes.count)
                switch generator.below(5) {
                case 0: bytes[at] = UInt8(generator.below(256))
                case 1: bytes[at] = pieces[generator.below(pieces.count)]
                case 2: bytes.insert(pieces[generator.below(pieces.count)], at: at)
                case 3: bytes.remove(at: at)
                default:
                    let end = min(bytes.count, at + generator.below(40))
                    if generator.below(8) == 0 {
                        bytes.removeSubrange(at...)
                    } else {
                        bytes.insert(contentsOf: bytes[at..<end], at: generator.below(at + 1))
                    }
                }
            }
            let length = bytes.count
            if generator.below(2) == 0 { bytes += Array(repeating: 0, count: 16) }
            _ = reading.read(bytes.span, length: length)
        }
    }

    @Test func `costs no allocation, if it is a REGISTER`() throws {
        let bytes = Array(Sample.text(Sample.register).utf8)
        var index = MessageIndex()
        var buffer = ByteBuffer(bytesMax: 512)
        var outbox = Outbox(bytesMax: 4_096, messagesMax: 4)
        var before: UInt64 = 0
        for round in 0..<3 {
            if round == 1 { before = midreg_mallocs_of_thread() }
            let span = bytes.span
            _ = MessageParser().parse(span, length: span.count, into: &index)
            let via = try index.topVia(span)
            _ = try index.secondVia(span, after: via)
            let uri = try SIPURI(span, index.requestURI)
            _ = SIPURI.equivalent(uri, in: span, uri, in: span)
            guard let to = index.value(.to) else { break }
            let address = try NameAddress(span, from: to.start, to: to.end)
            buffer.clear()
            try AddressOfRecord.write(span, try SIPURI(span, address.uri), to: &buffer)
            var cursor = AddressCursor(.contact, of: index)
            while let element = try cursor.next(span, index) {
                let contact = try SIPURI(span, element.uri)
                _ = SIPURI.equivalent(contact, in: span, uri, in: span)
                _ = span.parameter("expires", in: element.parameters)
            }
            _ = try index.expires(span)
            var tags = OptionTags(.supported, of: index)
            while let tag = try tags.next(span, index) { _ = tag }
            outbox.clear()
            outbox.begin()
            ResponseWriter.begin(200, "OK", to: span, index, source: phone, toTag: 1, &outbox)
            ResponseWriter.finish(&outbox)
        }
        let after = midreg_mallocs_of_thread()
        #expect(after == before)
        #expect(outbox.openCount > 200)
    }

    /// Each piece of a bomb costs about the same whether there are 1,000 or 8,000 of them; were the
    /// work to grow with the square, it would cost eight times as much. In CPU time of this thread,
    /// which other tests do not lengthen.
    @Test(
        arguments: [
            (",<sip:a@h>", "Contact: <sip:a@h>"), (";a=b", "Contact: <sip:a@h>"),
            ("\\\"", "Contact: \""), (",a", "Supported: a"), (",a;b=\"c\"", "Reason: a"),
            (";a=b", "Reason: SIP"), ("(", "Retry-After: 1 ("), (";a", "Retry-After: 1"),
            (",SIP/2.0/UDP h", "Via: SIP/2.0/UDP h"), ("9", "Min-Expires: 1"),
            (";a", "Contact: <sip:a@h"), ("\r\n ", "X: "), ("\"", "Contact: <sip:a@h>;x="),
            (" ", "Contact: <sip:a@h>;x"), ("\\\u{1}", "To: \""), (";a=b", "Via: SIP/2.0/UDP h"),
        ])
    func `is read in time that grows with its length`(unit: String, start: String) {
        func nanoseconds(_ repeats: Int) -> Double {
            let text = Sample.register(adding: start + String(repeating: unit, count: repeats))
            let bytes = Array(text.utf8)
            var reading = WholeReading()
            var best = Double.infinity
            for _ in 0..<3 {
                let start = threadNanoseconds()
                _ = reading.read(bytes.span, length: bytes.count)
                best = min(best, threadNanoseconds() - start)
            }
            return best / Double(repeats)
        }
        let short = nanoseconds(1_000)
        let long = nanoseconds(8_000)
        #expect(long < 4 * short, "\(short) ns a piece among 1,000, \(long) ns among 8,000")
    }
}
