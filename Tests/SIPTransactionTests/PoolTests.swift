import Bytes
import CMallocCount
import SIPTransaction
import Testing

@Suite("The pool of slots")
struct SlotPoolTests {
    struct Large: BitwiseCopyable, Sendable, Equatable {
        var first: UInt64 = 0
        var second: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        var last: UInt64 = 0

        static func == (a: Large, b: Large) -> Bool {
            a.first == b.first && a.second == b.second && a.last == b.last
        }
    }

    @Test func `gives out as many as it has, and no more`() throws {
        var pool = SlotPool(capacity: 3, zeroed: Large())
        var handles: [SlotHandle] = []
        for _ in 0..<3 { handles.append(try pool.taken()) }
        #expect(pool.take() == nil)
        #expect(Set(handles.map(\.slot)) == [0, 1, 2])
        #expect(pool.count == 3)
        pool.release(handles[1])
        #expect(pool.count == 2)
        #expect(pool.take()?.slot == handles[1].slot)
        #expect(pool.take() == nil)
    }

    @Test func `a handle ends with its release`() throws {
        var pool = SlotPool(capacity: 2, zeroed: Large())
        #expect(pool.isLive(.none) == false)
        #expect(pool.handle(at: 0) == nil)
        let first = try pool.taken()
        #expect(pool.isLive(first) == true)
        #expect(pool.handle(at: first.slot) == first)
        pool.release(first)
        #expect(pool.isLive(first) == false)
        #expect(pool.handle(at: first.slot) == nil)
        let second = try pool.taken()
        #expect(second.slot == first.slot)
        #expect(pool.isLive(first) == false)
        #expect(pool.isLive(second) == true)
        #expect(pool.isLive(SlotHandle(slot: 2, generation: 1)) == false)
        #expect(pool.isLive(SlotHandle(slot: .max, generation: 1)) == false)
        // A released slot's generation is even and belongs to nobody.
        pool.release(second)
        #expect(
            pool.isLive(SlotHandle(slot: second.slot, generation: second.generation + 1)) == false)
        #expect(pool.handle(at: 2) == nil)
    }

    @Test func `a slot shows nothing of who had it before`() throws {
        var pool = SlotPool(capacity: 2, zeroed: Large())
        let first = try pool.taken()
        pool[first.slot].second.2 = 7
        pool[first.slot].last = 8
        #expect(pool[first.slot].second.2 == 7)
        #expect(pool[first.slot].first == 0)
        pool.release(first)
        let second = try pool.taken()
        #expect(second.slot == first.slot)
        #expect(pool[second.slot] == Large())
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func `does what a list of numbers does`(seed: UInt64) throws {
        var chance = Chance(seed: seed)
        var pool = SlotPool(capacity: 50, zeroed: Large())
        var live: [(handle: SlotHandle, value: UInt64)] = []
        var ended: [SlotHandle] = []
        var wrong: [Int] = []
        for step in 0..<5_000 {
            if chance.below(2) == 0 {
                if let handle = pool.take() {
                    if live.contains(where: { $0.handle.slot == handle.slot }) {
                        wrong.append(step)
                    }
                    let value = chance.next()
                    pool[handle.slot].last = value
                    live.append((handle, value))
                } else if live.count < 50 {
                    wrong.append(step)
                }
            } else if !live.isEmpty {
                let (handle, value) = live.remove(at: chance.below(live.count))
                if pool[handle.slot].last != value { wrong.append(step) }
                pool.release(handle)
                ended.append(handle)
            }
            if pool.count != live.count || live.count > 50 { wrong.append(step) }
        }
        for (handle, value) in live where !pool.isLive(handle) || pool[handle.slot].last != value {
            wrong.append(5_000)
        }
        for handle in ended where pool.isLive(handle) { wrong.append(5_001) }
        #expect(wrong.isEmpty)
        #expect(ended.count > 1_000)
    }

    @Test func `touches no more slots than were ever taken at a time`() throws {
        var pool = SlotPool(capacity: 500_000, zeroed: Large())
        var before: UInt64 = 0
        for round in 0..<50_000 {
            let a = try pool.taken()
            let b = try pool.taken()
            pool.release(round % 2 == 0 ? a : b)
            pool.release(round % 2 == 0 ? b : a)
            if round == 10 { before = midreg_mallocs_of_thread() }
        }
        #expect(midreg_mallocs_of_thread() == before)
        #expect(pool.everTaken == 2)
        #expect(pool.count == 0)
    }
}

@Suite("The pool of messages")
struct BytePoolTests {
    /// A message that shows its seed in every byte.
    private func message(_ count: Int, _ seed: UInt64) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: seed &+ UInt64($0) &* 31) }
    }

    private func isKept(_ text: [UInt8], _ pool: borrowing BytePool, _ handle: BytesHandle) -> Bool
    {
        let kept = pool.bytes(of: handle)
        let padded = pool.padded(handle)
        return kept.count == text.count && padded.count == text.count + BytePool.paddingBytes
            && kept.same(as: text.span)
            && padded.same(ByteRange(0, text.count), as: kept, ByteRange(0, text.count))
    }

    @Test(
        arguments: [
            0, 1, 447, 448, 449, 960, 961, 1_472, 1_473, 1_984, 1_985, 4_032, 4_033, 16_320,
            16_321, 65_535,
        ])
    func `keeps a message with padding behind it`(count: Int) throws {
        var pool = BytePool(bytesMax: 3 * BytePool.chunkBytes)
        let text = message(count, 1)
        let other = message(count, 2)
        let handle = try pool.kept(text)
        let beside = try pool.kept(other)
        #expect(isKept(text, pool, handle) == true)
        #expect(isKept(other, pool, beside) == true)
        #expect(pool.bytesUsed >= 2 * (count + BytePool.paddingBytes))
        #expect(handle.count == count && !handle.isNone)
        pool.release(handle)
        #expect(isKept(other, pool, beside) == true)
        pool.release(beside)
        #expect(pool.bytesUsed == 0 && pool.count == 0)
    }

    @Test func `does not keep what is longer than a datagram`() {
        var pool = BytePool(bytesMax: 1 << 20)
        #expect(pool.store(message(65_536, 0).span) == nil)
        #expect(BytesHandle.none.isNone)
    }

    @Test(
        arguments: [
            (100, 516), (448, 516), (449, 258), (1_472, 172), (1_984, 129), (4_032, 64),
            (16_320, 16), (65_535, 4),
        ])
    func `a chunk holds as many as fit, then there is no room`(count: Int, fit: Int) throws {
        var pool = BytePool(bytesMax: BytePool.chunkBytes)
        #expect(pool.bytesMax == BytePool.chunkBytes)
        var handles: [BytesHandle] = []
        while let handle = pool.store(message(count, UInt64(handles.count)).span) {
            handles.append(handle)
        }
        #expect(handles.count == fit)
        for (seed, handle) in handles.enumerated() {
            #expect(isKept(message(count, UInt64(seed)), pool, handle) == true)
        }
        pool.release(handles[fit / 2])
        #expect(pool.store(message(count, 9).span) == handles[fit / 2])
    }

    @Test func `a flood of one size leaves room for another when it is over`() throws {
        var pool = BytePool(bytesMax: 2 * BytePool.chunkBytes)
        var handles: [BytesHandle] = []
        while let handle = pool.store(message(10, 0).span) { handles.append(handle) }
        #expect(handles.count == 2 * 516)
        #expect(pool.store(message(1_000, 0).span) == nil)
        for handle in handles { pool.release(handle) }
        #expect(pool.store(message(65_535, 0).span) != nil)
    }

    @Test func `a short message takes a larger block before it is refused`() throws {
        var pool = BytePool(bytesMax: BytePool.chunkBytes)
        let long = try pool.kept(message(60_000, 1))
        let short = try pool.kept(message(10, 2))
        #expect(isKept(message(60_000, 1), pool, long) == true)
        #expect(isKept(message(10, 2), pool, short) == true)
        pool.release(long)
        #expect(isKept(message(10, 2), pool, short) == true)
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func `does what a list of messages does`(seed: UInt64) {
        var chance = Chance(seed: seed)
        let texts = [3, 70, 448, 700, 1_300, 1_900, 4_000, 9_000, 65_000].map { count in
            message(count, seed &* 7 &+ UInt64(count))
        }
        var pool = BytePool(bytesMax: 3 * BytePool.chunkBytes)
        var live: [(handle: BytesHandle, text: Int)] = []
        var wrong: [Int] = []
        var refused = 0
        for step in 0..<4_000 {
            // Fills and empties by turns; short ones are the most.
            if chance.below(10) < (step / 1_000 % 2 == 0 ? 8 : 2) {
                let text = chance.below(20) == 0 ? chance.below(9) : chance.below(6)
                let bytes = texts[text]
                if let handle = pool.store(bytes.span) {
                    live.append((handle, text))
                } else {
                    refused += 1
                }
            } else if !live.isEmpty {
                let (handle, text) = live.remove(at: chance.below(live.count))
                if !isKept(texts[text], pool, handle) { wrong.append(step) }
                pool.release(handle)
            }
            if pool.count != live.count { wrong.append(step) }
        }
        for (handle, text) in live {
            if !isKept(texts[text], pool, handle) { wrong.append(4_000) }
            pool.release(handle)
        }
        #expect(wrong.isEmpty)
        #expect(refused > 0)
        #expect(pool.bytesUsed == 0 && pool.count == 0)
        var largest = 0
        let longest = texts[8]
        while pool.store(longest.span) != nil { largest += 1 }
        #expect(largest == 12)
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func `of one size refuses none while a block is free`(seed: UInt64) {
        var chance = Chance(seed: seed)
        // Four to a chunk.
        let text = message(17_000, seed)
        var pool = BytePool(bytesMax: 8 * BytePool.chunkBytes)
        var live: [BytesHandle] = []
        var wrong: [Int] = []
        for step in 0..<3_000 {
            if chance.below(10) < (step / 200 % 2 == 0 ? 7 : 3) {
                let handle = pool.store(text.span)
                if (handle == nil) != (live.count == 32) { wrong.append(step) }
                if let handle {
                    if live.contains(handle) { wrong.append(step) }
                    live.append(handle)
                }
            } else if !live.isEmpty {
                pool.release(live.remove(at: chance.below(live.count)))
            }
        }
        #expect(wrong.isEmpty)
    }

    @Test func `takes no memory once it is there`() throws {
        var pool = BytePool(bytesMax: 1 << 20)
        let text = message(1_200, 1)
        let first = try pool.kept(text)
        pool.release(first)
        let before = midreg_mallocs_of_thread()
        var ok = true
        for _ in 0..<100_000 {
            guard let handle = pool.store(text.span) else {
                ok = false
                break
            }
            pool.release(handle)
        }
        #expect(midreg_mallocs_of_thread() == before)
        #expect(ok)
    }
}

@Suite("The index of transactions")
struct TransactionIndexTests {
    private func key(_ value: UInt64) -> TransactionKey { TransactionKey(value: value) }

    private func handle(_ slot: UInt32) -> SlotHandle { SlotHandle(slot: slot, generation: 1) }

    @Test func `is full at its capacity`() {
        var index = TransactionIndex(capacity: 3)
        for number in 0..<3 as Range<UInt64> {
            #expect(index.insert(key(number), handle(UInt32(number))) == true)
        }
        #expect(index.insert(key(3), handle(3)) == false)
        #expect(index.remove(key(1)) == handle(1))
        #expect(index.remove(key(1)) == nil)
        #expect(index.insert(key(3), handle(3)) == true)
        #expect(index.find(key(0)) == handle(0))
        #expect(index.find(key(1)) == nil)
        #expect(index.find(key(3)) == handle(3))
        #expect(index.count == 3)
    }

    /// Keys that meet: few homes, at the end of the table and so over it as well.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func `does what a dictionary does, also where keys meet`(seed: UInt64) {
        var chance = Chance(seed: seed)
        let capacity = 100
        var index = TransactionIndex(capacity: capacity)
        var model: [UInt64: SlotHandle] = [:]
        var wrong: [Int] = []
        for step in 0..<6_000 {
            let home: UInt64
            switch seed % 3 {
            case 0: home = chance.next()
            case 1: home = 250 + UInt64(chance.below(6))
            default: home = UInt64(chance.below(256))
            }
            let value = home | UInt64(chance.below(40)) << 40
            switch chance.below(3) {
            case 0:
                if index.remove(key(value)) != model.removeValue(forKey: value) {
                    wrong.append(step)
                }
            case 1:
                if index.find(key(value)) != model[value] { wrong.append(step) }
            default:
                guard model[value] == nil else { break }
                let handle = SlotHandle(slot: UInt32(chance.below(1_000)), generation: 3)
                let isRoom = model.count < capacity
                if index.insert(key(value), handle) != isRoom { wrong.append(step) }
                if isRoom { model[value] = handle }
            }
            if index.count != model.count { wrong.append(step) }
        }
        for (value, handle) in model where index.find(key(value)) != handle { wrong.append(6_000) }
        #expect(wrong.isEmpty)
        #expect(model.count > 50)
    }

    @Test func `takes no memory once it is there`() {
        var index = TransactionIndex(capacity: 64)
        _ = index.insert(key(1), handle(1))
        let before = midreg_mallocs_of_thread()
        var found = 0
        for number in 2..<10_000 {
            let value = key(UInt64(number) &* 0x9E37_79B9_7F4A_7C15)
            _ = index.insert(value, handle(2))
            if index.find(value) != nil { found += 1 }
            index.remove(value)
        }
        #expect(midreg_mallocs_of_thread() == before)
        #expect(found == 9_998)
    }
}

private struct NoRoom: Error {}

extension SlotPool {
    fileprivate mutating func taken() throws -> SlotHandle {
        guard let handle = take() else { throw NoRoom() }
        return handle
    }
}

extension BytePool {
    fileprivate mutating func kept(_ message: [UInt8]) throws -> BytesHandle {
        guard let handle = store(message.span) else { throw NoRoom() }
        return handle
    }
}
