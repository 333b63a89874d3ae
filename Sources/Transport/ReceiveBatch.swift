package import Bytes
internal import CLinux

/// Datagrams that arrived together, each whole in a slot of its own.
///
/// A slot holds the largest UDP datagram and ``paddingBytes`` after it, so that readers may look at
/// a block at a time. Memory is taken page by page as datagrams first touch it.
@safe package struct ReceiveBatch: ~Copyable {
    private let batch: OpaquePointer
    /// How many datagrams one fill takes at most.
    package let slots: Int
    /// How many the last fill took.
    package private(set) var count = 0

    /// The readable bytes after each datagram.
    package static let paddingBytes = midreg_padding_bytes
    /// Enough to spread the price of a system call, few enough to stay in the second-level cache.
    package static let slotsDefault = 32

    package init(slots: Int = slotsDefault) {
        precondition(slots > 0 && slots <= 1_024, "a batch has between 1 and 1024 slots")
        guard let batch = unsafe midreg_receive_batch_new(UInt32(slots)) else {
            preconditionFailure("memory for a batch is there at start")
        }
        unsafe self.batch = batch
        self.slots = slots
    }

    deinit { unsafe midreg_receive_batch_free(batch) }

    /// Takes what has already arrived, without waiting, and returns how many slots were filled.
    ///
    /// Errors of datagrams sent earlier, which the kernel reports in passing (ICMP), are skipped:
    /// they say nothing against the socket.
    ///
    /// - Throws: ``TransportError/receiveFailed(errno:)`` if the descriptor is no socket.
    package mutating func fill(from fd: Int32) throws(TransportError) -> Int {
        count = 0
        // SAFETY: the kernel writes into the batch's own slots, which live as long as `self`.
        let filled = unsafe midreg_receive_batch_fill(batch, fd)
        guard filled >= 0 else { throw .receiveFailed(errno: -filled) }
        count = Int(filled)
        return count
    }

    /// The length of a datagram in bytes; 0 is a datagram too.
    package func count(of index: Int) -> Int { Int(entry(index).count) }

    /// Where a datagram came from. Its port may be 0, to which nothing can be sent.
    package func source(of index: Int) -> TransportAddress {
        TransportAddress(entry(index).source)
    }

    /// A datagram's bytes and ``paddingBytes`` more, which may hold what earlier datagrams left.
    ///
    /// The datagram ends after ``count(of:)``.
    @_lifetime(borrow self)
    package func bytes(of index: Int) -> Span<UInt8> {
        let length = count(of: index)
        // SAFETY: the slot is larger than a datagram by the padding and lives as long as `self`; it
        // changes only in `fill`, which cannot run while the span lives.
        let start = unsafe midreg_receive_batch_bytes(batch, UInt32(index))
        let padded = length + Self.paddingBytes
        let span = unsafe Span(_unsafeStart: start.unsafelyUnwrapped, count: padded)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// How many datagrams the kernel had dropped on the socket, in all, when the last of this batch
    /// arrived, modulo 2³²; `nil` if the batch does not say, as before the first drop.
    ///
    /// ``KernelDrops`` turns it into a growth.
    package var kernelDrops: UInt32? {
        let drops = unsafe midreg_receive_batch_drops(batch)
        return drops < 0 ? nil : UInt32(truncatingIfNeeded: drops)
    }

    private func entry(_ index: Int) -> midreg_received {
        precondition(index >= 0 && index < count, "the datagram is there")
        // SAFETY: the index lies inside the batch.
        return unsafe midreg_receive_batch_entry(batch, UInt32(index)).pointee
    }
}

/// One socket's drops, from the kernel's running total to what to add to a counter.
package struct KernelDrops: Equatable, Sendable {
    private var last: UInt32 = 0

    package init() {}

    /// The drops since the last call. The total may wrap around once in between.
    package mutating func growth(to total: UInt32?) -> UInt64 {
        guard let total else { return 0 }
        defer { last = total }
        return UInt64(total &- last)
    }
}

extension ReceiveBatch: @unchecked Sendable {}
