internal import Glibc

/// The few things we do with files, whole files at a time.
package enum Files {
    package enum Operation: String, Sendable {
        case read
        case write
        case create
        case look = "look for"
    }

    /// Larger than any configuration or key file.
    package static let bytesMaxDefault = 16 << 20

    /// All bytes of a file.
    ///
    /// - Parameter isPrivate: whether it is a secret, which only its owner may read.
    /// - Throws: ``TransportError/fileFailed(_:path:errno:)``,
    ///   ``TransportError/fileTooLarge(path:bytesMax:)`` beyond `bytesMax`, or
    ///   ``TransportError/fileNotPrivate(path:mode:)``.
    package static func read(
        _ path: String, bytesMax: Int = bytesMaxDefault, private isPrivate: Bool = false
    ) throws(TransportError) -> [UInt8] {
        let fd = retrying { unsafe open(path, O_RDONLY | O_CLOEXEC) }
        guard fd >= 0 else { throw .fileFailed(.read, path: path, errno: errno) }
        defer { _ = close(fd) }
        if isPrivate {
            var status = stat()
            // SAFETY: the call fills the structure that it is given.
            guard unsafe fstat(fd, &status) == 0 else {
                throw .fileFailed(.read, path: path, errno: errno)
            }
            let mode = status.st_mode & 0o7777
            guard mode == 0o600 || mode == 0o400 else {
                throw .fileNotPrivate(path: path, mode: mode)
            }
        }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let chunkBytes = chunk.count
        while true {
            // SAFETY: the call writes at most as many bytes as the array has.
            let count = retrying { unsafe Glibc.read(fd, &chunk, chunkBytes) }
            guard count >= 0 else { throw .fileFailed(.read, path: path, errno: errno) }
            if count == 0 { return bytes }
            guard bytes.count + count <= bytesMax else {
                throw .fileTooLarge(path: path, bytesMax: bytesMax)
            }
            bytes.append(contentsOf: chunk.prefix(count))
        }
    }

    /// Whether something is at `path`.
    ///
    /// - Throws: ``TransportError/fileFailed(_:path:errno:)`` if that cannot be told.
    package static func exists(_ path: String) throws(TransportError) -> Bool {
        if unsafe access(path, F_OK) == 0 { return true }
        guard errno == ENOENT else { throw .fileFailed(.look, path: path, errno: errno) }
        return false
    }

    /// Creates a folder and those above it, where they are missing; existing ones stay as they are.
    ///
    /// - Parameter mode: of the folders that are created, before the umask.
    /// - Throws: ``TransportError/fileFailed(_:path:errno:)`` for the first that cannot be.
    package static func createFolders(_ path: String, mode: UInt32 = 0o700) throws(TransportError) {
        let bytes = Array(path.utf8)
        for end in 1...max(1, bytes.count) {
            guard end >= bytes.count || bytes[end] == UInt8(ascii: "/") else { continue }
            let part = String(decoding: bytes.prefix(end), as: UTF8.self)
            if unsafe mkdir(part, mode) == 0 { continue }
            let error = errno
            // Whatever stands there counts if it is a folder, also behind a link, and also where
            // we may not create anything (EACCES, EROFS).
            if unsafe access(part + "/.", F_OK) == 0 { continue }
            throw .fileFailed(
                .create, path: part, errno: error == EEXIST ? ENOTDIR : error)
        }
    }

    /// Writes a file so that, whenever the host stops, it is there whole or as it was before.
    ///
    /// - Parameter mode: of the file, whatever the umask.
    /// - Throws: ``TransportError/fileFailed(_:path:errno:)``; nothing has changed then.
    package static func write(
        _ bytes: [UInt8], to path: String, mode: UInt32 = 0o400
    ) throws(TransportError) {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        // Beside the file, since only there a rename replaces it; a name that nobody else picks.
        let suffix = Entropy.bytes(8).map { String($0, radix: 16) }.joined()
        let draft = path + "." + suffix
        do {
            try writeDraft(bytes, at: draft, for: path, mode: mode)
        } catch {
            unsafe unlink(draft)
            throw error
        }
        guard unsafe rename(draft, path) == 0 else {
            let error = errno
            unsafe unlink(draft)
            throw .fileFailed(.write, path: path, errno: error)
        }
        try sync(folder: folder, for: path)
    }

    private static func writeDraft(
        _ bytes: [UInt8], at draft: String, for path: String, mode: UInt32
    ) throws(TransportError) {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
        let fd = retrying { unsafe open(draft, flags, 0o600) }
        guard fd >= 0 else { throw .fileFailed(.write, path: path, errno: errno) }
        defer { _ = close(fd) }
        var at = 0
        while at < bytes.count {
            // SAFETY: `at` lies before the end of the bytes.
            let count = unsafe bytes.withUnsafeBytes { all in
                retrying {
                    unsafe Glibc.write(fd, all.baseAddress.unsafelyUnwrapped + at, all.count - at)
                }
            }
            guard count > 0 else { throw .fileFailed(.write, path: path, errno: errno) }
            at += count
        }
        guard fchmod(fd, mode) == 0, fsync(fd) == 0 else {
            throw .fileFailed(.write, path: path, errno: errno)
        }
    }

    /// A rename lasts once its folder is on the disk.
    private static func sync(folder: String, for path: String) throws(TransportError) {
        let fd = retrying { unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard fd >= 0 else { throw .fileFailed(.write, path: path, errno: errno) }
        defer { _ = close(fd) }
        guard fsync(fd) == 0 else { throw .fileFailed(.write, path: path, errno: errno) }
    }

    /// Repeats a call that a signal interrupted.
    private static func retrying<Number: BinaryInteger>(_ call: () -> Number) -> Number {
        while true {
            let result = call()
            if result >= 0 || errno != EINTR { return result }
        }
    }
}
