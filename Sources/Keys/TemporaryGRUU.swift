public import Bytes

/// A temporary GRUU's user part (RFC 5627 §3.2): it leads to one contact, tells nobody which, and no
/// two of one phone look alike.
///
/// Nothing is kept of it: the contact ID and the registration it belongs to stand in it, masked by a
/// keyed stream, behind a keyed check.
public struct TemporaryGRUU: Equatable, Sendable {
    private static let rawBytes = 39
    /// Characters of its text: three that mark it, and base 64.
    public static let characters = 55

    public let contactID: ContactID
    /// A keyed hash of the Call-ID: with another one every temporary GRUU ends (§5.3).
    public let registration: UInt64

    public init(contactID: ContactID, registration: UInt64) {
        self.contactID = contactID
        self.registration = registration
    }

    /// - Parameter sequence: of the REGISTER that it is given for; it makes it another one.
    public func write(
        sequence: UInt32, under keys: KeyRing, scratch: inout ByteBuffer, to outbox: inout Outbox
    ) {
        var hash = KeyedHash(keys.gruuMask)
        hash.update(word: contactID.high)
        hash.update(word: contactID.low)
        hash.update(word: registration)
        hash.update(word: UInt64(sequence))
        let nonce = hash.finish()
        let mask = Self.mask(nonce, keys)
        scratch.clear()
        scratch.append(eight: 0)
        scratch.append(eight: nonce)
        scratch.append(eight: contactID.high ^ mask.0)
        let low = contactID.low ^ mask.1
        scratch.append(four: UInt32(truncatingIfNeeded: low))
        scratch.append(two: UInt16(truncatingIfNeeded: low >> 32))
        scratch.append(UInt8(truncatingIfNeeded: low >> 48))
        scratch.append(eight: registration ^ mask.2)
        let check = Self.check(scratch.span, keys)
        scratch.put(eight: check, at: 0)
        outbox.write("tg.")
        Base64URL.write(scratch.span, to: &outbox)
    }

    /// Reads and checks one; `nil` if we never made it.
    public init?(_ text: Span<UInt8>, under keys: KeyRing, scratch: inout ByteBuffer) {
        guard text.count == Self.characters, text[0] == UInt8(ascii: "t"),
            text[1] == UInt8(ascii: "g"), text[2] == UInt8(ascii: ".")
        else { return nil }
        scratch.clear()
        guard Base64URL.read(text.extracting(3..<text.count), into: &scratch),
            scratch.count == Self.rawBytes
        else { return nil }
        let raw = scratch.span
        guard raw.load64(at: 0) == Self.check(raw, keys) else { return nil }
        let mask = Self.mask(raw.load64(at: 8), keys)
        let low =
            UInt64(raw.four(at: 24)) | UInt64(raw.two(at: 28)) << 32 | UInt64(raw[30]) << 48
        contactID = ContactID(
            high: raw.load64(at: 16) ^ mask.0, low: (low ^ mask.1) & 0xFF_FFFF_FFFF_FFFF)
        registration = raw.load64(at: 31) ^ mask.2
    }

    private static func mask(_ nonce: UInt64, _ keys: KeyRing) -> (UInt64, UInt64, UInt64) {
        func word(_ number: UInt64) -> UInt64 {
            var hash = KeyedHash(keys.gruuMask)
            hash.update(word: nonce)
            hash.update(word: number)
            return hash.finish()
        }
        return (word(1), word(2), word(3))
    }

    private static func check(_ raw: Span<UInt8>, _ keys: KeyRing) -> UInt64 {
        var hash = KeyedHash(keys.gruuCheck)
        hash.update(raw, ByteRange(8, raw.count))
        return hash.finish()
    }
}
