import Bytes
import Glibc
import Synchronization
import Testing

@testable import Appliance

@Suite("The admin plane over HTTP", .serialized)
struct AdminServerTests {
    /// Runs `body` beside a server on a port that the system chose.
    private func withServer(
        readiness: @escaping @Sendable () -> AdminServer.Readiness = { .ready },
        _ body: (TransportAddress) throws -> Void
    ) throws {
        let sources = AdminServer.Sources(
            metrics: { "midreg_up 1\n" }, metricsType: "text/plain; version=0.0.4; charset=utf-8",
            summary: { "absorbed 98.6 % of 12,345 REGISTERs\n" }, readiness: readiness,
            diagnose: { $0 ? "[\n]\n" : "none\n" },
            sync: { request in
                switch request {
                case .all(overSeconds: nil): .begun(bindings: 7)
                case .all(let seconds): seconds == 60 ? .begun(bindings: 60) : .failed
                case .address(let aor): aor == "a b@c" ? .begun(bindings: 1) : .unknown
                }
            })
        let server = try AdminServer.start(
            TransportAddress(ipv4: 0x7F00_0001, port: 0), sources: sources)
        defer { server.stop() }
        #expect(server.address.port != 0)
        try body(server.address)
    }

    @Test(
        arguments: [
            ("GET", "/metrics", "200 OK", "midreg_up 1\n"),
            ("GET", "/summary", "200 OK", "absorbed 98.6 % of 12,345 REGISTERs\n"),
            ("GET", "/livez", "200 OK", "alive\n"), ("GET", "/readyz", "200 OK", "ready\n"),
            ("GET", "/metrics?name=x", "200 OK", "midreg_up 1\n"),
            ("HEAD", "/metrics", "200 OK", ""),
            (
                "POST", "/metrics", "405 Method Not Allowed",
                "Only GET and HEAD are answered here.\n"
            ),
            (
                "DELETE", "/livez", "405 Method Not Allowed",
                "Only GET and HEAD are answered here.\n"
            ),
            (
                "GET", "/", "404 Not Found",
                "There are /metrics, /summary, /diagnose, /livez, /readyz and /sync here.\n"
            ),
            (
                "GET", "/metricsx", "404 Not Found",
                "There are /metrics, /summary, /diagnose, /livez, /readyz and /sync here.\n"
            ),
        ])
    func `answers by method and path`(
        method: String, path: String, status: String, body: String
    ) throws {
        try withServer { address in
            let said = try exchange(
                address, "\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            #expect(said.hasPrefix("HTTP/1.1 \(status)\r\n"))
            #expect(said.hasSuffix("\r\n\r\n" + body))
            #expect(said.contains("\r\nConnection: close\r\n"))
            if path.hasPrefix("/metrics"), status == "200 OK" {
                #expect(said.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"))
                #expect(said.contains("Content-Length: 12\r\n"))
            }
            if status.hasPrefix("405") { #expect(said.contains("\r\nAllow: GET, HEAD\r\n")) }
        }
    }

    @Test(
        arguments: [
            ("/sync", 200, "7\n"), ("/sync?over=60", 200, "60\n"),
            ("/sync?over=61", 503, "A worker is busy.\n"),
            ("/sync?aor=a%20b@c", 200, "1\n"), ("/sync?aor=x", 400, "No address of record.\n"),
            ("/sync?over=86401", 400, "?over=0 to 86400 (seconds) or ?aor=USER@DOMAIN\n"),
            ("/sync?all", 400, "?over=0 to 86400 (seconds) or ?aor=USER@DOMAIN\n"),
        ])
    func `takes the order to sync`(path: String, status: Int, body: String) throws {
        try withServer { address in
            let said = try AdminClient.order(address, path: path)
            #expect(said.status == status && said.body == body)
        }
    }

    @Test(
        arguments: [
            ("/diagnose", 200, "none\n"), ("/diagnose?format=json", 200, "[\n]\n"),
            ("/diagnose?format=xml", 400, "?format=json or nothing\n"),
        ])
    func `shows what is to be diagnosed`(path: String, status: Int, body: String) throws {
        try withServer { address in
            let said = try AdminClient.get(address, path: path)
            #expect(said.status == status && said.body == body)
        }
    }

    @Test func `shows no contact to what a web page could ask`() throws {
        try withServer { address in
            let said = try exchange(
                address, "GET /diagnose HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            #expect(said.hasPrefix("HTTP/1.1 403 Forbidden\r\n"))
            #expect(said.hasSuffix("X-Midreg-Order is missing.\n"))
        }
    }

    @Test func `takes no order by GET, nor one that a web page could give`() throws {
        try withServer { address in
            #expect(try AdminClient.get(address, path: "/sync").status == 405)
            let said = try exchange(
                address,
                "POST /sync HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            #expect(said.hasPrefix("HTTP/1.1 403 Forbidden\r\n"))
        }
    }

    @Test func `says why it is not ready, and that again when it is`() throws {
        let calls = CallCount()
        try withServer(readiness: { calls.next() == 1 ? .notReady("store loading") : .ready }) {
            address in
            let first = try AdminClient.get(address, path: "/readyz")
            #expect(first.status == 503 && first.body == "not ready: store loading\n")
            let second = try AdminClient.get(address, path: "/readyz")
            #expect(second.status == 200 && second.body == "ready\n")
        }
    }

    @Test func `answers several requests on one connection, in order`() throws {
        try withServer { address in
            let request = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
            let last = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            let said = try exchange(address, request + request + last)
            #expect(said.split(separator: "HTTP/1.1 200 OK").count == 3)
            #expect(said.contains("alive\nHTTP/1.1") && said.hasSuffix("ready\n"))
        }
    }

    @Test(
        arguments: [
            "GET /livez HTTP/1.0\r\n\r\n",
            "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody",
            "GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ])
    func `closes after an answer that ends a connection`(request: String) throws {
        try withServer { address in
            // `exchange` reads until the other side has closed.
            let said = try exchange(address, request)
            #expect(said.hasPrefix("HTTP/1."))
        }
    }

    @Test(
        arguments: [
            Refused("nonsense", "nonsense\r\n\r\n"),
            Refused("a field without colon", "GET /livez HTTP/1.1\r\nBad Header\r\n\r\n"),
            Refused(
                "two lengths", "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            Refused(
                "a long field",
                "GET / HTTP/1.1\r\nX: \(String(repeating: "x", count: 9_000))\r\n\r\n"),
            Refused("a long path", "GET /\(String(repeating: "x", count: 9_000)) HTTP/1.1\r\n\r\n"),
            Refused(
                "much in several fields",
                "GET / HTTP/1.1\r\n\(String(repeating: "A: \(String(repeating: "b", count: 250))\r\n", count: 40))\r\n"
            ),
            Refused(
                "many fields", "GET / HTTP/1.1\r\n\(String(repeating: "A: b\r\n", count: 65))\r\n"),
        ])
    func `refuses what is malformed or too large, and goes on`(case refused: Refused) throws {
        let request = refused.request
        try withServer { address in
            let said = try exchange(address, request)
            #expect(said.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
            let next = try AdminClient.get(address, path: "/livez")
            #expect(next.status == 200)
        }
    }

    @Test func `closes a connection too many, and has room again when others end`() throws {
        try withServer { address in
            var sockets: [Int32] = []
            for _ in 0..<AdminServer.connectionsMax { sockets.append(try connected(address)) }
            // Connections are taken in the order in which they were made.
            let extra = try connected(address)
            var byte: UInt8 = 0
            let count = recv(extra, &byte, 1, 0)
            #expect(count == 0 || (count < 0 && errno == ECONNRESET))
            close(extra)
            for socket in sockets { #expect(try ask(socket).hasPrefix("HTTP/1.1 200 OK")) }
            #expect(try AdminClient.get(address, path: "/livez").status == 200)
        }
    }

    /// Sends a last request on an open connection and closes it once the server has.
    private func ask(_ socket: Int32) throws -> String {
        defer { close(socket) }
        return try exchange(socket, "GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n")
    }

    @Test func `names the address that it cannot listen on`() throws {
        try withServer { address in
            let sources = AdminServer.Sources(
                metrics: { "" }, metricsType: "", summary: { "" }, readiness: { .ready },
                diagnose: { _ in "" }, sync: { _ in .unknown })
            #expect(
                throws: AdminError.cannotListen(
                    address: address.text, reason: "another program listens there")
            ) { try AdminServer.start(address, sources: sources) }
            let foreign = TransportAddress(ipv4: 0xC633_6407, port: address.port)
            #expect(
                throws: AdminError.cannotListen(
                    address: foreign.text, reason: "this machine has no such address")
            ) { try AdminServer.start(foreign, sources: sources) }
        }
    }

    @Test func `listens on IPv6 as well`() throws {
        let sources = AdminServer.Sources(
            metrics: { "" }, metricsType: "", summary: { "six\n" }, readiness: { .ready },
            diagnose: { _ in "" }, sync: { _ in .unknown })
        let server = try AdminServer.start(
            TransportAddress(high: 0, low: 1, port: 0), sources: sources)
        defer { server.stop() }
        #expect(try AdminClient.get(server.address, path: "/summary").body == "six\n")
    }

    @Test func `is gone after it was stopped, and its port is free`() throws {
        var old = TransportAddress.none
        try withServer { old = $0 }
        #expect(
            throws: AdminError.notReachable(address: old.text, reason: "nobody listens there")
        ) { try AdminClient.get(old, path: "/livez") }
        let sources = AdminServer.Sources(
            metrics: { "" }, metricsType: "", summary: { "" }, readiness: { .ready },
            diagnose: { _ in "" }, sync: { _ in .unknown })
        try AdminServer.start(old, sources: sources).stop()
    }

    @Test(
        arguments: [
            ("", "it closed the connection before its answer was whole"),
            ("SIP/2.0 200 OK\r\n\r\n", "its answer is not HTTP"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
                "it closed the connection before its answer was whole"
            ),
        ])
    func `lets the client tell what else answers there`(answer: String, reason: String) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                bind(listener, name, length) == 0 && listen(listener, 1) == 0
                    && getsockname(listener, name, &length) == 0
            }
        }
        try #require(port)
        let address = TransportAddress(ipv4: 0x7F00_0001, port: UInt16(bigEndian: name.sin_port))
        let thread = Thread {
            let peer = accept(listener, nil, nil)
            var request = [UInt8](repeating: 0, count: 4_096)
            recv(peer, &request, request.count, 0)
            send(peer, answer, answer.utf8.count, Int32(MSG_NOSIGNAL))
            close(peer)
        }
        defer { thread.join() }
        #expect(throws: AdminError.notReachable(address: address.text, reason: reason)) {
            try AdminClient.get(address, path: "/summary")
        }
    }
}

/// A request that is refused, with a name that is short enough for a report.
struct Refused: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let request: String

    init(_ name: String, _ request: String) {
        testDescription = name
        self.request = request
    }
}

private final class CallCount: Sendable {
    private let count = Atomic<Int>(0)
    func next() -> Int { count.add(1, ordering: .relaxed).newValue }
}

/// A thread that a test waits for.
private struct Thread {
    private var id = pthread_t()

    init(_ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Box(body))
        let code = pthread_create(
            &id, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        precondition(code == 0, "a test may have a thread")
    }

    func join() { pthread_join(id, nil) }

    private final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}

private struct SocketFailure: Error { let number = errno }

private func connected(_ address: TransportAddress) throws -> Int32 {
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var patience = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = address.port.bigEndian
    name.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.low).bigEndian
    let code = withUnsafePointer(to: &name) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard code == 0 else { throw SocketFailure() }
    return file
}

/// Sends `request` and gives all that comes until the other side closes, within five seconds.
private func exchange(_ address: TransportAddress, _ request: String) throws -> String {
    let file = try connected(address)
    defer { close(file) }
    return try exchange(file, request)
}

private func exchange(_ file: Int32, _ request: String) throws -> String {
    send(file, request, request.utf8.count, Int32(MSG_NOSIGNAL))
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 4_096)
    while true {
        let count = recv(file, &part, part.count, 0)
        // A reset is how a server ends a connection of which it did not read everything.
        guard count >= 0 || errno == ECONNRESET else { throw SocketFailure() }
        guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
        bytes += part.prefix(count)
    }
}
