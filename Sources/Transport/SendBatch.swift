package import Bytes
internal import CLinux

/// Sends an outbox with few system calls, in its order.
@safe package struct SendBatch: ~Copyable {
    private let batch: OpaquePointer
    private var segments: Bool

    /// Fewer equal messages in a row are not worth an entry of their own kind.
    package static let segmentsMin = 4
    /// The kernel's own bound (UDP_MAX_SEGMENTS).
    package static let segmentsMax = 64
    /// Longer messages would not fit the path: 1,500 bytes less IPv6's and UDP's headers.
    package static let segmentBytesMax = 1_452
    /// An entry that is to be cut is a UDP datagram itself.
    package static let segmentedBytesMax = 65_000

    package struct Result: Equatable, Sendable {
        /// Messages that the kernel took.
        package var sent: Int
        /// Messages that it refused and that nobody will see.
        package var failed: Int
        /// Why it refused the last of them, 0 if it refused none.
        package var lastErrno: Int32

        package init(sent: Int = 0, failed: Int = 0, lastErrno: Int32 = 0) {
            self.sent = sent
            self.failed = failed
            self.lastErrno = lastErrno
        }
    }

    /// - Parameter segments: hand runs of equally long messages to one peer to the kernel in one
    ///   piece, to be cut there (UDP_SEGMENT): a fifth of the price. It ends by itself on a device
    ///   that cannot.
    package init(segments: Bool = false) {
        guard let batch = unsafe midreg_send_batch_new() else {
            preconditionFailure("memory for a batch is there at start")
        }
        unsafe self.batch = batch
        self.segments = segments
    }

    deinit { unsafe midreg_send_batch_free(batch) }

    /// Sends all messages; each is tried, whatever became of those before it.
    ///
    /// Where the kernel's queue is full it waits, 5 ms at most over the whole call; what does not
    /// fit then has failed.
    ///
    /// - Parameter sockets: the descriptors that ``Outbox/Message/socket`` counts in.
    /// - Precondition: each message's socket is among `sockets`.
    package mutating func send(_ outbox: borrowing Outbox, sockets: Span<Int32>) -> Result {
        var result = midreg_send_result()
        unsafe midreg_send_batch_begin(batch)
        let count = outbox.count
        var at = 0
        while at < count {
            let socket = outbox.message(at).socket
            let fd = sockets[Int(socket)]
            var entries: UInt32 = 0
            while at < count, entries < midreg_send_max {
                let message = outbox.message(at)
                guard message.socket == socket else { break }
                let run = segments ? Self.run(in: outbox, at: at) : 1
                let to = message.destination
                // SAFETY: a run's messages lie one behind the other in the outbox, which is
                // borrowed and so stands still until the flush below has sent them; there is room
                // for another entry.
                unsafe entries = midreg_send_batch_add(
                    batch, to.high, to.low, to.port, outbox.unsafeAddress(of: message),
                    message.count * run, run > 1 ? UInt16(message.count) : 0)
                at += run
            }
            // SAFETY: the entries point into the outbox, and `result` is a local.
            unsafe midreg_send_batch_flush(batch, fd, &result)
            if result.segmentation_refused != 0 { segments = false }
        }
        return Result(
            sent: Int(result.sent), failed: Int(result.failed), lastErrno: result.last_errno)
    }

    /// How many messages from `first` on make one entry: equally long, one peer, one socket, one
    /// behind the other; 1 if they are too few.
    private static func run(in outbox: borrowing Outbox, at first: Int) -> Int {
        let model = outbox.message(first)
        guard model.count > 0, model.count <= segmentBytesMax else { return 1 }
        let most = min(segmentsMax, segmentedBytesMax / model.count, outbox.count - first)
        var run = 1
        while run < most {
            let next = outbox.message(first + run)
            guard next.count == model.count, next.socket == model.socket,
                next.destination == model.destination,
                next.start == model.start + run * model.count
            else { break }
            run += 1
        }
        return run >= segmentsMin ? run : 1
    }
}

extension SendBatch: @unchecked Sendable {}
