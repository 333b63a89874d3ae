internal import CLinux

/// Wakes a worker that waits in its ``EventPoll``; any thread may ring it, at any time.
package final class Wakeup: Sendable {
    /// To be watched by the worker's poll.
    package let fd: Int32

    /// - Throws: ``TransportError/pollFailed(errno:)``.
    package init() throws(TransportError) {
        let fd = midreg_wakeup_open()
        guard fd >= 0 else { throw .pollFailed(errno: -fd) }
        self.fd = fd
    }

    deinit { _ = midreg_close(fd) }

    /// Makes the descriptor readable until it is drained.
    package func signal() { midreg_wakeup_signal(fd) }

    /// Forgets all signals so far.
    ///
    /// Drain first and look at what there is to do then: what is added in between rings again.
    package func drain() { midreg_wakeup_drain(fd) }
}
