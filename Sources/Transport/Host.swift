package import Bytes
internal import CLinux

/// What this host is and can reach.
package enum Host {
    /// Addresses that one name is taken to have at most.
    package static let addressesMax = 16

    /// The addresses of a name, in the resolver's order; an address in digits is its own.
    ///
    /// It may wait for a name server for seconds, so it is for the start only.
    ///
    /// - Throws: ``TransportError/unresolved(name:reason:)``.
    package static func resolve(
        _ name: String, port: UInt16
    ) throws(TransportError) -> [TransportAddress] {
        var found = [midreg_address](repeating: midreg_address(), count: addressesMax)
        var gai: Int32 = 0
        // SAFETY: there is room for as many addresses as the call is told.
        let count = unsafe midreg_resolve(name, port, &found, Int32(addressesMax), &gai)
        guard count >= 0 else {
            // SAFETY: the text is constant.
            let reason = unsafe midreg_resolve_error(gai).map { unsafe String(cString: $0) }
            throw .unresolved(name: name, reason: reason ?? "error \(gai)")
        }
        guard count > 0 else { throw .unresolved(name: name, reason: "it has no IP address") }
        return found.prefix(Int(count)).map { TransportAddress($0) }
    }

    /// The local address that the kernel would send from towards `peer`, with port 0.
    ///
    /// - Throws: ``TransportError/noRoute(_:errno:)``.
    package static func localAddress(
        towards peer: TransportAddress
    ) throws(TransportError) -> TransportAddress {
        var local = midreg_address()
        // SAFETY: the call writes into a local.
        let error = unsafe midreg_local_address(peer.forLinux, &local)
        guard error == 0 else { throw .noRoute(peer, errno: -error) }
        return TransportAddress(local)
    }

    /// The processors that the calling thread may run on, by the kernel's numbers; none if it does
    /// not say.
    package static var allowedProcessors: [Int] {
        var numbers = [Int32](repeating: 0, count: 1_024)
        let room = Int32(numbers.count)
        // SAFETY: there is room for as many numbers as the call is told.
        let count = unsafe midreg_processors(&numbers, room)
        return numbers.prefix(Int(max(0, count))).map { Int($0) }
    }

    /// How many processors the calling thread may run on, at least 1.
    package static var processors: Int { max(1, allowedProcessors.count) }

    /// How many files and sockets this process may have open.
    package static var fileLimit: Int { Int(clamping: midreg_file_limit()) }
}
