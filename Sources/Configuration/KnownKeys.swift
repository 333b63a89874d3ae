/// The keys that work, those that stand in the plan, and the words people bring from elsewhere.
enum KnownKeys {
    /// Every section with its keys, in the order in which they are listed.
    static let sections: [(name: String, keys: [String])] = [
        ("node", ["name", "workers"]),
        ("listen", ["udp", "advertise"]),
        (
            "main",
            [
                "server", "servers", "expires", "own", "ports", "sources", "insert", "id",
                "probe", "remove_expired", "removals_per_second", "resync_per_second", "user",
                "password_file", "source_header",
            ]
        ),
        (
            "register",
            [
                "mode", "min_expires", "max_expires", "default_expires", "short", "jitter",
                "max_contacts", "when_full", "in_flight", "gruu", "edges",
            ]
        ),
        ("domain", ["name", "mode"]),
        (
            "calls",
            [
                "strangers", "fork", "branches", "ring", "fix_contact", "reason_from_main",
                "reason_from_phones", "local", "qualify",
            ]
        ),
        (
            "redirect",
            [
                "from_main", "from_phones", "trusted", "max_total", "max_per_branch", "max_depth",
                "rules", "otherwise", "when", "cancel_others", "diversion", "history_info",
                "server", "contacts",
            ]
        ),
        ("nat", ["ping", "max_expires"]),
        ("store", ["path", "size", "durability"]),
        ("limits", ["bindings", "calls", "call_memory"]),
        ("counters", ["http"]),
        ("log", ["format", "level"]),
    ]

    /// Sections that may stand more than once.
    static let repeated: Set<String> = ["listen", "domain"]

    static var sectionNames: [String] { sections.map(\.name) }

    static func keys(of section: String) -> [String] {
        sections.first { $0.name == section }?.keys ?? []
    }

    /// How a section is written.
    static func header(_ section: String) -> String {
        repeated.contains(section) ? "[[\(section)]]" : "[\(section)]"
    }

    /// Keys of later versions, with what this one does instead.
    static let later: [String: String] = [
        "listen.tcp": "this version listens on UDP only",
        "listen.tls": "this version listens on UDP only",
        "listen.ws": "this version listens on UDP only",
        "listen.wss": "this version listens on UDP only",
        "listen.cert": "this version listens on UDP only",
        "listen.key": "this version listens on UDP only",
        "register.absorb": "this version trusts a binding's flow",
        "register.nat_expires": "this version grants every phone alike",
        "calls.timeout": "calls.ring says how long a phone may ring",
        "limits.per_source": "this version limits no source",
        "limits.trusted": "this version limits no source",
    ]

    /// Sections of later versions.
    static let laterSections: [String: String] = [
        "trace": "this version does not trace",
        "cluster": "this version runs alone",
    ]

    /// Words of other registrars and of earlier drafts.
    static let renamedSections: [String: String] = [
        "upstream": "main", "registrar": "main", "cache": "store", "admin": "counters",
        "metrics": "counters", "listener": "listen", "logging": "log",
    ]
}
