import Bytes
import ContactStore
import Glibc
import Keys
import Registration
import SIPMessage
import Testing

/// Stores that earlier versions wrote: three phones each, of which bob's of the second has an instance
/// and a flow, and carol's has push parameters.
@Suite("A store of a version before")
struct PreviousVersionTests {
    private static func file(_ name: String) -> [UInt8] {
        let folder = #filePath.prefix(upTo: #filePath.lastIndex(of: "/") ?? #filePath.endIndex)
        guard let file = fopen("\(folder)/Previous/\(name)", "rb") else { return [] }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes.prefix(count))
    }

    private func keys(_ version: UInt8) -> KeyRing {
        KeyRing(secret: Self.file("version-\(version).keys").span)
    }

    private func folder(_ version: UInt8) -> StateFolder {
        let state = StateFolder()
        let bytes = Self.file("version-\(version).mdb")
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

    @Test(
        arguments: [
            (
                1,
                [
                    "alice@example.test awyr73xtxo2rv62ej6q3bakq",
                    "bob@example.test adba6mhmhwlf7mzfnfweogee",
                    "carol@example.test aouhho776flgjr32qrguafp5",
                ]
            ),
            (
                2,
                [
                    "alice@example.test aryn34x4njuanni5avio363v",
                    "bob@example.test aq25cdzxdm3wy4rshbqbj5h5",
                    "carol@example.test awtdy3htsi5yhmqkfztnoju5",
                ]
            ),
        ] as [(UInt8, [String])])
    func `is read whole, and its contacts keep their IDs`(
        version: UInt8, contacts: [String]
    ) throws {
        let state = folder(version)
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
        #expect(found == contacts.map { "\(version) sip:\($0) 7" })
    }

    @Test(arguments: [1, 2] as [UInt8])
    func `tells a phone by its instance and flow, push parameters or address from now on`(
        version: UInt8
    ) throws {
        let state = folder(version)
        let store = try state.store()
        defer { store.close() }
        let fingerprints = Fingerprints(keys(version))
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
        guard version == 2 else { return }
        #expect(
            try identity(
                of: "<sip:bob@127.0.0.1:25951>;"
                    + "+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\";reg-id=1",
                fingerprints) == after[1])
    }

    @Test(arguments: [1, 2] as [UInt8])
    func `becomes the present one record by record`(version: UInt8) throws {
        let state = folder(version)
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
        #expect(versions == [version, Fact.version, version])
    }
}
