internal import Appliance
internal import ArgumentParser
internal import Bytes
internal import Migration

struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Takes over the bindings of OpenSIPS or Kamailio.",
        discussion: """
            FILE is a dump of the table location (mysqldump, pg_dump, CSV with a head line) or what \
            ul_dump prints as JSON. The daemon must not be running. Of several rows of one contact \
            the one that expires last counts. The first REGISTER of each contact is relayed.
            """)

    @Option(name: .long, help: "Whose layout it has: opensips, kamailio or csv.")
    var from: String

    @Argument(help: "The dump.")
    var file: String

    @Option(name: .long, help: "The folder of the store.")
    var state = "/var/lib/midreg"

    @Flag(name: .customLong("dry-run"), help: "Only say what would be taken and refused.")
    var isDryRun = false

    @Option(name: .long, help: "Write refused rows to this file, each under its reason.")
    var quarantine: String?

    @Option(name: .long, help: "The domain of rows that have none.")
    var domain: String?

    @Option(
        name: .long,
        help: "How the main registrar calls us, ADDR:PORT; by default the row's socket.")
    var advertised: String?

    @Option(
        name: .customLong("utc-offset"), help: "Minutes that dates in the dump are ahead of UTC.")
    var utcOffset = 0

    func validate() throws {
        guard DumpSource(rawValue: from) != nil else {
            throw ValidationError("--from must be opensips, kamailio or csv, not \(from)")
        }
        guard (-1_440...1_440).contains(utcOffset) else {
            throw ValidationError("--utc-offset must be between -1440 and 1440, not \(utcOffset)")
        }
    }

    func run() throws {
        guard let source = DumpSource(rawValue: from) else { throw ExitCode(2) }
        var options = FactMaker.Options()
        options.domain = Array((domain ?? "").utf8)
        options.zoneSeconds = utcOffset * 60
        if let advertised {
            guard let address = TransportAddress(hostPort: advertised, defaultPort: 5_060) else {
                throw ValidationError("--advertised wants ADDR:PORT, not \(advertised)")
            }
            options.advertised = address
        }
        do throws(ApplianceError) {
            let report = try Migrator.importDump(
                file, from: source, state: state, options: options, quarantine: quarantine,
                isDryRun: isDryRun)
            let refused = report.refused.reduce(0) { $0 + $1.1.count }
            print(
                "rows=\(report.rows) \(isDryRun ? "would_take" : "taken")=\(report.taken) "
                    + "replaced=\(report.replaced) refused=\(refused) ms=\(report.milliseconds)")
            for (reason, rows) in report.refused {
                print(
                    "refused \(rows.count): \(reason.rawValue); "
                        + rows.examples.joined(separator: ", "))
            }
        } catch {
            Complain.line("midreg: \(error.description)")
            throw ExitCode(1)
        }
    }
}

struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the bindings, so that import --from csv can read them.")

    @Option(name: .long, help: "The folder of the store.")
    var state = "/var/lib/midreg"

    @Option(name: .long, help: "csv or json.")
    var format = "csv"

    func validate() throws {
        guard format == "csv" || format == "json" else {
            throw ValidationError("--format must be csv or json, not \(format)")
        }
    }

    func run() throws {
        do throws(ApplianceError) {
            try Migrator.export(state: state, asJSON: format == "json") { print($0) }
        } catch {
            Complain.line("midreg: \(error.description)")
            throw ExitCode(1)
        }
    }
}
