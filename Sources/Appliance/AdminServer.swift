package import Bytes
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Synchronization

/// What an operator and a load balancer ask over HTTP: counters and health, on a loopback address.
///
/// One thread of its own answers; workers are not asked for figures, which lie open. Only `/sync`
/// changes anything, and no more than when leases are confirmed; nothing that identifies a phone or a
/// user is shown but by `/diagnose`, to those who say that they mean it.
package final class AdminServer: Sendable {
    /// Whether traffic should come here.
    package enum Readiness: Equatable, Sendable {
        case ready
        /// With a reason for a person, in one line.
        case notReady(String)
    }

    /// What the answers are made of; called on the server's thread, once an answer.
    package struct Sources: Sendable {
        package let metrics: @Sendable () -> String
        /// The `Content-Type` of `metrics`.
        package let metricsType: String
        package let summary: @Sendable () -> String
        package let readiness: @Sendable () -> Readiness
        /// The last missing ACKs, as JSON or for people.
        package let diagnose: @Sendable (_ asJSON: Bool) -> String
        package let sync: @Sendable (SyncRequest) -> SyncResult

        package init(
            metrics: @escaping @Sendable () -> String, metricsType: String,
            summary: @escaping @Sendable () -> String,
            readiness: @escaping @Sendable () -> Readiness,
            diagnose: @escaping @Sendable (_ asJSON: Bool) -> String,
            sync: @escaping @Sendable (SyncRequest) -> SyncResult
        ) {
            self.metrics = metrics
            self.metricsType = metricsType
            self.summary = summary
            self.readiness = readiness
            self.diagnose = diagnose
            self.sync = sync
        }
    }

    /// Whose leases are to be confirmed anew.
    package enum SyncRequest: Equatable, Sendable {
        /// Everybody's, over so many seconds; `nil` for as long as the configured rate needs.
        case all(overSeconds: UInt32?)
        case address(String)
    }

    package enum SyncResult: Equatable, Sendable {
        /// So many bindings.
        case begun(bindings: Int)
        /// No address of record.
        case unknown
        /// A worker did not follow.
        case failed
    }

    /// Connections at a time: a scraper, a balancer and a few people; one more is closed at once.
    package static let connectionsMax = 64
    /// Bytes of a request's header fields; more is answered with 400.
    package static let headerBytesMax = 8_192
    /// Fields of a request's header.
    package static let headerFieldsMax = 64
    /// A connection on which nothing came or went for so long is closed.
    package static let idleSeconds: Int64 = 60

    /// Where the server listens; it tells the port that was given for port 0.
    package let address: TransportAddress

    private let group: MultiThreadedEventLoopGroup
    private let listener: any Channel

    /// Listens on `address` and answers from now on.
    ///
    /// - Throws: an ``AdminError`` that names the address, if it cannot be listened on.
    package static func start(
        _ address: TransportAddress, sources: Sources
    ) throws(AdminError) -> AdminServer {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let open = OpenConnections()
            let listener = try ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: Int32(connectionsMax))
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try open.admit(channel)
                        try configure(channel, sources: sources)
                    }
                }
                .bind(to: try SocketAddress(address))
                .wait()
            let port = listener.localAddress?.port.map(UInt16.init) ?? address.port
            return AdminServer(
                address: address.withPort(port), group: group, listener: listener)
        } catch {
            try? group.syncShutdownGracefully()
            throw .cannotListen(address: address.text, reason: AdminError.reason(error))
        }
    }

    private init(
        address: TransportAddress, group: MultiThreadedEventLoopGroup, listener: any Channel
    ) {
        self.address = address
        self.group = group
        self.listener = listener
    }

    /// Closes the listener and all connections and ends the thread. Not to be called on it.
    package func stop() {
        try? listener.close().wait()
        try? group.syncShutdownGracefully()
    }

    private static func configure(_ channel: any Channel, sources: Sources) throws {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderListSize = headerBytesMax
        limits.maxHeaderFieldCount = headerFieldsMax
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(IdleStateHandler(allTimeout: .seconds(idleSeconds)))
        try pipeline.configureHTTPServerPipeline(
            withErrorHandling: true, withEncoderConfiguration: .init(),
            withDecoderLimitConfiguration: limits)
        try pipeline.addHandler(AdminHandler(sources: sources))
    }
}

/// Counts connections, so that there are at most ``AdminServer/connectionsMax``.
private final class OpenConnections: Sendable {
    private let count = Atomic<Int>(0)

    /// Throws for one connection too many, which closes it.
    func admit(_ channel: any Channel) throws {
        let now = count.add(1, ordering: .relaxed).newValue
        channel.closeFuture.whenComplete { _ in self.count.subtract(1, ordering: .relaxed) }
        guard now <= AdminServer.connectionsMax else { throw ChannelError.eof }
    }
}

/// Answers one connection's requests, one after the other.
private final class AdminHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let sources: AdminServer.Sources
    private var request: HTTPRequestHead?

    init(sources: AdminServer.Sources) { self.sources = sources }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): request = head
        case .body: break
        case .end:
            guard let head = request else { return }
            request = nil
            write(answer(to: head), to: head, context)
        }
    }

    private struct Answer {
        var status = HTTPResponseStatus.ok
        var type = "text/plain; charset=utf-8"
        var body: String
        var headers: [(String, String)] = []
    }

    /// Decides by method and path; a query is looked at where one is said to be.
    private func answer(to head: HTTPRequestHead) -> Answer {
        let path = head.uri.prefix { $0 != "?" }
        if path == "/sync" { return sync(head) }
        guard ["/metrics", "/summary", "/diagnose", "/livez", "/readyz"].contains(path) else {
            return Answer(
                status: .notFound,
                body: "There are /metrics, /summary, /diagnose, /livez, /readyz and /sync here.\n")
        }
        guard head.method == .GET || head.method == .HEAD else {
            return Answer(
                status: .methodNotAllowed, body: "Only GET and HEAD are answered here.\n",
                headers: [("Allow", "GET, HEAD")])
        }
        switch path {
        case "/metrics": return Answer(type: sources.metricsType, body: sources.metrics())
        case "/summary": return Answer(body: sources.summary())
        case "/diagnose": return diagnose(head)
        case "/readyz":
            switch sources.readiness() {
            case .ready: return Answer(body: "ready\n")
            case .notReady(let reason):
                return Answer(status: .serviceUnavailable, body: "not ready: \(reason)\n")
            }
        default: return Answer(body: "alive\n")
        }
    }

    /// `GET /diagnose`, `GET /diagnose?format=json`; it shows contacts, so a web page may not read it.
    private func diagnose(_ head: HTTPRequestHead) -> Answer {
        guard isMeant(head) else { return Self.unmeant }
        switch head.uri.drop(while: { $0 != "?" }) {
        case "": return Answer(body: sources.diagnose(false))
        case "?format=json":
            return Answer(type: "application/json", body: sources.diagnose(true))
        default: return Answer(status: .badRequest, body: "?format=json or nothing\n")
        }
    }

    /// Whether it has the header field that no web page can make a browser send along without asking
    /// first.
    private func isMeant(_ head: HTTPRequestHead) -> Bool {
        head.headers.contains(name: "X-Midreg-Order")
    }

    private static let unmeant = Answer(
        status: .forbidden, body: "X-Midreg-Order is missing.\n")

    /// `POST /sync`, `POST /sync?over=SECONDS`, `POST /sync?aor=USER@DOMAIN`.
    private func sync(_ head: HTTPRequestHead) -> Answer {
        guard head.method == .POST else {
            return Answer(
                status: .methodNotAllowed, body: "Only POST is answered here.\n",
                headers: [("Allow", "POST")])
        }
        guard isMeant(head) else { return Self.unmeant }
        let query = head.uri.drop { $0 != "?" }.dropFirst()
        let request: AdminServer.SyncRequest
        if query.isEmpty {
            request = .all(overSeconds: nil)
        } else if query.hasPrefix("over="), let seconds = UInt32(query.dropFirst(5)),
            seconds <= 86_400
        {
            request = .all(overSeconds: seconds)
        } else if query.hasPrefix("aor=") {
            request = .address(unescaped(query.dropFirst(4)))
        } else {
            return Answer(
                status: .badRequest, body: "?over=0 to 86400 (seconds) or ?aor=USER@DOMAIN\n")
        }
        switch sources.sync(request) {
        case .begun(let bindings): return Answer(body: "\(bindings)\n")
        case .unknown: return Answer(status: .badRequest, body: "No address of record.\n")
        case .failed: return Answer(status: .serviceUnavailable, body: "A worker is busy.\n")
        }
    }

    private func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func write(
        _ answer: Answer, to head: HTTPRequestHead, _ context: ChannelHandlerContext
    ) {
        let body = context.channel.allocator.buffer(string: answer.body)
        // A body that a request brings along is none of ours: its connection ends with the answer.
        let hasBody =
            head.headers.contains(name: "content-length")
            || head.headers.contains(name: "transfer-encoding")
        let keepsAlive = head.isKeepAlive && !hasBody
        var headers = HTTPHeaders(answer.headers)
        headers.add(name: "Content-Type", value: answer.type)
        headers.add(name: "Content-Length", value: String(body.readableBytes))
        headers.add(name: "Cache-Control", value: "no-store")
        headers.add(name: "X-Content-Type-Options", value: "nosniff")
        if !keepsAlive {
            headers.add(name: "Connection", value: "close")
        } else if head.version == .http1_0 {
            headers.add(name: "Connection", value: "keep-alive")
        }
        let response = HTTPResponseHead(
            version: head.version, status: answer.status, headers: headers)
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        if head.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        }
        let done = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        if !keepsAlive {
            let channel = context.channel
            done.whenComplete { _ in channel.close(promise: nil) }
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent {
            context.close(promise: nil)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
