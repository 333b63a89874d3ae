public import Bytes
public import Keys

/// What our Via's branch says of a request that was passed on with state: which branch of which
/// response context its responses belong to, and what it was routed by (RFC 5393 §4.2.1, the two parts).
/// Sealed, so that a response to nothing we sent, and a Via that somebody made up, are seen.
///
/// The method is not in it: CANCEL and the ACK of a refusal are written with the branch of what they
/// belong to. The loop part holds Call-ID and CSeq, so after a restart, when the slots begin
/// again, no branch comes back for another transaction.
public struct ForkedBranch: Equatable, BitwiseCopyable, Sendable {
    private static let bodyBytes = 8
    /// Characters of the branch, the magic cookie included: no other of ours has as many.
    static let characters = 45

    /// Where what is known of the branch lies.
    public let slot: UInt32
    /// Tells it from earlier ones that lay there.
    public let generation: UInt32
    public let loop: LoopPart

    public init(slot: UInt32, generation: UInt32, loop: LoopPart) {
        self.slot = slot
        self.generation = generation
        self.loop = loop
    }

    /// Writes the branch of our Via.
    ///
    /// - Parameters:
    ///   - steering: leads a response to the worker that has the context.
    ///   - body, scratch: are overwritten.
    public func write(
        _ steering: SteeringBits, under keys: KeyRing, body: inout ByteBuffer,
        scratch: inout ByteBuffer, to outbox: inout Outbox
    ) {
        body.clear()
        body.append(eight: loop.value)
        SealedVia.write(
            .branch, steering, transaction: UInt64(slot) << 32 | UInt64(generation),
            body: body, under: keys, scratch: &scratch, to: &outbox)
    }

    /// Reads what a seal of kind `.branch` holds; `nil` for any other.
    ///
    /// - Parameter bytes: what the seal was opened into.
    public init?(_ seal: SealedVia, in bytes: Span<UInt8>) {
        guard seal.kind == .branch, seal.body.count == Self.bodyBytes else { return nil }
        slot = UInt32(truncatingIfNeeded: seal.transaction >> 32)
        generation = UInt32(truncatingIfNeeded: seal.transaction)
        loop = LoopPart(value: bytes.load64(at: seal.body.start))
    }
}
