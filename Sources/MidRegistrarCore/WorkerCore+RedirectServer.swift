internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage

// The redirect server (RFC 3261 §8.3): instead of calling phones, midreg tells the main side where they
// are. Stateless: the ACK is known by the tag of our answer, and ends here.
extension WorkerCore {
    /// Whether a request is answered with the contacts of whom it is for, and is.
    ///
    /// Where contacts are told as they are reached by way of us, a call to one of those is not redirected
    /// again.
    mutating func answersWithContacts<Location: LocationService & ~Copyable>(
        _ way: Way, _ bytes: Span<UInt8>, _ via: ViaValue, _ flow: Flow, at now: Instant,
        location: inout Location, outbox: inout Outbox
    ) -> Bool {
        guard let code = options.redirectServer, index.method != .ack, index.method != .cancel,
            options.mainSide.contains(flow.peer)
        else { return false }
        var first: BindingIndex?
        let isOne: Bool
        switch way {
        case .toAOR(let key): (first, isOne) = (table.first(of: key), false)
        case .toPhone(let place, _, _) where !options.redirectsByUs: (first, isOne) = (place, true)
        case .toPhone, .toMain, .answer, .options, .elsewhere, .drop: return false
        }
        guard first != nil else { return false }
        counters.add(.redirectsAnswered)
        outbox.begin()
        RedirectAnswer.begin(
            code, to: bytes, index, source: flow.peer, toTag: tag(bytes, via), &outbox)
        while let place = first {
            first = isOne ? nil : table.next(after: place)
            guard isOne || isNewestFlow(place) else { continue }
            writeContact(of: place, at: now, location: &location, &outbox)
        }
        ResponseWriter.finish(&outbox)
        if !outbox.end(to: flow.peer, from: flow.socket) { counters.add(.droppedOutboxFull) }
        return true
    }

    private mutating func writeContact<Location: LocationService & ~Copyable>(
        of place: BindingIndex, at now: Instant, location: inout Location, _ outbox: inout Outbox
    ) {
        let binding = table[place]
        let seconds = binding.deadline.secondsLeft(at: now)
        let us =
            options.redirectsByUs
            ? MainContact(
                placement: options.contact.placement == .user ? .user : .parameter,
                advertised: options.contact.advertised) : nil
        _ = location.read(binding.record) { fact in
            guard let (contact, uri) = Fact.contact(in: fact) else { return }
            RedirectAnswer.beginContact(&outbox)
            if let us {
                us.writeURI(binding.id, fact, uri, aor: fact, &outbox)
            } else {
                outbox.write(fact, uri.whole)
            }
            RedirectAnswer.endContact(
                q: Self.q(of: contact, in: fact), expires: seconds, &outbox)
        }
    }
}
