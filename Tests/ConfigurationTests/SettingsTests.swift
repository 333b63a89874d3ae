import Bytes
import Testing

@testable import Configuration

@Suite("Settings from a file that is right")
struct GoodSettingsTests {
    func load(_ toml: String) throws -> Settings {
        let loaded = Settings.load(toml: toml, file: "midreg.toml")
        #expect(loaded.errors.map(\.text) == [])
        return try #require(loaded.settings)
    }

    @Test
    func `need a listener and a main server, the rest is standard`() throws {
        let settings = try load("listen = [{udp = '127.0.0.1:5060'}]\nmain.server = 'sip:pbx.test'")
        #expect(
            settings.describe().map { "\($0.key)=\($0.value)" } == [
                "node.name=midreg", "node.workers=0", "listen[0].udp=127.0.0.1:5060",
                "listen[0].advertise=", "main.server=sip:pbx.test", "main.expires=1h",
                "main.own=udp:127.0.0.1:15059", "main.ports=15060-15091", "main.sources=",
                "main.insert=contact", "main.id=parameter", "main.probe=10s",
                "main.remove_expired=true",
                "main.removals_per_second=200", "main.resync_per_second=50",
                "main.user=", "main.password_file=", "main.source_header=",
                "register.mode=contact", "register.min_expires=1m", "register.max_expires=10m",
                "register.default_expires=10m", "register.short=refuse", "register.jitter=0.1",
                "register.max_contacts=10", "register.when_full=refuse", "register.in_flight=8",
                "register.gruu=false", "register.edges=",
                "calls.strangers=refuse", "calls.fork=by-q", "calls.branches=32",
                "calls.ring=181s", "calls.fix_contact=false",
                "calls.reason_from_main=pass",
                "calls.reason_from_phones=replace", "calls.local=",
                "calls.qualify=forward",
                "redirect.from_main=pass", "redirect.from_phones=pass", "redirect.trusted=",
                "redirect.max_total=16", "redirect.max_per_branch=8", "redirect.max_depth=3",
                "redirect.rules=", "redirect.otherwise=allow", "redirect.when=at-once",
                "redirect.cancel_others=false", "redirect.diversion=false",
                "redirect.history_info=false", "redirect.server=off",
                "redirect.contacts=routed", "nat.ping=crlf", "nat.max_expires=",
                "store.path=/var/lib/midreg", "store.size=4GiB", "store.durability=commit",
                "limits.bindings=1000000", "limits.calls=100000", "limits.call_memory=1GiB",
                "counters.http=127.0.0.1:9080", "log.format=logfmt",
                "log.level=info",
            ])
    }

    @Test
    func `take every key from the file`() throws {
        let settings = try load(
            """
            [node]
            name = "edge-1.a_b"
            workers = 4
            [[listen]]
            udp = "[::]:5060"
            advertise = "2001:db8::7"
            [[listen]]
            udp = "0.0.0.0:5060"
            advertise = "198.51.100.7:5999"
            [main]
            servers = ["sip:[2001:db8::1]:5070;transport=UDP"]
            expires = "2h"
            own = "udp:[::]:6000"
            ports = "6001-6004"
            sources = ["10.0.0.1", "10.0.0.2:5062", "2001:db8::2", "[2001:db8::3]:5064"]
            insert = "path"
            id = "user"
            probe = "0s"
            remove_expired = false
            user = "midreg"
            password_file = "/p"
            source_header = "X-Real-Source"
            removals_per_second = 10000
            resync_per_second = 7
            [register]
            mode = "mirror"
            min_expires = "90s"
            max_expires = "30m"
            default_expires = "5m"
            short = "raise"
            jitter = 0
            max_contacts = 32
            when_full = "replace"
            in_flight = 1
            gruu = true
            edges = ["10.0.0.20", "10.0.0.21:5062", "::ffff:10.0.0.22", "[2001:db8::4]:5064"]
            [[domain]]
            name = "Example.TEST"
            mode = "aor"
            [[domain]]
            name = "[2001:DB8::0:1]:5070"
            mode = "contact"
            [[domain]]
            name = "pbx_1:5060"
            mode = "mirror"
            [calls]
            strangers = "main"
            fork = "parallel"
            branches = 64
            ring = "1h"
            fix_contact = true
            reason_from_main = "drop"
            reason_from_phones = "pass"
            local = ["OPTIONS", "MESSAGE", "PUBLISH"]
            qualify = "answer"
            [redirect]
            from_main = "follow"
            from_phones = "follow"
            trusted = ["10.0.0.30", "10.0.0.31:5062"]
            max_total = 64
            max_per_branch = 1
            max_depth = 16
            rules = ["deny host=203.0.113.0/24", "allow user=1900* transport=tls scheme=sips"]
            otherwise = "deny"
            when = "after-all"
            cancel_others = true
            diversion = true
            history_info = true
            server = "302"
            contacts = "registered"
            [nat]
            ping = "options"
            max_expires = "90s"
            [store]
            path = "state"
            size = "64MiB"
            durability = "process"
            [limits]
            bindings = 50_000_000
            calls = 5_000_000
            call_memory = "64GiB"
            [counters]
            http = ""
            [log]
            format = "json"
            level = "debug"
            """)
        #expect(
            settings.describe().map { "\($0.key)=\($0.value)" } == [
                "node.name=edge-1.a_b", "node.workers=4", "listen[0].udp=[::]:5060",
                "listen[0].advertise=[2001:db8::7]:5060", "listen[1].udp=0.0.0.0:5060",
                "listen[1].advertise=198.51.100.7:5999", "main.server=sip:[2001:db8::1]:5070",
                "main.expires=2h", "main.own=udp:[::]:6000", "main.ports=6001-6004",
                "main.sources=10.0.0.1 10.0.0.2:5062 [2001:db8::2] [2001:db8::3]:5064",
                "main.insert=path", "main.id=user", "main.probe=0s", "main.remove_expired=false",
                "main.removals_per_second=10000", "main.resync_per_second=7",
                "main.user=midreg", "main.password_file=/p", "main.source_header=X-Real-Source",
                "register.mode=mirror", "register.min_expires=90s", "register.max_expires=30m",
                "register.default_expires=5m", "register.short=raise", "register.jitter=0.0",
                "register.max_contacts=32", "register.when_full=replace", "register.in_flight=1",
                "register.gruu=true",
                "register.edges=10.0.0.20 10.0.0.21:5062 10.0.0.22 [2001:db8::4]:5064",
                "domain[0].name=example.test", "domain[0].mode=aor",
                "domain[1].name=[2001:db8::1]:5070", "domain[1].mode=contact",
                "domain[2].name=pbx_1", "domain[2].mode=mirror", "calls.strangers=main",
                "calls.fork=parallel", "calls.branches=64", "calls.ring=1h",
                "calls.fix_contact=true",
                "calls.reason_from_main=drop", "calls.reason_from_phones=pass",
                "calls.local=OPTIONS MESSAGE PUBLISH", "calls.qualify=answer",
                "redirect.from_main=follow", "redirect.from_phones=follow",
                "redirect.trusted=10.0.0.30 10.0.0.31:5062",
                "redirect.max_total=64", "redirect.max_per_branch=1", "redirect.max_depth=16",
                "redirect.rules=deny host=203.0.113.0/24, "
                    + "allow user=1900* transport=tls scheme=sips",
                "redirect.otherwise=deny", "redirect.when=after-all",
                "redirect.cancel_others=true", "redirect.diversion=true",
                "redirect.history_info=true", "redirect.server=302",
                "redirect.contacts=registered",
                "nat.ping=options", "nat.max_expires=90s",
                "store.path=state", "store.size=64MiB", "store.durability=process",
                "limits.bindings=50000000", "limits.calls=5000000",
                "limits.call_memory=64GiB", "counters.http=", "log.format=json", "log.level=debug",
            ])
        #expect(settings.main.server.host == "2001:db8::1")
        #expect(settings.main.server.hasPort)
        #expect(settings.main.sources.map(\.port) == [0, 5062, 0, 5064])
        #expect(settings.counters.http == nil)
    }

    @Test
    func `come from the delivered sample, which has no errors and no warnings`() throws {
        let loaded = Settings.load(toml: sampleText, file: "midreg.toml")
        #expect(loaded.errors.map(\.text) == [])
        #expect(loaded.warnings.map(\.text) == [])
        #expect(loaded.settings != nil)
    }

    @Test
    func `have every known key in the sample and in the description`() throws {
        let described = Set(
            try load(leastText + "[[domain]]\nname = 'a.test'\nmode = 'aor'").describe().map {
                $0.key.replacing("[0]", with: "")
            })
        let lines = sampleText.split(separator: "\n")
        var section = ""
        var inSample: Set<String> = []
        for line in lines {
            let bare = line.drop { $0 == "#" || $0 == " " }
            if bare.hasPrefix("[") {
                section = String(bare.drop { $0 == "[" }.prefix { $0 != "]" })
                continue
            }
            let words = bare.split(separator: " ")
            if words.count > 2, words[1] == "=" { inSample.insert("\(section).\(words[0])") }
        }
        for (section, keys) in KnownKeys.sections {
            for key in keys where key != "servers" {
                #expect(described.contains("\(section).\(key)"))
                #expect(inSample.contains("\(section).\(key)"), "\(section).\(key)")
            }
        }
        #expect(described.count + 1 == KnownKeys.sections.map(\.keys.count).reduce(0, +))
    }

    @Test(
        arguments: [
            ("sip:10.0.0.10", "10.0.0.10", 5060, false, "sip:10.0.0.10"),
            ("SIP:10.0.0.10:5060", "10.0.0.10", 5060, true, "sip:10.0.0.10:5060"),
            ("sip:[::1]", "::1", 5060, false, "sip:[::1]"),
            ("sip:[2001:DB8::0:1]:5080", "2001:db8::1", 5080, true, "sip:[2001:db8::1]:5080"),
            ("sip:Reg.Example.net", "reg.example.net", 5060, false, "sip:reg.example.net"),
            ("sip:pbx_1:65535;transport=udp", "pbx_1", 65535, true, "sip:pbx_1:65535"),
        ] as [(String, String, UInt16, Bool, String)]
    )
    func `know the main server by host, port, and whether it was given`(
        written: String, host: String, port: UInt16, hasPort: Bool, text: String
    ) throws {
        let settings = try load("[main]\nserver='\(written)'\n[[listen]]\nudp='10.9.9.9:5060'")
        #expect(settings.main.server.host == host)
        #expect(settings.main.server.port == port)
        #expect(settings.main.server.hasPort == hasPort)
        #expect(settings.main.server.text == text)
        #expect((settings.main.server.address != nil) == (host.first != "r" && host.first != "p"))
    }

    @Test(
        arguments: [
            ("main.expires = '60s'", 60), ("main.expires = '86400s'", 86_400),
            ("main.expires = '1d'", 86_400), ("main.expires = '24h'", 86_400),
            ("main.expires = '60000ms'", 60), ("main.expires = '10m'", 600),
        ] as [(String, UInt32)]
    )
    func `read durations in every unit`(line: String, seconds: UInt32) throws {
        let settings = try load(
            line + "\nmain.server='sip:h'\nlisten=[{udp='192.0.2.1:5060'}]")
        #expect(settings.main.expirySeconds == seconds)
    }

    @Test
    func `keep the expiry that nobody set between the two that were`() throws {
        let low = try load(leastText + "min_expires = '60s'")
        #expect(low.register.defaultExpirySeconds == 600)
        let high = try load(leastText + "min_expires = '10m'")
        #expect(high.register.defaultExpirySeconds == 600)
    }

    @Test(
        arguments: [
            ("192.0.2.1:5060", "sip:192.0.2.9", "192.0.2.1:15059"),
            ("192.0.2.1:5060", "sip:name.test", "192.0.2.1:15059"),
            ("0.0.0.0:5060", "sip:192.0.2.9", "0.0.0.0:15059"),
            ("192.0.2.1:5060", "sip:[2001:db8::1]", "[::]:15059"),
            ("[2001:db8::2]:5060", "sip:192.0.2.9", "0.0.0.0:15059"),
        ]
    )
    func `put our own socket where the main registrar can be reached`(
        listen: String, server: String, own: String
    ) throws {
        let settings = try load("listen=[{udp='\(listen)'}]\nmain.server='\(server)'")
        #expect(settings.main.own.text == own)
    }
}

@Suite("Settings from flags")
struct FlagSettingsTests {
    @Test
    func `need no file`() throws {
        var flags = SettingsOverrides()
        flags.listen = ["udp:127.0.0.1:5060", "udp:[::1]:5060"]
        flags.main = "sip:127.0.0.1:5070"
        flags.state = "/tmp/s"
        flags.counters = "[::1]:9081"
        flags.mode = "aor"
        flags.workers = "3"
        flags.strangers = "main"
        flags.own = "udp:127.0.0.1:7000"
        flags.mainPorts = "7001-7003"
        let loaded = Settings.load(toml: "", file: "", overrides: flags)
        #expect(loaded.errors.map(\.text) == [])
        let settings = try #require(loaded.settings)
        #expect(settings.listeners.map(\.udp.text) == ["127.0.0.1:5060", "[::1]:5060"])
        #expect(settings.main.server.text == "sip:127.0.0.1:5070")
        #expect(settings.store.path == "/tmp/s")
        #expect(settings.counters.http?.text == "[::1]:9081")
        #expect(settings.node.workers == 3)
        #expect(settings.register.mode == .aor)
        #expect(settings.calls.strangers == .main)
        #expect(settings.main.own.text == "127.0.0.1:7000")
        #expect(settings.main.ports == 7001...7003)
    }

    @Test
    func `override the file, listeners all together`() throws {
        var flags = SettingsOverrides()
        flags.listen = ["udp:127.0.0.1:5080"]
        flags.main = "sip:127.0.0.1:5070"
        let loaded = Settings.load(toml: leastText, file: "f", overrides: flags)
        let settings = try #require(loaded.settings)
        #expect(settings.listeners.map(\.udp.text) == ["127.0.0.1:5080"])
        #expect(settings.main.server.text == "sip:127.0.0.1:5070")
        #expect(settings.register.maxExpirySeconds == 600)
    }

    @Test
    func `leave errors of the file errors, named before those of the flags`() {
        var flags = SettingsOverrides()
        flags.workers = "many"
        flags.main = "127.0.0.1"
        let toml = leastText + "[node]\nworkers = 65\n"
        let loaded = Settings.load(toml: toml, file: "f", overrides: flags)
        #expect(loaded.settings == nil)
        #expect(
            loaded.errors.map(\.text) == [
                "f:8:11: node.workers is 65; allowed are 0 to 64",
                "--workers: is \"many\"; allowed are 0 to 64",
                "--main: \"127.0.0.1\" is no SIP URI; allowed is sip:HOST[:PORT], over UDP; "
                    + "did you mean \"sip:127.0.0.1\"?",
            ])
    }

    @Test
    func `name the flag for what is missing, if there is no file`() {
        let loaded = Settings.load(toml: "", file: "")
        #expect(loaded.settings == nil)
        #expect(loaded.errors.map(\.place) == [.flag("--listen"), .flag("--main")])
    }

    @Test(
        arguments: [
            ("udp:127.0.0.1", "--listen: is \"udp:127.0.0.1\", without a port"),
            ("tcp:127.0.0.1:5060", "--listen: is \"tcp:127.0.0.1:5060\": not yet: only UDP"),
            (
                "udp:sip.example.com:5060",
                "--listen: is \"udp:sip.example.com:5060\": not yet: a name"
            ),
            ("udp:::1", "--listen: is \"udp:::1\", without a port"),
            ("udp:224.0.0.1:5060", "--listen: is \"udp:224.0.0.1:5060\", a group address"),
            ("", "--listen: is \"\", no address"),
            ("udp:1.2.3.4:0", "--listen: is \"udp:1.2.3.4:0\", no address"),
            ("udp:1.2.3.4:65536", "--listen: is \"udp:1.2.3.4:65536\", no address"),
        ]
    )
    func `say what is wrong with a listener`(flag: String, head: String) {
        var flags = SettingsOverrides()
        flags.listen = [flag]
        flags.main = "sip:h"
        let errors = Settings.load(toml: "", file: "", overrides: flags).errors
        #expect(errors.count == 1)
        #expect(errors.first?.text.hasPrefix(head + ";") == true, "\(errors.map(\.text))")
    }
}
