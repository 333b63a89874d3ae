package import Bytes
internal import COpenSSL

/// A digest as lower-case hexadecimal digits, the form in which it is hashed again and sent.
///
/// An H(A1) is as good as the password: it is never logged, so it has no description.
package struct HexDigest: BitwiseCopyable, Sendable {
    private var digits = InlineArray<64, UInt8>(repeating: 0)
    package let count: Int

    /// - Parameter value: the bytes of the hash, at most 32 of `raw`.
    init(_ raw: InlineArray<64, UInt8>, bytes: Int) {
        precondition(bytes <= 32, "a digest has at most 64 digits")
        count = bytes * 2
        for index in 0..<bytes {
            digits[2 * index] = Self.digit(raw[index] >> 4)
            digits[2 * index + 1] = Self.digit(raw[index] & 15)
        }
    }

    package subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count, "the digit is there")
        return digits[index]
    }

    /// Whether `text` is this digest; how long that takes does not depend on where they differ.
    package func matches(_ text: Span<UInt8>) -> Bool {
        guard text.count == count, count > 0 else { return false }
        // SAFETY: both have `count` bytes, and the call keeps neither.
        return unsafe digits.span.withUnsafeBufferPointer { mine in
            unsafe text.withUnsafeBufferPointer { theirs in
                unsafe CRYPTO_memcmp(mine.baseAddress, theirs.baseAddress, count) == 0
            }
        }
    }

    package func write(to outbox: inout Outbox) {
        for index in 0..<count { outbox.write(digits[index]) }
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }
}
