internal import CLinux
internal import Glibc

/// The signals an operator sends, taken one at a time by the main thread.
package enum Signals {
    /// End in order (`kill`, systemd).
    package static let terminate: Int32 = SIGTERM
    /// End in order (Ctrl-C).
    package static let interrupt: Int32 = SIGINT
    /// Read the configuration again.
    package static let hangUp: Int32 = SIGHUP

    /// Keeps these three for ``wait()`` and ignores SIGPIPE.
    ///
    /// To be called in the main thread before any other thread starts: threads inherit it.
    ///
    /// - Throws: ``TransportError/signalsFailed(errno:)``.
    package static func block() throws(TransportError) {
        let error = midreg_signals_block()
        guard error == 0 else { throw .signalsFailed(errno: -error) }
    }

    /// Waits for one of the three and returns which.
    ///
    /// - Throws: ``TransportError/signalsFailed(errno:)``.
    package static func wait() throws(TransportError) -> Int32 {
        let number = midreg_signals_wait()
        guard number > 0 else { throw .signalsFailed(errno: -number) }
        return number
    }
}
