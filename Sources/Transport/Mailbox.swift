package import Bytes
internal import Glibc
internal import Synchronization

/// A bounded ring of messages from one worker to another: one thread puts in, one takes out, and
/// neither waits for the other.
///
/// Messages lie one behind the other, each a 64-byte head, its bytes and ``paddingBytes``, in whole
/// cache lines. One that would not fit before the ring's end starts over at its beginning, so a
/// message is always in one piece.
@safe package final class Mailbox: @unchecked Sendable {
    /// What is known of a message besides its bytes.
    package struct Mail: BitwiseCopyable, Sendable {
        /// Where the datagram came from or is to go.
        package let peer: TransportAddress
        /// When it arrived, in nanoseconds of the boot clock.
        package let arrivalNs: UInt64
        /// The length of its bytes, without the padding.
        package let count: Int
        /// The socket it came by or is to leave by, as an index that both sides know.
        package let socket: UInt16
        /// What kind of message it is; the two sides agree on the numbers.
        package let kind: UInt8

        /// Stands for a message where the ring's end is skipped.
        fileprivate static var skip: Mail {
            Mail(peer: .none, arrivalNs: 0, count: Int(UInt32.max), socket: 0, kind: 0)
        }
        fileprivate var isSkip: Bool { count == Int(UInt32.max) }
    }

    /// Rings at the consumer; many mailboxes of one consumer may share it.
    package let wakeup: Wakeup

    package static let bytesDefault = 1 << 20
    /// Any message fits an empty ring, wherever its end lies: twice the largest, as a power of two.
    package static let bytesMin = 1 << 18
    package static let messageBytesMax = 65_535
    /// The readable bytes after each message, which may hold what earlier messages left.
    package static let paddingBytes = 64

    private let base: UnsafeMutableRawPointer
    private let bytes: Int
    private let producer: UnsafeMutablePointer<Side>
    private let consumer: UnsafeMutablePointer<Side>
    // How many bytes were ever put in and taken out. Each is written by one side and read by the
    // other, and stands in cache lines of its own.
    private let gapBefore = InlineArray<16, UInt64>(repeating: 0)
    private let put = Atomic<Int>(0)
    private let gapBetween = InlineArray<16, UInt64>(repeating: 0)
    private let taken = Atomic<Int>(0)
    private let gapAfter = InlineArray<16, UInt64>(repeating: 0)

    /// What one side alone touches, a cache line and its neighbour of its own.
    private struct Side: BitwiseCopyable {
        /// The side's own count.
        var own = 0
        /// The other side's count when it was last asked for; it can only have grown.
        var other = 0
        /// Whether something was put in since the last flush.
        var rings = false
        var gap = InlineArray<14, UInt64>(repeating: 0)
    }

    private static let headBytes = 64

    /// - Parameters:
    ///   - bytes: the ring's size, a power of two and at least ``bytesMin``.
    ///   - wakeup: the consumer's.
    package init(bytes: Int = bytesDefault, wakeup: Wakeup) {
        precondition(
            bytes >= Self.bytesMin && bytes & (bytes - 1) == 0,
            "a mailbox's size is a power of two and holds two of the largest messages")
        // The ring starts a cache line; pages that no message reaches cost nothing.
        guard let memory = unsafe aligned_alloc(64, bytes) else {
            preconditionFailure("memory for a mailbox is there at start")
        }
        unsafe base = memory
        self.bytes = bytes
        self.wakeup = wakeup
        unsafe producer = .allocate(capacity: 1)
        unsafe producer.initialize(to: Side())
        unsafe consumer = .allocate(capacity: 1)
        unsafe consumer.initialize(to: Side())
    }

    deinit {
        unsafe free(base)
        unsafe producer.deallocate()
        unsafe consumer.deallocate()
    }

    // MARK: The producer's side

    /// Puts in a message whole; `false` if there is no room, and then nothing was put in.
    ///
    /// The consumer may see it at once, but is rung only by ``flush()``.
    ///
    /// - Parameters:
    ///   - bytes: at least `count` bytes; a padded slot may be given as it is.
    ///   - count: the message's length, at most ``messageBytesMax``.
    package func push(
        kind: UInt8, socket: UInt16, peer: TransportAddress, arrivalNs: UInt64,
        bytes message: Span<UInt8>, count: Int
    ) -> Bool {
        precondition(
            count >= 0 && count <= message.count && count <= Self.messageBytesMax,
            "a message has the bytes it says, and not too many")
        let needed = Self.room(for: count)
        let own = unsafe producer.pointee.own
        let offset = own & (bytes - 1)
        let tail = bytes - offset
        let skip = needed > tail ? tail : 0
        var other = unsafe producer.pointee.other
        if bytes - (own - other) < skip + needed {
            other = taken.load(ordering: .acquiring)
            unsafe producer.pointee.other = other
            if bytes - (own - other) < skip + needed { return false }
        }
        // SAFETY: the bytes from `own` on for `skip + needed` are ours: the consumer gave them back
        // before the count that was acquired above, and sees them only after the release below.
        // Offsets are multiples of 64 and `needed` lies before the ring's end once `skip` is passed.
        if skip > 0 { unsafe Self.write(.skip, at: base + offset) }
        let head = unsafe base + (skip > 0 ? 0 : offset)
        let mail = Mail(
            peer: peer, arrivalNs: arrivalNs, count: count, socket: socket, kind: kind)
        unsafe Self.write(mail, at: head)
        unsafe message.withUnsafeBufferPointer { source in
            guard let from = source.baseAddress else { return }
            unsafe memcpy(head + Self.headBytes, from, count)
        }
        let next = own + skip + needed
        unsafe producer.pointee.own = next
        unsafe producer.pointee.rings = true
        put.store(next, ordering: .releasing)
        return true
    }

    /// Rings the consumer if something was put in since the last flush: once per batch.
    package func flush() {
        guard unsafe producer.pointee.rings else { return }
        unsafe producer.pointee.rings = false
        wakeup.signal()
    }

    // MARK: The consumer's side

    /// Hands the next message to `body` and gives its room back; `false` if there is none.
    ///
    /// The span holds the message's bytes and ``paddingBytes`` more. To miss nothing, drain the
    /// wakeup before taking messages out, not after.
    package func withNext(_ body: (Mail, Span<UInt8>) -> Void) -> Bool {
        var own = unsafe consumer.pointee.own
        var other = unsafe consumer.pointee.other
        if own == other {
            other = put.load(ordering: .acquiring)
            unsafe consumer.pointee.other = other
            if own == other { return false }
        }
        // SAFETY: what lies before the count that was acquired above is written and stays as it is
        // until the release below. A skip is put in together with the message behind it.
        var head = unsafe base + (own & (bytes - 1))
        var mail = unsafe Self.read(at: head)
        if mail.isSkip {
            own += bytes - (own & (bytes - 1))
            unsafe head = base
            mail = unsafe Self.read(at: head)
        }
        let start = unsafe (head + Self.headBytes).assumingMemoryBound(to: UInt8.self)
        body(mail, unsafe Span(_unsafeStart: start, count: mail.count + Self.paddingBytes))
        own += Self.room(for: mail.count)
        unsafe consumer.pointee.own = own
        taken.store(own, ordering: .releasing)
        return true
    }

    // A head is five words, written and read one by one: the thread sanitizer of Swift 6.3.1 does
    // not look into copies of memory (memcpy), and so watches at least these.

    private static func write(_ mail: Mail, at head: UnsafeMutableRawPointer) {
        // SAFETY: a head starts a line of the ring and has room for eight words.
        let words = unsafe head.assumingMemoryBound(to: UInt64.self)
        unsafe words[0] = mail.peer.high
        unsafe words[1] = mail.peer.low
        unsafe words[2] = UInt64(mail.peer.port)
        unsafe words[3] = mail.arrivalNs
        unsafe words[4] = UInt64(mail.count) | UInt64(mail.socket) << 32 | UInt64(mail.kind) << 48
    }

    private static func read(at head: UnsafeMutableRawPointer) -> Mail {
        // SAFETY: as above.
        let words = unsafe head.assumingMemoryBound(to: UInt64.self)
        let last = unsafe words[4]
        let peer = unsafe TransportAddress(
            high: words[0], low: words[1], port: UInt16(truncatingIfNeeded: words[2]))
        return unsafe Mail(
            peer: peer, arrivalNs: words[3], count: Int(last & 0xFFFF_FFFF),
            socket: UInt16(truncatingIfNeeded: last >> 32),
            kind: UInt8(truncatingIfNeeded: last >> 48))
    }

    /// The room that a message takes: head, bytes and padding, in whole cache lines.
    private static func room(for count: Int) -> Int {
        (headBytes + count + paddingBytes + 63) & ~63
    }
}
