internal import Bytes
internal import Glibc
internal import NIOCore
internal import NIOPosix

/// Why the admin plane could not be opened or asked, for the person who started it.
package enum AdminError: Error, Equatable, CustomStringConvertible {
    case cannotListen(address: String, reason: String)
    case notReachable(address: String, reason: String)

    package var description: String {
        switch self {
        case .cannotListen(let address, let reason):
            "Cannot listen on \(address) for counters: \(reason)."
                + " Choose another address with --counters ADDR:PORT."
        case .notReachable(let address, let reason):
            "No counters from \(address): \(reason)."
                + " Is midreg running, and with --counters \(address)?"
        }
    }

    /// What went wrong, in words where they are known, and without the calls that noticed.
    static func reason(_ error: any Error) -> String {
        switch error {
        case let error as IOError: words(errno: error.errnoCode) ?? String(describing: error)
        case let error as NIOConnectionError:
            error.connectionErrors.first.map { reason($0.error) } ?? "there is no such address"
        case ChannelError.connectTimeout: "it took too long to connect"
        default: String(describing: error)
        }
    }

    private static func words(errno: Int32) -> String? {
        switch errno {
        case EADDRINUSE: "another program listens there"
        case EADDRNOTAVAIL: "this machine has no such address"
        case EACCES: "permission denied"
        case ECONNREFUSED: "nobody listens there"
        case ECONNRESET, EPIPE: "it closed the connection"
        case EHOSTUNREACH, ENETUNREACH: "there is no way to it"
        default: nil
        }
    }
}

extension SocketAddress {
    /// The same address in SwiftNIO's form.
    init(_ address: TransportAddress) throws {
        let host = address.hostText.filter { $0 != "[" && $0 != "]" }
        try self.init(ipAddress: host, port: Int(address.port))
    }
}
