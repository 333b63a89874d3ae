import Testing

@testable import ContactStore

@Suite("The index of what is not yet durable")
struct PendingIndexTests {
    @Test(arguments: [1, 2, 3] as [UInt64])
    func `finds what a dictionary finds, whatever is set and removed`(seed: UInt64) {
        var index = PendingIndex()
        var model: [UInt64: PendingIndex.Place] = [:]
        var state = seed
        func random() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        for step in 0..<20_000 {
            let number = random() % 600 + 1
            if random() % 5 < 3 {
                let place = PendingIndex.Place(slot: UInt32(step), change: UInt32(step % 7))
                let before = index.set(number, place)
                #expect(before == model.updateValue(place, forKey: number))
            } else {
                index.remove(number)
                model[number] = nil
            }
            let count = index.count
            #expect(count == model.count)
        }
        for number in 1...600 as ClosedRange<UInt64> {
            let found = index.find(number)
            #expect(found == model[number])
        }
    }
}
