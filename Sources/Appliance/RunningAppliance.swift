package import Bytes
package import Configuration
internal import ContactStore
internal import Keys
internal import Logging
internal import MidRegistrarCore
package import Telemetry
internal import Synchronization
internal import Transport

/// midreg at work: started from settings, stopped in order.
package final class RunningAppliance: Sendable {
    package static let version = "0.1.0"

    private let plan: Plan
    private let store: FactStore
    private let switchboard: Switchboard
    private let cells: SharedCells
    private let reporter: Reporter
    private let threads: [WorkerThread]
    private let sockets: [UDPSocket]
    private let admin: AdminServer?
    private let housekeeper: Housekeeper
    private let pages: Pages

    /// Opens store and sockets, loads the facts and begins to serve.
    ///
    /// - Parameters:
    ///   - makesNewKeys: allow a new secret beside an old store.
    ///   - log: where lines go; by default standard error in the form the settings say.
    /// - Throws: an ``ApplianceError``; then nothing is left open.
    package static func start(
        _ settings: Settings, makesNewKeys: Bool = false, log: EventLog? = nil
    ) throws(ApplianceError) -> RunningAppliance {
        let startNs = Clock.monotonicNanoseconds()
        let keys = try SecretFile.load(state: settings.store.path, makesNew: makesNewKeys)
        let plan = try Plan(settings, keys: keys)
        let store: FactStore
        do throws(StoreError) {
            store = try FactStore.open(
                state: settings.store.path, mapBytes: Int(settings.store.bytesMax),
                durability: settings.store.durability == .commit ? .commit : .process,
                workers: plan.workers, asideStamp: String(Clock.wallMilliseconds() / 1_000))
        } catch {
            throw ApplianceError(error.description)
        }
        let eventLog =
            log
            ?? EventLog(
                standardError: StandardError(
                    format: settings.log.format == .json ? .json : .logfmt),
                minimum: settings.log.level.loggerLevel)
        let timeline = store.timeline
        let reporter = Reporter(eventLog) {
            timeline.instant(atBootMs: Clock.bootMilliseconds())
        }
        if let aside = store.openedAside {
            reporter.line(
                .error, "store_set_aside",
                [
                    ("folder", aside.folder), ("problem", aside.problem),
                    ("hint", "every phone's next REGISTER is relayed; nothing else is lost"),
                ])
        }
        do throws(ApplianceError) {
            return try RunningAppliance(settings, plan, store, reporter, startNs: startNs)
        } catch {
            store.close()
            throw error
        }
    }

    private init(
        _ settings: Settings, _ plan: Plan, _ store: FactStore, _ reporter: Reporter,
        startNs: UInt64
    ) throws(ApplianceError) {
        self.plan = plan
        self.store = store
        self.reporter = reporter
        cells = SharedCells(workers: plan.workers)
        let opened = try OpenSockets(plan)
        sockets = opened.all
        do throws(TransportError) {
            switchboard = try Switchboard(workers: plan.workers)
        } catch {
            opened.close()
            throw ApplianceError(error.description)
        }
        let switchboard = self.switchboard
        pages = Pages(cells: cells, store: store, log: reporter.log, switchboard: switchboard)
        do throws(StoreError) {
            try store.start(wake: { worker in switchboard.wakeups[worker].signal() })
        } catch {
            opened.close()
            throw ApplianceError(error.description)
        }

        let processors = Host.allowedProcessors
        var threads: [WorkerThread] = []
        for number in 0..<plan.workers {
            let worker = Worker(
                number: number, options: plan.options(forWorker: number),
                sockets: opened.descriptors(forWorker: number),
                reads: opened.reads(byWorker: number), store: store, switchboard: switchboard,
                cells: cells, reporter: reporter)
            do throws(TransportError) {
                threads.append(
                    try WorkerThread(
                        name: "worker-\(number)",
                        processor: processors.isEmpty
                            ? nil : processors[number % processors.count]
                    ) { worker.run() })
            } catch {
                switchboard.stop()
                for thread in threads { thread.join() }
                opened.close()
                throw ApplianceError(error.description)
            }
        }
        self.threads = threads

        let isLoaded = (try? switchboard.waitUntilLoaded()) == true
        do throws(ApplianceError) {
            guard isLoaded else { throw ApplianceError("a worker could not start") }
            if let address = settings.counters.http {
                let pages = self.pages
                do throws(AdminError) {
                    admin = try AdminServer.start(
                        address,
                        sources: .init(
                            metrics: { pages.metrics() },
                            metricsType: PrometheusText.contentType,
                            summary: { pages.summary() },
                            readiness: {
                                switchboard.isStopping ? .notReady("stopping") : .ready
                            },
                            diagnose: { reporter.missingAcks.page(asJSON: $0) },
                            sync: { switchboard.sync($0) }))
                } catch {
                    throw ApplianceError(error.description)
                }
            } else {
                admin = nil
            }
            housekeeper = try Housekeeper(store, reporter)
        } catch {
            switchboard.stop()
            for thread in threads { thread.join() }
            opened.close()
            throw error
        }

        let restoredMs = (Clock.monotonicNanoseconds() - startNs) / 1_000_000
        reporter.line(
            .info, "started",
            [
                ("version", Self.version), ("workers", "\(plan.workers)"),
                (
                    "listen",
                    settings.listeners.map { "udp:" + $0.udp.text }.joined(separator: ",")
                ),
                ("main", plan.options.mainServer.text),
                ("own", "udp:" + settings.main.own.text),
                (
                    "main_ports",
                    "\(settings.main.ports.lowerBound)-\(settings.main.ports.upperBound)"
                ),
                ("strangers", settings.calls.strangers.rawValue),
                ("counters", admin?.address.text ?? "off"),
                ("contacts", "\(switchboard.facts.load(ordering: .relaxed))"),
                ("damaged", "\(switchboard.damagedFacts.load(ordering: .relaxed))"),
                ("restored_ms", "\(restoredMs)"),
            ])
        _ = try? ServiceManager.notify("READY=1")
    }

    /// Where the counters can be read; `nil` if they are switched off.
    package var countersAddress: TransportAddress? { admin?.address }

    /// What the workers have counted so far.
    package var figures: WorkerFigures { cells.read() }

    /// Stops serving, lets the store finish, and closes everything; below a second.
    package func stop() {
        _ = try? ServiceManager.notify("STOPPING=1")
        switchboard.stop()
        for thread in threads { thread.join() }
        housekeeper.stop()
        store.close()
        admin?.stop()
        for socket in sockets { socket.close() }
        reporter.line(.info, "stopped")
    }
}

extension Settings.LogLevel {
    var loggerLevel: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .warn: .warning
        case .error: .error
        }
    }
}
