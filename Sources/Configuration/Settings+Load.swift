internal import Bytes

extension Settings {
    /// Settings, or what keeps them from being any.
    package struct Loaded: Sendable {
        /// `nil` exactly if there are errors.
        package let settings: Settings?
        /// Every error, sorted by line and column; those of flags last.
        package let errors: [Complaint]
        /// What is allowed and probably not meant.
        package let warnings: [Complaint]
    }

    /// Reads a TOML text and the flags that override it.
    ///
    /// - Parameters:
    ///   - toml: the text; empty if flags alone are given.
    ///   - file: how the text is named in complaints; empty if there is none. Nothing is read from it.
    ///   - overrides: the command line. A key of the file that is overridden must be right all the same.
    package static func load(
        toml: String, file: String, overrides: SettingsOverrides = SettingsOverrides()
    ) -> Loaded {
        let (document, faults) = TOMLDocument.parseAll(toml)
        var draft = Draft(
            reader: SettingsReader(document: document, faults: faults, file: file),
            overrides: overrides)
        let settings = draft.read(isWhole: faults.isEmpty)
        let errors = Complaint.sorted(draft.reader.errors)
        return Loaded(
            settings: errors.isEmpty ? settings : nil, errors: errors,
            warnings: Complaint.sorted(draft.reader.warnings))
    }
}

/// The settings while they are read and checked against each other.
struct Draft {
    typealias Placed = SettingsReader.Placed

    var reader: SettingsReader
    let overrides: SettingsOverrides
    /// Where throttling by address of record is asked for, the first place.
    var aorModePlace: Complaint.Place?

    /// Reads every key, then checks them against each other; `nil` if a needed one is missing.
    ///
    /// What was not read cannot be missed: of a text that is not TOML throughout, only the keys are
    /// checked.
    mutating func read(isWhole: Bool) -> Settings? {
        let name = reader.read("node", "name", .nodeName, standard: "midreg")
        let workers = reader.read(
            "node", "workers", .whole(0...Settings.workersMax), standard: 0,
            flag: ("--workers", overrides.workers))
        let listeners = readListeners(isWhole: isWhole)
        let server = readServer(isWhole: isWhole)
        let expires = reader.read("main", "expires", .seconds(60...86_400), standard: 3_600)
        let ports = reader.read(
            "main", "ports", .ports(max: Settings.mainPortsMax), standard: 15_060...15_091,
            flag: ("--main-ports", overrides.mainPorts))
        let own = readOwn(listeners: listeners, server: server)
        let sources = readMachines("main", "sources", countMax: Settings.mainSourcesMax)
        let insertion: Placed<Settings.Insertion> = reader.read(
            "main", "insert", .word(), standard: .contact)
        let idPlace: Placed<Settings.ContactIDPlace> = reader.read(
            "main", "id", .word(), standard: .parameter)
        let probe = reader.read("main", "probe", .seconds(0...3_600), standard: 10)
        let removesExpired = reader.read("main", "remove_expired", .yesOrNo, standard: true)
        let removals = reader.read("main", "removals_per_second", .whole(1...10_000), standard: 200)
        let resync = reader.read("main", "resync_per_second", .whole(1...10_000), standard: 50)
        let account = reader.readAccount()
        let sourceHeader = reader.readSourceHeader()
        let natPing = reader.readNATPing()
        let natExpiry = reader.readNATExpiry()
        let domains = readDomains(isWhole: isWhole)
        let register = readRegister(isWhole: isWhole, mainExpires: expires, domains: domains)
        let calls = readCalls()
        let redirect = readRedirect()
        let store = readStore()
        let limits = readLimits()
        let http: Placed<TransportAddress?> = reader.read(
            "counters", "http", .loopbackOrOff,
            standard: TransportAddress(ipv4: 0x7F00_0001, port: 9_080),
            flag: ("--counters", overrides.counters))
        let format: Placed<Settings.LogFormat> = reader.read(
            "log", "format", .word(), standard: .logfmt)
        let level: Placed<Settings.LogLevel> = reader.read(
            "log", "level", .word(), standard: .info)

        if isWhole {
            checkSockets(listeners: listeners, own: own, ports: ports)
            checkLoop(listeners: listeners, server: server)
            checkFamily(own: own, server: server)
            checkWorkers(workers, ports: ports)
            checkInsertion(insertion, idPlace: idPlace)
            checkEdges(register.edges, server: server, sources: sources)
            checkAORMode()
        }
        guard let server, server.isSound, !listeners.isEmpty else { return nil }
        return Settings(
            node: .init(name: name.value, workers: workers.value),
            listeners: listeners.map(\.listener),
            main: .init(
                server: server.value, expirySeconds: expires.value, own: own.value,
                ports: ports.value, sources: sources, insertion: insertion.value,
                contactIDPlace: idPlace.value, probeSeconds: probe.value,
                removesExpired: removesExpired.value,
                removalsPerSecondMax: removals.value, resyncPerSecond: resync.value,
                account: account,
                sourceHeader: sourceHeader),
            register: register, domains: domains, calls: calls,
            redirect: redirect, store: store, natPing: natPing, natExpirySeconds: natExpiry,
            limits: limits,
            counters: .init(http: http.value),
            log: .init(format: format.value, level: level.value))
    }
}

// MARK: - Keys

extension Draft {
    struct PlacedListener {
        let listener: Settings.Listener
        let place: Complaint.Place
        let name: String
    }

    private mutating func readListeners(isWhole: Bool) -> [PlacedListener] {
        var fromFile: [PlacedListener] = []
        for (number, table) in reader.tables("listen").enumerated() {
            let item = reader.document.items[table]
            let name = "listen[\(number)]"
            if number == Settings.listenersMax {
                reader.complain(
                    at: reader.place(item.place), "\(reader.tables("listen").count) listeners",
                    allowed: "allowed are at most \(Settings.listenersMax)")
            }
            let udp = reader.read(
                "udp", of: table, named: "listen.udp", .udpSocket, standard: .none)
            let advertise = reader.read(
                "advertise", of: table, named: "listen.advertise", .machine, standard: .none)
            guard let udpPlace = udp.place else {
                guard isWhole else { continue }
                reader.complain(
                    at: reader.place(item.place), "a listener without udp",
                    allowed: "write udp = \"ADDR:PORT\"")
                continue
            }
            guard udp.isSound, advertise.isSound else { continue }
            var advertised: TransportAddress?
            if let place = advertise.place {
                if udp.value.isIPv4, !advertise.value.isIPv4 {
                    reader.complain(
                        at: place, "listen.advertise is an IPv6 address for an IPv4 listener",
                        allowed: "both are of one family")
                    continue
                }
                let port = advertise.value.port == 0 ? udp.value.port : advertise.value.port
                advertised = advertise.value.withPort(port)
            }
            fromFile.append(
                PlacedListener(
                    listener: .init(udp: udp.value, advertise: advertised), place: udpPlace,
                    name: name))
        }
        guard overrides.listen.isEmpty else { return readListenFlags() }
        if reader.tables("listen").isEmpty, isWhole {
            reader.complain(
                at: reader.place(ofSection: "listen", flag: "--listen"), "no listener",
                allowed: "give [[listen]] udp = \"ADDR:PORT\" or --listen udp:ADDR:PORT")
        }
        return fromFile
    }

    private mutating func readListenFlags() -> [PlacedListener] {
        var listeners: [PlacedListener] = []
        let place = Complaint.Place.flag("--listen")
        for (number, text) in overrides.listen.enumerated() {
            if number == Settings.listenersMax {
                reader.complain(
                    at: place, "\(overrides.listen.count) listeners",
                    allowed: "allowed are at most \(Settings.listenersMax)")
            }
            let udp = reader.read(
                .flag(text), at: place, named: "", Form.udpSocket, standard: .none)
            guard udp.isSound else { continue }
            listeners.append(
                PlacedListener(
                    listener: .init(udp: udp.value, advertise: nil), place: place,
                    name: "--listen \(udp.value.text)"))
        }
        return listeners
    }

    private mutating func readServer(isWhole: Bool) -> Placed<MainServer>? {
        let form = Form.text(MainServer.allowed, MainServer.read)
        let nowhere = MainServer(host: "", address: nil, port: 5060, hasPort: false)
        var server: Placed<MainServer>?
        if reader.item("main", "server") != nil {
            server = reader.read("main", "server", form, standard: nowhere)
        }
        var isListFaulty = false
        if let list = reader.item("main", "servers") {
            let elements = reader.list("main", "servers", countMax: 64, of: "servers")
            isListFaulty = elements == nil
            for (number, element) in (elements ?? []).enumerated() {
                let item = reader.document.items[element]
                let place = reader.place(item.place)
                let read = reader.read(
                    .toml(item.value), at: place, named: "main.servers", form, standard: nowhere)
                if number == 1 {
                    reader.complain(
                        at: place, "main.servers has \(elements?.count ?? 0) entries: not yet",
                        allowed: "this version relays to one server")
                }
                if server == nil { server = read }
            }
            if reader.item("main", "server") != nil {
                reader.complain(
                    at: reader.place(reader.document.items[list].keyPlace),
                    "main.servers beside main.server", allowed: "one of the two is enough")
            }
        }
        if let text = overrides.main {
            return reader.read(
                .flag(text), at: .flag("--main"), named: "", form, standard: nowhere)
        }
        if server == nil, isWhole, !isListFaulty {
            reader.complain(
                at: reader.place(ofSection: "main", flag: "--main"), "no main server",
                allowed: "give [main] server = \"sip:HOST:PORT\" or --main sip:HOST:PORT")
        }
        return server
    }

    /// Our own socket: as it is written, else beside the first listener that the main registrar's
    /// family of addresses can be reached from.
    private mutating func readOwn(
        listeners: [PlacedListener], server: Placed<MainServer>?
    ) -> Placed<TransportAddress> {
        let standardPort: UInt16 = 15_059
        var standard = (listeners.first?.listener.udp ?? .none).withPort(standardPort)
        if let address = server?.value.address, address.isIPv4 != standard.isIPv4 {
            let sameFamily = listeners.first { $0.listener.udp.isIPv4 == address.isIPv4 }
            let wildcard =
                address.isIPv4
                ? TransportAddress(ipv4: 0, port: 0) : TransportAddress(high: 0, low: 0, port: 0)
            standard = (sameFamily?.listener.udp ?? wildcard).withPort(standardPort)
        }
        return reader.read(
            "main", "own", .udpSocket, standard: standard, flag: ("--own", overrides.own))
    }

    /// A list of addresses, each with a port or without.
    mutating func readMachines(
        _ section: String, _ key: String, countMax: Int
    ) -> [TransportAddress] {
        guard
            let elements = reader.list(section, key, countMax: countMax, of: "IP addresses")
        else { return [] }
        let name = "\(section).\(key)"
        var machines: [TransportAddress] = []
        for element in elements.prefix(countMax) {
            let item = reader.document.items[element]
            let machine = reader.read(
                .toml(item.value), at: reader.place(item.place), named: name, Form.machine,
                standard: .none)
            if machine.isSound, machines.contains(machine.value) {
                reader.warn(
                    at: reader.place(item.place), "\(name) names \(item.shownText) twice",
                    advice: "once is enough")
            } else if machine.isSound {
                machines.append(machine.value)
            }
        }
        return machines
    }

    private mutating func readRegister(
        isWhole: Bool, mainExpires: Placed<UInt32>, domains: [Settings.Domain]
    ) -> Settings.Register {
        let mode: Placed<Settings.Mode> = reader.read(
            "register", "mode", .word(), standard: .contact, flag: ("--mode", overrides.mode))
        if mode.value == .aor { aorModePlace = mode.place }
        // A registrar may not refuse an hour or more as too brief (RFC 3261 §10.3 step 7).
        let shortest = reader.read("register", "min_expires", .seconds(1...3_600), standard: 60)
        let longest = reader.read("register", "max_expires", .seconds(1...86_400), standard: 600)
        var usual = reader.read(
            "register", "default_expires", .seconds(1...86_400), standard: 3_600)
        let short: Placed<Settings.ShortExpiry> = reader.read(
            "register", "short", .word(), standard: .refuse)
        let jitter = reader.read("register", "jitter", .share(0...0.5), standard: 0.1)
        let contacts = reader.read("register", "max_contacts", .whole(1...32), standard: 10)
        let whenFull: Placed<Settings.WhenFull> = reader.read(
            "register", "when_full", .word(), standard: .refuse)
        let inFlight = reader.read("register", "in_flight", .whole(1...64), standard: 8)
        let gruu = reader.read("register", "gruu", .yesOrNo, standard: false)
        let edges = readMachines("register", "edges", countMax: Settings.edgesMax)

        if isWhole, shortest.isSound, longest.isSound {
            let isOrdered = shortest.value <= longest.value
            if !isOrdered {
                reader.complain(
                    at: longest.place ?? shortest.place
                        ?? reader.place(ofSection: "register", flag: "midreg"),
                    "register.min_expires \(durationText(seconds: shortest.value)) is above "
                        + "register.max_expires \(durationText(seconds: longest.value))",
                    allowed: "the shortest expiry is at most the longest")
            } else if usual.place == nil {
                usual.value = min(max(usual.value, shortest.value), longest.value)
            } else if usual.isSound, let place = usual.place,
                !(shortest.value...longest.value).contains(usual.value)
            {
                reader.complain(
                    at: place,
                    "register.default_expires is \(durationText(seconds: usual.value))",
                    allowed: "allowed are \(durationText(seconds: shortest.value)) to "
                        + "\(durationText(seconds: longest.value)), "
                        + "between min_expires and max_expires")
            }
            // Where every REGISTER is relayed, nothing is meant to be absorbed.
            let absorbs = mode.value != .mirror || domains.contains { $0.mode != .mirror }
            if isOrdered, mainExpires.isSound, mode.isSound, absorbs {
                checkLead(longest: longest, main: mainExpires)
            }
        }
        return Settings.Register(
            mode: mode.value, minExpirySeconds: shortest.value, maxExpirySeconds: longest.value,
            defaultExpirySeconds: usual.value, short: short.value, jitter: jitter.value,
            contactsMax: contacts.value, whenFull: whenFull.value, inFlightMax: inFlight.value,
            givesGRUUs: gruu.value, edges: edges)
    }

    private mutating func readDomains(isWhole: Bool) -> [Settings.Domain] {
        let tables = reader.tables("domain")
        var domains: [Settings.Domain] = []
        var lines: [String: Int] = [:]
        for (number, table) in tables.enumerated() {
            let head = reader.document.items[table].place
            if number == Settings.domainsMax {
                reader.complain(
                    at: reader.place(head), "\(tables.count) domains",
                    allowed: "allowed are at most \(Settings.domainsMax)")
            }
            let name = reader.read("name", of: table, named: "domain.name", .domain, standard: "")
            let mode: Placed<Settings.Mode> = reader.read(
                "mode", of: table, named: "domain.mode", .word(), standard: .contact)
            for (key, place) in [("name", name.place), ("mode", mode.place)] where place == nil {
                guard isWhole else { continue }
                let example = key == "name" ? "example.com" : "aor"
                reader.complain(
                    at: reader.place(head), "a domain without \(key)",
                    allowed: "write \(key) = \"\(example)\"")
            }
            if mode.isSound, mode.value == .aor { aorModePlace = aorModePlace ?? mode.place }
            guard name.isSound, let place = name.place else { continue }
            if let line = lines[name.value] {
                reader.complain(
                    at: place, "domain.name \(quoted(name.value)) stands in line \(line) already",
                    allowed: "a domain has one mode")
                continue
            }
            if case .file(_, let line, _) = place { lines[name.value] = line }
            domains.append(.init(name: name.value, mode: mode.value))
        }
        return domains
    }

    private mutating func readStore() -> Settings.Store {
        let path = reader.read(
            "store", "path", .path, standard: "/var/lib/midreg", flag: ("--state", overrides.state))
        let size = reader.read("store", "size", .size(1 << 24...1 << 44), standard: 1 << 32)
        let durability: Placed<Settings.Durability> = reader.read(
            "store", "durability", .word(), standard: .commit)
        return .init(path: path.value, bytesMax: size.value, durability: durability.value)
    }
}

extension TOMLDocument.Item {
    var shownText: String { Written.toml(value).shown }
}

extension Form where Value == String {
    /// A name that stands unquoted in logs, counters and flow tokens.
    fileprivate static let nodeName: Form = {
        let allowed = "allowed are 1 to 32 letters, digits, \"-\", \"_\" and \".\""
        return .text(allowed) { text in
            let isPlain = text.utf8.allSatisfy {
                $0.digitValue != nil || ($0.lowercased >= 0x61 && $0.lowercased <= 0x7A)
                    || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
                    || $0 == UInt8(ascii: ".")
            }
            guard isPlain, (1...32).contains(text.utf8.count) else {
                return .failure(Fault("is \(quoted(text))", allowed: allowed))
            }
            return .success(text)
        }
    }()

    /// A folder; whether it is there shows when it is opened.
    fileprivate static let path: Form = {
        let allowed = "allowed is a folder, such as \"/var/lib/midreg\""
        return .text(allowed) { text in
            guard !text.isEmpty, text.utf8.count <= 1_024, text.utf8.allSatisfy({ $0 >= 0x20 })
            else { return .failure(Fault("is \(quoted(text))", allowed: allowed)) }
            return .success(text)
        }
    }()
}
