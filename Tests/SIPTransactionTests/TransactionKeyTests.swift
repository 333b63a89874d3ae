import Bytes
import Keys
import SIPMessage
import SIPTransaction
import Testing

@Suite("Which transaction a request belongs to (RFC 3261 §17.2.3, §9.2)")
struct TransactionKeyTests {
    /// A request of which parts can be changed one by one.
    struct Request {
        var method = "INVITE"
        var uri = "sip:bob@example.test"
        var via = "SIP/2.0/UDP phone.example.test:5070;branch=z9hG4bKabc;rport"
        var from = "<sip:alice@example.test>;tag=a1"
        var to = "<sip:bob@example.test>"
        var callID = "c1@phone.example.test"
        var sequence = 7

        /// With a branch that a peer of RFC 2543 makes, or without one.
        static let old = Request(via: "SIP/2.0/UDP phone.example.test:5070;branch=1")

        func changed(_ change: (inout Request) -> Void) -> Request {
            var copy = self
            change(&copy)
            return copy
        }

        var text: String {
            """
            \(method) \(uri) SIP/2.0\r
            Via: \(via)\r
            Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKother\r
            From: \(from)\r
            To: \(to)\r
            Call-ID: \(callID)\r
            CSeq: \(sequence) \(method)\r
            Max-Forwards: 70\r
            Content-Length: 0\r
            \r

            """
        }
    }

    static let hashKey = HashKey(first: 0x0123_4567_89AB_CDEF, second: 0xFEDC_BA98_7654_3210)

    private func key(
        _ request: Request, cancelled: Bool = false, _ hashKey: HashKey = Self.hashKey
    ) throws -> TransactionKey {
        let bytes = Array(request.text.utf8) + Array(repeating: 0, count: 64)
        var index = MessageIndex()
        let outcome = MessageParser().parse(bytes.span, length: bytes.count - 64, into: &index)
        #expect(outcome == .message)
        let via = try index.topVia(bytes.span)
        return cancelled
            ? try TransactionKey(cancelledBy: bytes.span, index, via: via, under: hashKey)
            : try TransactionKey(of: bytes.span, index, via: via, under: hashKey)
    }

    @Test func `with the cookie follows from branch, sender and method alone`() throws {
        let request = Request()
        let original = try key(request)
        let same: [(inout Request) -> Void] = [
            { _ in },
            { $0.uri = "sip:other@example.test" },
            { $0.from = "<sip:alice@example.test>;tag=a2" },
            { $0.to += ";tag=b1" },
            { $0.callID = "c2" },
            { $0.sequence = 8 },
            { $0.method = "ACK" },
            { $0.via = "SIP/2.0/UDP Phone.Example.TEST : 5070;rport=1;branch=z9hG4bKabc" },
        ]
        for (number, change) in same.enumerated() {
            #expect(try key(request.changed(change)) == original, "\(number)")
        }
        let different: [(inout Request) -> Void] = [
            { $0.via = "SIP/2.0/UDP phone.example.test:5070;branch=z9hG4bKabd" },
            { $0.via = "SIP/2.0/UDP phone.example.test:5070;branch=z9hG4bKABC" },
            { $0.via = "SIP/2.0/UDP phone2.example.test:5070;branch=z9hG4bKabc" },
            { $0.via = "SIP/2.0/UDP phone.example.test:5071;branch=z9hG4bKabc" },
            { $0.via = "SIP/2.0/UDP phone.example.test;branch=z9hG4bKabc" },
            { $0.method = "CANCEL" },
            { $0.method = "BYE" },
            { $0.method = "FROBNICATE" },
        ]
        for (number, change) in different.enumerated() {
            #expect(try key(request.changed(change)) != original, "\(number)")
        }
        #expect(
            try key(request.changed { $0.method = "FROBNICATE" })
                != key(request.changed { $0.method = "FROBNICATF" }))
    }

    @Test func `without the cookie follows from all that RFC 2543 peers have`() throws {
        let original = try key(.old)
        let same: [(inout Request) -> Void] = [
            { _ in },
            { $0.from = "\"Alice\" <sip:alice@example.test>;tag=a1" },
            { $0.to += ";tag=b1" },
            {
                $0.method = "ACK"
                $0.to += ";tag=b1"
            },
        ]
        for (number, change) in same.enumerated() {
            #expect(try key(Request.old.changed(change)) == original, "\(number)")
        }
        let different: [(inout Request) -> Void] = [
            { $0.uri = "sip:other@example.test" },
            { $0.from = "<sip:alice@example.test>;tag=a2" },
            { $0.from = "<sip:alice@example.test>" },
            { $0.callID = "c2" },
            { $0.sequence = 8 },
            { $0.via = "SIP/2.0/UDP phone.example.test:5070;branch=2" },
            { $0.via = "SIP/2.0/UDP phone.example.test:5070" },
            { $0.via = "SIP/2.0/UDP phone.example.test:5070;branch=z9hG4bK" },
            { $0.via = "SIP/2.0/UDP phone.example.test:5070;branch=z9hG4bK1" },
            { $0.method = "CANCEL" },
            { $0.method = "BYE" },
        ]
        var keys: Set = [original]
        for (number, change) in different.enumerated() {
            #expect(keys.insert(try key(Request.old.changed(change))).inserted, "\(number)")
        }
    }

    @Test func `without the cookie the To tag counts for other methods`() throws {
        let bye = Request.old.changed { $0.method = "BYE" }
        #expect(try key(bye) == key(bye))
        #expect(try key(bye) != key(bye.changed { $0.to += ";tag=b1" }))
    }

    @Test(arguments: [Request(), .old])
    func `a CANCEL finds its INVITE and is a transaction of its own`(request: Request) throws {
        let cancel = request.changed { $0.method = "CANCEL" }
        #expect(try key(cancel, cancelled: true) == key(request))
        #expect(try key(cancel) != key(request))
        #expect(
            try key(cancel.changed { $0.to += ";tag=b1" }, cancelled: true) == key(request))
    }

    @Test func `cannot be foreseen without the hash's key`() throws {
        #expect(try key(Request()) != key(Request(), HashKey(first: 1, second: 2)))
        #expect(try key(.old) != key(.old, HashKey(first: 1, second: 2)))
    }
}
