internal import Glibc

/// A file that is read piece by piece, whatever its length.
package final class InputFile {
    private static let pieceBytes = 262_144
    private let path: String
    private let file: Int32

    /// - Throws: ``TransportError/fileFailed(_:path:errno:)``.
    package init(_ path: String) throws(TransportError) {
        self.path = path
        file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .fileFailed(.read, path: path, errno: errno) }
    }

    deinit { _ = close(file) }

    /// The next piece; `nil` at the end.
    package func next() throws(TransportError) -> [UInt8]? {
        var piece = [UInt8](repeating: 0, count: Self.pieceBytes)
        while true {
            // SAFETY: the call writes at most as many bytes as the array has.
            let count = unsafe read(file, &piece, Self.pieceBytes)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .fileFailed(.read, path: path, errno: errno) }
            if count == 0 { return nil }
            piece.removeLast(piece.count - count)
            return piece
        }
    }
}

/// A new file that is written piece by piece; one that is there is replaced.
package final class OutputFile {
    private static let waitingBytes = 65_536
    private let path: String
    private let file: Int32
    private var waiting: [UInt8] = []

    /// - Throws: ``TransportError/fileFailed(_:path:errno:)``.
    package init(_ path: String) throws(TransportError) {
        self.path = path
        file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .fileFailed(.create, path: path, errno: errno) }
    }

    deinit { _ = close(file) }

    package func write(_ bytes: [UInt8]) throws(TransportError) {
        waiting += bytes
        if waiting.count >= Self.waitingBytes { try finish() }
    }

    /// Writes what waits.
    package func finish() throws(TransportError) {
        var at = 0
        while at < waiting.count {
            // SAFETY: `at` lies before the end of the bytes.
            let count = unsafe waiting.withUnsafeBytes { all in
                unsafe Glibc.write(file, all.baseAddress.unsafelyUnwrapped + at, all.count - at)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .fileFailed(.write, path: path, errno: errno) }
            at += count
        }
        waiting.removeAll(keepingCapacity: true)
    }
}
