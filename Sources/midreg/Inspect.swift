internal import Appliance
internal import ArgumentParser
internal import Bytes

struct CountersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "counters", abstract: "The counters of the running daemon, in short.")

    @Option(name: .long, help: "Where the daemon serves its counters: ADDR:PORT.")
    var counters = "127.0.0.1:9080"

    @Flag(name: .long, help: "All of them, as Prometheus reads them.")
    var all = false

    func run() throws {
        guard let address = TransportAddress(hostPort: counters, defaultPort: 9_080) else {
            throw ValidationError("--counters wants ADDR:PORT, not \(counters)")
        }
        do throws(AdminError) {
            let (status, body) = try AdminClient.get(address, path: all ? "/metrics" : "/summary")
            print(body, terminator: "")
            guard status == 200 else {
                throw AdminError.notReachable(address: counters, reason: "status \(status)")
            }
        } catch {
            Complain.line("midreg: \(error.description)")
            throw ExitCode(3)
        }
    }
}

struct Contacts: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The bindings in the store; also with the daemon down.")

    @Argument(help: "Only this address of record: alice@example.com.")
    var aor: String?

    @Option(name: .long, help: "The folder of the store.")
    var state = "/var/lib/midreg"

    @Flag(name: .long, help: "Only how many there are.")
    var count = false

    func run() throws {
        do throws(ApplianceError) {
            let total = try ContactListing.list(state: state, aor: aor) { line in
                if !count { print(line) }
            }
            if count { print(total) }
        } catch {
            Complain.line("midreg: \(error.description)")
            throw ExitCode(1)
        }
    }
}
