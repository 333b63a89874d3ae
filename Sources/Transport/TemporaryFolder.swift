internal import Glibc

/// A folder that only this process uses, gone with all it holds when this value goes.
package struct TemporaryFolder: ~Copyable, Sendable {
    package let path: String

    /// Creates it below `$TMPDIR` or `/tmp`.
    ///
    /// - Parameter prefix: of its name; the rest is random.
    /// - Throws: ``TransportError/fileFailed(_:path:errno:)``.
    package init(prefix: String) throws(TransportError) {
        // SAFETY: nobody changes the environment after the start; the text is copied.
        let set = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? ""
        let suffix = Entropy.bytes(8).map { String($0, radix: 16) }.joined()
        path = (set.isEmpty ? "/tmp" : set) + "/" + prefix + "-" + suffix
        try Files.createFolders(path)
    }

    deinit { Self.remove(path) }

    /// Removes a file or, with all it holds, a folder; a link goes, what it names stays. What cannot
    /// be removed is left.
    private static func remove(_ path: String) {
        if unsafe unlink(path) == 0 { return }
        // SAFETY: the folder is closed once, after its last entry; each name is copied.
        if let folder = unsafe opendir(path) {
            var names: [String] = []
            while let entry = unsafe readdir(folder) {
                let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                    unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) {
                        unsafe String(cString: $0)
                    }
                }
                if name != ".", name != ".." { names.append(name) }
            }
            unsafe closedir(folder)
            for name in names { remove(path + "/" + name) }
        }
        unsafe rmdir(path)
    }
}
