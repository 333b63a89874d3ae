import Bytes
import Registration
import Testing

@testable import ContactStore

@Suite("The store read from beside")
struct StoreReaderTests {
    @Test
    func `shows every fact with the daemon down`() throws {
        let folder = StateFolder()
        try fill(folder, 2_500)
        let reader = try StoreReader.open(state: folder.path)
        var numbers: [UInt64] = []
        let result = try reader.forEachFact { number, bytes in
            #expect(copied(bytes) == fact(number))
            numbers.append(number.value)
        }
        #expect(result == LoadResult(facts: 2_500, damaged: 0))
        #expect(numbers == Array(1...2_500))
        let note = try reader.timeNote()
        #expect(note != nil)
    }

    @Test
    func `says that there is none`() {
        let folder = StateFolder()
        for state in [folder.path, folder.path + "/missing"] {
            #expect {
                _ = try StoreReader.open(state: state)
            } throws: { error in
                (error as? StoreError)?.reason == .notThere && "\(error)".contains(state)
            }
        }
    }

    @Test
    func `says that it is damaged, and leaves it to the daemon`() throws {
        let folder = StateFolder()
        try fill(folder, 2_500)
        let bytes = Array(readFile(folder.data).prefix(100_000))
        writeFile(folder.data, bytes)
        #expect {
            _ = try StoreReader.open(state: folder.path)
        } throws: { error in
            (error as? StoreError)?.reason == .damaged
        }
        #expect(readFile(folder.data) == bytes)
    }
}
