import Bytes
import CoreScene
import MidRegistrarCore
import SIPMessage
import Testing

@Suite("The header field that says where a request really came from")
struct SourceHeaderTests {
    private static let forged = [
        "X-Real-Source: 203.0.113.1:5060", "x-real-source : 203.0.113.2:5060",
        "X-REAL-SOURCE\t: 203.0.113.3:5060",
    ]

    private func scene(_ name: String? = "X-Real-Source") -> Scene {
        Scene(Scene.options { $0.sourceHeader = name.map { SourceHeader(name: $0) } })
    }

    private func request(_ method: String, from user: String = "alice", to: String) -> String {
        ([
            "\(method) \(to) SIP/2.0",
            "Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKr;rport", "Max-Forwards: 70",
            "From: <sip:\(user)@example.test>;tag=a", "To: <sip:bob@example.test>",
            "Call-ID: r@phone", "CSeq: 1 \(method)", "X-Other: stays",
        ] + Self.forged + ["Content-Length: 0", "", ""]).joined(separator: "\r\n")
    }

    @Test(
        arguments: [
            (phoneA, listener, "192.0.2.1:5062"),
            (address("[2001:db8::1]:5062"), 3, "[2001:db8::1]:5062"),
        ] as [(TransportAddress, UInt16, String)])
    func `stands on a relayed REGISTER in place of what the phone wrote`(
        source: TransportAddress, socket: UInt16, text: String
    ) {
        var phone = Phone()
        phone.extra = Self.forged + ["X-Real-Source-Of-Joy: stays"]
        let sent = scene().send(phone.register(), from: source, socket: socket)
        #expect(sent.map { $0.all("X-Real-Source") } == [[text]])
        #expect(sent.map { $0.all("x-real-source ") } == [[]])
        #expect(!sent[0].text.contains("203.0.113"))
        #expect(sent[0].first("X-Real-Source-Of-Joy") == "stays")
    }

    @Test(arguments: ["INVITE", "MESSAGE", "BYE"])
    func `stands on every other request to the main registrar`(method: String) {
        let scene = scene()
        var phone = Phone()
        scene.register(&phone)
        let sent = scene.send(request(method, to: "sip:bob@example.test"), from: phoneA)
            .filter { $0.code == 0 }
        #expect(sent.map(\.to) == [mainServer])
        #expect(sent[0].all("X-Real-Source") == ["192.0.2.1:5062"])
        #expect(!sent[0].text.contains("203.0.113"))
        #expect(sent[0].first("X-Other") == "stays")
    }

    @Test func `is not written towards phones`() {
        let scene = scene()
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        let id = relayed.contacts[0].contactID
        let sent = scene.call(
            request("INVITE", from: "bob", to: "sip:alice@127.0.0.1:5060;ctid=\(id)"),
            from: mainServer
        ).filter { $0.code == 0 }
        #expect(sent.map(\.to) == [phoneA])
        #expect(!sent[0].text.contains("127.0.0.1:5070\r\n"))
    }

    @Test func `is left alone if nobody asked for it`() {
        var phone = Phone()
        phone.extra = Self.forged
        let sent = scene(nil).send(phone.register(), from: phoneA)
        #expect(sent[0].all("X-Real-Source") == ["203.0.113.1:5060"])
    }
}
