internal import CLinux
internal import Glibc

/// The service manager that started us, if it wants to hear from us (sd_notify(3)).
package enum ServiceManager {
    /// Tells it `state`, like `READY=1` or `STOPPING=1`.
    ///
    /// - Returns: whether there is one that listens.
    /// - Throws: ``TransportError/notifyFailed(path:errno:)``.
    @discardableResult
    package static func notify(_ state: String) throws(TransportError) -> Bool {
        // SAFETY: nobody changes the environment after the start; the text is copied.
        guard let path = unsafe getenv("NOTIFY_SOCKET").map({ unsafe String(cString: $0) }),
            !path.isEmpty
        else { return false }
        try notify(state, at: path)
        return true
    }

    /// Tells `state` to a socket, by path or, with `@` before it, by abstract name.
    ///
    /// - Throws: ``TransportError/notifyFailed(path:errno:)``.
    package static func notify(_ state: String, at path: String) throws(TransportError) {
        // SAFETY: the call reads two texts and keeps neither.
        let error = unsafe midreg_notify(path, state, state.utf8.count)
        guard error == 0 else { throw .notifyFailed(path: path, errno: -error) }
    }
}
