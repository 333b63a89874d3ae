import Bytes
import Glibc
import Testing
import Transport

@Suite("A temporary folder")
struct TemporaryFolderTests {
    @Test func `goes with all it holds, and nothing that a link in it names`() throws {
        let kept = try TemporaryFolder(prefix: "midreg-test")
        try Files.write([1], to: kept.path + "/file")
        let path: String
        do {
            let folder = try TemporaryFolder(prefix: "midreg-test")
            path = folder.path
            #expect(path.hasPrefix("/tmp/midreg-test-") || getenv("TMPDIR") != nil)
            try Files.createFolders(path + "/a/b")
            try Files.write([1], to: path + "/a/b/file")
            #expect(symlink(kept.path, path + "/a/link") == 0)
            #expect(try Files.exists(path + "/a/link/file"))
            withExtendedLifetime(folder) {}
        }
        #expect(try !Files.exists(path))
        #expect(try Files.exists(kept.path + "/file"))
        withExtendedLifetime(kept) {}
    }
}

@Suite("Free ports")
struct FreePortsTests {
    @Test func `are held until they are released, all different`() throws {
        let loopback = anyLoopback[0]
        let ports = try FreePorts.Reservation(on: loopback, singles: 3, rowCount: 8)
        let row = ports.row.map(loopback.withPort)
        #expect(row.count == 8)
        #expect(Set(ports.single + row).count == 11)
        for address in ports.single + row {
            #expect(throws: TransportError.cannotListen(address, errno: EADDRINUSE)) {
                try UDPSocket.open(bind: address, reusePort: false)
            }
        }
        ports.release()
        for address in ports.single + row {
            try UDPSocket.open(bind: address, reusePort: false).close()
        }
    }

    @Test func `for TCP can be bound`() throws {
        #expect(try FreePorts.tcpOnLoopback().port > 0)
    }
}
