internal import Glibc

/// Bytes on their way out: messages written one after the other, each with where it goes.
///
/// A message is opened with ``begin()``, written, and closed with ``end(to:from:)`` or given up with
/// ``abandon()``. Writing past the room there is sets ``overflowed`` and writes nothing; a message
/// that overflowed is never sent, so a message is whole or not there.
@safe public struct Outbox: ~Copyable {
    /// A message that is ready to go.
    public struct Message: BitwiseCopyable, Sendable {
        public let start: Int
        public let count: Int
        public let destination: TransportAddress
        /// The local socket it leaves by, as an index into the worker's sockets.
        public let socket: UInt16

        public var range: ByteRange { ByteRange(start, start + count) }
    }

    private let base: UnsafeMutablePointer<UInt8>
    private let bytesMax: Int
    private var messages: RigidBuffer<Message>
    private var opened = 0
    private var end = 0
    /// How many messages are ready.
    public private(set) var count = 0
    private var overflow = false
    /// Whether the open message did not fit.
    public var overflowed: Bool { overflow }

    /// - Parameters:
    ///   - bytesMax: room for all messages together, in bytes.
    ///   - messagesMax: how many messages it holds.
    public init(bytesMax: Int, messagesMax: Int) {
        precondition(bytesMax > 0, "an outbox has room")
        guard let memory = unsafe malloc(bytesMax) else {
            preconditionFailure("memory for an outbox is there at start")
        }
        unsafe base = memory.bindMemory(to: UInt8.self, capacity: bytesMax)
        self.bytesMax = bytesMax
        messages = RigidBuffer(
            count: messagesMax,
            zeroed: Message(start: 0, count: 0, destination: .none, socket: 0))
    }

    deinit { unsafe free(base) }

    // MARK: Messages

    /// Opens a message after the last one.
    public mutating func begin() {
        opened = end
        overflow = count >= messages.count
    }

    /// Closes the open message for `destination`; `false` if it did not fit and is given up.
    @discardableResult
    public mutating func end(to destination: TransportAddress, from socket: UInt16) -> Bool {
        guard !overflow else {
            abandon()
            return false
        }
        messages[count] = Message(
            start: opened, count: end - opened, destination: destination, socket: socket)
        count += 1
        opened = end
        return true
    }

    /// Gives up the open message.
    public mutating func abandon() {
        end = opened
        overflow = false
    }

    /// Forgets everything; the bytes may be overwritten from here on.
    public mutating func clear() {
        count = 0
        opened = 0
        end = 0
        overflow = false
    }

    public func message(_ index: Int) -> Message {
        precondition(index < count, "the message is there")
        return messages[index]
    }

    /// The bytes of a message.
    @_lifetime(borrow self)
    public func bytes(of message: Message) -> Span<UInt8> {
        precondition(message.start + message.count <= end, "the message is there")
        let span = unsafe Span(_unsafeStart: base + message.start, count: message.count)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// The bytes of the open message so far.
    public var open: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let span = unsafe Span(_unsafeStart: base + opened, count: end - opened)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// How many bytes the open message has.
    public var openCount: Int { end - opened }

    /// The open message as text, for logs and tests; allocates.
    public var openText: String {
        var text: [UInt8] = []
        let bytes = open
        for index in bytes.indices { text.append(bytes[index]) }
        return String(decoding: text, as: UTF8.self)
    }

    /// Whether another message of `bytes` fits.
    public func hasRoom(for bytes: Int) -> Bool {
        count < messages.count && end + bytes <= bytesMax
    }

    /// The address of a message's first byte; it holds until the next change of the outbox.
    public func unsafeAddress(of message: Message) -> UnsafeMutablePointer<UInt8> {
        precondition(message.start + message.count <= end, "the message is there")
        return unsafe base + message.start
    }

    // MARK: Writing

    public mutating func write(_ byte: UInt8) {
        guard end < bytesMax, !overflow else {
            overflow = true
            return
        }
        unsafe base[end] = byte
        end += 1
    }

    public mutating func write(_ bytes: Span<UInt8>) {
        let count = bytes.count
        guard count <= bytesMax - end, !overflow else {
            overflow = true
            return
        }
        // SAFETY: the room was checked; the source is borrowed and is not this outbox.
        unsafe bytes.withUnsafeBufferPointer { source in
            guard let from = source.baseAddress else { return }
            unsafe memcpy(base + end, from, count)
        }
        end += count
    }

    /// Writes four bytes, least significant first.
    public mutating func write(four value: UInt32) {
        guard bytesMax - end >= 4, !overflow else {
            overflow = true
            return
        }
        // SAFETY: the room was checked.
        unsafe UnsafeMutableRawPointer(base + end).storeBytes(
            of: value.littleEndian, as: UInt32.self)
        end += 4
    }

    public mutating func write(_ bytes: Span<UInt8>, _ range: ByteRange) {
        write(bytes.extracting(range.start..<range.end))
    }

    public mutating func write(_ text: StaticString) {
        let count = text.utf8CodeUnitCount
        guard count <= bytesMax - end, !overflow else {
            overflow = true
            return
        }
        // SAFETY: the room was checked; a static string is always there.
        unsafe memcpy(base + end, text.utf8Start, count)
        end += count
    }

    /// Writes text that is not known before the program runs; allocates, so not for the hot path.
    public mutating func write(string text: String) {
        for byte in text.utf8 { write(byte) }
    }

    /// Writes a number in decimal digits.
    public mutating func write(decimal number: UInt64) {
        guard bytesMax - end >= 20, !overflow else {
            overflow = true
            return
        }
        var digits = 1
        var rest = number
        while rest >= 10 {
            rest /= 10
            digits += 1
        }
        var at = end + digits
        rest = number
        repeat {
            at -= 1
            unsafe base[at] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while at > end
        end += digits
    }

    public mutating func write(decimal number: UInt32) { write(decimal: UInt64(number)) }

    /// Writes an address without its port; an IPv6 address in brackets, in the form of RFC 5952.
    public mutating func write(hostOf address: TransportAddress) {
        if address.isIPv4 {
            for part in 0..<4 {
                let shift = UInt64(24 - 8 * part)
                write(decimal: (address.low >> shift) & 0xFF)
                if shift > 0 { write(UInt8(ascii: ".")) }
            }
            return
        }
        write(UInt8(ascii: "["))
        var groups = InlineArray<8, UInt16>(repeating: 0)
        for index in 0..<8 {
            let half = index < 4 ? address.high : address.low
            groups[index] = UInt16(truncatingIfNeeded: half >> UInt64(48 - 16 * (index & 3)))
        }
        // The longest run of zero groups, the first of equals, at least two long, becomes "::".
        var best = 0
        var bestCount = 1
        var run = 0
        for index in 0..<8 {
            run = groups[index] == 0 ? run + 1 : 0
            if run > bestCount {
                bestCount = run
                best = index - run + 1
            }
        }
        var index = 0
        while index < 8 {
            if bestCount > 1, index == best {
                write("::")
                index += bestCount
                continue
            }
            if index > 0, !(bestCount > 1 && index == best + bestCount) { write(UInt8(ascii: ":")) }
            write(hex: groups[index])
            index += 1
        }
        write(UInt8(ascii: "]"))
    }

    /// Writes an address with its port.
    public mutating func write(_ address: TransportAddress) {
        write(hostOf: address)
        write(UInt8(ascii: ":"))
        write(decimal: UInt64(address.port))
    }

    private mutating func write(hex number: UInt16) {
        var started = false
        for part in 0..<4 {
            let shift = UInt16(12 - 4 * part)
            let digit = UInt8(truncatingIfNeeded: (number >> shift) & 0xF)
            if digit != 0 || started || shift == 0 {
                write(digit < 10 ? 0x30 + digit : 0x57 + digit)
                started = true
            }
        }
    }
}

extension Outbox: @unchecked Sendable {}
