internal import Bytes

/// Where a message lies in a ``BytePool``, and how long it is.
public struct BytesHandle: Equatable, BitwiseCopyable, Sendable {
    /// Its first unit, plus 1; 0 of none.
    fileprivate let place: UInt32
    private let length: UInt32

    fileprivate init(unit: Int, count: Int) {
        place = UInt32(unit) + 1
        length = UInt32(count)
    }

    private init() { (place, length) = (0, 0) }

    /// The length of the message, without padding.
    public var count: Int { Int(length) }
    public static var none: BytesHandle { BytesHandle() }
    public var isNone: Bool { place == 0 }
}

/// A bounded room for messages that are kept while a transaction lives.
///
/// Memory is cut into chunks, a chunk into blocks of one size, and the blocks of a chunk that is
/// empty again may have another size the next time: a flood of short messages leaves no room only
/// while it lasts. The bound costs addresses, not memory: a page is taken when it is first written.
public struct BytePool: ~Copyable, Sendable {
    /// What may be read behind each message: readers look at vectors, not at bytes.
    public static let paddingBytes = 64
    /// The longest message: a UDP datagram.
    public static let messageBytesMax = 65_535
    /// The unit of all sizes.
    private static let unitBytes = 512
    /// Holds four of the largest blocks, and leaves little or no rest with blocks of another size.
    private static let chunkUnits = 516
    public static let chunkBytes = chunkUnits * unitBytes
    /// The units of a block: 512, 1,024, 1,536, 2,048, 4,096, 16,384 and 66,048 bytes.
    private static func units(ofSize size: Int) -> Int {
        switch size {
        case 0: 1
        case 1: 2
        case 2: 3
        case 3: 4
        case 4: 8
        case 5: 32
        default: 129
        }
    }
    private static let sizes = 7

    struct Chunk: BitwiseCopyable {
        /// Neighbours among the chunks of its size that have room, or the next unused chunk; all
        /// plus 1, 0 at the end.
        var next: UInt32
        var previous: UInt32
        /// The unit, inside the chunk, of the block that was released last, plus 1.
        var freeHead: UInt16
        /// Blocks that were taken at least once since the chunk got its size.
        var cut: UInt16
        var live: UInt16
        var size: UInt8
    }

    private var bytes: RigidBuffer<UInt8>
    /// For the first unit of each block: the length of its message with ``liveBit``, or the next
    /// free block's unit inside the chunk, plus 1.
    private var marks: RigidBuffer<UInt32>
    private static let liveBit: UInt32 = 1 << 31
    private var chunks: RigidBuffer<Chunk>
    /// The first chunk with room of each size, plus 1.
    private var roomy: RigidBuffer<UInt32>
    private var unusedHead: UInt32 = 0
    private var chunksEverUsed = 0
    /// Bytes of the blocks that hold a message.
    public private(set) var bytesUsed = 0
    /// Messages that are held.
    public private(set) var count = 0

    /// - Parameter bytesMax: the bound, in bytes, below 2³²; it is rounded down to whole chunks, of
    ///   which there is at least one.
    public init(bytesMax: Int) {
        let number = max(1, bytesMax / Self.chunkBytes)
        precondition(number * Self.chunkBytes <= Int(UInt32.max), "a pool has offsets of 32 bits")
        bytes = RigidBuffer(count: number * Self.chunkBytes, zeroed: 0)
        marks = RigidBuffer(count: number * Self.chunkUnits, zeroed: 0)
        chunks = RigidBuffer(
            count: number,
            zeroed: Chunk(next: 0, previous: 0, freeHead: 0, cut: 0, live: 0, size: 0))
        roomy = RigidBuffer(count: Self.sizes, zeroed: 0)
    }

    /// The bound, in bytes.
    public var bytesMax: Int { bytes.count }

    /// Keeps a copy of a message; `nil` if there is no room or it is longer than
    /// ``messageBytesMax``.
    public mutating func store(_ message: Span<UInt8>) -> BytesHandle? {
        guard message.count <= Self.messageBytesMax, let chunk = chunk(for: message.count) else {
            return nil
        }
        let unit = takeBlock(of: chunk)
        marks[unit] = Self.liveBit | UInt32(message.count)
        bytes.copy(message, to: unit * Self.unitBytes)
        return BytesHandle(unit: unit, count: message.count)
    }

    /// The bytes of a message.
    ///
    /// - Precondition: the handle was not released.
    @_lifetime(borrow self)
    public func bytes(of handle: BytesHandle) -> Span<UInt8> {
        let start = start(of: handle)
        return bytes.span(ByteRange(start, start + handle.count))
    }

    /// The bytes of a message and ``paddingBytes`` more, which hold anything: for who parses it.
    ///
    /// - Precondition: the handle was not released.
    @_lifetime(borrow self)
    public func padded(_ handle: BytesHandle) -> Span<UInt8> {
        let start = start(of: handle)
        return bytes.span(ByteRange(start, start + handle.count + Self.paddingBytes))
    }

    /// Gives the room of a message back.
    ///
    /// - Precondition: the handle was not released.
    public mutating func release(_ handle: BytesHandle) {
        let unit = start(of: handle) / Self.unitBytes
        let number = unit / Self.chunkUnits
        let wasFull = isFull(number)
        marks[unit] = UInt32(chunks[number].freeHead)
        chunks[number].freeHead = UInt16(unit % Self.chunkUnits + 1)
        chunks[number].live -= 1
        count -= 1
        bytesUsed -= Self.units(ofSize: Int(chunks[number].size)) * Self.unitBytes
        if chunks[number].live == 0 {
            // It had room before, for it has more blocks than this one.
            unlink(number)
            chunks[number].next = unusedHead
            unusedHead = UInt32(number) + 1
        } else if wasFull {
            link(number)
        }
    }

    private func start(of handle: BytesHandle) -> Int {
        let unit = Int(handle.place) - 1
        precondition(
            unit >= 0 && marks[unit] == Self.liveBit | UInt32(handle.count),
            "a message is asked for while it is kept")
        return unit * Self.unitBytes
    }

    // MARK: Chunks

    /// A chunk with room for a message: of its size, else a new one, else of a larger size.
    private mutating func chunk(for messageBytes: Int) -> Int? {
        let units = (messageBytes + Self.paddingBytes + Self.unitBytes - 1) / Self.unitBytes
        var size = 0
        while Self.units(ofSize: size) < units { size += 1 }
        if roomy[size] != 0 { return Int(roomy[size]) - 1 }
        if let number = unusedChunk() {
            chunks[number] = Chunk(
                next: 0, previous: 0, freeHead: 0, cut: 0, live: 0, size: UInt8(size))
            link(number)
            return number
        }
        while size < Self.sizes {
            if roomy[size] != 0 { return Int(roomy[size]) - 1 }
            size += 1
        }
        return nil
    }

    private mutating func unusedChunk() -> Int? {
        if unusedHead != 0 {
            let number = Int(unusedHead) - 1
            unusedHead = chunks[number].next
            return number
        }
        guard chunksEverUsed < chunks.count else { return nil }
        chunksEverUsed += 1
        return chunksEverUsed - 1
    }

    /// Takes a block of a chunk that has room; its first unit.
    private mutating func takeBlock(of number: Int) -> Int {
        let first = number * Self.chunkUnits
        let units = Self.units(ofSize: Int(chunks[number].size))
        let unit: Int
        if chunks[number].freeHead != 0 {
            unit = first + Int(chunks[number].freeHead) - 1
            chunks[number].freeHead = UInt16(marks[unit])
        } else {
            unit = first + Int(chunks[number].cut) * units
            chunks[number].cut += 1
        }
        chunks[number].live += 1
        count += 1
        bytesUsed += units * Self.unitBytes
        if isFull(number) { unlink(number) }
        return unit
    }

    private func isFull(_ number: Int) -> Bool {
        let blocks = Self.chunkUnits / Self.units(ofSize: Int(chunks[number].size))
        return Int(chunks[number].live) == blocks
    }

    /// Puts a chunk in front of those of its size that have room.
    private mutating func link(_ number: Int) {
        let size = Int(chunks[number].size)
        let next = roomy[size]
        chunks[number].next = next
        chunks[number].previous = 0
        if next != 0 { chunks[Int(next) - 1].previous = UInt32(number) + 1 }
        roomy[size] = UInt32(number) + 1
    }

    private mutating func unlink(_ number: Int) {
        let (next, previous) = (chunks[number].next, chunks[number].previous)
        if next != 0 { chunks[Int(next) - 1].previous = previous }
        if previous != 0 {
            chunks[Int(previous) - 1].next = next
        } else {
            roomy[Int(chunks[number].size)] = next
        }
    }
}
