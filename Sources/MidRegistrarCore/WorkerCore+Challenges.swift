internal import Bytes
internal import DigestAuth
internal import Keys
internal import Registration
internal import SIPMessage

// Challenges to REGISTERs of our own, answered with midreg's own account (RFC 3261 §22.2, §22.3).
extension WorkerCore {
    /// One with credentials, and another one if only the nonce was too old.
    static let answersMax: UInt8 = 2

    /// The challenge to answer in a 401 or 407; `nil` if that is not to be.
    ///
    /// Only the main registrar's own address is answered: a password's digest is no business of
    /// anybody else on the main side.
    ///
    /// - Parameter answers: challenges to the same request that were answered before.
    func answerableChallenge(
        _ bytes: Span<UInt8>, answers: UInt8, from source: TransportAddress
    ) -> DigestChallenge? {
        guard source.sameHost(as: options.mainServer),
            let challenge = ownCredentials?.strongest(
                of: bytes, index, isProxy: index.statusCode == 407),
            answers == 0 || answers < Self.answersMax && challenge.isStale
        else { return nil }
        return challenge
    }

    /// Writes credentials for a REGISTER about a fact.
    ///
    /// - Parameters:
    ///   - bytes: those of the challenge.
    ///   - tag: of the request's From, and its transaction: nobody can foresee what is made of them,
    ///     and each try has another one.
    mutating func writeCredentials(
        _ challenge: DigestChallenge, in bytes: Span<UInt8>, about fact: Span<UInt8>, tag: UInt64,
        transaction: UInt64, _ outbox: inout Outbox
    ) {
        var hash = KeyedHash(options.keys.clientNonce)
        hash.update(word: tag)
        hash.update(word: transaction)
        let uri = Fact.range(of: .requestURI, in: fact)
        ownCredentials?.write(
            challenge, in: bytes, isProxy: index.statusCode == 407,
            uri: fact.extracting(uri.start..<uri.end), clientNonce: hash.finish(), to: &outbox)
    }

    /// Sends a removal again with credentials; `false` if that is not to be.
    mutating func answerChallenge<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ slot: Int, _ place: BindingIndex, from source: TransportAddress,
        now: Instant, location: inout Location, outbox: inout Outbox
    ) -> Bool {
        let answers = removals.slots[slot].answers
        guard let challenge = answerableChallenge(bytes, answers: answers, from: source) else {
            return false
        }
        let binding = table[place]
        removals.reopen(
            slot, generation: attempt(binding.id, at: now, answers: answers + 1), now: now)
        let tag = removals.slots[slot].removal.tag
        let transaction = transaction(of: slot)
        outbox.begin()
        _ = location.read(binding.record) { fact in
            beginRemoval(slot, binding, fact, &outbox)
            writeCredentials(
                challenge, in: bytes, about: fact, tag: tag, transaction: transaction, &outbox)
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
