import Bytes
import Keys
import Testing

let testKeys: KeyRing = {
    let secret = (0..<32).map { UInt8($0) }
    return KeyRing(secret: secret.span)
}()

@Suite("SipHash-2-4 against its authors' vectors")
struct KeyedHashTests {
    let key = HashKey(first: 0x0706_0504_0302_0100, second: 0x0f0e_0d0c_0b0a_0908)

    @Test(
        arguments: [
            (0, 0x726f_db47_dd0e_0e31), (1, 0x74f8_39c5_93dc_67fd), (7, 0xab02_00f5_8b01_d137),
            (8, 0x93f5_f579_9a93_2462), (15, 0xa129_ca61_49be_45e5),
        ] as [(Int, UInt64)])
    func `gives the published 64 bits`(count: Int, expected: UInt64) {
        let input = (0..<count).map { UInt8($0) }
        var whole = KeyedHash(key)
        whole.update(input.span)
        #expect(whole.finish() == expected)
        var pieces = KeyedHash(key)
        for byte in input { pieces.update(byte) }
        #expect(pieces.finish() == expected)
        var mixed = KeyedHash(key)
        let cut = min(3, count)
        mixed.update(input.span, ByteRange(0, cut))
        mixed.update(input.span, ByteRange(cut, count))
        #expect(mixed.finish() == expected)
    }

    @Test func `gives the published 128 bits`() {
        let (first, second) = KeyedHash(wide: key).finish128()
        #expect(first == 0xe6a8_25ba_047f_81a3)
        #expect(second == 0x9302_55c7_1472_f66d)
    }
}

@Suite("A contact ID")
struct ContactIDTests {
    let aor = AORKey(high: 0xABCD_E123_4567_89AB, low: 42)

    @Test func `reads back from its own text in either case`() {
        let id = ContactID(aor, identity: 7, under: testKeys)
        for text in [id.text, id.text.uppercased()] {
            let bytes = Array(text.utf8)
            #expect(ContactID(bytes.span, under: testKeys) == id)
        }
        #expect(id.text.utf8.count == 24)
    }

    @Test func `carries the steering bits of its AOR`() {
        let id = ContactID(aor, identity: 7, under: testKeys)
        #expect(id.steering == aor.steering)
        #expect(id.steering.value == 0xABCDE)
    }

    @Test func `is refused when any one character is changed`() {
        let good = Array(ContactID(aor, identity: 7, under: testKeys).text.utf8)
        for index in good.indices {
            var bad = good
            bad[index] = bad[index] == UInt8(ascii: "a") ? UInt8(ascii: "b") : UInt8(ascii: "a")
            #expect(ContactID(bad.span, under: testKeys) == nil, "character \(index)")
        }
    }

    @Test func `differs by AOR, identity and extension`() {
        let ids = [
            ContactID(aor, identity: 7, under: testKeys),
            ContactID(aor, identity: 8, under: testKeys),
            ContactID(aor, identity: 7, extension: 1, under: testKeys),
            ContactID(AORKey(high: aor.high, low: 43), identity: 7, under: testKeys),
        ]
        #expect(Set(ids).count == ids.count)
    }
}

@Suite("Ownership")
struct SteeringTests {
    @Test(arguments: 1...64)
    func `gives each worker one run of the key space and leaves no one without`(workers: Int) {
        var last = 0
        var seen: Set<Int> = []
        for value in stride(from: 0, to: 1 << 20, by: 97) {
            let owner = SteeringBits(UInt32(value)).owner(among: workers)
            #expect(owner >= last && owner < workers)
            last = owner
            seen.insert(owner)
        }
        #expect(seen.count == workers)
    }
}

@Suite("What we seal")
struct SealTests {
    private func branch(_ body: [UInt8]) -> [UInt8] {
        var outbox = Outbox(bytesMax: 4096, messagesMax: 1)
        var scratch = ByteBuffer(bytesMax: 2048)
        var carried = ByteBuffer(bytesMax: 1024)
        carried.append(body.span)
        outbox.begin()
        SealedVia.write(
            .register, SteeringBits(0xABCDE), transaction: 77, body: carried, under: testKeys,
            scratch: &scratch, to: &outbox)
        return Array(outbox.openText.utf8)
    }

    @Test(arguments: [0, 1, 2, 3, 22, 140, 512])
    func `comes back whole`(count: Int) {
        let body = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let text = branch(body)
        var buffer = ByteBuffer(bytesMax: 2048)
        let opened = SealedVia(branch: text.span, under: testKeys, into: &buffer)
        #expect(opened?.kind == .register)
        #expect(opened?.transaction == 77)
        #expect(opened?.steering.value == 0xABCDE)
        let range = opened?.body ?? .none
        let same = buffer.span.same(range, as: body.span, ByteRange(0, count))
        #expect(same)
        let peeked = SealedVia.peek(branch: text.span, scratch: &buffer)
        #expect(peeked?.steering.value == 0xABCDE)
    }

    @Test func `is refused when any one character is changed`() {
        let good = branch([1, 2, 3, 4, 5])
        var buffer = ByteBuffer(bytesMax: 2048)
        for index in good.indices {
            for replacement in [UInt8(ascii: "a"), UInt8(ascii: "Z"), UInt8(ascii: "!")] {
                var bad = good
                guard bad[index] != replacement else { continue }
                bad[index] = replacement
                let opened = SealedVia(branch: bad.span, under: testKeys, into: &buffer)
                #expect(opened == nil, "character \(index)")
            }
        }
    }

    @Test func `tells a flow token from a forged one`() {
        let id = ContactID(AORKey(high: 1 << 60, low: 2), identity: 3, under: testKeys)
        let token = FlowToken(
            contactID: id, peer: TransportAddress(ipv4: 0x7F00_0001, port: 5062), socket: 1)
        var outbox = Outbox(bytesMax: 256, messagesMax: 1)
        var scratch = ByteBuffer(bytesMax: 64)
        outbox.begin()
        token.write(under: testKeys, scratch: &scratch, to: &outbox)
        let text = Array(outbox.openText.utf8)
        let read = FlowToken(text.span, under: testKeys, scratch: &scratch)
        #expect(read == token)
        for index in text.indices {
            var bad = text
            bad[index] = bad[index] == UInt8(ascii: "Q") ? UInt8(ascii: "R") : UInt8(ascii: "Q")
            let forged = FlowToken(bad.span, under: testKeys, scratch: &scratch)
            #expect(forged == nil, "character \(index)")
        }
    }
}

@Suite("A temporary GRUU (RFC 5627 §3.2)")
struct TemporaryGRUUTests {
    private func text(_ gruu: TemporaryGRUU, _ sequence: UInt32) -> [UInt8] {
        var outbox = Outbox(bytesMax: 200, messagesMax: 1)
        var scratch = ByteBuffer(bytesMax: 200)
        outbox.begin()
        gruu.write(sequence: sequence, under: testKeys, scratch: &scratch, to: &outbox)
        return Array(outbox.openText.utf8)
    }

    private func read(_ text: [UInt8]) -> TemporaryGRUU? {
        var scratch = ByteBuffer(bytesMax: 200)
        return TemporaryGRUU(text.span, under: testKeys, scratch: &scratch)
    }

    private let gruu = TemporaryGRUU(
        contactID: ContactID(
            AORKey(high: 0xABCD_E123_4567_89AB, low: 42), identity: 7, under: testKeys),
        registration: 0x1122_3344_5566_7788)

    @Test func `reads back`() {
        let text = text(gruu, 5)
        #expect(text.count == TemporaryGRUU.characters)
        #expect(read(text) == gruu)
    }

    @Test func `is refused when any one character is changed or missing`() {
        let good = text(gruu, 5)
        for at in good.indices {
            var bad = good
            bad[at] = bad[at] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(read(bad) == nil, "character \(at)")
            #expect(read(Array(good.prefix(at))) == nil)
        }
    }

    @Test func `two of one contact have no four characters in common at one place`() {
        let one = text(gruu, 5).dropFirst(3)
        let two = text(gruu, 6).dropFirst(3)
        var run = 0
        for (a, b) in zip(one, two) {
            run = a == b ? run + 1 : 0
            #expect(run < 4)
        }
    }
}
