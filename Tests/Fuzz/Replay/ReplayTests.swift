import Foundation
import FuzzCases
import Testing

@Suite("What the fuzzers have found and kept")
struct ReplayTests {
    /// libFuzzer is not needed for it. A trap ends the run without saying at which file.
    @Test(arguments: FuzzCaseName.allCases)
    func `still passes`(name: FuzzCaseName) throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../Corpus/\(name.rawValue)")
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(files.count >= 3)
        let fuzzed = name.make()
        for file in files.sorted() {
            let bytes = [UInt8](try Data(contentsOf: folder.appending(path: file)))
            try #require(!bytes.isEmpty, "\(name)/\(file)")
            let finding = fuzzed.run(bytes.span)
            #expect(finding == nil, "\(name)/\(file)")
        }
    }
}
