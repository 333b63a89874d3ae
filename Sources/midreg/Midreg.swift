internal import Appliance
internal import ArgumentParser
internal import Configuration
internal import Transport

/// The command: verbs and exit codes, nothing else. 0 is well, 1 refused or invalid, 2 wrong usage,
/// 3 the daemon cannot be reached.
@main struct Midreg: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "midreg",
        abstract: "A SIP mid-registrar: answers the REGISTER refreshes that change nothing.",
        version: RunningAppliance.version,
        subcommands: [
            Run.self, Check.self, CountersCommand.self, Contacts.self, Sync.self, Diagnose.self,
            Import.self, Export.self, Demo.self,
        ])

    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let code as ExitCode {
            exit(withError: code)
        } catch {
            let code = exitCode(for: error)
            // ArgumentParser's own code for wrong usage is EX_USAGE; ours is 2.
            let text = fullMessage(for: error)
            if code == .success {
                if !text.isEmpty { print(text) }
                exit(withError: ExitCode.success)
            }
            Complain.line(text)
            exit(withError: ExitCode(2))
        }
    }
}

/// Flags that stand in for, or over, the configuration file.
struct SettingsFlags: ParsableArguments {
    @Option(name: .long, help: "The configuration file (TOML).")
    var config: String?

    @Option(name: .long, help: "Where phones reach us: udp:ADDR:PORT. May repeat.")
    var listen: [String] = []

    @Option(name: .long, help: "The main registrar: sip:HOST:PORT.")
    var main: String?

    @Option(name: .long, help: "The folder of the store and the keys.")
    var state: String?

    @Option(name: .long, help: "Where the counters are served: ADDR:PORT, loopback only.")
    var counters: String?

    @Option(name: .long, help: "How to throttle: contact, aor or mirror.")
    var mode: String?

    @Option(name: .long, help: "Worker threads; 0 is one per core.")
    var workers: String?

    @Option(name: .long, help: "Requests of strangers, REGISTER apart: refuse or main.")
    var strangers: String?

    @Option(name: .long, help: "Where our own requests leave from: udp:ADDR:PORT.")
    var own: String?

    @Option(name: .customLong("main-ports"), help: "Ports towards the main registrar: FIRST-LAST.")
    var mainPorts: String?

    func load() throws -> Settings {
        var overrides = SettingsOverrides()
        overrides.listen = listen
        overrides.main = main
        overrides.state = state
        overrides.counters = counters
        overrides.mode = mode
        overrides.workers = workers
        overrides.strangers = strangers
        overrides.own = own
        overrides.mainPorts = mainPorts
        return try SettingsFile.load(config, overrides)
    }
}

enum SettingsFile {
    static func load(_ path: String?, _ overrides: SettingsOverrides) throws -> Settings {
        var text = ""
        if let path {
            do throws(TransportError) {
                text = String(decoding: try Files.read(path), as: UTF8.self)
            } catch {
                Complain.line("midreg: \(error.description)")
                throw ExitCode(1)
            }
        }
        let loaded = Settings.load(toml: text, file: path ?? "", overrides: overrides)
        for complaint in loaded.errors { Complain.line(complaint.text) }
        for complaint in loaded.warnings { Complain.line("warning: " + complaint.text) }
        guard let settings = loaded.settings else { throw ExitCode(1) }
        return settings
    }
}

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Serve, in the foreground.")

    @OptionGroup var flags: SettingsFlags

    @Flag(name: .customLong("new-keys"), help: "Make new keys beside an old store.")
    var makesNewKeys = false

    func run() throws {
        let settings = try flags.load()
        do {
            try Signals.block()
            let appliance = try RunningAppliance.start(settings, makesNewKeys: makesNewKeys)
            var signal = try Signals.wait()
            while signal == Signals.hangUp { signal = try Signals.wait() }
            appliance.stop()
        } catch let error as ApplianceError {
            Complain.line("midreg: \(error.description)")
            throw ExitCode(1)
        } catch let error as TransportError {
            Complain.line("midreg: \(error.description)")
            throw ExitCode(1)
        }
    }
}

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a configuration file: every error at once.")

    @Argument(help: "The configuration file (TOML).")
    var file: String

    func run() throws {
        let settings = try SettingsFile.load(file, SettingsOverrides())
        for (key, value) in settings.describe() { print("\(key) = \(value)") }
    }
}
