package import Bytes
internal import CLinux

/// A bound UDP socket that never blocks: the address's own family, IPv6 without mapped IPv4.
///
/// It counts the datagrams that the kernel dropped for want of room (SO_RXQ_OVFL); see
/// ``ReceiveBatch/kernelDrops``. It stays open until ``close()``.
package struct UDPSocket: Sendable {
    package let fd: Int32
    /// Where it is bound, with the port that the kernel chose where none was asked for.
    package let localAddress: TransportAddress
    /// The receive buffer that the kernel gave, in bytes; less than asked for where
    /// `net.core.rmem_max` is lower and the process lacks CAP_NET_ADMIN.
    package let receiveBufferBytes: Int

    /// 6,553 datagrams of 550 bytes (measured on loopback, Linux 6.18): what a worker that answers
    /// 200,000 a second works off in 33 ms.
    package static let receiveBufferBytesDefault = 4 << 20
    /// A whole outbox of a round, so that a send seldom waits.
    package static let sendBufferBytesDefault = 1 << 20

    /// Opens and binds a socket.
    ///
    /// - Parameters:
    ///   - address: port 0 asks the kernel for a free one; the scope of a link-local address cannot
    ///     be given.
    ///   - reusePort: share the port with other sockets of this user that were opened so; the kernel
    ///     spreads peers over them. Such a port is never "in use" for a second daemon of this user:
    ///     ``exclusivelyFree(_:)`` tells.
    /// - Throws: ``TransportError/cannotListen(_:errno:)``.
    package static func open(
        bind address: TransportAddress, reusePort: Bool,
        receiveBufferBytes: Int = receiveBufferBytesDefault,
        sendBufferBytes: Int = sendBufferBytesDefault
    ) throws(TransportError) -> UDPSocket {
        var bound = midreg_address()
        var granted: Int32 = 0
        // SAFETY: the call writes into two locals and keeps neither.
        let fd = unsafe midreg_udp_open(
            address.forLinux, reusePort ? 1 : 0, Int32(clamping: receiveBufferBytes),
            Int32(clamping: sendBufferBytes), &bound, &granted)
        guard fd >= 0 else { throw .cannotListen(address, errno: -fd) }
        return UDPSocket(
            fd: fd, localAddress: TransportAddress(bound), receiveBufferBytes: Int(granted))
    }

    /// Makes sure that nobody has the port, not even a socket that would share it.
    ///
    /// Called before the first of several sharing sockets is opened, it finds the daemon that was
    /// started twice, which SO_REUSEPORT would hide.
    ///
    /// - Throws: ``TransportError/cannotListen(_:errno:)``.
    package static func exclusivelyFree(_ address: TransportAddress) throws(TransportError) {
        try open(bind: address, reusePort: false).close()
    }

    /// Closes the socket; its descriptor is not to be used any more.
    package func close() { _ = midreg_close(fd) }
}
