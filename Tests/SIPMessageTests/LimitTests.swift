import Bytes
import SIPMessage
import Testing

/// Each bound from both sides: what is just short enough passes, and of what is not, where.
@Suite("A limit is where it is said to be")
struct LimitTests {
    private func error(_ text: String) -> SIPParseError? {
        if case .bad(let error) = outcome(text) { return error }
        return nil
    }

    @Test func `of the request-URI`() {
        func message(_ count: Int) -> String {
            let uri = "sip:" + String(repeating: "a", count: count - 4)
            return Sample.text(["REGISTER \(uri) SIP/2.0"] + Sample.register.dropFirst())
        }
        #expect(error(message(1_024)) == nil)
        #expect(error(message(1_025)) == SIPParseError(.uriTooLong, at: 9 + 1_024))
        #expect(error(message(20_000)) == SIPParseError(.uriTooLong, at: 9 + 1_024))
    }

    @Test(arguments: ["sip:", "sips:", "tel:+", "urn:x:"])
    func `of any URI`(start: String) {
        func read(_ count: Int) -> SIPParseError? {
            let digits = String(repeating: "1", count: count - start.utf8.count)
            let bytes = Array((start + digits).utf8)
            do throws(SIPParseError) {
                _ = try SIPURI(bytes.span, ByteRange(0, count))
                if start == "tel:+" { _ = try TelURI(bytes.span, ByteRange(0, count)) }
                return nil
            } catch {
                return error
            }
        }
        #expect(read(1_024) == nil)
        #expect(read(1_025) == SIPParseError(.uriTooLong, at: 1_024))
    }

    @Test func `of a number that is dialled`() {
        let bytes = Array(("tel:+" + String(repeating: "1", count: 1_020)).utf8)
        #expect(throws: SIPParseError(.uriTooLong, at: 1_024)) {
            try TelURI(bytes.span, ByteRange(0, 1_025))
        }
    }

    @Test func `of the start line`() {
        func request(_ count: Int) -> String {
            let method = String(repeating: "M", count: count - " sip:a SIP/2.0\r\n".count - 1)
            return Sample.text(
                ["\(method) sip:a SIP/2.0"]
                    + Sample.register.dropFirst().map {
                        $0.hasPrefix("CSeq") ? "CSeq: 1 \(method)" : $0
                    })
        }
        // The CSeq line is shorter than the start line, so that this alone decides.
        #expect(error(request(8_192)) == nil)
        #expect(error(request(8_193)) == SIPParseError(.lineTooLong, at: 0))
        func response(_ count: Int) -> String {
            let reason = String(repeating: "x", count: count - "SIP/2.0 200 \r\n".utf8.count)
            return Sample.text(["SIP/2.0 200 \(reason)"] + Sample.register.dropFirst())
        }
        #expect(error(response(8_192)) == nil)
        #expect(error(response(8_193)) == SIPParseError(.lineTooLong, at: 0))
    }

    @Test func `of the message`() {
        func message(_ count: Int, before: String = "", padding: Int = 0) -> String {
            let lines = Sample.register.dropLast() + ["Content-Length: 65000"]
            let length = Sample.text(Array(lines)).utf8.count
            let text = Sample.text(
                Sample.register.dropLast() + ["Content-Length: \(count - length)"],
                body: String(repeating: "x", count: count - length))
            return before + text + String(repeating: "y", count: padding)
        }
        let max = MessageIndex.messageBytesMax
        #expect(error(message(max)) == nil)
        #expect(error(message(max, before: "\r\n", padding: 9)) == nil)
        #expect(error(message(max + 1)) == SIPParseError(.messageTooLarge, at: max))
        #expect(
            error(message(max + 1, before: "\r\n")) == SIPParseError(.messageTooLarge, at: max + 2))
        #expect(StreamFramer.messageBytesMax == max)
    }

    /// Values in one field, in several, and both.
    @Test(arguments: [[70], Array(repeating: 1, count: 70), [1, 68, 1], [35, 35]])
    func `of the Vias`(counts: [Int]) throws {
        func check(_ counts: [Int], _ unit: String = "SIP/2.0/UDP h;x=\",\"") throws -> Int? {
            let fields = counts.map {
                "Via: " + Array(repeating: unit, count: $0).joined(separator: " , ")
            }
            let rest = Sample.register.filter { !$0.hasPrefix("Via") }
            let bytes = Array(Sample.text([rest[0]] + fields + rest.dropFirst()).utf8)
            var index = MessageIndex()
            let outcome = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
            #expect(outcome == .message)
            let top = try index.topVia(bytes.span)
            do throws(SIPParseError) {
                try index.checkViaCount(bytes.span, top: top)
                return nil
            } catch {
                #expect(error.reason == .tooManyVias)
                let before = bytes[..<error.offset].map { $0 }
                return String(decoding: before, as: UTF8.self).split(separator: "UDP").count
            }
        }
        #expect(try check(counts) == nil)
        #expect(try check(counts + [1]) == 71)
        #expect(try check([counts[0] + 1] + counts.dropFirst()) == 71)
    }

    @Test func `of the Vias, not of what stands in them`() throws {
        let open = String(repeating: ",", count: 100)
        let fields = ["Via: SIP/2.0/UDP h", "Via: x,,\"y\(open)", "Via:"]
        let rest = Sample.register.filter { !$0.hasPrefix("Via") }
        let bytes = Array(Sample.text([rest[0]] + fields + rest.dropFirst()).utf8)
        var index = MessageIndex()
        _ = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        try index.checkViaCount(bytes.span, top: try index.topVia(bytes.span))
    }
}
