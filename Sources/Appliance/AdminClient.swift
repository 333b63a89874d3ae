package import Bytes
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// Asks a running midreg over HTTP, as `midreg counters` does.
package enum AdminClient {
    /// From connecting to the last byte; a daemon that takes longer is not well.
    package static let seconds: Int64 = 5
    /// Bytes of an answer: more than the metrics of 1,000 workers.
    package static let bodyBytesMax = 4_194_304

    /// Gets `path` and waits for the whole answer. Not to be called on an event loop's thread.
    ///
    /// - Throws: ``AdminError/notReachable(address:reason:)``, also for an answer that is not HTTP,
    ///   is cut off, or is larger than ``bodyBytesMax``.
    package static func get(
        _ address: TransportAddress, path: String
    ) throws(AdminError) -> (status: Int, body: String) {
        try ask(address, .GET, path)
    }

    /// Gives an order, and waits for what became of it.
    ///
    /// - Throws: as ``get(_:path:)``.
    package static func order(
        _ address: TransportAddress, path: String
    ) throws(AdminError) -> (status: Int, body: String) {
        try ask(address, .POST, path)
    }

    private static func ask(
        _ address: TransportAddress, _ method: HTTPMethod, _ path: String
    ) throws(AdminError) -> (status: Int, body: String) {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        do {
            let answer = group.next().makePromise(of: (status: Int, body: String).self)
            answer.futureResult.eventLoop.scheduleTask(in: .seconds(seconds)) {
                answer.fail(Failure("no whole answer within \(seconds) s"))
            }
            ClientBootstrap(group: group)
                .connectTimeout(.seconds(seconds))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        try pipeline.addHTTPClientHandlers()
                        try pipeline.addHandler(Asker(address.text, method, path, answer))
                    }
                }
                .connect(to: try SocketAddress(address))
                .whenFailure { answer.fail($0) }
            return try answer.futureResult.wait()
        } catch {
            throw .notReachable(address: address.text, reason: AdminError.reason(error))
        }
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    /// Sends one request and collects its answer.
    private final class Asker: ChannelInboundHandler {
        typealias InboundIn = HTTPClientResponsePart
        typealias OutboundOut = HTTPClientRequestPart

        private let host: String
        private let method: HTTPMethod
        private let path: String
        private let answer: EventLoopPromise<(status: Int, body: String)>
        private var status = 0
        private var body = ByteBuffer()

        init(
            _ host: String, _ method: HTTPMethod, _ path: String,
            _ answer: EventLoopPromise<(status: Int, body: String)>
        ) {
            self.host = host
            self.method = method
            self.path = path
            self.answer = answer
        }

        func channelActive(context: ChannelHandlerContext) {
            var headers = HTTPHeaders([
                ("Host", host), ("Connection", "close"), ("X-Midreg-Order", "1"),
            ])
            if method == .POST { headers.add(name: "Content-Length", value: "0") }
            let head = HTTPRequestHead(
                version: .http1_1, method: method, uri: path, headers: headers)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): status = Int(head.status.code)
            case .body(var part):
                guard body.readableBytes + part.readableBytes <= bodyBytesMax else {
                    answer.fail(Failure("the answer is larger than \(bodyBytesMax) bytes"))
                    context.close(promise: nil)
                    return
                }
                body.writeBuffer(&part)
            case .end:
                answer.succeed((status, String(buffer: body)))
                context.close(promise: nil)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            switch error {
            case HTTPParserError.invalidEOFState: answer.fail(Asker.cutOff)
            case is HTTPParserError: answer.fail(Failure("its answer is not HTTP"))
            default: answer.fail(error)
            }
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            // Without effect after a whole answer: a promise is kept once.
            answer.fail(Asker.cutOff)
        }

        private static let cutOff = Failure("it closed the connection before its answer was whole")
    }
}
