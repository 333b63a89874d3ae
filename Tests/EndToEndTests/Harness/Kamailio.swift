import Foundation

/// Kamailio as main registrar, with digest authentication.
final class Kamailio {
    let endpoint: Endpoint
    private let folder: Folder
    private let child: Child

    /// One row of its location table.
    struct Row: Hashable, CustomStringConvertible {
        var addressOfRecord = ""
        var contact = ""
        var callID = ""
        var sequence = ""
        var path = ""
        var flow = ""
        var description: String { "\(addressOfRecord) \(contact) \(callID) \(sequence)" }
    }

    /// Starts it and waits until it answers; `own` is the one socket from which removals go
    /// unchallenged, `prefix` puts it into a network namespace, `storesPath` has it keep Path (RFC 3327) and do Outbound.
    /// With one of its `processes` nothing that it passes on overtakes anything.
    init(
        at endpoint: Endpoint, own: Endpoint? = nil, prefix: [String] = [],
        storesPath: Bool = false, processes: Int = 2, in folder: Folder,
        called name: String = "main"
    ) async throws {
        self.endpoint = endpoint
        self.folder = folder
        let home = folder(name)
        try folder.makeFolder(name)
        socketPath = "\(home)/ctl.sock"
        var command =
            prefix + [
                "kamailio", "-x", "fm", "-DD", "-E", "-m", "64", "-M", "8",
                "-f", Peers.path("main-registrar.cfg"), "-Y", home, "-w", home,
                "-l", "udp:\(endpoint)", "-A", "CTL=\"unix:\(socketPath)\"",
            ]
        if let own {
            command += ["-A", "OWN_IP=\"\(own.uriHost)\"", "-A", "OWN_PORT=\(own.port)"]
        }
        command += ["-A", "PROCESSES=\(processes)"]
        if storesPath { command += ["-A", "STORES_PATH=1"] }
        child = try Child(command, log: folder("\(name).log"))
        do {
            try await until("Kamailio answers") {
                if child.hasEnded { throw HarnessError("Kamailio ended at once") }
                return try await run(["kamcmd", "-s", "unix:\(socketPath)", "core.version"])
                    .succeeded
            }
        } catch { throw HarnessError("\(error); its log:\n\(child.log.suffix(3_000))") }
    }

    private let socketPath: String

    /// What its location table holds, in order.
    func rows() async throws -> [Row] {
        let outcome = try await run(["kamcmd", "-s", "unix:\(socketPath)", "ul.dump"])
        guard outcome.succeeded else { throw HarnessError("ul.dump: \(outcome.output)") }
        var rows: [Row] = []
        var addressOfRecord = ""
        for line in outcome.output.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
                .map { $0.trimmingCharacters(in: .whitespaces) }
            guard parts.count == 2 else { continue }
            switch parts[0] {
            case "AoR": addressOfRecord = parts[1]
            case "Address": rows.append(Row(addressOfRecord: addressOfRecord, contact: parts[1]))
            case "Call-ID": rows[rows.count - 1].callID = parts[1]
            case "Reg-Id": rows[rows.count - 1].flow = parts[1]
            case "Path": rows[rows.count - 1].path = parts[1]
            case "CSeq": rows[rows.count - 1].sequence = parts[1]
            default: break
            }
        }
        return rows.sorted { $0.description < $1.description }
    }

    func stop() async { await child.stop() }
}
