public import Bytes
internal import SIPMessage

/// A REGISTER of our own that takes a lapsed binding out of the main registrar (RFC 3261 §10.2.2).
public struct OwnRemoval: BitwiseCopyable, Sendable {
    /// The number of the From tag; all tries of one removal have the same.
    public var tag: UInt64 = 0
    /// The number of a Call-ID of our own; `nil` for the phone's.
    public var derivedCallID: UInt64?
    public var sequence: UInt32 = 0

    public init() {}

    /// Chooses Call-ID and CSeq so that a late copy undoes as little as possible.
    ///
    /// Numbers that the phone has used and the main registrar has not seen are outranked by the
    /// phone's next REGISTER; where there are not enough of them, a Call-ID of our own begins at 1.
    ///
    /// - Parameter triesMax: numbers that the removal may need one after the other.
    public init(_ binding: Binding, tag: UInt64, derivedCallID: UInt64, triesMax: UInt32) {
        self.tag = tag
        if binding.sequenceHeard > binding.sequenceRelayed,
            binding.sequenceHeard - binding.sequenceRelayed >= triesMax
        {
            self.derivedCallID = nil
            sequence = binding.sequenceHeard - triesMax + 1
        } else {
            self.derivedCallID = derivedCallID
            sequence = 1
        }
    }

    /// Writes Call-ID and what follows from a fact's bytes, up to where credentials may follow.
    ///
    /// After this the caller ends the request.
    public func writeRest(_ fact: Span<UInt8>, _ outbox: inout Outbox) {
        let contact = Fact.range(of: .mainContact, in: fact)
        if let derivedCallID {
            ResponseWriter.writeTag(derivedCallID, &outbox)
            outbox.write("-removal")
        } else {
            outbox.write(fact, Fact.range(of: .callID, in: fact))
        }
        OwnRequest.writeSequence(sequence, .register, &outbox)
        OwnRequest.writeContact(
            fact.extracting(contact.start..<contact.end), seconds: 0, &outbox)
    }
}
