import Bytes
import CMallocCount
import Glibc
import SIPMessage
import Testing

@Suite("A stream is cut into messages (RFC 3261 §18.3)")
struct StreamFramerTests {
    static let register = Array(Sample.text(Sample.register).utf8)
    /// A body with everything in it that ends a header or begins a message.
    static let binary =
        Array("\r\n\r\n\r\nINVITE sip:a@h SIP/2.0\r\nContent-Length: 7\r\n\r\n".utf8)
        + [0, 0x0D, 0x0A, 0xFF, 0x0D]

    static func invite(lengthField: String = "Content-Length", body: [UInt8]) -> [UInt8] {
        let lines = Sample.invite.dropLast() + ["\(lengthField): \(body.count)"]
        return Array(Sample.text(Array(lines)).utf8) + body
    }

    /// A message whose Content-Length is written as `field` says, before a body of four bytes.
    static func invite(field: String) -> [UInt8] {
        Array(Sample.text(Array(Sample.invite.dropLast()) + [field], body: "body").utf8)
    }

    @Test(
        arguments: [
            "Content-Length: 4", "l: 4", "L:4", "content-length \t :\t4 ", "Content-Length: 0004",
            "Content-Length:\r\n 4", "Content-Length: 4\r\n ", "l\t:\r\n\t\r\n 4\r\n\t\r\n ",
            "Content-Length: \(String(repeating: "0", count: 400))4",
            "X: \r\n Content-Length: 9\r\nl: 4", "X-Content-Length: 9\r\nl: 4",
            "Content-Length-X: 9\r\nl: 4", "Contenu-Length: 9\r\nl: 4", "c: 9\r\nl: 4",
        ])
    func `by Content-Length, however it is written`(field: String) {
        let message = Self.invite(field: field)
        let cut = Cut(message + Self.register)
        #expect(cut.messages == [message, Self.register] && cut.isEven, "\(cut)")
        #expect(outcome(message) == .message)
    }

    /// §18.3 and §20.14 say MUST of a stream; at the header's end, so that it can be answered.
    @Test(
        arguments: [
            ("X: 1", .contentLength, 0), ("X: 1\r\n Content-Length: 4", .contentLength, 0),
            ("Content-Length: -1", .contentLength, 16), ("l: +4", .contentLength, 3),
            ("l:", .contentLength, 2), ("l: 1 2", .contentLength, 4), ("l: 4,4", .contentLength, 4),
            ("l: 1\r\n 2", .contentLength, 4), ("l: 0x4", .contentLength, 4),
            ("l: 4;a", .contentLength, 4), ("l: \u{664}", .contentLength, 3),
            ("l", .noColon, 1), ("l 4", .noColon, 2), ("l\r\n : 4", .noColon, 1),
            ("l: 4\r\nl: 4", .doubledHeader, 6),
            ("Content-Length: 4\r\nl: 5", .doubledHeader, 19),
            ("l: 4\r\nCONTENT-LENGTH : 4", .doubledHeader, 6),
            ("l: 4\r\nX: 1\r\n 2\r\nl: x", .doubledHeader, 16),
            ("l: 65536", .messageTooLarge, 3), ("l: 65535", .messageTooLarge, 3),
            ("l: 2147483648", .messageTooLarge, 3), ("l: 4294967300", .messageTooLarge, 3),
            ("l: 18446744073709551620", .messageTooLarge, 3),
            ("l: \(String(repeating: "9", count: 400))", .messageTooLarge, 3),
        ] as [(String, SIPParseError.Reason, Int)]
    )
    func `never without one that can be trusted`(
        field: String, reason: SIPParseError.Reason, offset: Int
    ) {
        let message = Self.invite(field: field)
        let bodyStart = message.count - 4
        // A length that is not there is missed at the empty line.
        let isMissed = reason == .contentLength && offset == 0
        let fieldStart = bodyStart - 4 - field.utf8.count
        let expected = SIPParseError(reason, at: isMissed ? bodyStart - 2 : fieldStart + offset)
        for size in [1, 7, message.count] {
            let cut = Cut(Self.register + message + Self.register, bytesAtOnce: size)
            #expect(cut.messages == [Self.register])
            #expect(
                cut.refused
                    == SIPParseError(expected.reason, at: expected.offset + Self.register.count))
            #expect(cut.seen >= Self.register.count + bodyStart, "the header is there to answer")
        }
        var framer = StreamFramer()
        #expect(framer.next(message.span, count: bodyStart - 1) == .needsMore)
        #expect(framer.next(message.span, count: bodyStart) == .bad(expected))
        #expect(framer.next(message.span, count: message.count) == .bad(expected), "for good")
    }

    @Test(
        arguments: [
            ("X: a\rb", .bareCarriageReturn, 4), ("X: a\nb", .bareCarriageReturn, 4),
            ("X: a\r\r\n b", .bareCarriageReturn, 4), ("X: \u{0}", .controlByte, 3),
            ("X\u{0}: 1", .controlByte, 1), ("X: \u{7F}", .controlByte, 3),
            ("X: 1\r\n \u{B}", .controlByte, 7), ("l\u{0}: 4", .controlByte, 1),
            ("To: \"\\\r\"", .bareCarriageReturn, 6), ("To: \"\\\n\"", .bareCarriageReturn, 6),
        ] as [(String, SIPParseError.Reason, Int)]
    )
    func `never through a bare CR, LF or control byte`(
        line: String, reason: SIPParseError.Reason, offset: Int
    ) {
        let head = Sample.invite[0] + "\r\n"
        let message = Array((head + line + "\r\nContent-Length: 0\r\n\r\n").utf8)
        let expected = SIPParseError(reason, at: head.utf8.count + offset)
        for size in [1, 5, message.count] {
            let cut = Cut(message, bytesAtOnce: size)
            #expect(cut.refused == expected && cut.messages.isEmpty, "\(cut)")
        }
        // At once, for nothing behind it can be trusted; a CR waits for its LF.
        let needed = expected.offset + (message[expected.offset] == 0x0D ? 2 : 1)
        var framer = StreamFramer()
        #expect(framer.next(message.span, count: needed - 1) == .needsMore)
        #expect(framer.next(message.span, count: needed) == .bad(expected))
    }

    @Test(arguments: ["\u{0}", "\u{16}\u{3}\u{1}\u{2}", "OPTIONS sip:\u{1}", "OPTIONS \\\u{1}"])
    func `never from what begins no message`(text: String) {
        let cut = Cut(Array(text.utf8) + Self.register, bytesAtOnce: 1)
        let expected = text.utf8.count { $0 >= 0x20 }
        let first = text.utf8.first ?? 0 < 0x20 ? 0 : expected
        #expect(cut.refused == SIPParseError(.startLine, at: first))
    }

    @Test func `with what the parser refuses, so that the next is read`() {
        let wrong = [
            "OPTIONS  sip:a@h SIP/2.0\r\nl: 0\r\n\r\n", "OPTIONS sip:a@h SIP/7.0\r\nl: 0\r\n\r\n",
            "\t\r\n l: 9\r\nl: 0\r\n\r\n", "A\r\n l: 9\r\n l: 9\r\nl:0\r\n\r\n",
            "A\r\nl: 0\r\nNo Colon\r\n\r\n", "A\r\n\\\u{1}\u{2}\r\nl:0\r\n\r\n",
        ].map { Array($0.utf8) }
        for message in wrong.dropLast() {
            let cut = Cut(message + Self.register, bytesAtOnce: 1)
            #expect(cut.messages == [message, Self.register])
            #expect(outcome(message) != .message)
        }
        #expect(Cut(wrong.last ?? []).refused == SIPParseError(.controlByte, at: 5))
    }

    @Test func `with at most 128 fields and 65,535 bytes`() {
        let many = Array(repeating: "X: 1\r\n 2", count: MessageIndex.headersMax - 1)
        let most = Array(Sample.text(["A b SIP/2.0", "l: 0"] + many).utf8)
        #expect(Cut(most).messages == [most])
        let start = most.count - 2
        let more = Array(Sample.text(["A b SIP/2.0", "l: 0"] + many + ["Y: 1"]).utf8)
        #expect(Cut(more, bytesAtOnce: 9).refused == SIPParseError(.tooManyHeaders, at: start))

        let max = StreamFramer.messageBytesMax
        let head = "A b SIP/2.0\r\nl: 65510\r\n\r\n".utf8.count
        for (length, isTaken) in [(max - head, true), (max - head + 1, false)] {
            let text = "A b SIP/2.0\r\nl: \(length)\r\n\r\n"
            let message = Array(text.utf8) + Array(repeating: 0, count: length)
            let cut = Cut(message + Self.register, bytesAtOnce: 1_000)
            #expect((cut.messages == [message, Self.register]) == isTaken)
            #expect(cut.refused?.reason == (isTaken ? nil : .messageTooLarge))
        }
        // A header alone: to the byte, and whatever else stands behind.
        for (length, isTaken) in [(max, true), (max + 1, false), (3 * max, false)] {
            let open = Array("A b SIP/2.0\r\nl: 0\r\nX: ".utf8)
            let message =
                open + Array(repeating: 0x78, count: length - open.count - 4) + [13, 10, 13, 10]
            for size in [1_000, max - 1, max, message.count] {
                let cut = Cut(message, bytesAtOnce: size)
                #expect((cut.messages == [message]) == isTaken)
                #expect(
                    cut.refused == (isTaken ? nil : SIPParseError(.messageTooLarge, at: max)))
            }
        }
    }

    @Test(
        arguments: [
            ("\r\n", 0), ("\r\n\r\n", 1), ("\r\n\r\n\r\n", 1), ("\r\n\r\n\r\n\r\n", 2),
            ("\n", 0), ("\r", 0), ("\n\n\n", 0), ("\r\r\n", 0), ("\r\r\n\r\n", 1),
            ("\r\n\n\r\n", 0), ("\r\n\r\r\n", 0), ("\r\n\n\r\n\r\n", 1), ("", 0),
        ])
    func `with keep-alives between them (RFC 5626 §3.5.1)`(noise: String, pings: Int) {
        let line = Array(noise.utf8)
        let stream = line + Self.register + line + Self.register + line + Self.register
        for size in 1...4 {
            for isPadded in [false, true] {
                let cut = Cut(stream, bytesAtOnce: size, isPadded: isPadded)
                #expect(cut.messages == [Self.register, Self.register, Self.register])
                #expect(cut.pings == 3 * pings && cut.isEven)
            }
        }
        let whole = Cut(stream)
        #expect(whole.pings == 3 * pings && whole.isEven)
    }

    @Test func `and says whether one has begun`() {
        var framer = StreamFramer()
        let bytes = Array("\r\n".utf8) + Self.register
        #expect(framer.next(bytes.span, count: 0) == .needsMore && !framer.isInMessage)
        #expect(framer.next(bytes.span, count: 1) == .needsMore && !framer.isInMessage)
        #expect(framer.next(bytes.span, count: 3) == .keepAlive(length: 2, pings: 0))
        #expect(!framer.isInMessage)
        let rest = bytes.span.extracting(2...)
        #expect(framer.next(rest, count: 1) == .needsMore && framer.isInMessage)
        #expect(framer.next(rest, count: rest.count - 1) == .needsMore && framer.isInMessage)
        #expect(framer.next(rest, count: rest.count) == .message(length: rest.count))
        #expect(!framer.isInMessage)
    }

    @Test func `however many come at once, and wherever they are split`() {
        let messages = [
            Self.register, Self.invite(body: Self.binary),
            Self.invite(lengthField: "l", body: []), Self.invite(body: Array("\r\n\r\n".utf8)),
            Self.register,
        ]
        let stream = Array(messages.joined())
        for split in 0...stream.count {
            let cut = Cut(stream, arrivals: [split, stream.count])
            #expect(cut.messages == messages && cut.pings == 0 && cut.isEven, "at \(split)")
        }
        for size in 1...64 {
            let cut = Cut(stream, bytesAtOnce: size, isPadded: size % 2 == 0)
            #expect(cut.messages == messages && cut.pings == 0 && cut.isEven, "\(size) at once")
        }
    }

    @Test func `of any making, at random splits, as they were before they were joined`() {
        var random = MessageMaker(seed: 3_261)
        for round in 0..<1_000 {
            var messages: [[UInt8]] = []
            var stream: [UInt8] = []
            var pings = 0
            for _ in 0..<random.below(5) {
                let pairs = random.below(3)
                let single = random.below(2)
                pings += pairs
                stream += Array(repeating: [13, 10], count: 2 * pairs + single).joined()
                messages.append(random.message())
                stream += messages[messages.count - 1]
            }
            for message in messages { #expect(outcome(message) == .message) }
            for _ in 0..<4 {
                var arrivals: [Int] = []
                var at = 0
                let most = 1 + random.below(random.below(2) == 0 ? 8 : 800)
                while at < stream.count {
                    at = min(stream.count, at + 1 + random.below(most))
                    arrivals.append(at)
                }
                let cut = Cut(stream, arrivals: arrivals, isPadded: random.below(2) == 0)
                #expect(cut.messages == messages && cut.pings == pings, "round \(round)")
                #expect(cut.isEven)
            }
        }
    }

    /// What was looked at is not looked at again: a byte costs the same in a message eight times as
    /// long, though each comes by itself. CPU time of this thread, which other tests do not lengthen.
    @Test(
        arguments: [
            ("X: ", "x"), ("X: ", "\r\n "), ("l:", "\r\n "), ("X: ", "\\"), ("To: \"", "\\\u{1}"),
            ("l: 0\r\nX:", ":"), ("l: 0", "0"), ("l: 0\r\n\r\n", "\r\n"), ("", ""),
        ])
    func `in time that grows with the bytes, though they come one by one`(
        start: String, unit: String
    ) {
        func nanoseconds(_ length: Int) -> Double {
            // Line ends alone if there is nothing to repeat.
            let head = unit.isEmpty ? "" : "A b SIP/2.0\r\n" + start
            let piece = unit.isEmpty ? "\r\n" : unit
            let text = head + String(repeating: piece, count: length / piece.utf8.count)
            let bytes = Array(text.utf8)
            var best = Double.infinity
            for _ in 0..<3 {
                var framer = StreamFramer()
                var used = 0
                let before = threadNanoseconds()
                for count in 1...bytes.count {
                    let rest = bytes.span.extracting(used..<bytes.count)
                    switch framer.next(rest, count: count - used) {
                    case .keepAlive(let length, _), .message(let length): used += length
                    case .needsMore, .bad: break
                    }
                }
                best = min(best, threadNanoseconds() - before)
            }
            return best / Double(bytes.count)
        }
        let short = nanoseconds(2_500)
        let long = nanoseconds(20_000)
        #expect(long < 3 * short, "\(short) ns a byte of 2,500, \(long) ns of 20,000")
    }

    @Test func `without an allocation`() {
        let stream = Self.register + Self.invite(body: Self.binary) + [13, 10, 13, 10]
        var messages = 0
        var before: UInt64 = 0
        for round in 0..<2 {
            if round == 1 { before = midreg_mallocs_of_thread() }
            var framer = StreamFramer()
            var used = 0
            for count in 1...stream.count {
                let span = stream.span
                switch framer.next(span.extracting(used...), count: count - used) {
                case .message(let length):
                    messages += 1
                    used += length
                case .keepAlive(let length, _): used += length
                case .needsMore, .bad: break
                }
            }
        }
        let after = midreg_mallocs_of_thread()
        #expect(after == before)
        #expect(messages == 4)
    }
}

@Suite("Framer and parser agree")
struct FramerAndParserTests {
    /// Compares what both say of bytes that came as a datagram and as a stream's first.
    ///
    /// - Returns: whether the framer found a message.
    @discardableResult
    static func compare(_ bytes: [UInt8], _ index: inout MessageIndex) -> Bool {
        let parsed = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        let cut = Cut(bytes, messagesMax: 1)
        switch parsed {
        case .keepAlive:
            #expect(cut.messages.isEmpty && cut.refused == nil)
        case .message where index.has(.contentLength):
            let message = Array(bytes[index.startLine.start..<index.body.end])
            #expect(cut.messages == [message], "\(String(decoding: bytes, as: UTF8.self))")
        case .message:
            #expect(
                cut.refused == SIPParseError(.contentLength, at: index.headerEnd.start),
                "\(String(decoding: bytes, as: UTF8.self))")
        case .bad:
            // Cut out, it is refused for the same reason; a framer may refuse what it cannot cut.
            for message in cut.messages {
                let start = bytes.count - bytes.drop { $0 == 13 || $0 == 10 }.count
                let length = start + message.count
                let again = MessageParser().parse(bytes.span, length: length, into: &index)
                #expect(again == parsed, "\(String(decoding: bytes, as: UTF8.self))")
            }
        }
        return !cut.messages.isEmpty
    }

    @Test func `on every torture message`() throws {
        var index = MessageIndex()
        var framed = 0
        var refused: [String] = []
        for row in try TortureTests.rows() {
            let bytes = try file("Torture/\(row.name).sip")
            if Self.compare(bytes, &index) { framed += 1 }
            if let error = Cut(bytes, messagesMax: 1).refused {
                refused.append("\(row.name) \(error.reason)")
            }
        }
        print("torture by stream: \(framed) framed, \(refused.count) refused \(refused)")
        #expect(refused.contains("mcl01 doubledHeader") && refused.contains("ncl contentLength"))
        #expect(framed >= 45)
    }

    /// The stream is a message of torture and a good one behind it.
    @Test func `on every torture message, split at every byte`() throws {
        for row in try TortureTests.rows() {
            let stream = try file("Torture/\(row.name).sip") + StreamFramerTests.register
            let whole = Cut(stream)
            #expect(Cut(stream, bytesAtOnce: 1) == whole, "\(row.name), byte by byte")
            for split in 1..<stream.count {
                let cut = Cut(stream, arrivals: [split, stream.count], isPadded: split % 2 == 0)
                #expect(cut == whole, "\(row.name) at \(split)")
            }
        }
    }

    @Test func `on no prefix of a torture message`() throws {
        for row in try TortureTests.rows() {
            let bytes = try file("Torture/\(row.name).sip")
            let length = Cut(bytes, messagesMax: 1).messages.first?.count ?? bytes.count + 1
            for count in 0..<min(length, bytes.count) {
                var framer = StreamFramer()
                let prefix = bytes.span.extracting(..<count)
                if case .message = framer.next(prefix, count: count) {
                    Issue.record("\(row.name), \(count) bytes of it")
                }
            }
        }
    }

    /// And whatever stands there, all of it can be read, and answered; a letter, a digit and a byte
    /// of UTF-8 stand for the others there, which the grammar does not tell apart.
    @Test(arguments: ["REGISTER", "INVITE"])
    func `on a message with each byte in each place`(method: String) {
        let lines = [
            "\(method) sip:example.test SIP/2.0", "v: SIP/2.0/TCP h;branch=z9hG4bKa;rport",
            "Max-Forwards: 70", "f: \"B, \\\"o\\\"\" <sip:b@h>;tag=4", "To:\r\n sip:b@[::1]",
            "Call-ID: 8@h", "CSeq: 18 \(method)", "m: <sip:b@h:5062;lr>;q=0.5, <tel:+1>",
            "Expires: 7200", "Content-Length: 4",
        ]
        let bytes = Array(Sample.text(lines, body: "body").utf8)
        var index = MessageIndex()
        var reading = WholeReading()
        var framed = 0
        for at in bytes.indices {
            var changed = bytes
            for byte in UInt8.min...UInt8.max {
                changed[at] = byte
                if Self.compare(changed, &index) { framed += 1 }
                guard byte <= 0x80, !isLikeAnother(byte) else { continue }
                _ = reading.read(changed.span, length: changed.count)
            }
        }
        func isLikeAnother(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "2")...UInt8(ascii: "9"), UInt8(ascii: "G")...UInt8(ascii: "Z"),
                UInt8(ascii: "g")...UInt8(ascii: "z"):
                true
            default: false
            }
        }
        #expect(framed > 200 * bytes.count / 2)
    }

    @Test(arguments: 0..<6)
    func `on messages that were broken`(seed: Int) {
        var random = MessageMaker(seed: UInt64(seed))
        var index = MessageIndex()
        let pieces = ["\r\n", "\r", "\n", "\0", "\\", "\"", " ", ":", "l: 3\r\n", "l", "0", "9"]
        var framed = 0
        for _ in 0..<1_500 {
            var bytes = random.message()
            for _ in 0..<1 + random.below(3) {
                let at = random.below(bytes.count)
                switch random.below(3) {
                case 0: bytes[at] = UInt8(random.below(256))
                case 1: bytes.remove(at: at)
                default: bytes.insert(contentsOf: random.any(pieces).utf8, at: at)
                }
            }
            if Self.compare(bytes, &index) { framed += 1 }
            let whole = Cut(bytes)
            let split = random.below(bytes.count)
            #expect(Cut(bytes, arrivals: [split, bytes.count]) == whole)
        }
        #expect(framed > 100, "\(framed) of 1,500 were cut out")
    }
}
