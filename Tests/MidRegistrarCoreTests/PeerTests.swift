import CoreScene
import Foundation
import Testing

@Suite("What OpenSIPS and Kamailio do on the wire, and what midreg does")
struct PeerTests {
    @Test func `is written down`() { #expect(PeerLadder.all.count >= 60) }

    @Test func `stands in the table of the README`() throws {
        let readme = try String(
            contentsOf: PeerLadder.folder.appendingPathComponent("README.md"), encoding: .utf8)
        for ladder in PeerLadder.all {
            let parts = ladder.name.components(separatedBy: "-m")
            let name = parts[0].replacingOccurrences(of: "-fresh-aors", with: "")
            #expect(readme.contains(name), "\(ladder.name)")
        }
    }

    @Test(arguments: PeerLadder.all)
    func `is the same, line by line, but where the page says otherwise`(ladder: PeerLadder) {
        let page = PeerReplay(ladder).page()
        if let folder = ProcessInfo.processInfo.environment["MIDREG_PEERS_OUT"] {
            try? page.write(
                toFile: "\(folder)/\(ladder.name).txt", atomically: true, encoding: .utf8)
        }
        #expect(page == ladder.withoutReasons)
    }

    @Test(arguments: PeerLadder.all)
    func `and where it is other, there is a reason`(ladder: PeerLadder) {
        #expect(ladder.withoutReason.isEmpty)
    }
}
