import Bytes
import ContactStore
import Glibc
import Keys
import Registration
import SIPMessage
import Testing

/// A store that an earlier version wrote: three phones, of which carol's has push parameters.
@Suite("A store of the version before")
struct PreviousVersionTests {
    private static func file(_ name: String) -> [UInt8] {
        let folder = #filePath.prefix(upTo: #filePath.lastIndex(of: "/") ?? #filePath.endIndex)
        guard let file = fopen("\(folder)/Previous/\(name)", "rb") else { return [] }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes.prefix(count))
    }

    private let keys = KeyRing(secret: file("version-1.keys").span)

    private func folder() -> StateFolder {
        let state = StateFolder()
        let bytes = Self.file("version-1.mdb")
        mkdir(state.path + "/contacts", 0o700)
        if let file = fopen(state.data, "wb") {
            fwrite(bytes, 1, bytes.count, file)
            fclose(file)
        }
        return state
    }

    private func text(_ field: Fact.Text, _ bytes: Span<UInt8>) -> String {
        var text: [UInt8] = []
        let range = Fact.range(of: field, in: bytes)
        for at in range.start..<range.end { text.append(bytes[at]) }
        return String(decoding: text, as: UTF8.self)
    }

    private func identity(of contact: String, _ fingerprints: Fingerprints) throws -> UInt64 {
        let bytes = Array(contact.utf8)
        let address = try NameAddress(bytes.span, from: 0, to: bytes.count)
        let request = try ContactRequest(
            bytes.span, address, headerSeconds: nil, defaultSeconds: 60)
        return fingerprints.flowIdentity(bytes.span, request)
    }

    @Test func `is read whole, and its contacts keep their IDs`() throws {
        let state = folder()
        let store = try state.store()
        defer { store.close() }
        var found: [String] = []
        let result = try store.forEachFact { _, bytes in
            guard let fact = Fact(bytes) else { return }
            #expect(Fact.range(of: .path, in: bytes).isEmpty)
            found.append(
                "\(bytes[0]) \(text(.addressOfRecord, bytes)) \(fact.id.text) \(fact.sequence)")
        }
        #expect(result.damaged == 0)
        #expect(
            found == [
                "1 sip:alice@example.test awyr73xtxo2rv62ej6q3bakq 7",
                "1 sip:bob@example.test adba6mhmhwlf7mzfnfweogee 7",
                "1 sip:carol@example.test aouhho776flgjr32qrguafp5 7",
            ])
    }

    @Test func `tells a phone by its instance and flow, push parameters or address from now on`()
        throws
    {
        let state = folder()
        let store = try state.store()
        defer { store.close() }
        let fingerprints = Fingerprints(keys)
        var after: [UInt64] = []
        _ = try store.forEachFact { _, bytes in
            guard var fact = Fact(bytes) else { return }
            fact.migrate(bytes, fingerprints)
            after.append(fact.identity)
        }
        try #require(after.count == 3)
        #expect(try identity(of: "<sip:alice@127.0.0.1:25951>", fingerprints) == after[0])
        #expect(
            try identity(
                of: "<sip:carol@192.0.2.7;pn-provider=apns;pn-prid=d00d;pn-param=app>",
                fingerprints) == after[2])
    }

    @Test func `becomes the present one record by record`() throws {
        let state = folder()
        do {
            let bell = Bell()
            let store = try state.store()
            var location = store.location(forWorker: 0)
            try store.start(wake: bell.ring)
            var fact = ByteBuffer(bytesMax: 8_192)
            _ = location.read(RecordNumber(2)) { bytes in fact.append(bytes) }
            var rewritten: [UInt8] = []
            let span = fact.span
            for at in span.indices { rewritten.append(span[at]) }
            rewritten[0] = Fact.version
            location.stage(RecordNumber(2), rewritten.span)
            #expect(location.handOver() != nil)
            location.endRound()
            #expect(bell.heard())
            store.close()
        }
        let store = try state.store()
        defer { store.close() }
        var versions: [UInt8] = []
        _ = try store.forEachFact { _, bytes in
            if Fact(bytes) != nil { versions.append(bytes[0]) }
        }
        #expect(versions == [1, Fact.version, 1])
    }
}
