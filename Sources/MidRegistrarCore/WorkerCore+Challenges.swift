internal import Bytes
internal import DigestAuth
internal import Keys
internal import Registration
internal import SIPMessage

// Challenges to our own removals, answered with midreg's own account (RFC 3261 §22.2, §22.3).
extension WorkerCore {
    /// One with credentials, and another one if only the nonce was too old.
    static let answersMax: UInt32 = 2

    /// Sends a removal again with credentials; `false` if that is not to be.
    ///
    /// Only the main registrar's own address is answered: a password's digest is no business of
    /// anybody else on the main side.
    mutating func answerChallenge<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ slot: Int, _ place: BindingIndex, from source: TransportAddress,
        now: Instant, location: inout Location, outbox: inout Outbox
    ) -> Bool {
        let isProxy = index.statusCode == 407
        let answers = removals.slots[slot].answers
        guard source.sameHost(as: options.mainServer),
            let challenge = ownCredentials?.strongest(of: bytes, index, isProxy: isProxy),
            answers == 0 || answers < Self.answersMax && challenge.isStale
        else { return false }
        let binding = table[place]
        removals.reopen(
            slot, generation: attempt(binding.id, at: now, answers: answers + 1), now: now)
        let nonce = clientNonce(slot)
        outbox.begin()
        _ = location.read(binding.record) { fact in
            beginRemoval(slot, binding, fact, &outbox)
            let uri = Fact.range(of: .requestURI, in: fact)
            ownCredentials?.write(
                challenge, in: bytes, isProxy: isProxy,
                uri: fact.extracting(uri.start..<uri.end), clientNonce: nonce,
                to: &outbox)
            OwnRequest.finish(&outbox)
        }
        guard !outbox.overflowed, removals.keep(outbox.open, in: slot) else {
            outbox.abandon()
            return false
        }
        outbox.end(to: options.mainServer, from: options.ownSocket)
        counters.add(.ownRemovalAuthorized)
        return true
    }

    /// Nobody can foresee it, and each try has another one.
    private func clientNonce(_ slot: Int) -> UInt64 {
        var hash = KeyedHash(options.keys.clientNonce)
        hash.update(word: removals.slots[slot].removal.tag)
        hash.update(word: transaction(of: slot))
        return hash.finish()
    }

    /// Makes the branch of each try a new one, also after a restart: midreg's timeline goes on.
    func attempt(_ id: ContactID, at now: Instant, answers: UInt8 = 0) -> UInt32 {
        var hash = KeyedHash(options.keys.fingerprint)
        hash.update(word: id.high)
        hash.update(word: id.low)
        hash.update(word: now.milliseconds)
        hash.update(answers)
        return UInt32(truncatingIfNeeded: hash.finish())
    }
}
