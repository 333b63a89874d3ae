internal import Glibc

/// Lines for whoever started the command, each there as soon as it is written.
package enum StandardOutput {
    /// Writes a line; what a closed or full output does not take is lost.
    package static func line(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        var at = 0
        while at < bytes.count {
            // SAFETY: `at` lies before the end of the bytes.
            let count = unsafe bytes.withUnsafeBytes { all in
                unsafe write(1, all.baseAddress.unsafelyUnwrapped + at, all.count - at)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            at += count
        }
    }
}
