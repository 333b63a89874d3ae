internal import Appliance
internal import ArgumentParser
internal import Bytes
internal import Configuration
internal import Demonstration
internal import Synchronization
internal import Transport

struct Demo: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the main job: a toy registrar, midreg, and 1,000 phones on loopback.")

    @Option(name: .long, help: "Phones to simulate, 1 to 10000.")
    var phones = 1_000

    @Option(name: .long, help: "Seconds until the measured line, 1 to 3600.")
    var seconds = 20

    @Option(name: .long, help: "Seconds to go on afterwards, for a look at the counters.")
    var keep = 0

    @Option(name: .long, help: "Write the figure of what was measured to this file, as SVG.")
    var figure: String?

    func validate() throws {
        guard (1...10_000).contains(phones) else {
            throw ValidationError("--phones must be between 1 and 10000, not \(phones)")
        }
        guard (1...3_600).contains(seconds) else {
            throw ValidationError("--seconds must be between 1 and 3600, not \(seconds)")
        }
        guard (0...86_400).contains(keep) else {
            throw ValidationError("--keep must be between 0 and 86400, not \(keep)")
        }
    }

    func run() throws {
        var options = DemoOptions()
        options.phones = phones
        options.durationSeconds = seconds
        options.keepSeconds = keep
        options.figurePath = figure
        let interruption: Interruption
        do throws(TransportError) {
            interruption = try Interruption()
        } catch {
            Complain.line("midreg: \(error.description)")
            throw ExitCode(1)
        }
        let code = Demonstration.Demo.run(
            options, startMidreg: { try DemoMidreg($0) },
            isInterrupted: { interruption.isWanted.load(ordering: .acquiring) },
            output: { StandardOutput.line($0) })
        if code != 0 { throw ExitCode(code) }
    }
}

/// Whether somebody wants the program to end.
private final class Interruption: Sendable {
    let isWanted = Atomic<Bool>(false)

    /// - Throws: `TransportError.signalsFailed` or `.cannotStartThread`.
    init() throws(TransportError) {
        try Signals.block()
        _ = try WorkerThread(name: "signals") {
            while let signal = try? Signals.wait() {
                if signal != Signals.hangUp { self.isWanted.store(true, ordering: .releasing) }
            }
        }
    }
}

/// midreg itself, started as the demonstration plans.
private struct DemoMidreg: RunningMidreg {
    private let appliance: RunningAppliance

    /// - Throws: an `ApplianceError`, or why the plan is no configuration.
    init(_ plan: DemoPlan) throws {
        var overrides = SettingsOverrides()
        overrides.listen = ["udp:" + plan.listen.text]
        overrides.main = "sip:" + plan.main.text
        overrides.state = plan.stateFolder
        overrides.counters = plan.counters.text
        overrides.own = "udp:" + plan.own.text
        overrides.mainPorts = "\(plan.mainPorts.lowerBound)-\(plan.mainPorts.upperBound)"
        let toml = """
            [node]
            workers = \(plan.mainPorts.count)
            [main]
            expires = "\(plan.mainExpirySeconds)s"
            probe = "0s"
            [register]
            min_expires = "\(plan.phoneExpirySeconds)s"
            max_expires = "\(plan.phoneExpirySeconds)s"
            default_expires = "\(plan.phoneExpirySeconds)s"
            [log]
            level = "warn"
            """
        let loaded = Settings.load(toml: toml, file: "demo", overrides: overrides)
        guard let settings = loaded.settings else {
            throw Unusable(description: loaded.errors.map(\.text).joined(separator: "; "))
        }
        appliance = try RunningAppliance.start(settings)
    }

    /// Only the main registrar sends responses here.
    func counters() -> DemoCounters {
        let totals = appliance.registerTotals
        return DemoCounters(
            registersIn: totals.decided, relayed: totals.relayed, absorbed: totals.absorbed,
            rejected: totals.rejected, mainAnswers: totals.responses)
    }

    func stop() { appliance.stop() }

    private struct Unusable: Error, CustomStringConvertible { let description: String }
}
