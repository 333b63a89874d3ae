package import Bytes
internal import Glibc

/// What the operating system refused, with its reason, worded for the person who has to fix it.
package enum TransportError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A UDP socket could not be opened at this address.
    case cannotListen(TransportAddress, errno: Int32)
    case receiveFailed(errno: Int32)
    /// A call about waiting for sockets failed.
    case pollFailed(errno: Int32)
    case cannotStartThread(name: String, errno: Int32)
    case signalsFailed(errno: Int32)
    /// A host name has no address; `reason` is the resolver's.
    case unresolved(name: String, reason: String)
    /// There is no route to this address.
    case noRoute(TransportAddress, errno: Int32)
    /// The service manager's socket does not take messages.
    case notifyFailed(path: String, errno: Int32)
    case fileFailed(Files.Operation, path: String, errno: Int32)
    case fileTooLarge(path: String, bytesMax: Int)
    /// A secret that others can read.
    case fileNotPrivate(path: String, mode: UInt32)
    /// A file of the kernel's does not read as documented.
    case unexpectedContent(path: String)

    package var description: String {
        switch self {
        case .cannotListen(let address, let errno):
            "cannot listen on udp:\(address.text): \(text(of: errno))"
                + advice(on: errno, at: address)
        case .receiveFailed(let errno):
            "cannot receive: \(text(of: errno))"
        case .pollFailed(let errno):
            "cannot wait for sockets: \(text(of: errno))"
        case .cannotStartThread(let name, let errno):
            "cannot start the thread \(name): \(text(of: errno))"
        case .signalsFailed(let errno):
            "cannot take signals: \(text(of: errno))"
        case .unresolved(let name, let reason):
            "cannot find the address of \(name): \(reason)"
        case .noRoute(let address, let errno):
            "there is no way to \(address.text): \(text(of: errno))"
        case .notifyFailed(let path, let errno):
            "cannot notify the service manager at \(path): \(text(of: errno))"
        case .fileFailed(let operation, let path, let errno):
            "cannot \(operation.rawValue) \(path): \(text(of: errno))"
        case .fileTooLarge(let path, let bytesMax):
            "cannot read \(path): it is larger than \(bytesMax) bytes"
        case .fileNotPrivate(let path, let mode):
            "\(path) has mode 0\(String(mode, radix: 8)): others could read it; chmod 0600 or 0400"
        case .unexpectedContent(let path):
            "\(path) does not hold what it is documented to hold"
        }
    }
}

/// The operating system's words for an error number.
private func text(of number: Int32) -> String {
    // SAFETY: glibc's text is the calling thread's own or constant, and copied here.
    guard let words = unsafe strerror(number) else { return "error \(number)" }
    return unsafe String(cString: words)
}

private func advice(on number: Int32, at address: TransportAddress) -> String {
    switch number {
    case EADDRINUSE:
        ". Another program has this port; `ss -lunp 'sport = :\(address.port)'` shows which."
    case EADDRNOTAVAIL:
        ". No interface of this host has this address; `ip address` shows those it has."
    case EACCES where address.port < 1024:
        ". Ports below 1024 need CAP_NET_BIND_SERVICE."
    default:
        ""
    }
}
