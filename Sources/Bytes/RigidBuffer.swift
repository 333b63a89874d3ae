internal import Glibc

/// A fixed number of elements in memory that is taken once, zeroed, and given back at the end.
///
/// Pages that were never touched cost nothing, so a table may be sized for its bound.
@safe public struct RigidBuffer<Element: BitwiseCopyable>: ~Copyable {
    private let base: UnsafeMutablePointer<Element>
    /// The number of elements.
    public let count: Int

    /// - Parameters:
    ///   - count: the number of elements, at least 1.
    ///   - zeroed: an element of which all bytes are 0; it shows that such bytes are a value.
    public init(count: Int, zeroed: Element) {
        precondition(count > 0, "a buffer holds something")
        guard let memory = unsafe calloc(count, MemoryLayout<Element>.stride) else {
            preconditionFailure("memory for a table is there at start")
        }
        // SAFETY: calloc's memory is aligned for every element that is stored here, and zero bytes
        // are a value of it.
        unsafe base = memory.bindMemory(to: Element.self, capacity: count)
        self.count = count
    }

    deinit { unsafe free(base) }

    /// One element, in place: who reads or changes a part of it does not copy the rest.
    public subscript(index: Int) -> Element {
        unsafeAddress {
            precondition(index >= 0 && index < count, "the index lies inside")
            // SAFETY: the check above; the element is borrowed no longer than the buffer.
            return unsafe UnsafePointer(base + index)
        }
        unsafeMutableAddress {
            precondition(index >= 0 && index < count, "the index lies inside")
            // SAFETY: as above.
            return unsafe base + index
        }
    }

    /// The elements of `range`, to be read in place.
    @_lifetime(borrow self)
    public func span(_ range: ByteRange) -> Span<Element> {
        precondition(range.end <= count, "the range lies inside")
        let span = unsafe Span(_unsafeStart: base + range.start, count: range.count)
        return unsafe _overrideLifetime(span, borrowing: self)
    }
}

extension RigidBuffer where Element == UInt8 {
    /// Sets every byte to 0.
    public mutating func clear() {
        // SAFETY: the buffer has `count` bytes.
        unsafe memset(base, 0, count)
    }

    /// Stores eight bytes at `offset`, least significant first.
    public mutating func store(eight value: UInt64, at offset: Int) {
        precondition(offset >= 0 && offset <= count - 8, "eight bytes fit")
        // SAFETY: the check above.
        unsafe UnsafeMutableRawPointer(base + offset).storeBytes(
            of: value.littleEndian, as: UInt64.self)
    }

    /// Stores four bytes at `offset`, least significant first.
    public mutating func store(four value: UInt32, at offset: Int) {
        precondition(offset >= 0 && offset <= count - 4, "four bytes fit")
        // SAFETY: the check above.
        unsafe UnsafeMutableRawPointer(base + offset).storeBytes(
            of: value.littleEndian, as: UInt32.self)
    }

    /// Copies all of `bytes` to `offset`.
    public mutating func copy(_ bytes: Span<UInt8>, to offset: Int) {
        precondition(offset >= 0 && bytes.count <= count - offset, "the copy fits")
        // SAFETY: the check above; the source is borrowed and cannot be this buffer.
        unsafe bytes.withUnsafeBufferPointer { source in
            guard let from = source.baseAddress else { return }
            unsafe memcpy(base + offset, from, source.count)
        }
    }
}

extension RigidBuffer: @unchecked Sendable {}
