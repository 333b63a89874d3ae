import Bytes
import SIPMessage
import Testing

/// Reads all of a text as one value; what is wrong stands in for it.
private func read<Value>(
    _ text: String,
    _ make: (Span<UInt8>, ByteRange) throws(SIPParseError) -> Value,
    _ show: (Value, [UInt8]) -> String
) -> String {
    let bytes = Array(text.utf8)
    do throws(SIPParseError) {
        return show(try make(bytes.span, ByteRange(0, bytes.count)), bytes)
    } catch {
        return "\(error.reason) at \(error.offset)"
    }
}

/// The index of a REGISTER with more lines, and its bytes.
private func message(_ lines: [String]) -> ([UInt8], SIPParseError.Reason?) {
    let text = Sample.text(Sample.register.filter { !$0.hasPrefix("Supported") } + lines)
    return (Array(text.utf8), reason(text))
}

@Suite("Numbers of header fields")
struct FieldNumberTests {
    @Test(
        arguments: [
            ("0", "0"), ("1", "1000"), ("0.", "0"), ("1.", "1000"), ("0.5", "500"),
            ("0.05", "50"), ("0.007", "7"), ("0.999", "999"), ("1.0", "1000"), ("1.000", "1000"),
            ("", "number at 0"), ("2", "number at 0"), ("1.001", "number at 4"),
            ("1.1", "number at 2"), ("0.1234", "number at 5"), ("1.0000", "number at 5"),
            (".5", "number at 0"), ("0,5", "number at 1"), ("00", "number at 1"),
            ("0.5.", "number at 3"), ("-0", "number at 0"), ("0.x", "number at 2"),
        ])
    func `q is 0 to 1 with three decimals (§25.1 qvalue)`(text: String, expected: String) {
        let found = read(text, { b, r throws(SIPParseError) in try QValue(b, r) }) { value, _ in
            "\(value.thousandths)"
        }
        #expect(found == expected)
    }

    @Test func `q is ordered, and 1 where nothing is said`() throws {
        let half = Array("0.5".utf8)
        #expect(try QValue(half.span, ByteRange(0, 3)) < .unsaid)
    }

    @Test(
        arguments: [
            ("0", "0"), ("3600", "3600"), ("000060", "60"), ("4294967295", "4294967295"),
            ("4294967296", "4294967295"), ("99999999999999999999999999", "4294967295"),
            ("", "number at 0"), ("-1", "number at 0"), ("60s", "number at 2"),
            ("6 0", "number at 1"), ("999999999999999999999x", "number at 21"),
        ])
    func `seconds end at 2³² − 1 (§20.19)`(text: String, expected: String) {
        let found = read(text, { b, r throws(SIPParseError) in try DeltaSeconds(b, r) }) {
            value, _ in "\(value.seconds)"
        }
        #expect(found == expected)
    }

    @Test(
        arguments: [
            ("120", "120 - -"), ("120 (I'm in a meeting)", "120 (I'm in a meeting) -"),
            ("18000;duration=3600", "18000 - 3600"), ("120;x=y;Duration = 5", "120 - 5"),
            ("1(a(b)c)", "1 (a(b)c) -"), ("1 (a\\)b) ; x", "1 (a\\)b) -"),
            ("", "number at 0"), ("x", "number at 0"), ("1 x", "number at 2"),
            ("1;", "parameter at 1"), ("1 (a", "parameter at 2"), ("1 (a(b)", "parameter at 2"),
            ("1 (a\\", "parameter at 4"), ("1 ) ", "number at 2"), ("1 (a) (b)", "number at 6"),
            ("1;duration", "parameter at 2"), ("1;duration=x", "number at 11"),
            ("1;duration=1;duration=1", "parameter at 13"),
        ])
    func `with a comment and a duration say when to ask again (§20.33)`(
        text: String, expected: String
    ) {
        let found = read(text, { b, r throws(SIPParseError) in try RetryAfter(b, r) }) {
            value, bytes in
            let comment = value.comment.isEmpty ? "-" : bytes.text(value.comment)
            return "\(value.seconds) \(comment) \(value.duration.map { "\($0)" } ?? "-")"
        }
        #expect(found == expected)
    }

    @Test(
        arguments: [
            ("ttl=0", "0 -"), ("TTL=255;x", "255 -"), ("maddr=224.0.1.75", "- 224.0.1.75"),
            ("maddr=[ff02::1];ttl=16", "16 [ff02::1]"), ("maddr=a_b.test", "- a_b.test"),
            ("branch=z9hG4bKa", "- -"), ("ttl=256", "via at 18"), ("ttl=0001", "via at 18"),
            ("ttl", "via at 18"), ("ttl=-1", "via at 18"), ("ttl=1;ttl=1", "via at 24"),
            ("maddr", "via at 18"), ("maddr=[::g]", "via at 18"), ("maddr=a/b", "via at 18"),
            ("maddr=a;maddr=a", "via at 26"),
        ])
    func `and hosts of a multicast Via (§20.42)`(parameters: String, expected: String) {
        let found = read(
            "SIP/2.0/UDP host ;" + parameters,
            { b, r throws(SIPParseError) in
                let via = try ViaValue(b, from: r.start, to: r.end)
                return (try via.ttl(b), try via.maddr(b))
            }
        ) { value, bytes in
            "\(value.0.map { "\($0)" } ?? "-") \(value.1.map { bytes.text($0) } ?? "-")"
        }
        #expect(found == expected)
    }
}

@Suite("Lists of header fields")
struct FieldListTests {
    @Test(
        arguments: [
            (["Supported: path"], "path"), (["Supported:"], ""),
            (["Supported: a , b.c", "X: y", "k: d"], "a b.c d"), (["Supported:", "k: d"], "d"),
            (["Supported: a,\r\n b"], "a b"), (["Supported: a,"], "optionTag"),
            (["Supported: ,a"], "optionTag"), (["Supported: a,,b"], "optionTag"),
            (["Supported: a b"], "optionTag"), (["Supported: a;b"], "optionTag"),
            (["Supported: \"a\""], "optionTag"), (["Supported: \"a"], "optionTag"), ([], ""),
        ] as [([String], String)]
    )
    func `of option tags (§20.37)`(lines: [String], expected: String) {
        #expect(tags(.supported, lines) == expected)
        let required = lines.map { $0.first == "X" ? $0 : "Require" + $0.drop { $0 != ":" } }
        let isEmpty = lines.contains("Supported:")
        #expect(tags(.require, required) == (isEmpty ? "optionTag" : expected), "\(required)")
    }

    private func tags(_ name: HeaderName, _ lines: [String]) -> String {
        let (bytes, refused) = message(lines)
        #expect(refused == nil)
        var index = MessageIndex()
        _ = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        var found: [String] = []
        var tags = OptionTags(name, of: index)
        do throws(SIPParseError) {
            while let tag = try tags.next(bytes.span, index) { found.append(bytes.text(tag)) }
        } catch {
            return "\(error.reason)"
        }
        return found.joined(separator: " ")
    }

    @Test(
        arguments: [
            (["Reason: SIP"], "SIP - -"), (["Reason: SIP;cause=200"], "SIP 200 -"),
            (
                ["Reason: SIP ;cause=580 ;text=\"Precondition, Failure\"", "Reason: Q.850"],
                "SIP 580 \"Precondition, Failure\"|Q.850 - -"
            ),
            (["Reason: Q.850;Cause=16, SIP;TEXT=\"\\\"\""], "Q.850 16 -|SIP - \"\\\"\""),
            (["Reason: SIP;cause=200, SIP;cause=480"], "SIP 200 -|SIP 480 -"),
            (["Reason: x;y=z;w"], "x - -"), (["Reason: SIP;cause=4294967295"], "SIP 4294967295 -"),
            (["Reason:"], "reason"), (["Reason: SIP,"], "parameter"),
            (["Reason: \"SIP\""], "reason"),
            (["Reason: SIP x"], "reason"), (["Reason: SIP;"], "parameter"),
            (["Reason: SIP;cause"], "parameter"), (["Reason: SIP;cause=x"], "number"),
            (["Reason: SIP;cause=4294967296"], "numberTooLarge"),
            (["Reason: SIP;text=bare"], "parameter"), (["Reason: SIP;text"], "parameter"),
            (["Reason: SIP;text=\"a"], "parameter"), (["Reason: SIP;cause=1;cause=1"], "parameter"),
            (["Reason: SIP;text=\"a\";text=\"a\""], "parameter"),
        ] as [([String], String)]
    )
    func `of reasons (RFC 3326 §2)`(lines: [String], expected: String) {
        let (bytes, refused) = message(lines)
        #expect(refused == nil)
        var index = MessageIndex()
        _ = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        var found: [String] = []
        var cursor = ReasonCursor(of: index)
        do throws(SIPParseError) {
            while let reason = try cursor.next(bytes.span, index) {
                let text = reason.text.isEmpty ? "-" : bytes.text(reason.text)
                let cause = reason.cause.map { "\($0)" } ?? "-"
                found.append("\(bytes.text(reason.namedProtocol)) \(cause) \(text)")
            }
            #expect(found.joined(separator: "|") == expected)
        } catch {
            #expect("\(error.reason)" == expected)
        }
    }
}

@Suite("A number that is dialled (RFC 3966)")
struct TelURITests {
    @Test(
        arguments: [
            ("tel:+1", "+1 - - -"), ("TEL:+1-201-555-0123", "+1-201-555-0123 - - -"),
            ("tel:+(49).30", "+(49).30 - - -"), ("tel:+1;ext=7.4", "+1 - 7.4 -"),
            ("tel:+1;isub=ab%20c", "+1 - - ab%20c"), ("tel:+1;foo;bar=[x]", "+1 - - -"),
            ("tel:7042;phone-context=example.com", "7042 example.com - -"),
            ("tel:*#06#;Phone-Context=+1-914", "*#06# +1-914 - -"),
            ("tel:aBc;ext=1;phone-context=x", "aBc x 1 -"),
            ("tel:", "uri at 0"), ("tel", "uri at 0"), ("sip:+1", "uri at 0"),
            ("tel:+", "uri at 5"), ("tel:-;phone-context=x", "uri at 5"), ("tel:+1a", "uri at 6"),
            ("tel:+1*", "uri at 6"), ("tel:7g;phone-context=x", "uri at 5"), ("tel:7", "uri at 5"),
            ("tel:+1;phone-context=x", "uri at 21"), ("tel:7;phone-context", "uri at 6"),
            ("tel:7;phone-context=", "uri at 20"), ("tel:7;phone-context=+", "uri at 21"),
            ("tel:7;phone-context=a/b", "uri at 21"), ("tel:+1;", "uri at 7"),
            ("tel:+1;;a", "uri at 7"), ("tel:+1;ext=", "uri at 11"), ("tel:+1;ext=a", "uri at 11"),
            ("tel:+1;ext=1;ext=1", "uri at 13"), ("tel:+1;isub=a;isub=a", "uri at 14"),
            ("tel:7;phone-context=a;phone-context=a", "uri at 22"), ("tel:+1;a=%4", "uri at 9"),
            ("tel:+1;a=b,c", "uri at 10"), ("tel:+1;a_b=c", "uri at 8"), ("tel:+1 2", "uri at 6"),
            ("tel:+1?x=y", "uri at 6"),
        ])
    func `is read`(text: String, expected: String) {
        let found = read(text, { b, r throws(SIPParseError) in try TelURI(b, r) }) { tel, bytes in
            [tel.number, tel.context, tel.extension, tel.subaddress]
                .map { $0.isEmpty ? "-" : bytes.text($0) }.joined(separator: " ")
        }
        #expect(found == expected)
    }

    @Test(
        arguments: [
            ("tel:+12015550123", "tel:+1-201-555-0123", true), ("tel:+1", "TEL:+1", true),
            ("tel:+1;ext=7", "tel:+1;ext=7-", true), ("tel:+1;a=B;c", "tel:+1;C;A=b", true),
            ("tel:7;phone-context=Example.com", "tel:7;phone-context=example.COM", true),
            ("tel:7;phone-context=+1-9", "tel:(7);phone-context=+19", true),
            ("tel:a;phone-context=x", "tel:A;phone-context=x", true),
            ("tel:+1;a=%41", "tel:+1;a=A", true), ("tel:+1", "tel:+11", false),
            ("tel:+11", "tel:+1", false), ("tel:+1;ext=7", "tel:+1", false),
            ("tel:+1;a", "tel:+1;b", false), ("tel:+1;a=1", "tel:+1;a=2", false),
            ("tel:+1;a;a", "tel:+1;a;b", false), ("tel:+1;ext=7", "tel:+1;ext=8", false),
            ("tel:7;phone-context=a", "tel:7;phone-context=b", false),
            ("tel:7;phone-context=+1", "tel:7;phone-context=1", false),
            ("tel:7;phone-context=+7", "tel:+7", false),
        ])
    func `is another's like, or not (§4)`(one: String, other: String, alike: Bool) throws {
        let (a, b) = (Array(one.utf8), Array(other.utf8))
        let first = try TelURI(a.span, ByteRange(0, a.count))
        let second = try TelURI(b.span, ByteRange(0, b.count))
        #expect(TelURI.equivalent(first, in: a.span, second, in: b.span) == alike)
        #expect(TelURI.equivalent(second, in: b.span, first, in: a.span) == alike)
    }

    @Test func `with more than 15 parameters is alike only byte for byte`() throws {
        func tel(_ count: Int, _ last: String) throws -> (TelURI, [UInt8]) {
            let text = "tel:+1" + (1..<count).map { ";p\($0)" }.joined() + last
            let bytes = Array(text.utf8)
            return (try TelURI(bytes.span, ByteRange(0, bytes.count)), bytes)
        }
        for (count, alike) in [(15, true), (16, false)] {
            let (a, aBytes) = try tel(count, ";x")
            let (b, bBytes) = try tel(count, ";X")
            #expect(TelURI.equivalent(a, in: aBytes.span, b, in: bBytes.span) == alike)
            let isOwn = TelURI.equivalent(a, in: aBytes.span, a, in: aBytes.span)
            #expect(isOwn)
        }
    }
}
