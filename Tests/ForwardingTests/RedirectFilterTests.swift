import Bytes
import Forwarding
import SIPMessage
import Testing

@Suite("What a redirect may lead to (RED-4)")
struct RedirectFilterTests {
    private func allows(_ filter: RedirectFilter, _ text: String) throws -> Bool {
        let bytes = Array(text.utf8)
        return filter.allows(bytes.span, try SIPURI(bytes.span, ByteRange(0, bytes.count)))
    }

    @Test func `the first rule that fits decides, and else the default`() throws {
        let inner = try #require(HostPattern("10.0.0.0/8"))
        let gateway = try #require(HostPattern("10.0.0.1"))
        let rules = [
            RedirectFilter.Rule(.allow, host: gateway, transport: "tls"),
            RedirectFilter.Rule(.deny, host: inner),
            RedirectFilter.Rule(.deny, user: "1900*"),
            RedirectFilter.Rule(.allow, scheme: .sips),
        ]
        for otherwise in [RedirectFilter.Action.allow, .deny] {
            let filter = RedirectFilter(rules, otherwise: otherwise)
            #expect(try allows(filter, "sip:a@10.0.0.1;transport=tls"))
            #expect(try !allows(filter, "sip:a@10.0.0.1"))
            #expect(try !allows(filter, "sips:a@10.1.0.1"))
            #expect(try !allows(filter, "sips:19001@x.test"))
            #expect(try allows(filter, "sips:1901@x.test"))
            #expect(try allows(filter, "sip:1901@x.test") == (otherwise == .allow))
        }
    }

    @Test(arguments: [
        ("1900*", "1900", true), ("1900*", "19001234", true), ("1900*", "190", false),
        ("1900*", "%31900", true), ("1900*", "1%39%300", true), ("1900", "1900", true),
        ("1900", "19001", false), ("*", "x", true), ("", "x", false), ("Bob", "bob", false),
        ("a*b", "a*b", true), ("a*b", "axb", false), ("a%41", "a%41", false), ("aA", "a%41", true),
    ])
    func `users are compared with escapes resolved`(
        pattern: String, user: String, fits: Bool
    ) throws {
        let filter = RedirectFilter([.init(.allow, user: pattern)], otherwise: .deny)
        #expect(try allows(filter, "sip:\(user)@x.test") == fits)
    }

    @Test func `whoever has no user fits only all users`() throws {
        #expect(try allows(RedirectFilter([.init(.allow, user: "*")], otherwise: .deny), "sip:x"))
        #expect(try !allows(RedirectFilter([.init(.allow, user: "x*")], otherwise: .deny), "sip:x"))
    }

    @Test(arguments: [
        ("sip:a@x.test", "udp"), ("sip:a@x.test;transport=UDP", "udp"),
        ("sip:a@x.test;transport=tcp", "tcp"), ("sip:a@x.test;transport=tls", "tls"),
        ("sips:a@x.test", "tls"), ("sips:a@x.test;transport=tcp", "tls"),
        ("sips:a@x.test;transport=ws", "wss"), ("sip:a@x.test;transport=ws", "ws"),
        ("sip:a@x.test;transport=wss", "wss"), ("sip:a@x.test;transport=sctp", "sctp"),
        ("sips:a@x.test;transport=sctp", "sctp"),
    ])
    func `a transport is the one that would be used`(uri: String, transport: String) throws {
        for name in ["udp", "tcp", "tls", "ws", "wss", "sctp"] {
            let filter = RedirectFilter([.init(.allow, transport: name)], otherwise: .deny)
            #expect(try allows(filter, uri) == (name == transport), "\(name)")
        }
    }

    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false),
        ("192.0.2.1", "[::ffff:192.0.2.1]", true), ("192.0.2.0/24", "192.0.2.255", true),
        ("192.0.2.0/24", "192.0.3.0", false), ("192.0.2.77/24", "192.0.2.1", true),
        ("192.0.2.128/25", "192.0.2.127", false), ("192.0.2.128/25", "192.0.2.128", true),
        ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "[2001:db8::1]", false),
        ("::/0", "[2001:db8::1]", true), ("2001:db8::/32", "[2001:db8:ffff::1]", true),
        ("2001:db8::/32", "[2001:db9::1]", false),
        ("[2001:db8::]/65", "[2001:db8::7fff:0:0:0]", true),
        ("[2001:db8::]/65", "[2001:db8::8000:0:0:0]", false),
        ("2001:db8::1", "[2001:DB8:0::1]", true),
        ("x.test", "X.TEST", true), ("X.Test", "x.test.", true), ("x.test", "a.x.test", false),
        (".x.test", "a.x.test", true), (".x.test", "b.a.x.test.", true),
        (".x.test", "x.test", false),
        (".x.test", "ax.test", false), (".x.test", ".x.test", false),
        ("x.test", "192.0.2.1", false),
        ("192.0.2.0/24", "x.test", false), ("localhost", "localhost", true),
        ("a_b-c.d", "a_b-c.d", true),
    ])
    func `hosts are names, names below one, and networks`(
        pattern: String, host: String, fits: Bool
    ) throws {
        let bytes = Array(host.utf8)
        let pattern = try #require(HostPattern(pattern))
        #expect(pattern.fits(bytes.span) == fits)
    }

    @Test(arguments: [
        "", ".", "..", "x..test", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/+8", "192.0.2.0/8/8",
        "2001:db8::/129", "x.test/8", "192.0.2", "192.0.2.256", "x test", "*.x.test", "x.test.",
        "[::1", "/8", "x:5060", "192.0.2.0/0024",
    ])
    func `what is no host is not taken for one`(text: String) {
        #expect(HostPattern(text) == nil)
    }
}
