import Bytes
import SIPMessage

/// Lines that are read as URIs and as name-addr; each URI is compared with the one before.
struct AddressCase: FuzzCase, ~Copyable {
    private var canonical = ByteBuffer(bytesMax: 512)
    private var again = ByteBuffer(bytesMax: 512)

    mutating func run(_ bytes: Span<UInt8>) -> String? {
        var before: SIPURI?
        var telBefore: TelURI?
        var at = 0
        while at <= bytes.count {
            let end = bytes.find(0x0A, 0x0A, 0x0A, 0x0A, from: at, to: bytes.count)
            let line = ByteRange(at, end)
            if let finding = nameAddress(bytes, line) { return finding }
            if let uri = try? SIPURI(bytes, line) {
                if let finding = one(bytes, uri) { return finding }
                if let before, let finding = two(bytes, before, uri) { return finding }
                before = uri
            }
            if let tel = try? TelURI(bytes, line) {
                if let finding = number(bytes, tel, telBefore) { return finding }
                telBefore = tel
            }
            at = end + 1
        }
        return nil
    }

    private func number(_ bytes: Span<UInt8>, _ tel: TelURI, _ before: TelURI?) -> String? {
        for part in [tel.number, tel.context, tel.extension, tel.subaddress, tel.parameters] {
            guard part.lies(in: tel.whole) else { return "a part of a number lies outside" }
        }
        guard tel.isGlobal == tel.context.isEmpty else { return "a local number of nowhere" }
        guard let uri = try? SIPURI(bytes, tel.whole), uri.scheme == .other else {
            return "a number is no URI"
        }
        guard TelURI.equivalent(tel, in: bytes, tel, in: bytes) else {
            return "a number is not its own like"
        }
        guard let before else { return nil }
        let forward = TelURI.equivalent(tel, in: bytes, before, in: bytes)
        return forward == TelURI.equivalent(before, in: bytes, tel, in: bytes)
            ? nil : "equivalence of numbers hangs on the order"
    }

    private func nameAddress(_ bytes: Span<UInt8>, _ line: ByteRange) -> String? {
        guard let address = try? NameAddress(bytes, from: line.start, to: line.end) else {
            return nil
        }
        guard address.whole.lies(in: line), address.uri.lies(in: address.whole),
            address.parameters.lies(in: address.whole)
        else { return "a part of a name-addr lies outside" }
        let whole = address.whole
        guard let alone = try? NameAddress(bytes, from: whole.start, to: whole.end),
            alone.whole == whole, alone.uri == address.uri, alone.parameters == address.parameters
        else { return "a name-addr alone is read otherwise" }
        var cursor = ParameterCursor(address.parameters)
        do throws(SIPParseError) {
            while let parameter = try cursor.next(bytes) {
                guard parameter.name.lies(in: address.parameters),
                    parameter.value.lies(in: address.parameters)
                else { return "a parameter lies outside" }
            }
        } catch { return "the parameters of a name-addr that was taken cannot be read" }
        return nil
    }

    private mutating func one(_ bytes: Span<UInt8>, _ uri: SIPURI) -> String? {
        for part in [uri.user, uri.password, uri.host, uri.parameters, uri.headers] {
            guard part.lies(in: uri.whole) else { return "a part of a URI lies outside" }
        }
        guard SIPURI.equivalent(uri, in: bytes, uri, in: bytes) else {
            return "a URI is not its own like"
        }
        canonical.clear()
        do throws(SIPParseError) {
            try AddressOfRecord.write(bytes, uri, to: &canonical)
        } catch { return error.finding(in: bytes.count) }
        let copy = canonical.span.array
        let text = copy.span
        guard let read = try? SIPURI(text, text.everything), read.scheme == .sip else {
            return "a canonical AOR is no SIP URI"
        }
        // A canonical AOR says `sip:` for `sips:` too, so 5060, which a SIPS URI can name, stays there.
        if uri.scheme == .sips, uri.port == 5_060 { return nil }
        again.clear()
        guard (try? AddressOfRecord.write(text, read, to: &again)) != nil,
            again.span.same(as: text)
        else { return "a canonical AOR has another canonical form" }
        return nil
    }

    private mutating func two(_ bytes: Span<UInt8>, _ a: SIPURI, _ b: SIPURI) -> String? {
        let forward = SIPURI.equivalent(a, in: bytes, b, in: bytes)
        guard forward == SIPURI.equivalent(b, in: bytes, a, in: bytes) else {
            return "equivalence hangs on the order"
        }
        guard forward else { return nil }
        canonical.clear()
        again.clear()
        guard (try? AddressOfRecord.write(bytes, a, to: &canonical)) != nil,
            (try? AddressOfRecord.write(bytes, b, to: &again)) != nil
        else { return nil }
        return canonical.span.same(as: again.span) ? nil : "equivalent URIs are two AORs"
    }
}
