import Bytes
import SIPMessage
import Testing

@Suite("A Via is read (RFC 3261 §20.42, RFC 3581)")
struct ViaValueTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let text: String
        let expected: String?
        init(_ text: String, _ expected: String?) {
            self.text = text
            self.expected = expected
        }
        var testDescription: String { text.debugDescription }
    }

    /// `transport host port branch received rport`, and "+" if another follows.
    static func summary(_ text: String) -> String? {
        let bytes = Array(text.utf8)
        guard let via = try? ViaValue(bytes.span, from: 0, to: bytes.count) else { return nil }
        let parts =
            [via.transport, via.host].map(bytes.text) + ["\(via.port)"]
            + [via.branch, via.received, via.rport].map { $0.isEmpty ? "-" : bytes.text($0) }
        return parts.joined(separator: " ") + (via.isFollowed ? " +" : "")
    }

    @Test(
        arguments: [
            Case("SIP/2.0/UDP h", "UDP h 0 - - -"),
            Case("SIP/2.0/UDP h:5060;branch=z9hG4bKa", "UDP h 5060 z9hG4bKa - -"),
            Case("sip / 2.0\r\n /\tTLS  h : 5061 ; branch = x ; rport", "TLS h 5061 x - ; rport"),
            Case("SIP/2.0/UDP [2001:db8::1]:5070;rport=7", "UDP [2001:db8::1] 5070 - - ;rport=7"),
            Case("SIP/2.0/UDP h;received=2001:db8::2", "UDP h 0 - ;received=2001:db8::2 -"),
            Case("SIP/2.0/UDP h;received=[2001:db8::2]", "UDP h 0 - ;received=[2001:db8::2] -"),
            Case("SIP/2.0/UDP h;x=\"a,b;rport\",SIP/2.0/UDP i", "UDP h 0 - - - +"),
            Case("SIP/2.0/UDP h , SIP/2.0/UDP i", "UDP h 0 - - - +"),
            Case("SIP/2.0/UNKNOWN h;BRANCH=a;RPORT", "UNKNOWN h 0 a - ;RPORT"),
            Case("SIP/2.0/UDP h;ttl=1;maddr=224.0.0.1", "UDP h 0 - - -"),
            Case("", nil), Case("SIP", nil), Case("SIP/2.0", nil), Case("SIP/2.0/UDP", nil),
            Case("SIP/2.0/UDP ", nil), Case("SIP/2.0/ h", nil), Case("SIP/3.0/UDP h", nil),
            Case("HTTP/2.0/UDP h", nil), Case("SIP/2.0/UDP h i", nil), Case("SIP/2.0/UDP h:", nil),
            Case("SIP/2.0/UDP h:0", nil), Case("SIP/2.0/UDP h:65536", nil),
            Case("SIP/2.0/UDP h:5x", nil), Case("SIP/2.0/UDP [::1", nil),
            Case("SIP/2.0/UDP [::g]", nil), Case("SIP/2.0/UDP 2001:db8::1", nil),
            Case("SIP/2.0/UDP h;", nil), Case("SIP/2.0/UDP h;;branch=a", nil),
            Case("SIP/2.0/UDP h;branch=a;", nil), Case("SIP/2.0/UDP h;branch=", nil),
            Case("SIP/2.0/UDP h;branch", nil), Case("SIP/2.0/UDP h;x=\"a", nil),
            Case("SIP/2.0/UDP h;x=\"a\\\"", nil), Case("SIP/2.0/UDP h;x=\"a\\", nil),
            Case("SIP/2.0/UDP h;branch=\"a\"", nil), Case("SIP/2.0/UDP h;branch=\u{E9}", nil),
            Case("SIP/2.0/UDP h;branch=a=", nil), Case("SIP/2.0/UDP h;branch=a@b", nil),
            Case("SIP/2.0/UDP h;branch=-.!%*_+`'~", "UDP h 0 -.!%*_+`'~ - -"),
            Case("SIP/2.0/UDP h;branch=a;branch=b", nil), Case("SIP/2.0/UDP h;rport;rport=1", nil),
            Case("SIP/2.0/UDP h;received=a;Received=b", nil), Case("SIP/2.0/UDP h;=a", nil),
        ])
    func `or refused`(row: Case) { #expect(Self.summary(row.text) == row.expected) }

    @Test(arguments: [("z9hG4bK", false), ("z9hG4bKa", true), ("Z9HG4BKa", true), ("390sk", false)])
    func `with a branch that is unique, or not (§8.1.1.7)`(branch: String, isUnique: Bool) throws {
        let bytes = Array("SIP/2.0/UDP h;branch=\(branch)".utf8)
        let via = try ViaValue(bytes.span, from: 0, to: bytes.count)
        #expect(via.hasMagicCookie(bytes.span) == isUnique)
    }

    @Test(
        arguments: [
            (["Via: SIP/2.0/UDP a"], "a"), (["Via: SIP/2.0/UDP a, SIP/2.0/UDP b"], "b"),
            (["Via: SIP/2.0/UDP a", "X: y", "v: SIP/2.0/UDP b, SIP/2.0/UDP c"], "c"),
            (["Via: SIP/2.0/UDP a , SIP/2.0/UDP b", "v: SIP/2.0/UDP c"], "c"),
            (["Via: SIP/2.0/UDP a;x=\",\" ,SIP/2.0/UDP b;y=\",\";z"], "b"),
            (["Via: SIP/2.0/UDP a", "Via: SIP/3.0/UDP b"], nil),
            (["Via: SIP/2.0/UDP a,"], nil),
        ] as [([String], String?)]
    )
    func `last of all`(lines: [String], host: String?) throws {
        let rest = Sample.register.filter { !$0.hasPrefix("Via") }
        let bytes = Array(Sample.text([rest[0]] + lines + rest.dropFirst()).utf8)
        var index = MessageIndex()
        let outcome = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        #expect(outcome == .message)
        let top = try index.topVia(bytes.span)
        let last = try? index.lastVia(bytes.span, top: top)
        #expect(last.map { bytes.text($0.host) } == host)
    }

    @Test(
        arguments: [
            (["Via: SIP/2.0/UDP a"], nil), (["Via: SIP/2.0/UDP a, SIP/2.0/UDP b"], "b"),
            (["Via: SIP/2.0/UDP a", "X: y", "v: SIP/2.0/UDP b, SIP/2.0/UDP c"], "b"),
            (["Via: SIP/2.0/UDP a;x=\",\" ,SIP/2.0/UDP b;y"], "b"),
        ] as [([String], String?)]
    )
    func `after the topmost, in the same field or another`(lines: [String], host: String?) throws {
        let rest = Sample.register.filter { !$0.hasPrefix("Via") }
        let bytes = Array(Sample.text([rest[0]] + lines + rest.dropFirst()).utf8)
        var index = MessageIndex()
        let outcome = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        #expect(outcome == .message)
        let top = try index.topVia(bytes.span)
        #expect(bytes.text(top.host) == "a")
        let second = try index.secondVia(bytes.span, after: top)
        #expect(second.map { bytes.text($0.host) } == host)
    }
}

@Suite("An address is read (RFC 3261 §20.10)")
struct NameAddressTests {
    @Test(
        arguments: [
            ("<sip:a@h>", "sip:a@h|"), ("sip:a@h", "sip:a@h|"), ("sip:a@h;tag=1", "sip:a@h|tag=1"),
            ("<sip:a@h;lr>;tag=1", "sip:a@h;lr|tag=1"), ("A. Name<sip:a@h>", "sip:a@h|"),
            ("\"A, \\\"B\\\"; <c>\" <sip:a@h> ; x = \"1,2;3\"", "sip:a@h|x = \"1,2;3\""),
            ("\"\\\\\"<sip:a@h>", "sip:a@h|"), ("  One\r\n Two <sip:a,b@h>", "sip:a,b@h|"),
            ("<sip:a@h?Subject=x>", "sip:a@h?Subject=x|"),
            ("<tel:+1;x=y>;q=0.5", "tel:+1;x=y|q=0.5"),
            ("*", "*|"), ("sip:a@h , x", "sip:a@h|"), ("<sip:a@h>;lr,x", "sip:a@h|lr"),
            ("", nil), ("<>", nil), ("<sip:a@h", nil), ("\"A", nil), ("\"A\\\" <sip:a@h>", nil),
            ("\"A\" sip:a@h", nil), ("\"A\"", nil), ("Bell, Alexander <sip:a@h>", "Bell|"),
            ("A (b) <sip:a@h>", nil), ("<sip:a@h> x", nil), ("<sip:a@h>;", nil),
            ("<sip:a@h>;;x", nil), ("<sip:a@h>;x=", nil), ("<sip:a@h>;x=\"", nil),
            ("<sip:a@h>;x=\"\\", nil), ("<sip:a@h>;x=<y>", nil), ("sip:a@h?x=y", nil),
            ("<sip:a@h>;tag=-.!%*_+`'~", "sip:a@h|tag=-.!%*_+`'~"), ("<sip:a@h>;tag", nil),
            ("<sip:a@h>;tag=\"1\"", nil), ("<sip:a@h>;tag=1=", nil), ("<sip:a@h>;tag=\u{E9}", nil),
            ("<sip:a@h>;\u{E9}=1", nil), ("<sip:a@h>;x=\u{E9}", nil),
            ("<sip:a@h>;x=\"\u{E9}\"", "sip:a@h|x=\"\u{E9}\""),
            ("<sip:a@h>;tag=1;TAG=2", nil), ("<sip:a@h>;expires=1;expires=0", nil),
            ("<sip:a@h>;other=1;other=2", "sip:a@h|other=1;other=2"), ("\"\\", nil), ("\"", nil),
            // Fuzzing: a reader of quotes finds one element here, a reader of commas two.
            ("tel:\"x, \"y", nil), ("$\"x, \"y", nil), ("tel:>1", nil),
            ("tel:1;x=\"a,b\"", "tel:1|x=\"a,b\""),
        ] as [(String, String?)]
    )
    func `or refused`(text: String, expected: String?) {
        let bytes = Array(text.utf8)
        let read = try? NameAddress(bytes.span, from: 0, to: bytes.count)
        #expect(
            read.map { bytes.text($0.uri) + "|" + bytes.text($0.parameters) } == expected,
            "\(text.debugDescription)")
    }

    @Test(
        arguments: [
            (["<sip:a@h>"], "sip:a@h"), (["<sip:a@h>, <sip:b@h>"], "sip:a@h sip:b@h"),
            (["\",\" <sip:a@h>;x=\",\"\t,sip:b@h", "sip:c@h"], "sip:a@h sip:b@h sip:c@h"),
            (["*"], "*"), (["<sip:a@h>,"], "!"), ([",<sip:a@h>"], "!"), ([""], "!"),
            (["<sip:a@h>", "", "<sip:b@h>"], "sip:a@h !"), (["<sip:a@h>,,<sip:b@h>"], "sip:a@h !"),
        ] as [([String], String)]
    )
    func `after the other in a list, and over several fields`(
        values: [String], expected: String
    ) {
        let lines = values.flatMap { ["m: " + $0, "X: y"] }
        let rest = Sample.register.filter { !$0.hasPrefix("Contact") }
        let bytes = Array(Sample.text(rest + lines).utf8)
        var index = MessageIndex()
        let outcome = MessageParser().parse(bytes.span, length: bytes.count, into: &index)
        #expect(outcome == .message)
        var cursor = AddressCursor(.contact, of: index)
        var found: [String] = []
        do {
            while let element = try cursor.next(bytes.span, index) {
                found.append(bytes.text(element.uri))
            }
        } catch {
            found.append("!")
        }
        #expect(found.joined(separator: " ") == expected)
    }

    @Test(
        arguments: [
            ("a;b=c;d=\"e;f\"", "a|;b|c;d|\"e;f\""), (" a ; b = c ", "a|;b|c"),
            ("a=1;a=2", "a|1;a|2"),
            ("", ""), ("a;", "!"), (";a", "!"), ("a=", "!"), ("a b", "!"), ("a=b c", "!"),
            ("a=\"b\"c", "!"), ("a,b", "!"), ("a=\"\\\"", "!"),
            (
                "+sip.instance=\"<urn:x>\"",
                "+sip.instance|\"<urn:x>\""
            ),
        ])
    func `with its parameters in order`(text: String, expected: String) {
        let bytes = Array(text.utf8)
        var cursor = ParameterCursor(ByteRange(0, bytes.count))
        var found: [String] = []
        do {
            while let parameter = try cursor.next(bytes.span) {
                found.append(bytes.text(parameter.name) + "|" + bytes.text(parameter.value))
            }
        } catch {
            found.append("!")
        }
        let joined = found.joined(separator: ";").replacingEnd(";!", with: "!")
        #expect(joined == expected, "\(text.debugDescription)")
    }
}

extension String {
    fileprivate func replacingEnd(_ old: String, with new: String) -> String {
        guard hasSuffix(old) else { return self }
        return String(dropLast(old.count)) + new
    }
}

@Suite("A URI is read (RFC 3261 §19.1)")
struct SIPURITests {
    @Test(
        arguments: [
            "sip:h", "sip:a@h", "SIP:a:b@h:5060", "sips:a@[::1]:5061;lr", "sip:a@h;x=y;z?b=c&d=",
            "sip:user;par=u%40example.net@example.com", "sip:%00@h", "sip:*72#@h",
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
            "tel:+1-201-555-0123", "nobodyKnowsThisScheme:totally/opaque",
            "sip:a@[2001:db8::192.0.2.1]", "sip:a@[2001:db8:::192.0.2.1]",
            "sip:a:@h", "sip:a@h;x=[/:&+$", "sip:a@h:65535",
        ])
    func `if it is well formed`(text: String) { #expect(ReadURI(text) != nil) }

    @Test(
        arguments: [
            "", "sip", "sip:", ":a@h", "sip:@h", "sip:a@", "sip:a@h:", "sip:a@h:0", "sip:a@h:65536",
            "sip:a@h:5060x", "sip:a@@h", "sip:a@h@i", "sip:a:b:c@h", "sip:a b@h", "sip: a@h",
            "sip:a@h ", "<sip:a@h>", "sip:a\"@h", "sip:a%4@h", "sip:a%@h", "sip:a%zz@h",
            "sip:a@h%41", "sip:a@[::1", "sip:a@[]", "sip:a@[2001:db8:::1]", "sip:a@::1",
            "sip:2001:db8::10", "sip:a@h;", "sip:a@h;;x", "sip:a@h;x=", "sip:a@h;=y", "sip:a@h;x;",
            "sip:a@h;x=%4", "sip:a@h;x,y", "sip:a@h;x=\"y\"", "sip:a@h?", "sip:a@h?x=<y>",
            "sip:a@h;x=#", "sip:a@h;x#=y", "sip:a@h?x=#", "sip:a@h#x",
            "sip:a@h;x=\u{E9}", "sip:\u{E9}@h", "1sip:a@h", "s ip:a@h", "tel:+1 2", "sip:a@h/x",
        ])
    func `or refused`(text: String) { #expect(ReadURI(text) == nil) }

    @Test(
        arguments: [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x"
            ),
            ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0::1]"), ("tel:+1", "tel:+1"),
            ("sip:a@h;x=1;x=2", "sip:a@h;x=1;x=2"), ("sip:a%40@h", "sip:a%40@h"),
        ])
    func `and equivalent to another (§19.1.4)`(one: String, other: String) throws {
        let (a, b) = (try #require(ReadURI(one)), try #require(ReadURI(other)))
        #expect(a.isEquivalent(to: b) && b.isEquivalent(to: a))
    }

    @Test(
        arguments: [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:a@h", "sips:a@h"), ("sip:a@h", "sip:h"), ("sip:a:b@h", "sip:a:c@h"),
            ("sip:a%3Bb@h", "sip:a;b@h"), ("sip:a@h;maddr=1", "sip:a@h"),
            ("sip:a@h;ttl=1", "sip:a@h"), ("sip:a@h;user=phone", "sip:a@h"), ("tel:+1", "tel:+2"),
        ])
    func `and not equivalent to another (§19.1.4)`(one: String, other: String) throws {
        let (a, b) = (try #require(ReadURI(one)), try #require(ReadURI(other)))
        #expect(!a.isEquivalent(to: b) && !b.isEquivalent(to: a))
    }

    @Test func `and equivalent to a longer list of parameters only byte for byte`() throws {
        let many = (0..<17).map { ";p\($0)" }
        let a = try #require(ReadURI("sip:a@h" + many.joined()))
        let b = try #require(ReadURI("sip:a@h" + many.reversed().joined()))
        let fewer = many.dropLast()
        let c = try #require(ReadURI("sip:a@h" + fewer.joined()))
        let d = try #require(ReadURI("sip:a@h" + fewer.reversed().joined()))
        #expect(c.isEquivalent(to: d))
        #expect(!a.isEquivalent(to: b))
        #expect(a.isEquivalent(to: a))
    }

    @Test(
        arguments: [
            ("sip:Bob@Example.TEST", "sip:Bob@example.test"), ("sip:h", "sip:h"),
            ("sips:bob@h:5061;lr?x=y", "sip:bob@h"), ("sip:bob:pw@h:5060", "sip:bob@h"),
            ("sip:b%6Fb@h:5061", "sip:bob@h:5061"), ("sip:a%40b@h", "sip:a%40b@h"),
            ("sip:%00%0a@h", "sip:%00%0A@h"), ("sip:%2b1@h", "sip:+1@h"), ("sip:%23@h", "sip:#@h"),
            ("sip:a%2541@h", "sip:a%2541@h"),
            ("sip:a@[2001:DB8:0:0::1]:7", "sip:a@[2001:db8::1]:7"),
            ("sips:a@h:5060", "sip:a@h:5060"), ("sip:a@h:65535", "sip:a@h:65535"), ("tel:+1", nil),
            (
                "sip:" + String(repeating: "a", count: 250) + "@h",
                "sip:" + String(repeating: "a", count: 250) + "@h"
            ),
            ("sip:" + String(repeating: "a", count: 251) + "@h", nil),
            ("sip:" + String(repeating: "a", count: 1_018) + "@h", nil),
            (
                "sip:" + String(repeating: "%61", count: 250) + "@h",
                "sip:" + String(repeating: "a", count: 250) + "@h"
            ),
        ] as [(String, String?)]
    )
    func `and its address of record is canonical (§10.3)`(text: String, expected: String?) throws {
        #expect(try #require(ReadURI(text)).addressOfRecord == expected)
    }
}
