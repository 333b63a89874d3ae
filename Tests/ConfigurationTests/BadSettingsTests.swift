import Bytes
import Testing

@testable import Configuration

@Suite("Settings from a file that is wrong")
struct BadSettingsTests {
    func errors(of toml: String) -> [String] {
        let loaded = Settings.load(toml: toml, file: "f")
        #expect((loaded.settings == nil) == !loaded.errors.isEmpty)
        return loaded.errors.map(\.text)
    }

    @Test
    func `are complained about all at once, by line`() {
        let toml = """
            [nod]
            name = "edge"
            [node]
            name = "edge 1"
            workers = "4"
            [[listen]]
            udp = "0.0.0.0:5060"
            adverties = "192.0.2.1"
            [[listen]]
            udp = "127.0.0.1:5060"
            [main]
            server = "10.0.0.10:5060"
            expries = "1h"
            expires = 3600
            sources = ["10.0.0.1", "nowhere.test", 7]
            [register]
            mode = "aot"
            short = "refused"
            jitter = 0.6
            [store]
            size = "4GB"
            [log]
            level = true
            """
        let whole = "every listener, main.own and main.ports want ports of their own"
        let address = "allowed is an IP address, such as \"192.0.2.1\", with a port or without"
        #expect(
            errors(of: toml) == [
                "f:1:2: unknown section [nod]; sections are [node], [[listen]], [main], "
                    + "[register], [[domain]], [calls], [redirect], [nat], [store], [limits], "
                    + "[counters], [log]; "
                    + "did you mean [node]?",
                "f:4:8: node.name is \"edge 1\"; "
                    + "allowed are 1 to 32 letters, digits, \"-\", \"_\" and \".\"",
                "f:5:11: node.workers is \"4\", not a whole number; allowed are 0 to 64; "
                    + "did you mean 4?",
                "f:8:1: unknown key listen.adverties; keys of [[listen]] are udp, advertise; "
                    + "did you mean listen.advertise?",
                "f:10:7: 127.0.0.1:5060 is taken by listen[0] (0.0.0.0:5060); " + whole,
                "f:12:10: main.server \"10.0.0.10:5060\" is no SIP URI; "
                    + "allowed is sip:HOST[:PORT], over UDP; "
                    + "did you mean \"sip:10.0.0.10:5060\"?",
                "f:13:1: unknown key main.expries; keys of [main] are server, servers, expires, "
                    + "own, ports, sources, insert, id, probe, remove_expired, removals_per_second, "
                    + "resync_per_second, user, password_file, source_header; "
                    + "did you mean main.expires?",
                "f:14:11: main.expires is 3600, not a duration; allowed are 1m to 24h, "
                    + "such as \"90s\", \"10m\" or \"1h\"; did you mean \"1h\"?",
                "f:15:24: main.sources is \"nowhere.test\": not yet: a name; " + address,
                "f:15:40: main.sources is 7, not text in quotes; " + address,
                "f:17:8: register.mode is \"aot\"; allowed are \"contact\", \"aor\", \"mirror\"; "
                    + "did you mean \"aor\"?",
                "f:18:9: register.short is \"refused\"; allowed are \"refuse\", \"raise\"; "
                    + "did you mean \"refuse\"?",
                "f:19:10: register.jitter is 0.6; allowed are 0.0 to 0.5",
                "f:21:8: store.size is \"4GB\", not a size; allowed are 16MiB to 16TiB, "
                    + "such as \"64MiB\" or \"4GiB\"; did you mean \"4GiB\"?",
                "f:23:9: log.level is true, not text in quotes; "
                    + "allowed are \"debug\", \"info\", \"warn\", \"error\"",
            ])
    }

    /// Each line stands as line 7 behind ``leastText``, or as two lines for a section and a key.
    @Test(
        arguments: [
            ("[node]\nname = ''", "f:8:8: node.name is \"\";"),
            (
                "[node]\nname = 1979-05-27",
                "f:8:8: node.name is a date or time, not text in quotes;"
            ),
            ("[node]\nname = 'n'\nname = 'm'", "f:9:8: Error while parsing key-value pair: cannot"),
            ("[node]\nworkers = -1", "f:8:11: node.workers is -1; allowed are 0 to 64"),
            ("[node]\nworkers = 33", "f:8:11: 33 workers share the 32 ports of main.ports"),
            ("[node]\nworkers = 1.5", "f:8:11: node.workers is 1.5, not a whole number;"),
            ("[node.deep]\nx = 1", "f:7:7: unknown key node.deep;"),
            ("[[node]]\nname = 'n'", "f:7:3: node repeats; it stands once, as [node];"),
            ("[[listen]]", "f:7:1: a listener without udp; write udp = \"ADDR:PORT\""),
            (
                "[[listen]]\ntcp = '1.1.1.1:1'\nudp = '1.1.1.1:1'",
                "f:8:1: listen.tcp: not yet; this version listens"
            ),
            ("[[listen]]\nudp = '1.1.1.1'", "f:8:7: listen.udp is \"1.1.1.1\", without a port;"),
            ("[[listen]]\nudp = '192.0.2.1:5060'", "f:8:7: 192.0.2.1:5060 is taken by listen[0] ("),
            ("[[listen]]\nudp = '1.1.1.1:15070'", "f:8:7: port 15070 of a listener is one of main"),
            ("[[listen]]\nudp = '0.0.0.0:15059'", "f:8:7: main.own 192.0.2.1:15059 is taken by li"),
            (
                "[[listen]]\nudp = '1.1.1.1:1'\nadvertise = '0.0.0.0'",
                "f:9:13: listen.advertise is \"0.0.0.0\", not the address of one machine;"
            ),
            (
                "[[listen]]\nudp = '1.1.1.1:1'\nadvertise = 'sip.example.com'",
                "f:9:13: listen.advertise is \"sip.example.com\": not yet: a name;"
            ),
            (
                "[[listen]]\nudp = '1.1.1.1:1'\nadvertise = '2001:db8::1'",
                "f:9:13: listen.advertise is an IPv6 address for an IPv4 listener;"
            ),
            ("main.x = 1", "f:7:1: unknown key register.main;"),
            ("[mian]\nserver = 'sip:h'", "f:7:2: unknown section [mian];"),
            ("[upstream]\nserver = 'sip:h'", "f:7:2: unknown section [upstream];"),
            ("[trace]\nhep = 'x'", "f:7:2: [trace]: not yet; this version does not trace"),
            ("['a\\nb']\nx = 1", "f:7:2: unknown section [\"a\\nb\"];"),
            ("strangers = 'main'", "f:7:1: unknown key register.strangers;"),
            (
                "mode = 'contct'",
                "f:7:8: register.mode is \"contct\"; allowed are \"contact\", \"aor"
            ),
            ("when_full = 'rplace'", "f:7:13: register.when_full is \"rplace\"; allowed are"),
            (
                "[domain]\nname = 'a.test'\nmode = 'aor'",
                "f:7:1: [domain] stands once; every domain"
            ),
            ("[[domain]]\nname = 'a.test'", "f:7:1: a domain without mode; write mode = \"aor\""),
            ("[[domain]]\nmode = 'aor'", "f:7:1: a domain without name; write name = \"example.co"),
            (
                "[[domain]]\nname = 'sip:x@A.test'\nmode = 'aor'",
                "f:8:8: domain.name is \"sip:x@A.test\", no domain;"
            ),
            (
                "[[domain]]\nname = 'a.test:0'\nmode = 'aor'",
                "f:8:8: domain.name is \"a.test:0\", no port from 1 to 65535;"
            ),
            (
                "[[domain]]\nname = '::1'\nmode = 'aor'",
                "f:8:8: domain.name is \"::1\", without brackets;"
            ),
            ("[[domain]]\nname = '10.0.0.256'\nmode = 'aor'", "f:8:8: domain.name is \"10.0.0.256"),
            (
                "[[domain]]\nname = 'a.test'\nmode = 'aors'",
                "f:9:8: domain.mode is \"aors\"; allowed are \"contact\", \"aor\", \"mirror\"; did"
            ),
            (
                "[[domain]]\nname='a.test'\nmode='aor'\n[[domain]]\nname='A.test:5060'\nmode='aor'",
                "f:11:6: domain.name \"a.test\" stands in line 8 already; a domain has one mode"
            ),
            (
                "[[domain]]\nname = 'a.test'\nmod = 'aor'\nmode = 'aor'",
                "f:9:1: unknown key domain.mod; keys of [[domain]] are name, mode; did you mean"
            ),
            ("[[domian]]\nname = 'a.test'", "f:7:3: unknown section [domian];"),
            ("min_expires = '11m'", "f:6:15: register.min_expires 11m is above register.max_expir"),
            (
                "min_expires = '61m'",
                "f:7:15: register.min_expires is \"61m\"; allowed are 1s to 1h"
            ),
            ("min_expires = '1500ms'", "f:7:15: register.min_expires is \"1500ms\", not whole sec"),
            ("min_expires = '1 m'", "f:7:15: register.min_expires is \"1 m\", not a duration;"),
            ("min_expires = 'm'", "f:7:15: register.min_expires is \"m\", not a duration;"),
            ("min_expires = '1w'", "f:7:15: register.min_expires is \"1w\", not a duration;"),
            ("min_expires = '0s'", "f:7:15: register.min_expires is \"0s\"; allowed are"),
            (
                "min_expires = '99999999999d'",
                "f:7:15: register.min_expires is \"99999999999d\", not a duration;"
            ),
            ("default_expires = '59s'", "f:7:19: register.default_expires is 59s; allowed are 1m "),
            ("default_expires = '601s'", "f:7:19: register.default_expires is 601s; allowed are 1"),
            ("short = 'raze'", "f:7:9: register.short is \"raze\"; allowed are \"refuse\", \"rai"),
            ("jitter = -0.1", "f:7:10: register.jitter is -0.1; allowed are 0.0 to 0.5"),
            ("jitter = nan", "f:7:10: register.jitter is nan; allowed are 0.0 to 0.5"),
            ("jitter = '10%'", "f:7:10: register.jitter is \"10%\", not a number;"),
            ("max_contacts = 0", "f:7:16: register.max_contacts is 0; allowed are 1 to 32"),
            ("max_contacts = 33", "f:7:16: register.max_contacts is 33; allowed are 1 to 32"),
            ("in_flight = 65", "f:7:13: register.in_flight is 65; allowed are 1 to 64"),
            ("edges = '10.0.0.20'", "f:7:9: register.edges is \"10.0.0.20\", not a list; allowed"),
            ("edges = ['sbc.test']", "f:7:10: register.edges is \"sbc.test\": not yet: a name;"),
            ("edges = ['10.0.0.0/24']", "f:7:10: register.edges is \"10.0.0.0/24\", no address;"),
            ("edges = ['10.0.0.1', 7]", "f:7:22: register.edges is 7, not text in quotes;"),
            ("edges = ['0.0.0.0']", "f:7:10: register.edges is \"0.0.0.0\", not the address of "),
            (
                "edges = [" + String(repeating: "'10.0.0.1',", count: 65) + "]",
                "f:7:714: register.edges has 65 entries; allowed are at most 64"
            ),
            ("[calls]\nedges = []", "f:8:1: unknown key calls.edges;"),
            ("[edges]\nx = 1", "f:7:2: unknown section [edges];"),
            ("[calls]\nstrangers = 'Refuse'", "f:8:13: calls.strangers is \"Refuse\"; allowed ar"),
            ("[calls]\nfork = 'serial'", "f:8:8: calls.fork is \"serial\"; allowed are \"by-q\""),
            ("[calls]\nbranches = 65", "f:8:12: calls.branches is 65; allowed are 1 to 64"),
            ("[calls]\nring = '3m'", "f:8:8: calls.ring is \"3m\"; allowed are 181s to 1h"),
            ("[calls]\nreason_from_main = 'keep'", "f:8:20: calls.reason_from_main is \"keep\""),
            (
                "[calls]\nlocal = ['MESSAGE', 'INVITE']",
                "f:8:21: calls.local is \"INVITE\"; allowed are \"MESSAGE\", \"OPTIONS\", \"PUBLISH\""
            ),
            ("[calls]\nlocal = 'MESSAGE'", "f:8:9: calls.local is \"MESSAGE\", not a list; "),
            (
                "[calls]\nqualify = 'yes'",
                "f:8:11: calls.qualify is \"yes\"; allowed are \"forward\""
            ),
            ("[calls]\nredirect = 'follow'", "f:8:1: unknown key calls.redirect;"),
            ("[redirect]\nserver = 302", "f:8:10: redirect.server is 302, not text in quotes"),
            (
                "[redirect]\nserver = '303'",
                "f:8:10: redirect.server is \"303\"; allowed are \"off\","
            ),
            ("[redirect]\nmax_depth = 0", "f:8:13: redirect.max_depth is 0; allowed are 1 to 16"),
            ("[redirect]\nrules = 'deny'", "f:8:9: redirect.rules is \"deny\", not a list"),
            (
                "[redirect]\nrules = ['deny', 'alow']",
                "f:8:18: redirect.rules begins with \"alow\"; allowed is \"deny\" or \"allow\", then"
            ),
            ("[redirect]\nrules = ['deny hots=x']", "f:8:10: redirect.rules names \"hots\""),
            ("[redirect]\nrules = ['deny host=1.2']", "f:8:10: redirect.rules has host \"1.2\""),
            (
                "[redirect]\nrules = ['deny scheme=tel']",
                "f:8:10: redirect.rules has scheme \"tel\""
            ),
            (
                "[redirect]\nrules = ['allow user=a user=b']",
                "f:8:10: redirect.rules names user twice"
            ),
            ("[limits]\ncalls = 99", "f:8:9: limits.calls is 99; allowed are 100 to"),
            ("[limits]\ncall_memory = '15MiB'", "f:8:15: limits.call_memory is \"15MiB\""),
            ("[store]\npath = ''", "f:8:8: store.path is \"\"; allowed is a folder"),
            ("[store]\nsize = '15MiB'", "f:8:8: store.size is \"15MiB\"; allowed are 16MiB to 16T"),
            ("[store]\nsize = 4294967296", "f:8:8: store.size is 4294967296, not text in quotes;"),
            ("[store]\ndurability = 'none'", "f:8:14: store.durability is \"none\"; allowed are "),
            ("[limits]\nbindings = 999", "f:8:12: limits.bindings is 999; allowed are 1000 to 50"),
            ("[counters]\nhttp = '0.0.0.0:9080'", "f:8:8: counters.http is \"0.0.0.0:9080\", wh"),
            ("[counters]\nhttp = '127.0.0.1'", "f:8:8: counters.http is \"127.0.0.1\", without "),
            ("[counters]\nhttp = '::1'", "f:8:8: counters.http is \"::1\", without a port;"),
            ("[log]\nformat = 'text'", "f:8:10: log.format is \"text\"; allowed are \"logfmt\", "),
            ("[log]\nfromat = 'json'", "f:8:1: unknown key log.fromat; keys of [log] are format,"),
            ("[log]\n\"for mat\" = 1", "f:8:1: unknown key log.\"for mat\"; keys of [log] are for"),
        ]
    )
    func `are complained about where they stand`(lines: String, head: String) {
        let errors = errors(of: leastText + lines)
        #expect(errors.count == 1, "\(errors)")
        #expect(errors.first?.hasPrefix(head) == true, "\(errors)")
    }

    /// Each line stands in `[main]`, as line 4, with a listener before it.
    @Test(
        arguments: [
            ("", "f:3:1: no main server; give [main] server = \"sip:HOST:PORT\" or --main"),
            ("servers = []", "f:3:1: no main server;"),
            ("servers = 'sip:h'", "f:4:11: main.servers is \"sip:h\", not a list;"),
            ("servers = ['sip:h', 'sip:i']", "f:4:21: main.servers has 2 entries: not yet; this v"),
            ("server='sip:h'\nservers = ['sip:h']", "f:5:1: main.servers beside main.server;"),
            ("server = 'sips:h'", "f:4:10: main.server \"sips:h\" asks for TLS: not yet;"),
            ("server = 'sip:h;transport=tcp'", "f:4:10: main.server \"sip:h;transport=tcp\" asks "),
            ("server = 'sip:h;lr'", "f:4:10: main.server \"sip:h;lr\" has the parameter \"lr\";"),
            ("server = 'tcp:h'", "f:4:10: main.server \"tcp:h\" asks for another transport: not "),
            ("server = 'sip:a@h'", "f:4:10: main.server \"sip:a@h\" names a user, not a registrar"),
            ("server = 'sip:h?x=y'", "f:4:10: main.server \"sip:h?x=y\" carries header fields;"),
            ("server = 'sip:'", "f:4:10: main.server \"sip:\" names no host;"),
            ("server = ''", "f:4:10: main.server \"\" is no SIP URI;"),
            ("server = 'sip:h:0'", "f:4:10: main.server \"sip:h:0\" has no port from 1 to 65535;"),
            ("server = 'sip:h:'", "f:4:10: main.server \"sip:h:\" has no port from 1 to 65535;"),
            ("server = 'sip:h:65536'", "f:4:10: main.server \"sip:h:65536\" has no port from 1"),
            ("server = 'sip:10.0.0.256'", "f:4:10: main.server \"sip:10.0.0.256\" names no host;"),
            ("server = 'sip:-a.test'", "f:4:10: main.server \"sip:-a.test\" names no host;"),
            ("server = 'sip:a..b'", "f:4:10: main.server \"sip:a..b\" names no host;"),
            ("server = 'sip:::1'", "f:4:10: main.server \"sip:::1\" wants brackets;"),
            ("server = 'sip:[::1'", "f:4:10: main.server \"sip:[::1\" "),
            ("server = 'sip:0.0.0.0'", "f:4:10: main.server \"sip:0.0.0.0\" is not the address of"),
            ("server = 'sip:192.0.2.1'", "f:4:10: the main server 192.0.2.1:5060 is our own liste"),
            ("server = 'sip:192.0.2.2:99'", "f:4:10: the main server 192.0.2.2:99 is our own list"),
            ("server = 'sip:h'\nown = '1.1.1.1'", "f:5:7: main.own is \"1.1.1.1\", without a port"),
            (
                "server = 'sip:h'\nown = '192.0.2.1:5060'",
                "f:5:7: main.own 192.0.2.1:5060 is taken by listen[0] (192.0.2.1:5060);"
            ),
            (
                "server = 'sip:h'\nown = '1.1.1.1:15091'",
                "f:5:7: port 15091 of main.own is one of main.ports 15060-15091;"
            ),
            (
                "server = 'sip:h'\nports = '15050-15059'",
                "f:5:9: port 15059 of main.own is one of main.ports 15050-15059;"
            ),
            (
                "server = 'sip:1.1.1.2'\nown = '[::1]:99'",
                "f:5:7: main.own [::1]:99 cannot send to the main server 1.1.1.2:5060;"
            ),
            ("server = 'sip:h'\nports = '7000'", "f:5:9: main.ports is \"7000\", no range of po"),
            ("server = 'sip:h'\nports = '7009-7000'", "f:5:9: main.ports is \"7009-7000\", which "),
            ("server = 'sip:h'\nports = '7000-7256'", "f:5:9: main.ports is \"7000-7256\", 257 po"),
            ("server = 'sip:h'\nexpires = '59s'", "f:5:11: main.expires is \"59s\"; allowed are 1"),
            ("server = 'sip:h'\nexpires = '86401s'", "f:5:11: main.expires is \"86401s\"; allowed"),
            ("server = 'sip:h'\nid = 'path'", "f:5:6: main.id is \"path\"; allowed are \"paramet"),
            ("server = 'sip:h'\ninsert = 'paths'", "f:5:10: main.insert is \"paths\"; allowed are"),
            ("server = 'sip:h'\nsources = '1.1.1.1'", "f:5:11: main.sources is \"1.1.1.1\", not "),
            ("server = 'sip:h'\nremove_expired = 1", "f:5:18: main.remove_expired is 1, not a tr"),
            ("server = 'sip:h'\nuser = 'm'", "f:5:8: main.user without main.password_file;"),
            ("server = 'sip:h'\npassword_file = '/p'", "f:5:17: main.password_file without main.u"),
            ("server = 'sip:h'\nuser = 'a\"b'\npassword_file = '/p'", "f:5:8: main.user is "),
            ("server = 'sip:h'\nuser = 'a b'\npassword_file = '/p'", "f:5:8: main.user is "),
            ("server = 'sip:h'\nsource_header = 'Via'", "f:5:17: main.source_header is \"Via\";"),
            ("server = 'sip:h'\nsource_header = 'X-'", "f:5:17: main.source_header is \"X-\";"),
            ("server = 'sip:h'\nsource_header = 'X-A:B'", "f:5:17: main.source_header is \"X-A"),
            ("server = 'sip:h'\n[nat]\nping = 'yes'", "f:6:8: nat.ping is \"yes\""),
            ("server = 'sip:h'\nprobe = '2h'", "f:5:9: main.probe is \"2h\"; allowed are 0s to 1h"),
            ("server = 'sip:h'\nresync_per_second = 0", "f:5:21: main.resync_per_second is 0;"),
            ("server = 'sip:h'\n[nat]\nmax_expires = '29s'", "f:6:15: nat.max_expires is \"29s\";"),
            ("server = 'sip:h'\nremovals_per_second = 0", "f:5:23: main.removals_per_second is 0;"),
        ]
    )
    func `are complained about in main`(lines: String, head: String) {
        let listen = "listen = [{udp = '192.0.2.1:5060', advertise = '192.0.2.2:99'}]\n"
        let errors = errors(of: listen + "\n[main]\n" + lines)
        #expect(errors.count == 1, "\(errors)")
        #expect(errors.first?.hasPrefix(head) == true, "\(errors)")
    }

    @Test
    func `take at most eight listeners`() {
        var toml = "main.server = 'sip:h'\n"
        for number in 1...8 { toml += "[[listen]]\nudp = '192.0.2.\(number):5060'\n" }
        #expect(errors(of: toml) == [])
        toml += "[[listen]]\nudp = '192.0.2.9:5060'\n"
        #expect(errors(of: toml) == ["f:18:1: 9 listeners; allowed are at most 8"])
    }

    @Test
    func `take at most 256 domains`() {
        var toml = "listen = [{udp = '192.0.2.1:5060'}]\nmain.server = 'sip:h'\n"
        for number in 1...256 { toml += "[[domain]]\nname = 'd\(number).test'\nmode = 'aor'\n" }
        #expect(errors(of: toml) == [])
        toml += "[[domain]]\nname = 'e.test'\nmode = 'aor'\n"
        #expect(errors(of: toml) == ["f:771:1: 257 domains; allowed are at most 256"])
    }

    @Test
    func `see a loop through a wildcard`() {
        let toml = "listen = [{udp = '0.0.0.0:5060'}]\nmain.server = 'sip:127.0.0.1'"
        #expect(
            errors(of: toml) == [
                "f:2:15: the main server 127.0.0.1:5060 is our own listen[0]: a loop; "
                    + "it is another registrar's address"
            ])
        #expect(errors(of: toml.replacing("127.0.0.1'", with: "127.0.0.1:5070'")) == [])
    }

    @Test(
        arguments: [
            ("127.0.0.1:5060", 0), ("192.0.2.1:5080", 1), ("192.0.2.7:5080", 1),
            ("192.0.2.1:5060", nil), ("127.0.0.1:5080", nil),
        ] as [(String, Int?)]
    )
    func `let the appliance ask for a loop once the name is resolved`(
        address: String, number: Int?
    ) throws {
        let toml = """
            main.server = 'sip:name.test'
            [[listen]]
            udp = '0.0.0.0:5060'
            [[listen]]
            udp = '192.0.2.1:5080'
            advertise = '192.0.2.7'
            """
        let settings = try #require(Settings.load(toml: toml, file: "f").settings)
        let resolved = try #require(TransportAddress(hostPort: address, defaultPort: 0))
        #expect(settings.listener(reachedAt: resolved) == number.map { settings.listeners[$0] })
    }
}

@Suite("Settings from a text that is no TOML")
struct SyntaxTests {
    func heads(of toml: String) -> [String] {
        Settings.load(toml: toml, file: "f").errors.map {
            $0.text.split(separator: ";").first.map(String.init) ?? ""
        }
    }

    @Test
    func `show every faulty line, and the faulty keys beside them`() {
        let toml = """
            [node
            name = "n"
            [[listen]]
            udp = 192.0.2.1:5060
            [main]
            server =
            expires = "1x"
            id = "user
            [register]
            jitter = 0.1
            jitter = 0.2
            colour = "red"
            """
        #expect(
            heads(of: toml) == [
                "f:1:6: Error while parsing table header: expected ']', saw '\\n'",
                "f:4:9: Error while parsing time: expected ':', saw '2'",
                "f:6:9: Error while parsing key-value pair: expected value, saw '\\n'",
                "f:7:11: main.expires is \"1x\", not a duration",
                "f:8:11: Error while parsing string: unescaped control characters other than TAB "
                    + "(U+0009) are explicitly prohibited",
                "f:11:10: Error while parsing key-value pair: cannot redefine existing "
                    + "floating-point 'jitter'",
                "f:12:1: unknown key register.colour",
            ])
    }

    @Test(
        arguments: [
            ("[main]\nservers = [\n'sip:h'\nexpires = 1\n", ["f:4:1"]),
            ("[main]\nserver = '''\nsip:h\n", ["f:3:7"]),
            ("[main]\nserver = {\n", ["f:2:11"]),
            ("=\n=\n=\n", ["f:1:1", "f:2:1", "f:3:1"]),
            ("[main]\nserver = \"sip:\\q\"\n", ["f:2:16"]),
            ("[main]\n[main]\n", ["f:2:1"]),
            ("[main]\nid = 'x'\n[\n\n[log]\nlevel = 1", ["f:2:6", "f:3:1", "f:6:9"]),
            ("[main] server = 1\n[log]\nlevel = 'inf'", ["f:1:8", "f:3:9"]),
        ]
    )
    func `say no more than is known`(toml: String, places: [String]) {
        let found = heads(of: toml).map {
            $0.split(separator: ":").prefix(3).joined(separator: ":")
        }
        #expect(found == places, "\(heads(of: toml))")
    }

    @Test
    func `are read with a byte order mark and with carriage returns`() {
        let toml = "\u{FEFF}" + leastText.replacing("\n", with: "\r\n") + "x = 1\r\n"
        #expect(heads(of: toml) == ["f:7:1: unknown key register.x"])
    }
}

@Suite("Warnings about settings")
struct WarningTests {
    @Test(
        arguments: [
            ("1h", "3419s", nil), ("1h", "57m", "f:6:15"), ("1h", "2h", "f:6:15"),
            ("60s", "60s", "f:6:15"), ("10m", "567s", nil), ("10m", "568s", "f:6:15"),
        ] as [(String, String, String?)]
    )
    func `tell when nothing is left to throttle`(main: String, longest: String, place: String?) {
        let toml = """
            listen = [{udp = '192.0.2.1:5060'}]
            [main]
            server = 'sip:h'
            expires = '\(main)'
            [register]
            max_expires = '\(longest)'
            """
        let loaded = Settings.load(toml: toml, file: "f")
        #expect(loaded.errors.map(\.text) == [])
        #expect(loaded.settings != nil)
        let places = loaded.warnings.map {
            $0.text.split(separator: ":").prefix(3).joined(separator: ":")
        }
        #expect(places == (place.map { [$0] } ?? []))
    }

    @Test
    func `read like errors`() {
        let toml = leastText.replacing("10m", with: "1h")
        #expect(
            Settings.load(toml: toml, file: "f").warnings.map(\.text) == [
                "f:6:15: a phone that asks for register.max_expires 1h is never absorbed; "
                    + "with main.expires 1h a refresh is absorbed below 57m"
            ])
    }

    @Test(
        arguments: [
            ("mode = 'mirror'", false), ("mode = 'contact'", true),
            ("mode = 'mirror'\n[[domain]]\nname = 'a.test'\nmode = 'contact'", true),
            ("mode = 'mirror'\n[[domain]]\nname = 'a.test'\nmode = 'aor'", true),
            ("mode = 'mirror'\n[[domain]]\nname = 'a.test'\nmode = 'mirror'", false),
        ]
    )
    func `say nothing of the lead where every REGISTER is meant to be relayed`(
        lines: String, warns: Bool
    ) {
        let toml = leastText.replacing("10m", with: "1h") + lines
        let loaded = Settings.load(toml: toml, file: "f")
        #expect(loaded.errors.map(\.text) == [])
        let heads = loaded.warnings.map { $0.what.prefix(7) }
        #expect(heads.filter { $0 != "mode \"a" } == (warns ? ["a phone"] : []))
    }

    @Test(
        arguments: [
            ("mode = 'aor'", "f:7:8"), ("mode = 'contact'", nil),
            ("[[domain]]\nname='b'\nmode='mirror'\n[[domain]]\nname='c'\nmode='aor'", "f:12:6"),
            ("mode = 'aor'\n[[domain]]\nname='b'\nmode='aor'", "f:7:8"),
        ] as [(String, String?)]
    )
    func `say once for which main registrars one contact is none`(lines: String, place: String?) {
        let loaded = Settings.load(toml: leastText + lines, file: "f")
        #expect(loaded.settings != nil)
        let text = place.map { ["\($0): mode \"aor\" is not for every main registrar; one that"] }
        #expect(loaded.warnings.map { String($0.text.prefix(text?[0].count ?? 0)) } == text ?? [])
    }

    @Test
    func `name a place for the contact ID where there is none`() {
        let lines = "insert = 'path'\nid = 'user'\n[register]"
        let toml = leastText.replacing("[register]", with: lines)
        #expect(
            Settings.load(toml: toml, file: "f").warnings.map(\.text) == [
                "f:6:6: main.id is of no use beside main.insert \"path\"; "
                    + "the main registrar is given the phone's own Contact, without a contact ID"
            ])
        let contact = toml.replacing("'path'", with: "'contact'")
        #expect(Settings.load(toml: contact, file: "f").warnings.isEmpty)
    }

    @Test
    func `name a source that stands twice`() {
        let twice = leastText.replacing(
            "[register]", with: "sources = ['10.0.0.1', '::ffff:10.0.0.1']\n[register]")
        #expect(
            Settings.load(toml: twice, file: "f").warnings.map(\.text) == [
                "f:5:24: main.sources names \"::ffff:10.0.0.1\" twice; once is enough"
            ])
    }

    @Test(
        arguments: [
            ("192.0.2.9", "10.0.0.1", "10.0.0.1"), ("192.0.2.9", "10.0.0.2", nil),
            ("192.0.2.9", "10.0.0.1:5060", "10.0.0.1:5060"),
            ("192.0.2.9", "::ffff:10.0.0.1", "10.0.0.1"),
            ("192.0.2.9", "192.0.2.9", "192.0.2.9"),
            ("192.0.2.9", "192.0.2.9:6000", "192.0.2.9:6000"),
            ("192.0.2.9:5070", "192.0.2.9:5070", "192.0.2.9:5070"),
            ("192.0.2.9:5070", "192.0.2.9:5060", nil), ("192.0.2.9:5070", "192.0.2.9", nil),
        ] as [(String, String, String?)]
    )
    func `name an edge that is the main side`(server: String, edge: String, named: String?) {
        let toml = leastText.replacing(
            "[register]", with: "sources = ['10.0.0.1']\n[register]\nedges = ['\(edge)']"
        ).replacing("sip:192.0.2.9", with: "sip:\(server)")
        #expect(
            Settings.load(toml: toml, file: "f").warnings.map(\.text)
                == (named.map {
                    [
                        "f:7:9: register.edges names \($0), which is the main side; "
                            + "what comes from there counts as the main registrar's"
                    ]
                } ?? []))
    }

    @Test func `say where a list belongs that stands above the sections`() {
        let toml = "edges = ['10.0.0.20']\n" + leastText
        #expect(
            Settings.load(toml: toml, file: "f").errors.map(\.text).map {
                $0.hasPrefix("f:1:1: key edges outside of any section; sections are [node]")
                    && $0.hasSuffix("; did you mean edges in [register]?")
            } == [true])
    }
}

@Suite("Did you mean")
struct SuggestionTests {
    @Test(
        arguments: [
            ("expries", "expires"), ("EXPIRES", "expires"), ("expire", "expires"),
            ("sever", "server"), ("idd", "id"), ("upd", "udp"), ("x", nil), ("", nil),
            ("colour", nil), ("maxexpires", "max_expires"),
        ] as [(String, String?)]
    )
    func `offers what is a slip away, and nothing far off`(word: String, meant: String?) {
        let known = ["expires", "server", "id", "udp", "max_expires"]
        #expect(suggestion(for: word, among: known) == meant)
    }
}
