internal import Bytes
internal import Keys
internal import Registration
internal import SIPMessage

// What differs between the modes, and between the ways of being found again.
extension WorkerCore {
    func mode(ofAOR aor: Span<UInt8>) -> RegistrationMode {
        guard !options.domains.isEmpty || options.mode == .throttleByAOR else {
            return options.mode
        }
        let range = domain(ofAOR: aor)
        var mode = options.mode
        let name = aor.extracting(range.start..<range.end)
        for domain in options.domains {
            let other = domain.name.span
            if name.same(as: other) {
                mode = domain.mode
                break
            }
        }
        // An AOR that is a domain alone cannot be the user part of a contact.
        return mode == .throttleByAOR && range.start == 4 ? .throttleByContact : mode
    }

    func mainContact(for mode: RegistrationMode) -> MainContact {
        mode == .throttleByAOR
            ? MainContact(placement: .addressOfRecord, advertised: options.contact.advertised)
            : options.contact
    }

    // MARK: Path

    /// Our Path (RFC 3327 §5.2): what the main registrar sends to the phone comes by its flow. With
    /// `ob` where we are the phone's first hop and it can do Outbound (RFC 5626 §5.1).
    mutating func writePath(
        _ bytes: Span<UInt8>, _ id: ContactID, _ flow: Flow, _ outbox: inout Outbox
    ) {
        outbox.write("Path: ")
        writePathURI(
            FlowToken(contactID: id, peer: flow.peer, socket: flow.socket),
            isOutbound: passage == .direct && supports("outbound", bytes), &outbox)
        outbox.write("\r\n")
        if !supports("path", bytes) { outbox.write("Supported: path\r\n") }
    }

    mutating func writePathURI(_ token: FlowToken, isOutbound: Bool, _ outbox: inout Outbox) {
        outbox.write("<sip:")
        token.write(under: options.keys, scratch: &scratch, to: &outbox)
        outbox.write("@")
        outbox.write(options.contact.advertised)
        outbox.write(isOutbound ? ";lr;ob>" : ";lr>")
    }

    /// Whether a Supported field lists an option.
    func supports(_ option: StaticString, _ bytes: Span<UInt8>) -> Bool {
        var tags = OptionTags(.supported, of: index)
        while let tag = try? tags.next(bytes, index) {
            if bytes.spellsIgnoringCase(option, in: tag) { return true }
        }
        return false
    }

    // MARK: GRUU

    /// Parameters of a Contact that name the contact to others (RFC 5627 §4.2): the public one by its
    /// AOR and contact ID at our address, the temporary one without a hint of either.
    mutating func writeGRUUs(_ binding: Binding, _ outbox: inout Outbox) {
        guard givesGRUUs else { return }
        outbox.write(";pub-gruu=\"")
        Self.writeShared(options.contact.advertised, aorText, &outbox)
        outbox.write(";gr=")
        binding.id.write(to: &outbox)
        outbox.write("\";temp-gruu=\"sip:")
        TemporaryGRUU(contactID: binding.id, registration: UInt64(binding.callID)).write(
            sequence: index.sequenceNumber, under: options.keys, scratch: &scratch, to: &outbox)
        outbox.write("@")
        outbox.write(options.contact.advertised)
        outbox.write(";gr\"")
    }

    private static func writeShared(
        _ advertised: TransportAddress, _ aor: borrowing ByteBuffer, _ outbox: inout Outbox
    ) {
        MainContact(placement: .addressOfRecord, advertised: advertised).writeURI(
            aor: aor.span, &outbox)
    }
}
