internal import Bytes

/// A slot of a ``SlotPool`` as it was taken: once released, the handle is nobody's for good.
///
/// Taken slots have odd generations, so a handle of zeros was never given out.
public struct SlotHandle: Equatable, BitwiseCopyable, Sendable {
    public let slot: UInt32
    public let generation: UInt32

    public init(slot: UInt32, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }

    public static var none: SlotHandle { SlotHandle(slot: 0, generation: 0) }
}

/// A bounded number of elements that are taken and released again, the last released first.
///
/// The bound costs addresses, not memory: a page of it is taken by the first element that lies
/// there, and nothing ever moves.
public struct SlotPool<Element: BitwiseCopyable & Sendable>: ~Copyable, Sendable {
    struct Mark: BitwiseCopyable {
        /// Odd while the slot is taken; goes up by two with each time, round after 2³¹.
        var generation: UInt32
        /// The slot after it in the list of the free ones, plus 1; 0 at the end.
        var nextFree: UInt32
    }

    private var elements: RigidBuffer<Element>
    private var marks: RigidBuffer<Mark>
    private let zeroed: Element
    /// The slot that was released last, plus 1; 0 if none is free but those never taken.
    private var freeHead: UInt32 = 0
    /// Slots that were ever taken: the first ones.
    public private(set) var everTaken = 0
    /// Slots that are taken now.
    public private(set) var count = 0

    /// - Parameters:
    ///   - capacity: how many may be taken at a time, 1…2³¹.
    ///   - zeroed: an element of which all bytes are 0; each slot holds it when it is taken.
    public init(capacity: Int, zeroed: Element) {
        precondition(capacity > 0 && capacity <= 1 << 31, "a pool has a size")
        elements = RigidBuffer(count: capacity, zeroed: zeroed)
        marks = RigidBuffer(count: capacity, zeroed: Mark(generation: 0, nextFree: 0))
        self.zeroed = zeroed
    }

    public var capacity: Int { elements.count }

    /// A free slot; `nil` if all are taken.
    public mutating func take() -> SlotHandle? {
        let slot: Int
        if freeHead != 0 {
            slot = Int(freeHead) - 1
            freeHead = marks[slot].nextFree
            elements[slot] = zeroed
        } else {
            guard everTaken < capacity else { return nil }
            slot = everTaken
            everTaken += 1
        }
        marks[slot].generation &+= 1
        count += 1
        return SlotHandle(slot: UInt32(slot), generation: marks[slot].generation)
    }

    /// Gives a slot back.
    ///
    /// - Precondition: ``isLive(_:)``.
    public mutating func release(_ handle: SlotHandle) {
        precondition(isLive(handle), "a slot is released once")
        marks[Int(handle.slot)].generation &+= 1
        marks[Int(handle.slot)].nextFree = freeHead
        freeHead = handle.slot + 1
        count -= 1
    }

    /// Whether a handle was given out by this pool and not released.
    public func isLive(_ handle: SlotHandle) -> Bool {
        Int(handle.slot) < capacity && handle.generation & 1 == 1
            && marks[Int(handle.slot)].generation == handle.generation
    }

    /// The handle of a slot that is taken now; `nil` if it is free.
    public func handle(at slot: UInt32) -> SlotHandle? {
        guard Int(slot) < capacity else { return nil }
        let generation = marks[Int(slot)].generation
        return generation & 1 == 1 ? SlotHandle(slot: slot, generation: generation) : nil
    }

    /// The element in a slot, in place: who reads or changes a part of it does not copy the rest.
    public subscript(slot: UInt32) -> Element {
        @inline(__always) _read { yield elements[Int(slot)] }
        @inline(__always) _modify { yield &elements[Int(slot)] }
    }
}
