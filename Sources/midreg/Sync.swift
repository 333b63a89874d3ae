internal import Appliance
internal import ArgumentParser
internal import Bytes

struct Sync: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Has the main registrar confirm contacts anew.",
        discussion: """
            After the main registrar has lost its bindings, phones would be absorbed until their leases \
            end. With this the next refresh of each contact goes to the main registrar, at a moment \
            of its own. It happens by itself when the main registrar was silent and answers again, or \
            says that it does not know what it agreed to.
            """)

    @Argument(help: "Only this address of record: alice@example.com.")
    var aor: String?

    @Flag(name: .long, help: "All contacts.")
    var all = false

    @Option(name: .long, help: "With --all: spread over this time, 0s to 24h: 60s, 5m.")
    var over: String?

    @Option(name: .long, help: "Where the daemon serves its counters: ADDR:PORT.")
    var counters = "127.0.0.1:9080"

    func validate() throws {
        guard (aor != nil) != all else {
            throw ValidationError("give an address of record or --all")
        }
        if let over {
            guard all else { throw ValidationError("--over goes with --all") }
            guard Self.seconds(over) != nil else {
                throw ValidationError("--over wants a time from 0s to 24h: 60s, 5m, 1h")
            }
        }
    }

    func run() throws {
        guard let address = TransportAddress(hostPort: counters, defaultPort: 9_080) else {
            throw ValidationError("--counters wants ADDR:PORT, not \(counters)")
        }
        var path = "/sync"
        if let aor { path += "?aor=" + Self.escaped(aor) }
        if let over, let seconds = Self.seconds(over) { path += "?over=\(seconds)" }
        let status: Int
        let body: String
        do throws(AdminError) {
            (status, body) = try AdminClient.order(address, path: path)
        } catch {
            Complain.line("midreg: \(error.description)")
            throw ExitCode(3)
        }
        guard status == 200 else {
            Complain.line("midreg: " + body.prefix { $0 != "\n" })
            throw ExitCode(1)
        }
        print("contacts to be confirmed: \(body)", terminator: "")
    }

    private static func seconds(_ text: String) -> UInt32? {
        let units: [Character: UInt32] = ["s": 1, "m": 60, "h": 3_600]
        guard let unit = text.last.flatMap({ units[$0] }), let count = UInt32(text.dropLast()),
            count <= 86_400 / unit
        else { return nil }
        return count * unit
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x40...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E, 0x3A:
                escaped.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let hex = String(byte, radix: 16, uppercase: true)
                escaped += "%" + (byte < 16 ? "0" + hex : hex)
            }
        }
        return escaped
    }
}
