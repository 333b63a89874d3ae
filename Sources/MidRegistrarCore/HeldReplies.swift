package import Bytes
package import Keys
package import Registration

/// Answers that wait for their commit, in the order of their tickets, in a ring of fixed size.
package struct HeldReplies: ~Copyable {
    package struct Reply: BitwiseCopyable {
        package var ticket = CommitTicket(0)
        package var start = 0
        package var count = 0
        package var destination = TransportAddress.none
        package var socket: UInt16 = 0
        package var aor = AORKey(high: 0, low: 0)
        package var transaction: UInt64 = 0
        package var first = Instant(milliseconds: 0)

        package init() {}
    }

    private var bytes: RigidBuffer<UInt8>
    private var replies: RigidBuffer<Reply>
    private var head = 0
    private var tail = 0
    /// Where the next reply is written, and where the oldest begins.
    private var writeAt = 0
    private var readAt = 0

    package init(bytesMax: Int, repliesMax: Int) {
        bytes = RigidBuffer(count: bytesMax, zeroed: 0)
        replies = RigidBuffer(count: repliesMax, zeroed: Reply())
    }

    package var count: Int { tail - head }
    package var isEmpty: Bool { head == tail }

    /// Keeps a reply; `false` if there is no room, and then nothing is kept.
    package mutating func hold(_ reply: Reply, _ message: Span<UInt8>) -> Bool {
        guard count < replies.count else { return false }
        if isEmpty {
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
    package mutating func retag(_ ticket: CommitTicket, as earlier: CommitTicket) {
        var at = tail
        while at > head, replies[(at - 1) % replies.count].ticket == ticket {
            at -= 1
            replies[at % replies.count].ticket = earlier
        }
    }

    /// The oldest reply if its ticket is at most `through`.
    package func oldest(through ticket: CommitTicket) -> Reply? {
        guard !isEmpty else { return nil }
        let reply = replies[head % replies.count]
        return reply.ticket <= ticket ? reply : nil
    }

    @_lifetime(borrow self)
    package func message(of reply: Reply) -> Span<UInt8> {
        bytes.span(ByteRange(reply.start, reply.start + reply.count))
    }

    package mutating func releaseOldest() {
        head += 1
        readAt = isEmpty ? writeAt : replies[head % replies.count].start
    }
}
