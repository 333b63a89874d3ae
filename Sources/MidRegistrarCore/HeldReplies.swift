public import Bytes
public import Keys
public import Registration

/// Answers that wait for their commit, in the order of their tickets, in a ring of fixed size.
public struct HeldReplies: ~Copyable {
    public struct Reply: BitwiseCopyable {
        public var ticket = CommitTicket(0)
        public var start = 0
        public var count = 0
        public var destination = TransportAddress.none
        public var socket: UInt16 = 0
        public var aor = AORKey(high: 0, low: 0)
        public var transaction: UInt64 = 0
        public var first = Instant(milliseconds: 0)

        public init() {}
    }

    private var bytes: RigidBuffer<UInt8>
    private var replies: RigidBuffer<Reply>
    private var head = 0
    private var tail = 0
    /// Where the next reply is written, and where the oldest begins.
    private var writeAt = 0
    private var readAt = 0

    public init(bytesMax: Int, repliesMax: Int) {
        bytes = RigidBuffer(count: bytesMax, zeroed: 0)
        replies = RigidBuffer(count: repliesMax, zeroed: Reply())
    }

    public var count: Int { tail - head }
    public var isEmpty: Bool { head == tail }

    /// Keeps a reply; `false` if there is no room, and then nothing is kept.
    public mutating func hold(_ reply: Reply, _ message: Span<UInt8>) -> Bool {
        guard count < replies.count else { return false }
        if isEmpty {
            // From the front again, so that no more memory is touched than was needed at once.
            (head, tail) = (0, 0)
            writeAt = 0
            readAt = 0
        }
        if writeAt >= readAt, isEmpty || writeAt > readAt {
            if message.count > bytes.count - writeAt {
                // Not enough before the end: from the front, if the oldest lies behind.
                guard message.count < readAt else { return false }
                writeAt = 0
            }
        } else {
            guard writeAt + message.count < readAt else { return false }
        }
        var kept = reply
        kept.start = writeAt
        kept.count = message.count
        bytes.copy(message, to: writeAt)
        writeAt += message.count
        replies[tail % replies.count] = kept
        tail += 1
        return true
    }

    /// Lets the newest replies, which wait for `ticket`, leave with those of an earlier one.
    public mutating func retag(_ ticket: CommitTicket, as earlier: CommitTicket) {
        var at = tail
        while at > head, replies[(at - 1) % replies.count].ticket == ticket {
            at -= 1
            replies[at % replies.count].ticket = earlier
        }
    }

    /// The oldest reply if its ticket is at most `through`.
    public func oldest(through ticket: CommitTicket) -> Reply? {
        guard !isEmpty else { return nil }
        let reply = replies[head % replies.count]
        return reply.ticket <= ticket ? reply : nil
    }

    @_lifetime(borrow self)
    public func message(of reply: Reply) -> Span<UInt8> {
        bytes.span(ByteRange(reply.start, reply.start + reply.count))
    }

    public mutating func releaseOldest() {
        head += 1
        readAt = isEmpty ? writeAt : replies[head % replies.count].start
    }
}
