import Bytes
import Forwarding
import Testing

/// The transaction ID of RFC 5769.
private let transaction: [UInt8] = [
    0xB7, 0xE7, 0xA7, 0x01, 0xBC, 0x34, 0xD6, 0x86, 0xFA, 0x87, 0xDF, 0xAE,
]

private func request(_ attributes: [UInt8] = [], type: [UInt8] = [0, 1]) -> [UInt8] {
    type + [0, UInt8(attributes.count), 0x21, 0x12, 0xA4, 0x42] + transaction + attributes
}

private func isBindingRequest(_ bytes: [UInt8]) -> Bool {
    BindingRequest(bytes.span, length: bytes.count) != nil
}

@Suite("STUN keep-alives (RFC 5626 §4.4.2)")
struct BindingRequestTests {
    @Test(
        arguments: [
            (
                "192.0.2.1:32853",
                [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xA1, 0x47, 0xE1, 0x12, 0xA6, 0x43] as [UInt8]
            ),
            (
                "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
                [
                    0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xA1, 0x47, 0x01, 0x13, 0xA9, 0xFA, 0xA5,
                    0xD3, 0xF1, 0x79, 0xBC, 0x25, 0xF4, 0xB5, 0xBE, 0xD2, 0xB9, 0xD9,
                ]
            ),
        ])
    func `the answer says where it came from (the addresses of RFC 5769 §2.2, §2.3)`(
        source: String, mapped: [UInt8]
    ) throws {
        let bytes = request()
        let address = try #require(TransportAddress(hostPort: source, defaultPort: 1))
        let parsed = BindingRequest(bytes.span, length: bytes.count)
        let read = try #require(parsed)
        var outbox = Outbox(bytesMax: 200, messagesMax: 1)
        outbox.begin()
        read.writeAnswer(bytes.span, source: address, &outbox)
        var answer: [UInt8] = []
        let open = outbox.open
        for at in open.indices { answer.append(open[at]) }
        #expect(
            answer == [1, 1, 0, UInt8(mapped.count), 0x21, 0x12, 0xA4, 0x42] + transaction + mapped)
    }

    @Test(
        arguments: [
            ([] as [UInt8], true), ([0x80, 0x22, 0, 4, 0x61, 0x62, 0x63, 0x64], true),
            // Padding is not counted in the length.
            ([0x80, 0x22, 0, 3, 0x61, 0x62, 0x63, 0], true),
            // PRIORITY must be understood.
            ([0x00, 0x24, 0, 4, 0, 0, 0, 1], false),
            ([0x80, 0x22, 0, 9, 0x61, 0x62, 0x63, 0x64], false),
        ])
    func `attributes that must be understood, or that do not fit, are none`(
        attributes: [UInt8], isOne: Bool
    ) {
        let bytes = request(attributes)
        #expect(isBindingRequest(bytes) == isOne)
    }

    @Test func `no cut, lengthened or other message is one`() {
        let whole = request()
        for length in 0..<whole.count {
            #expect(!isBindingRequest(Array(whole.prefix(length))))
        }
        let longer = whole + [0, 0, 0, 0]
        #expect(!isBindingRequest(longer))
        let answer = request(type: [1, 1])
        #expect(!isBindingRequest(answer))
        var foreign = whole
        foreign[7] = 0
        #expect(!isBindingRequest(foreign))
    }
}
