import Bytes
import Glibc
import Synchronization
import Testing
import Transport

@Suite("The host")
struct HostTests {
    @Test func `finds a name's addresses, with the port that was asked for`() throws {
        let found = try Host.resolve("localhost", port: 5_060)
        #expect(!found.isEmpty)
        #expect(found.allSatisfy { $0.isLoopback && $0.port == 5_060 })
    }

    @Test(arguments: ["192.0.2.7", "2001:db8::7"])
    func `takes an address in digits for itself`(digits: String) throws {
        let bytes = Array(digits.utf8)
        let address = TransportAddress(host: bytes.span, port: 9)
        #expect(try Host.resolve(digits, port: 9) == [address])
    }

    @Test func `says whose address it did not find`() {
        // Not a name (RFC 1035 §2.3.4: labels of 63 at most), so that no name server is asked.
        let name = String(repeating: "a", count: 64) + ".invalid"
        let error = #expect(throws: TransportError.self) { try Host.resolve(name, port: 1) }
        #expect(error?.description.hasPrefix("cannot find the address of \(name): ") == true)
    }

    @Test(arguments: anyLoopback)
    func `sends to itself from itself`(loopback: TransportAddress) throws {
        #expect(try Host.localAddress(towards: loopback.withPort(5_060)) == loopback)
    }

    @Test func `has processors and files`() {
        #expect(Host.processors >= 1)
        #expect(Set(Host.allowedProcessors).count == Host.allowedProcessors.count)
        #expect(Host.fileLimit > 10)
    }

    @Test func `has clocks that go forward`() {
        let boot = Clock.bootNanoseconds()
        let steady = Clock.monotonicNanoseconds()
        #expect(boot >= steady || steady - boot < 1_000_000_000)
        #expect(Clock.bootNanoseconds() >= boot)
        #expect(Clock.monotonicNanoseconds() >= steady)
        #expect(Clock.bootMilliseconds() >= boot / 1_000_000)
        #expect(Clock.wallMilliseconds() > 1_700_000_000_000)
    }

    @Test func `knows which boot it is in`() throws {
        let id = try Clock.bootID()
        #expect(id.count == 16)
        #expect(try Clock.bootID() == id)
    }

    @Test(arguments: [0, 1, 16, 1_000])
    func `gives as many random bytes as asked for`(count: Int) {
        let bytes = Entropy.bytes(count)
        #expect(bytes.count == count)
        if count >= 16 { #expect(bytes != Entropy.bytes(count)) }
    }
}

@Suite("A worker's thread")
struct WorkerThreadTests {
    /// What a thread found out about itself.
    private final class Report: Sendable {
        let number = Atomic<Int>(-1)
        let text = Mutex<String>("")
    }

    @Test func `has run when it is joined`() throws {
        let report = Report()
        let thread = try WorkerThread(name: "worker") {
            report.number.store(7, ordering: .releasing)
        }
        thread.join()
        thread.join()
        #expect(report.number.load(ordering: .acquiring) == 7)
        #expect(thread.pinErrno == 0)
    }

    @Test func `bears its name, cut to what the kernel keeps`() throws {
        let report = Report()
        let thread = try WorkerThread(name: "midreg-worker-number-1") {
            let name = (try? Files.read("/proc/thread-self/comm")) ?? []
            report.text.withLock { $0 = String(decoding: name, as: UTF8.self) }
        }
        thread.join()
        #expect(report.text.withLock { $0 } == "midreg-worker-n\n")
    }

    @Test func `stays on its processor`() throws {
        let processor = try #require(Host.allowedProcessors.last)
        let report = Report()
        let thread = try WorkerThread(name: "pinned", processor: processor) {
            let allowed = Host.allowedProcessors
            report.number.store(allowed.count == 1 ? allowed[0] : -2, ordering: .releasing)
        }
        thread.join()
        #expect(thread.pinErrno == 0)
        #expect(report.number.load(ordering: .acquiring) == processor)
    }

    @Test(arguments: [1_023, 100_000])
    func `runs unpinned where there is no such processor, and says so`(processor: Int) throws {
        let report = Report()
        let thread = try WorkerThread(name: "unpinned", processor: processor) {
            report.number.store(Host.processors, ordering: .releasing)
        }
        thread.join()
        #expect(thread.pinErrno == EINVAL)
        #expect(report.number.load(ordering: .acquiring) == Host.processors)
    }

    @Test func `takes no signals`() throws {
        let report = Report()
        let thread = try WorkerThread(name: "deaf") {
            var blocked = sigset_t()
            pthread_sigmask(SIG_SETMASK, nil, &blocked)
            let all = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD].allSatisfy {
                sigismember(&blocked, $0) == 1
            }
            report.number.store(all ? 1 : 0, ordering: .releasing)
        }
        thread.join()
        #expect(report.number.load(ordering: .acquiring) == 1)
    }

    @Test(arguments: [Signals.terminate, Signals.interrupt, Signals.hangUp])
    func `can wait for an operator's signal`(signal: Int32) throws {
        let report = Report()
        let thread = try WorkerThread(name: "main") {
            // To this thread alone: the test runner's own takes them otherwise.
            guard (try? Signals.block()) != nil, pthread_kill(pthread_self(), signal) == 0 else {
                return
            }
            report.number.store(Int((try? Signals.wait()) ?? -3), ordering: .releasing)
        }
        thread.join()
        #expect(report.number.load(ordering: .acquiring) == Int(signal))
    }
}

@Suite("The service manager (sd_notify)")
struct ServiceManagerTests {
    @Test func `is told nothing where there is none`() throws {
        try #require(getenv("NOTIFY_SOCKET") == nil)
        #expect(try !ServiceManager.notify("READY=1"))
    }

    @Test(arguments: [false, true])
    func `is told by path or abstract name`(abstract: Bool) throws {
        let id = Entropy.bytes(8).map { String($0, radix: 16) }.joined()
        let path = abstract ? "@midreg-test-\(id)" : "/tmp/midreg-test-\(id).sock"
        let fd = try listen(at: path)
        defer {
            close(fd)
            unlink(path)
        }
        try ServiceManager.notify("READY=1", at: path)
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = recv(fd, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        #expect(count == 7)
        #expect(String(decoding: bytes.prefix(7), as: UTF8.self) == "READY=1")
    }

    @Test(arguments: [
        ("/nowhere/notify", ENOENT), ("relative", EAFNOSUPPORT), ("/", EINVAL),
        (String(repeating: "/a", count: 54), EINVAL),
    ])
    func `is named when it cannot be told`(path: String, errno: Int32) {
        #expect(throws: TransportError.notifyFailed(path: path, errno: errno)) {
            try ServiceManager.notify("READY=1", at: path)
        }
    }

    private func listen(at path: String) throws -> Int32 {
        let fd = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        try #require(fd >= 0)
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        withUnsafeMutableBytes(of: &name.sun_path) { room in
            room.copyBytes(from: bytes)
            if bytes[0] == UInt8(ascii: "@") { room[0] = 0 }
        }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let result = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, length) }
        }
        try #require(result == 0)
        return fd
    }
}
