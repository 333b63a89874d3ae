import Glibc
import Testing
import Transport

@Suite("Files, whole at a time")
final class FilesTests {
    private let folder: String

    init() throws {
        folder = "/tmp/midreg-files-" + Entropy.bytes(8).map { String($0, radix: 16) }.joined()
        try Files.createFolders(folder)
    }

    deinit {
        for part in ["key", "link", "a/b/c", "a/b", "a", ""] {
            let path = folder + "/" + part
            if unlink(path) != 0 { rmdir(path) }
        }
    }

    private func mode(_ path: String) -> UInt32 {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
    }

    private func names(in path: String) -> [String] {
        guard let handle = opendir(path) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    @Test(
        arguments: [
            (0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false),
            (0o700, false),
            (0o444, false), (0o4600, false),
        ] as [(UInt32, Bool)])
    func `read a secret only if nobody else can`(mode: UInt32, isRead: Bool) throws {
        let path = folder + "/key"
        try Files.write([1, 2, 3], to: path, mode: mode)
        let secret = try? Files.read(path, private: true)
        #expect(secret == (isRead ? [1, 2, 3] : nil))
        if !isRead {
            #expect(throws: TransportError.fileNotPrivate(path: path, mode: mode)) {
                try Files.read(path, private: true)
            }
        }
    }

    @Test(arguments: [0, 1, 65_536, 200_001])
    func `read back what was written`(count: Int) throws {
        let bytes = Entropy.bytes(count)
        try Files.write(bytes, to: folder + "/key")
        #expect(try Files.read(folder + "/key") == bytes)
        #expect(mode(folder + "/key") == 0o400)
        #expect(names(in: folder) == ["key"])
    }

    @Test func `are replaced whole, with the mode asked for`() throws {
        try Files.write([1, 2, 3], to: folder + "/key")
        try Files.write([4], to: folder + "/key", mode: 0o640)
        #expect(try Files.read(folder + "/key") == [4])
        #expect(mode(folder + "/key") == 0o640)
        #expect(names(in: folder) == ["key"])
    }

    @Test func `leave nothing behind when they cannot be written`() throws {
        try Files.createFolders(folder + "/a")
        #expect(throws: TransportError.fileFailed(.write, path: folder + "/a", errno: EISDIR)) {
            try Files.write([1], to: folder + "/a")
        }
        #expect(names(in: folder) == ["a"])
        let nowhere = folder + "/b/key"
        let error = #expect(throws: TransportError.self) { try Files.write([1], to: nowhere) }
        #expect(error == .fileFailed(.write, path: nowhere, errno: ENOENT))
        #expect(error?.description == "cannot write \(nowhere): No such file or directory")
    }

    @Test func `are there or not`() throws {
        #expect(try !Files.exists(folder + "/key"))
        try Files.write([], to: folder + "/key")
        #expect(try Files.exists(folder + "/key"))
        #expect(throws: TransportError.self) { try Files.exists(folder + "/key/under") }
    }

    @Test func `are read up to a bound`() throws {
        try Files.write([1, 2, 3], to: folder + "/key")
        #expect(try Files.read(folder + "/key", bytesMax: 3) == [1, 2, 3])
        #expect(throws: TransportError.fileTooLarge(path: folder + "/key", bytesMax: 2)) {
            try Files.read(folder + "/key", bytesMax: 2)
        }
        #expect(throws: TransportError.fileFailed(.read, path: folder, errno: EISDIR)) {
            try Files.read(folder)
        }
    }

    @Test(arguments: ["/a/b/c", "/a/b/c/", "//a//b/c", "/a/./b/../b/c"])
    func `get the folders they lie in, existing ones unchanged`(path: String) throws {
        try Files.createFolders(folder + "/a", mode: 0o750)
        let before = mode(folder + "/a")
        try Files.createFolders(folder + path, mode: 0o700)
        try Files.createFolders(folder + path, mode: 0o777)
        #expect(mode(folder + "/a") == before)
        #expect(mode(folder + "/a/b/c") == 0o700)
    }

    @Test func `do not pass for folders`() throws {
        try Files.write([], to: folder + "/key")
        let under = folder + "/key"
        #expect(throws: TransportError.fileFailed(.create, path: under, errno: ENOTDIR)) {
            try Files.createFolders(folder + "/key/below")
        }
        #expect(symlink("/", folder + "/link") == 0)
        try Files.createFolders(folder + "/link")
    }
}
