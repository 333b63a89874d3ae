public import Bytes

/// Our identity of a binding, visible to the main registrar: 24 characters, the same on every node
/// and after every restart, not to be guessed, and to be checked without the store.
///
/// From the front: key identifier (4 bits), steering bits of the AOR (20), a pseudo-random function
/// of AOR and contact identity (56), a keyed check of those (40); in base 32, lower case.
public struct ContactID: Hashable, BitwiseCopyable, Sendable {
    public static let characters = 24

    /// The first 64 bits.
    public let high: UInt64
    /// The last 56 bits.
    public let low: UInt64

    /// An identity that was checked before, as a stored fact has it.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low & 0xFF_FFFF_FFFF_FFFF
    }

    /// The key identifier that no key has: the ID is a number another registrar gave.
    static let importedIdentifier: UInt64 = 15

    /// The ID of a contact that came with its number from another registrar, which the main registrar
    /// knows it by; it is written as that number. Nothing in the number can be checked.
    public init(imported number: UInt64, steering: SteeringBits) {
        high = Self.importedIdentifier << 60 | UInt64(steering.value) << 40 | number >> 24
        low = (number & 0xFF_FFFF) << 32
    }

    /// The number of a contact that was imported with one.
    public var importedNumber: UInt64? {
        guard high >> 60 == Self.importedIdentifier else { return nil }
        return (high & 0xFF_FFFF_FFFF) << 24 | low >> 32
    }

    /// Reads up to 20 decimal digits below 2⁶⁴ without leading zeros.
    public static func number(_ text: Span<UInt8>) -> UInt64? {
        guard !text.isEmpty, text.count <= 20, text[0] != 0x30 else { return nil }
        var value: UInt64 = 0
        for index in text.indices {
            guard text[index] >= 0x30, text[index] <= 0x39 else { return nil }
            let (product, over) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(text[index] - 0x30))
            guard !over, !carry else { return nil }
            value = sum
        }
        return value
    }

    /// - Parameters:
    ///   - identity: a keyed hash of what makes the contact itself (instance or URI).
    ///   - extension: counts up when another binding of the AOR has this ID already.
    public init(
        _ aor: AORKey, identity: UInt64, extension number: UInt8 = 0, under keys: KeyRing
    ) {
        var hash = KeyedHash(keys.contact)
        hash.update(word: aor.high)
        hash.update(word: aor.low)
        hash.update(word: identity)
        if number > 0 { hash.update(number) }
        let random = hash.finish() >> 8  // 56 bits
        let head = UInt64(keys.identifier) << 20 | UInt64(aor.steering.value)  // 24 bits
        high = head << 40 | random >> 16
        low = (random & 0xFFFF) << 40 | Self.check(high, random & 0xFFFF, keys)
    }

    private static func check(_ high: UInt64, _ rest: UInt64, _ keys: KeyRing) -> UInt64 {
        var hash = KeyedHash(keys.contactCheck)
        hash.update(word: high)
        hash.update(word: rest)
        return hash.finish() & 0xFF_FFFF_FFFF
    }

    /// Reads and checks 24 characters of either case; `nil` if we never made them.
    public init?(_ text: Span<UInt8>, under keys: KeyRing) {
        guard text.count == Self.characters else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for index in text.indices {
            let value: UInt64
            switch text[index] {
            case 0x61...0x7A: value = UInt64(text[index] - 0x61)
            case 0x41...0x5A: value = UInt64(text[index] - 0x41)
            case 0x32...0x37: value = UInt64(text[index] - 0x32) + 26
            default: return nil
            }
            // 120 bits pass through two words: 64 and 56.
            high = high << 5 | (low >> 51)
            low = (low & 0x7_FFFF_FFFF_FFFF) << 5 | value
        }
        guard Self.check(high, low >> 40, keys) == low & 0xFF_FFFF_FFFF else { return nil }
        self.high = high
        self.low = low
    }

    public var steering: SteeringBits {
        SteeringBits(UInt32(truncatingIfNeeded: high >> 40) & 0xF_FFFF)
    }

    /// The character at `index`, below ``characters``.
    public func character(_ index: Int) -> UInt8 {
        let shift = 5 * (Self.characters - 1 - index)
        let bits: UInt64
        if shift >= 56 {
            bits = high >> UInt64(shift - 56)
        } else if shift > 51 {
            bits = low >> UInt64(shift) | high << UInt64(56 - shift)
        } else {
            bits = low >> UInt64(shift)
        }
        let value = UInt8(truncatingIfNeeded: bits & 31)
        return value < 26 ? 0x61 + value : 0x32 + value - 26
    }

    public func write(to outbox: inout Outbox) {
        if let number = importedNumber {
            outbox.write(decimal: number)
            return
        }
        for index in 0..<Self.characters { outbox.write(character(index)) }
    }

    public var text: String {
        if let number = importedNumber { return String(number) }
        return String(decoding: (0..<Self.characters).map(character), as: UTF8.self)
    }
}
