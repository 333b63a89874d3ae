import CoreScene
import MidRegistrarCore
import Registration
import Testing

/// Each limit refuses with its own status and is counted under its own name; what just fits passes.
@Suite("What is too much is refused, answered and counted")
struct LimitTests {
    struct Limit: Sendable, CustomTestStringConvertible {
        let name: String
        let code: Int
        let counter: Counter
        /// A REGISTER with this much of it.
        let make: @Sendable (Int) -> String
        let most: Int
        var testDescription: String { name }
    }

    static func register(_ change: (inout [String]) -> Void, body: String = "") -> String {
        var lines = Phone().text().components("\r\n")
        lines.removeLast(2)
        change(&lines)
        return lines.joined(separator: "\r\n") + "\r\n\r\n" + body
    }

    static let limits = [
        Limit(
            name: "request-URI", code: 414, counter: .rejectURITooLong,
            make: { count in
                register { lines in
                    let uri = "sip:" + String(repeating: "h", count: count - 4)
                    lines[0] = "REGISTER \(uri) SIP/2.0"
                }
            }, most: 1_024),
        Limit(
            name: "another URI", code: 400, counter: .rejectURITooLong,
            make: { count in
                register { lines in
                    let uri = "sip:" + String(repeating: "h", count: count - 4)
                    lines[3] = "From: <\(uri)>;tag=f1"
                }
            }, most: 1_024),
        Limit(
            name: "message", code: 513, counter: .rejectTooLarge,
            make: { count in
                let rest = register { $0[$0.count - 1] = "Content-Length: 65000" }
                let body = String(repeating: "x", count: count - rest.utf8.count)
                return register(
                    { $0[$0.count - 1] = "Content-Length: \(body.utf8.count)" }, body: body)
            }, most: 65_535),
        Limit(
            name: "message with our Via", code: 513, counter: .rejectTooLarge,
            make: { count in
                let rest = register { $0[$0.count - 1] = "Content-Length: 60000" }
                let body = String(repeating: "x", count: count - rest.utf8.count)
                return register(
                    { $0[$0.count - 1] = "Content-Length: \(body.utf8.count)" }, body: body)
            }, most: 65_000),
        Limit(
            name: "header fields", code: 400, counter: .rejectTooManyHeaders,
            make: { count in
                register { lines in
                    while lines.count - 1 < count { lines.append("X: y") }
                }
            }, most: 128),
        Limit(
            name: "Vias", code: 400, counter: .rejectTooManyVias,
            make: { count in
                register { lines in
                    for _ in 1..<count { lines[1] += ", SIP/2.0/UDP h" }
                }
            }, most: 70),
        Limit(
            name: "header field", code: 400, counter: .rejectHeaderTooLong,
            make: { count in
                register { $0.append("X: " + String(repeating: "y", count: count - 5)) }
            }, most: 8_192),
        Limit(
            name: "contacts", code: 400, counter: .rejectTooManyContacts,
            make: { count in
                register { lines in
                    let contacts = (0..<count).map { "<sip:a@192.0.2.1:\(5_062 + $0)>" }
                    lines[7] = "Contact: " + contacts.joined(separator: ", ")
                }
            }, most: RegistrationLimits.contactsPerRequestMax),
    ]

    @Test(arguments: limits)
    func `one at a time`(limit: Limit) {
        let scene = Scene(Scene.options { $0.contactsMax = 64 })
        if limit.name != "message" {
            let relayed = scene.send(limit.make(limit.most), from: phoneA)
            #expect(relayed.map(\.to) == [mainServer])
            #expect(scene.counter(.registerRejected) == 0)
        }
        let second = Scene(Scene.options { $0.contactsMax = 64 })
        let more = limit.name == "message with our Via" ? 65_480 : limit.most + 1
        let refused = second.send(limit.make(more), from: phoneA)
        #expect(refused.map(\.code) == [limit.code])
        #expect(refused.map(\.to) == [phoneA])
        #expect(refused.first?.first("CSeq") == "0 REGISTER")
        #expect(second.counter(limit.counter) == 1)
        #expect(second.counter(.registerRejected) == 1)
        #expect(second.counter(.rejectMalformed) == 0)
    }

    @Test func `but not a response, nor an ACK`() {
        let scene = Scene(Scene.options { $0.strangers = .main })
        let vias = Array(repeating: "SIP/2.0/UDP h", count: 71).joined(separator: ",")
        let response =
            "SIP/2.0 200 OK\r\nVia: \(vias)\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>;tag=2\r\n"
            + "Call-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        #expect(scene.send(response, from: mainServer, socket: mainSocket).isEmpty)
        #expect(scene.counter(.droppedMalformed) == 1)
        let uri = "sip:" + String(repeating: "h", count: 1_021)
        #expect(scene.send(request("ACK", uri), from: stranger).isEmpty)
        #expect(scene.counter(.droppedMalformed) == 2)
        #expect(scene.counter(.rejectURITooLong) == 0)
    }

    @Test(
        arguments: [
            ("Require: foo, bar", 420, "foo, bar"),
            ("Require: foo\r\nProxy-Require: a,b", 420, "a, b, foo"),
            ("Require: foo;x", 400, ""), ("Require:", 400, ""), ("Proxy-Require: a,,b", 400, ""),
        ])
    func `An extension is refused by name, if it has one`(
        lines: String, code: Int, unsupported: String
    ) {
        let scene = Scene()
        var phone = Phone(extra: [lines])
        let sent = scene.send(phone.register(), from: phoneA)
        #expect(sent.map(\.code) == [code])
        #expect(sent.first?.first("Unsupported") == unsupported)
        #expect(scene.counter(.rejectExtension) == (code == 420 ? 1 : 0))
        #expect(scene.counter(.rejectMalformed) == (code == 400 ? 1 : 0))
        #expect(scene.counter(.registerRejected) == 1)
    }
}
