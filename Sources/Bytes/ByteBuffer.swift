/// Bytes put together piece by piece in a fixed room; used again and again.
///
/// Writing past the end sets ``overflowed`` and writes nothing.
public struct ByteBuffer: ~Copyable, Sendable {
    private var bytes: RigidBuffer<UInt8>
    public private(set) var count = 0
    public private(set) var overflowed = false

    /// - Parameter bytesMax: the room, in bytes.
    public init(bytesMax: Int) { bytes = RigidBuffer(count: bytesMax, zeroed: 0) }

    public mutating func clear() {
        count = 0
        overflowed = false
    }

    public var isEmpty: Bool { count == 0 }

    /// What was written.
    public var span: Span<UInt8> {
        @_lifetime(borrow self)
        get { bytes.span(ByteRange(0, count)) }
    }

    public subscript(index: Int) -> UInt8 {
        get {
            precondition(index < count, "the byte is there")
            return bytes[index]
        }
        set {
            precondition(index < count, "the byte is there")
            bytes[index] = newValue
        }
    }

    public mutating func append(_ byte: UInt8) {
        guard count < bytes.count, !overflowed else {
            overflowed = true
            return
        }
        bytes[count] = byte
        count += 1
    }

    public mutating func append(_ more: Span<UInt8>) {
        guard more.count <= bytes.count - count, !overflowed else {
            overflowed = true
            return
        }
        bytes.copy(more, to: count)
        count += more.count
    }

    public mutating func append(_ more: Span<UInt8>, _ range: ByteRange) {
        append(more.extracting(range.start..<range.end))
    }

    public mutating func append(_ more: borrowing ByteBuffer, _ range: ByteRange) {
        append(more.span, range)
    }

    /// Appends the open message of an outbox.
    public mutating func append(openOf outbox: borrowing Outbox) { append(outbox.open) }

    /// Appends two bytes, least significant first.
    public mutating func append(two value: UInt16) {
        append(UInt8(truncatingIfNeeded: value))
        append(UInt8(truncatingIfNeeded: value >> 8))
    }

    /// Appends the lower three bytes of `value`, least significant first.
    public mutating func append(three value: UInt32) {
        guard bytes.count - count >= 4, !overflowed else {
            append(two: UInt16(truncatingIfNeeded: value))
            append(UInt8(truncatingIfNeeded: value >> 16))
            return
        }
        // In one step; what comes next overwrites the fourth byte.
        bytes.store(four: value, at: count)
        count += 3
    }

    /// Appends four bytes, least significant first.
    public mutating func append(four value: UInt32) {
        guard bytes.count - count >= 4, !overflowed else {
            overflowed = true
            return
        }
        bytes.store(four: value, at: count)
        count += 4
    }

    /// Appends eight bytes, least significant first.
    public mutating func append(eight value: UInt64) {
        guard bytes.count - count >= 8, !overflowed else {
            overflowed = true
            return
        }
        bytes.store(eight: value, at: count)
        count += 8
    }

    /// Puts eight bytes over what was written at `offset`, least significant first.
    public mutating func put(eight value: UInt64, at offset: Int) {
        precondition(offset + 8 <= count, "the bytes are there")
        bytes.store(eight: value, at: offset)
    }

    public mutating func append(_ text: StaticString) {
        for index in 0..<text.utf8CodeUnitCount {
            append(text.byte(index))
        }
    }
}

extension Span<UInt8> {
    /// Two bytes from `offset`, least significant first.
    public func two(at offset: Int) -> UInt16 {
        UInt16(self[offset]) | UInt16(self[offset + 1]) << 8
    }

    /// Four bytes from `offset`, least significant first.
    public func four(at offset: Int) -> UInt32 {
        UInt32(two(at: offset)) | UInt32(two(at: offset + 2)) << 16
    }
}
