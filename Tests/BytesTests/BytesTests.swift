import Bytes
import Testing

@Suite("Addresses in text (RFC 4291 §2.2, RFC 5952)")
struct TransportAddressTests {
    @Test(
        arguments: [
            ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("::1", "[::1]"), ("::", "[::]"),
            ("2001:db8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]"), ("2001:DB8::A", "[2001:db8::a]"),
            ("[fe80::1]", "[fe80::1]"), ("::ffff:192.0.2.7", "192.0.2.7"),
            ("1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]"), ("1:2:3:4:5:6:7::", "[1:2:3:4:5:6:7:0]"),
            ("2001:db8::192.0.2.1", "[2001:db8::c000:201]"),
            // As the grammar of RFC 3261 has it (RFC 5118 §4.10).
            ("2001:db8:::192.0.2.1", "[2001:db8::c000:201]"), (":::192.0.2.1", "[::c000:201]"),
        ])
    func `are read and written in their one form`(text: String, expected: String) {
        let bytes = Array(text.utf8)
        #expect(TransportAddress(host: bytes.span, port: 1)?.hostText == expected)
    }

    @Test(
        arguments: [
            "", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.5", ":::", "1::2::3", "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9", "12345::", "[::1", "sip.example.com", "1:2:3:4:5:6:7:1.2.3.4",
            "::1:", "1:::2", ":::1", "::::1.2.3.4", "1::::1.2.3.4", "1:2:3:4:5:6:7:::1.2.3.4",
            "1::2:::1.2.3.4", "1:::1.2.3.4:5", "[1:::]",
        ])
    func `that are none are refused`(text: String) {
        let bytes = Array(text.utf8)
        #expect(TransportAddress(host: bytes.span, port: 1) == nil)
    }

    @Test(
        arguments: [
            ("127.0.0.1:5070", "127.0.0.1:5070"), ("127.0.0.1", "127.0.0.1:5060"),
            ("[::1]:5070", "[::1]:5070"), ("[::1]", "[::1]:5060"),
        ])
    func `carry a port or take the default`(text: String, expected: String) {
        #expect(TransportAddress(hostPort: text, defaultPort: 5060)?.text == expected)
    }

    @Test(arguments: ["127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:+1", "x:5060"])
    func `with a bad port are refused`(text: String) {
        #expect(TransportAddress(hostPort: text, defaultPort: 5060) == nil)
    }
}

@Suite("An outbox")
struct OutboxTests {
    @Test func `gives back whole messages and where they go`() {
        var outbox = Outbox(bytesMax: 64, messagesMax: 2)
        outbox.begin()
        outbox.write("SIP/2.0 ")
        outbox.write(decimal: UInt64(200))
        outbox.end(to: TransportAddress(ipv4: 0x7F00_0001, port: 5060), from: 3)
        let message = outbox.message(0)
        #expect(message.count == 11)
        #expect(message.socket == 3)
    }

    @Test func `refuses what does not fit and keeps what did`() {
        var outbox = Outbox(bytesMax: 8, messagesMax: 2)
        var results: [Bool] = []
        outbox.begin()
        outbox.write("12345")
        results.append(outbox.end(to: .none, from: 0))
        outbox.begin()
        outbox.write("6789")
        results.append(outbox.end(to: .none, from: 0))
        outbox.begin()
        outbox.write("678")
        results.append(outbox.end(to: .none, from: 0))
        outbox.begin()
        results.append(outbox.end(to: .none, from: 0))
        #expect(results == [true, false, true, false])
        let count = outbox.count
        #expect(count == 2)
    }

    @Test(arguments: [0, 9, 10, 99, 100, 4_294_967_295, .max] as [UInt64])
    func `writes numbers in decimal`(number: UInt64) {
        var outbox = Outbox(bytesMax: 32, messagesMax: 1)
        outbox.begin()
        outbox.write(decimal: number)
        let text = outbox.openText
        #expect(text == String(number))
    }
}

@Suite("A byte buffer that is written three bytes at a time")
struct ThreeBytesTests {
    @Test(arguments: [6, 7, 8])
    func `takes them least significant first, also at its end`(bytesMax: Int) {
        var buffer = ByteBuffer(bytesMax: bytesMax)
        buffer.append(three: 0x03_0201)
        buffer.append(three: 0x06_0504)
        var bytes: [UInt8] = []
        for offset in 0..<buffer.count { bytes.append(buffer.span[offset]) }
        #expect(bytes == [1, 2, 3, 4, 5, 6])
        let isWhole = !buffer.overflowed
        #expect(isWhole)
        buffer.append(three: 0x09_0807)
        let overflowed = buffer.overflowed
        #expect(overflowed)
    }
}
