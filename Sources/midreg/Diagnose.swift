internal import Appliance
internal import ArgumentParser
internal import Bytes

struct Diagnose: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The last ACKs that went missing, and where to look for them.",
        discussion: """
            A phone that accepts a call repeats its 200 until the ACK has come. When the third has been \
            passed back, midreg notes on which side of it the ACK was lost. The last \
            \(MissingAcks.countMax) are printed, the newest first; nothing is kept over a restart.
            """)

    @Option(name: .long, help: "text or json.")
    var format = "text"

    @Option(name: .long, help: "Where the daemon serves its counters: ADDR:PORT.")
    var counters = "127.0.0.1:9080"

    func validate() throws {
        guard format == "text" || format == "json" else {
            throw ValidationError("--format must be text or json, not \(format)")
        }
    }

    func run() throws {
        guard let address = TransportAddress(hostPort: counters, defaultPort: 9_080) else {
            throw ValidationError("--counters wants ADDR:PORT, not \(counters)")
        }
        do throws(AdminError) {
            let (status, body) = try AdminClient.get(
                address, path: "/diagnose" + (format == "json" ? "?format=json" : ""))
            guard status == 200 else {
                throw AdminError.notReachable(address: counters, reason: "status \(status)")
            }
            print(body, terminator: "")
        } catch {
            Complain.line("midreg: \(error.description)")
            throw ExitCode(3)
        }
    }
}
