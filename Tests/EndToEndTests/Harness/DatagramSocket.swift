import Foundation

/// An IP address and port.
struct Endpoint: Hashable, CustomStringConvertible {
    let host: String
    let port: UInt16

    init(_ host: String, _ port: UInt16) {
        self.host = host
        self.port = port
    }

    var isIPv6: Bool { host.contains(":") }
    /// As in a SIP URI or a `Via`.
    var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }
    /// The host as in a SIP URI.
    var uriHost: String { isIPv6 ? "[\(host)]" : host }

    fileprivate func withAddress<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        if isIPv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            inet_pton(AF_INET6, host, &address.sin6_addr)
            return withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        inet_pton(AF_INET, host, &address.sin_addr)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    fileprivate init(_ storage: sockaddr_storage) {
        var storage = storage
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        (host, port) = withUnsafeMutablePointer(to: &storage) { pointer in
            if pointer.pointee.ss_family == sa_family_t(AF_INET6) {
                pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    inet_ntop(AF_INET6, &$0.pointee.sin6_addr, &text, socklen_t(text.count))
                    return (terminated(text), UInt16(bigEndian: $0.pointee.sin6_port))
                }
            } else {
                pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    inet_ntop(AF_INET, &$0.pointee.sin_addr, &text, socklen_t(text.count))
                    return (terminated(text), UInt16(bigEndian: $0.pointee.sin_port))
                }
            }
        }
    }
}

/// A UDP socket that never blocks: whoever waits for a datagram sleeps between looks, so that no
/// thread of Swift's pool is held.
final class DatagramSocket: Sendable {
    let descriptor: Int32
    let endpoint: Endpoint

    init(_ host: String, port: UInt16 = 0) throws {
        let wanted = Endpoint(host, port)
        descriptor = socket(
            wanted.isIPv6 ? AF_INET6 : AF_INET,
            Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw HarnessError("no socket: errno \(errno)") }
        var bytes: Int32 = 4 << 20
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
        let bound = wanted.withAddress { [descriptor] in bind(descriptor, $0, $1) }
        guard bound == 0 else {
            close(descriptor)
            throw HarnessError("cannot bind \(wanted): \(String(cString: strerror(errno)))")
        }
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        _ = withUnsafeMutablePointer(to: &storage) { [descriptor] in
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &length)
            }
        }
        endpoint = Endpoint(storage)
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8], to destination: Endpoint) {
        _ = destination.withAddress { sendto(descriptor, bytes, bytes.count, 0, $0, $1) }
    }

    func send(_ text: String, to destination: Endpoint) { send(Array(text.utf8), to: destination) }

    /// A datagram that is here already.
    func take() -> (bytes: [UInt8], from: Endpoint)? {
        var buffer = [UInt8](repeating: 0, count: 65_535)
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let count = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                recvfrom(descriptor, &buffer, buffer.count, 0, $0, &length)
            }
        }
        guard count >= 0 else { return nil }
        return (Array(buffer[..<count]), Endpoint(storage))
    }

    /// The next datagram; `nil` if none comes in time.
    func receive(within limit: Duration) async throws -> (bytes: [UInt8], from: Endpoint)? {
        let deadline = ContinuousClock.now + limit
        while true {
            if let datagram = take() { return datagram }
            if ContinuousClock.now >= deadline { return nil }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    /// The next SIP message; what is not one is skipped.
    func receiveMessage(within limit: Duration) async throws -> Message? {
        let deadline = ContinuousClock.now + limit
        while case let left = deadline - ContinuousClock.now, left > .zero,
            let datagram = try await receive(within: left)
        {
            if let message = Message(datagram.bytes, from: datagram.from) { return message }
        }
        return nil
    }
}

/// What stands before the first zero.
private func terminated(_ text: [CChar]) -> String {
    String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
