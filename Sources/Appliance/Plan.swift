internal import Bytes
internal import Configuration
internal import Forwarding
internal import Keys
internal import MidRegistrarCore
internal import Registration
internal import SIPMessage
internal import Transport

/// What the settings come to on this machine: addresses resolved, sockets numbered, each worker's
/// options.
struct Plan {
    let workers: Int
    /// Addresses to bind: listeners (once per worker), then main-side ports, then our own socket.
    let sockets: [CoreOptions.LocalSocket]
    let listenerCount: Int
    let mainServers: [TransportAddress]
    let options: CoreOptions

    /// - Throws: for names that do not resolve and addresses that do not fit together.
    init(_ settings: Settings, keys: KeyRing) throws(ApplianceError) {
        let cores = min(
            Host.processors, Settings.workersMax, settings.main.ports.count)
        workers = settings.node.workers == 0 ? cores : settings.node.workers
        mainServers = try Self.resolve(settings.main.server)
        guard let main = mainServers.first else {
            throw ApplianceError("main.server: \(settings.main.server.text) has no address")
        }
        for server in mainServers {
            if let listener = settings.listener(reachedAt: server) {
                throw ApplianceError(
                    "main.server \(settings.main.server.text) is \(server.text), which is our own "
                        + "listener \(listener.udp.text)")
            }
        }
        let towardsMain: TransportAddress
        do throws(TransportError) {
            towardsMain = try Host.localAddress(towards: main)
        } catch {
            throw ApplianceError("main.server \(main.text) cannot be reached: \(error.description)")
        }

        var sockets: [CoreOptions.LocalSocket] = []
        for listener in settings.listeners {
            sockets.append(
                .init(
                    role: .listener, local: listener.udp,
                    advertised: listener.advertise
                        ?? (listener.udp.isWildcard
                            ? towardsMain.withPort(listener.udp.port) : listener.udp)))
        }
        listenerCount = sockets.count
        // The main registrar's answers come to the side that faces it.
        let facing =
            sockets.first { $0.local.isIPv4 == main.isIPv4 }
            ?? .init(role: .listener, local: towardsMain, advertised: towardsMain)
        for port in settings.main.ports {
            sockets.append(
                .init(
                    role: .mainSide, local: facing.local.withPort(port),
                    advertised: facing.advertised.withPort(port)))
        }
        let own = settings.main.own
        sockets.append(
            .init(
                role: .own, local: own,
                advertised: own.isWildcard ? towardsMain.withPort(own.port) : own))
        self.sockets = sockets

        let sources =
            mainServers.map { settings.main.server.hasPort ? $0 : $0.withPort(0) }
            + settings.main.sources
        var options = CoreOptions(
            keys: keys, sockets: sockets, mainSocket: UInt16(listenerCount),
            ownSocket: UInt16(sockets.count - 1), mainServer: main,
            mainSide: MainSide(sources),
            ownAddresses: OwnAddresses(
                sockets.filter { $0.role != .own }.flatMap { [$0.local, $0.advertised] }),
            contact: MainContact(
                placement: Self.placement(settings.main), advertised: facing.advertised))
        options.workers = workers
        options.mode = Self.mode(settings.register.mode)
        options.domains = settings.domains.map { .init($0.name, Self.mode($0.mode)) }
        options.mainSeconds = settings.main.expirySeconds
        options.minSeconds = settings.register.minExpirySeconds
        options.maxSeconds = settings.register.maxExpirySeconds
        options.defaultSeconds = settings.register.defaultExpirySeconds
        options.refusesShort = settings.register.short == .refuse
        options.jitter = settings.register.jitter
        options.contactsMax = settings.register.contactsMax
        options.overflow = settings.register.whenFull == .replace ? .replaceOldest : .refuse
        options.inFlightMax = settings.register.inFlightMax
        options.strangers = settings.calls.strangers == .main ? .main : .refuse
        options.forkOrder = settings.calls.fork == .byQ ? .byQ : .allAtOnce
        options.branchesMax = settings.calls.branchesMax
        options.timerCMs = UInt64(settings.calls.ringSeconds) * 1_000
        options.fixesContacts = settings.calls.fixesContacts
        options.reasons.fromMain = Self.handling(settings.calls.reasonFromMain)
        options.reasons.fromOthers = Self.handling(settings.calls.reasonFromPhones)
        Self.apply(settings.redirect, to: &options)
        for method in settings.calls.local {
            switch method {
            case .message: options.localMethods.insert(.message)
            case .options: options.localMethods.insert(.options)
            case .publish: options.localMethods.insert(.publish)
            }
        }
        options.answersQualify = settings.calls.qualify == .answer
        options.callsMax = max(1, settings.limits.callsMax / workers)
        options.callBytesMax = min(Int(settings.limits.callBytesMax) / workers, 4_095 << 20)
        options.removesExpired = settings.main.removesExpired
        options.resyncPerSecond = max(1, settings.main.resyncPerSecond / workers)
        options.edges = Edges(settings.register.edges)
        options.probeMs = UInt64(settings.main.probeSeconds) * 1_000
        options.givesGRUUs = settings.register.givesGRUUs
        options.natSeconds = settings.natExpirySeconds ?? .max
        options.removalsPerSecond = max(1, settings.main.removalsPerSecondMax / workers)
        if let account = settings.main.account { options.account = try AccountFile.load(account) }
        options.sourceHeader = settings.main.sourceHeader.map { SourceHeader(name: $0) }
        options.natPing =
            switch settings.natPing {
            case .off: .off
            case .crlf: .crlf
            case .options: .options
            }
        // Keys spread evenly; a quarter more than a worker's share is never reached by chance.
        let share = settings.limits.bindingsMax / workers
        options.bindingsMax = workers == 1 ? share : share + share / 4 + 64
        self.options = options
    }

    private static func apply(
        _ redirect: Settings.Redirect, to options: inout CoreOptions
    ) {
        // The settings have only rules that can be read.
        let rules = redirect.rules.map { text in
            do throws(RedirectFilter.Rule.Fault) {
                return try RedirectFilter.Rule(text)
            } catch {
                preconditionFailure("a rule that was not checked")
            }
        }
        var policy = RedirectPolicy(
            filter: RedirectFilter(
                rules,
                otherwise: redirect.otherwise == .allow ? .allow : .deny),
            totalMax: redirect.totalMax, perBranchMax: redirect.perBranchMax,
            depthMax: redirect.depthMax)
        policy.followsMain = redirect.fromMain == .follow
        policy.followsPhones = redirect.fromPhones == .follow
        policy.trusted = Edges(redirect.trusted)
        policy.waits = redirect.when == .afterAll
        policy.cancelsOthers = redirect.cancelsOthers
        policy.writesDiversion = redirect.writesDiversion
        policy.writesHistory = redirect.writesHistory
        options.redirects = policy
        options.redirectServer = UInt32(redirect.server.rawValue).flatMap(RedirectAnswer.Code.init)
        options.redirectsByUs = redirect.contacts == .routed
    }

    private static func placement(_ main: Settings.Main) -> MainContact.Placement {
        switch (main.insertion, main.contactIDPlace) {
        case (.path, _): .path
        case (.contact, .user): .user
        case (.contact, .parameter): .parameter
        }
    }

    private static func handling(_ reason: Settings.Reason) -> ReasonPolicy.Handling {
        switch reason {
        case .pass: .pass
        case .replace: .replace
        case .drop: .drop
        }
    }

    private static func mode(_ mode: Settings.Mode) -> RegistrationMode {
        switch mode {
        case .contact: .throttleByContact
        case .aor: .throttleByAOR
        case .mirror: .mirror
        }
    }

    private static func resolve(_ server: MainServer) throws(ApplianceError) -> [TransportAddress] {
        if let address = server.address { return [address.withPort(server.port)] }
        do throws(TransportError) {
            return try Host.resolve(server.host, port: server.port)
        } catch {
            throw ApplianceError("main.server: \(error.description)")
        }
    }

    func options(forWorker worker: Int) -> CoreOptions {
        var options = self.options
        options.worker = worker
        options.mainSocket = UInt16(listenerCount + worker)
        return options
    }
}
