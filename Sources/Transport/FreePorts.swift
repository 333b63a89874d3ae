package import Bytes
internal import Glibc

/// Ports that nobody has at the moment, for demonstrations and tests. Another program may take one
/// before it is opened again; then that fails and says so.
package enum FreePorts {
    /// Holds free UDP ports until they are released together, so that no two are the same.
    package final class Reservation: Sendable {
        /// What is held: single addresses first, then ports in a row.
        package let single: [TransportAddress]
        package let row: ClosedRange<UInt16>
        private let sockets: [UDPSocket]

        /// - Parameters:
        ///   - address: whose ports; its own port does not count.
        ///   - singles: how many that may lie anywhere.
        ///   - rowCount: how many that are to lie in a row, at least 1.
        /// - Throws: ``TransportError/cannotListen(_:errno:)``.
        package init(
            on address: TransportAddress, singles: Int, rowCount: Int
        ) throws(TransportError) {
            var taken: [UDPSocket] = []
            do throws(TransportError) {
                for _ in 0..<singles {
                    taken.append(try UDPSocket.open(bind: address.withPort(0), reusePort: false))
                }
                let row = try FreePorts.row(on: address, count: rowCount)
                single = taken.map(\.localAddress)
                let first = row[0].localAddress.port
                self.row = first...(first + UInt16(rowCount - 1))
                sockets = taken + row
            } catch {
                for socket in taken { socket.close() }
                throw error
            }
        }

        /// Gives them all back; to be called once.
        package func release() {
            for socket in sockets { socket.close() }
        }
    }

    /// How often a row is looked for.
    private static let triesMax = 64

    private static func row(
        on address: TransportAddress, count: Int
    ) throws(TransportError) -> [UDPSocket] {
        precondition(count > 0 && count <= 256, "a row has a length")
        var lastError = TransportError.cannotListen(address, errno: EADDRINUSE)
        for _ in 0..<triesMax {
            let first = try UDPSocket.open(bind: address.withPort(0), reusePort: false)
            var row = [first]
            do throws(TransportError) {
                while row.count < count {
                    let port = Int(first.localAddress.port) + row.count
                    guard port <= 65_535 else {
                        throw .cannotListen(address.withPort(65_535), errno: EADDRINUSE)
                    }
                    row.append(
                        try UDPSocket.open(
                            bind: address.withPort(UInt16(port)), reusePort: false))
                }
                return row
            } catch {
                for socket in row { socket.close() }
                lastError = error
            }
        }
        throw lastError
    }

    /// A TCP port of 127.0.0.1 that nobody listens on.
    ///
    /// - Throws: ``TransportError/cannotListen(_:errno:)``.
    package static func tcpOnLoopback() throws(TransportError) -> TransportAddress {
        let any = TransportAddress(ipv4: 0x7F00_0001, port: 0)
        let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | 0o2000000, 0)  // SOCK_CLOEXEC
        guard fd >= 0 else { throw .cannotListen(any, errno: errno) }
        defer { _ = close(fd) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        // SAFETY: a sockaddr_in is what an AF_INET socket takes and gives, `length` is its size,
        // and the calls keep neither.
        let error = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                guard unsafe bind(fd, generic, length) == 0,
                    unsafe getsockname(fd, generic, &length) == 0
                else { return errno }
                return 0
            }
        }
        guard error == 0 else { throw .cannotListen(any, errno: error) }
        return any.withPort(UInt16(bigEndian: address.sin_port))
    }
}
