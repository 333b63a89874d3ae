public import Bytes

// Read by whoever wants them; `ViaValue` alone does not look, since no answer of ours goes there: it
// goes to the source of the packet.
extension ViaValue {
    /// How far a multicast packet was to go (RFC 3261 §20.42, §25.1 `via-ttl`), 0–255; `nil` if it is
    /// not said.
    ///
    /// - Throws: `.via` where it stands twice, or is no such number.
    public func ttl(_ bytes: Span<UInt8>) throws(SIPParseError) -> UInt8? {
        guard let parameter = try once("ttl", bytes) else { return nil }
        guard parameter.value.count <= 3,
            let number = try? bytes.number(in: parameter.value, max: 255)
        else { throw SIPParseError(.via, at: parameter.name.start) }
        return UInt8(number)
    }

    /// The address the sender says it is reached at (§18.1.1, §25.1 `via-maddr`), a host, an IPv6
    /// address with its brackets; `nil` if it is not said.
    ///
    /// - Throws: `.via` where it stands twice, or is no host.
    public func maddr(_ bytes: Span<UInt8>) throws(SIPParseError) -> ByteRange? {
        guard let parameter = try once("maddr", bytes) else { return nil }
        guard bytes.isHost(parameter.value) else {
            throw SIPParseError(.via, at: parameter.name.start)
        }
        return parameter.value
    }

    private func once(
        _ name: StaticString, _ bytes: Span<UInt8>
    ) throws(SIPParseError) -> Parameter? {
        var found: Parameter?
        var cursor = ParameterCursor(parameters)
        while let parameter = try cursor.next(bytes) {
            guard bytes.spellsIgnoringCase(name, in: parameter.name) else { continue }
            guard found == nil else { throw SIPParseError(.via, at: parameter.name.start) }
            found = parameter
        }
        return found
    }
}

extension Span<UInt8> {
    /// Whether `range` is a host: a name, an IPv4 address, or an IPv6 address in brackets.
    func isHost(_ range: ByteRange) -> Bool {
        guard !range.isEmpty else { return false }
        if self[range.start] == UInt8(ascii: "[") {
            return TransportAddress(host: extracting(range.start..<range.end), port: 0) != nil
        }
        for at in range.start..<range.end where !self[at].isHostByte { return false }
        return true
    }
}
