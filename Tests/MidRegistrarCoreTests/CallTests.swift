import Bytes
import CoreScene
import Forwarding
import MidRegistrarCore
import Registration
import Testing

/// A request outside REGISTER, as its sender writes it.
func request(
    _ method: String, _ uri: String, from: String = "sip:bob@example.test", toTag: String? = nil,
    sequence: Int = 1, branch: String = "z9hG4bKcall", callID: String = "call@main",
    route: [String] = [], forwards: Int = 70, extra: [String] = []
) -> String {
    let tag = toTag.map { ";tag=\($0)" } ?? ""
    let lines =
        [
            "\(method) \(uri) SIP/2.0", "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=\(branch)",
            "Max-Forwards: \(forwards)", "From: <\(from)>;tag=b",
            "To: <sip:alice@example.test>\(tag)", "Call-ID: \(callID)",
            "CSeq: \(sequence) \(method)",
        ] + route.map { "Route: \($0)" } + extra + ["Content-Length: 0", "", ""]
    return lines.joined(separator: "\r\n")
}

/// The request among what was sent: beside it the caller of an INVITE gets a 100.
func passed(_ sent: [Sent]) -> Sent { sent.first { $0.code == 0 } ?? sent[0] }

@Suite("A call from the main registrar to a contact ID")
struct CallToPhoneTests {
    let scene = Scene()
    let id: String
    let uri: String

    init() {
        var phone = Phone()
        let relayed = scene.send(phone.register(), from: phoneA)[0]
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        id = relayed.first("Contact").contactID
        uri = "sip:alice@127.0.0.1:5060;ctid=\(id)"
    }

    private func branch(_ sent: Sent) -> String {
        sent.first("Via").components("branch=")[1].components(";")[0]
    }

    @Test func `that fits no datagram with our Via is answered 513`() {
        let full = request("MESSAGE", uri)
        for (room, code) in [(200, Int?.none), (900, nil), (100, 513)] {
            let body = String(repeating: "x", count: 65_487 - full.utf8.count - room)
            let text = full.replacing(
                "Content-Length: 0\r\n\r\n",
                with: "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
            let sent = scene.send(text, from: mainServer)
            #expect(sent.map(\.to) == [code == nil ? phoneA : mainServer])
            if let code { #expect(sent[0].code == code) }
        }
    }

    @Test func `reaches the phone by its own URI, and its answers come back`() {
        let invite = passed(scene.send(request("INVITE", uri), from: mainServer))
        #expect(invite.to == phoneA)
        #expect(invite.socket == listener)
        #expect(invite.startLine == "INVITE sip:alice@192.0.2.1:5062 SIP/2.0")
        #expect(invite.first("Record-Route").hasSuffix("@127.0.0.1:5060;lr>"))
        #expect(invite.first("Max-Forwards") == "69")
        for code in [180, 200] {
            let back = scene.send(answer(invite, code, without: true), from: phoneA)
            #expect(back.map(\.to) == [mainServer])
            #expect(back[0].all("Via").count == 1)
            #expect(back[0].code == code)
        }
        // A CANCEL after it has no effect, and its 2xx is acknowledged from end to end.
        #expect(scene.send(request("CANCEL", uri), from: mainServer).map(\.code) == [200])
    }

    @Test func `is refused, and each hop's ACK ends there`() {
        let invite = passed(scene.send(request("INVITE", uri), from: mainServer))
        let refused = scene.send(answer(invite, 486, without: true), from: phoneA)
        #expect(refused.map(\.code) == [0, 486])
        #expect(refused[0].startLine == "ACK sip:alice@192.0.2.1:5062 SIP/2.0")
        #expect(branch(refused[0]) == branch(invite))
        #expect(refused[0].to == phoneA)
        // Repeated until the caller's ACK is here, which goes no further.
        #expect(scene.advance(ms: 1_600, step: 10).map(\.code) == [486, 486])
        #expect(scene.send(request("ACK", uri, toTag: "main"), from: mainServer).isEmpty)
        #expect(scene.advance(ms: 20_000, step: 10).isEmpty)
    }

    @Test func `is hung up by either side along the token`() {
        let invite = passed(scene.send(request("INVITE", uri), from: mainServer))
        let route = invite.first("Record-Route")
        let byMain = scene.send(
            request(
                "BYE", "sip:alice@192.0.2.1:5062", toTag: "p", sequence: 2, branch: "z9hG4bKb1",
                route: [route]), from: mainServer)[0]
        #expect(byMain.to == phoneA)
        #expect(byMain.all("Route").isEmpty)
        #expect(byMain.startLine == "BYE sip:alice@192.0.2.1:5062 SIP/2.0")
        let byPhone = scene.send(
            request(
                "BYE", "sip:bob@127.0.0.1:5070", toTag: "b", sequence: 2, branch: "z9hG4bKb2",
                route: [route, "<sip:127.0.0.1:5070;lr>"]), from: phoneA)[0]
        #expect(byPhone.to == mainServer)
        #expect(byPhone.socket == mainSocket)
        #expect(byPhone.all("Route") == ["<sip:127.0.0.1:5070;lr>"])
        // From anybody else, or outside a dialog, the token opens nothing.
        let foreign = request("BYE", "sip:x@127.0.0.1", toTag: "b", route: [route])
        #expect(scene.send(foreign, from: stranger).map(\.code) == [403])
        let fresh = request("INVITE", "sip:x@127.0.0.1", route: [route])
        #expect(scene.send(fresh, from: phoneA).map(\.code) == [403])
    }

    @Test func `follows the phone to its new flow`() {
        let invite = passed(scene.send(request("INVITE", uri), from: mainServer))
        var phone = Phone()
        phone.sequence = 5
        phone.branches = 5
        phone.from = address("192.0.2.1:6000")
        scene.register(&phone)
        let bye = scene.send(
            request("BYE", "sip:a@192.0.2.1", toTag: "p", route: [invite.first("Record-Route")]),
            from: mainServer)[0]
        #expect(bye.to == phone.from)
    }

    @Test func `is told what is not there`() {
        #expect(
            scene.send(request("INVITE", "sip:x@127.0.0.1:5060"), from: mainServer)[0].code == 404)
        let wrong = uri.dropLast() + (uri.hasSuffix("a") ? "b" : "a")
        #expect(scene.send(request("INVITE", String(wrong)), from: mainServer)[0].code == 404)
        scene.advance(ms: 602_000, step: 2_000)
        #expect(scene.send(request("INVITE", uri), from: mainServer)[0].code == 480)
        scene.restart()
        #expect(scene.send(request("INVITE", uri), from: mainServer)[0].code == 480)
        #expect(scene.send(request("ACK", uri), from: mainServer).isEmpty)
    }

    @Test func `is refused alike to strangers, whether the ID exists or not`() {
        let wrong = uri.dropLast(3) + "aaa"
        let texts = [uri, String(wrong), "sip:alice@127.0.0.1:5060", "sip:bob@elsewhere.test"].map {
            scene.send(request("INVITE", $0), from: stranger).map { $0.text }
        }
        #expect(texts[0].first?.hasPrefix("SIP/2.0 403 Forbidden") == true)
        #expect(Set(texts).count == 1)
        #expect(scene.send(request("ACK", uri), from: stranger).isEmpty)
        #expect(scene.send(request("INVITE", uri), from: phoneA)[0].code == 403)
    }

    @Test func `ends when it has gone through too many hops`() {
        #expect(scene.send(request("INVITE", uri, forwards: 0), from: mainServer)[0].code == 483)
        #expect(scene.send(request("ACK", uri, forwards: 0), from: mainServer).isEmpty)
    }

    @Test func `to a user at our own address goes from a phone to the main registrar`() {
        let call = request("INVITE", "sip:bob@127.0.0.1:5060", from: "sip:alice@example.test")
        let sent = scene.send(call, from: phoneA)
        #expect(sent.map(\.to) == [phoneA, mainServer])
        #expect(sent[1].startLine == "INVITE sip:bob@127.0.0.1:5060 SIP/2.0")
        #expect(scene.send(call, from: stranger).map(\.code) == [403])
        #expect(scene.send(call, from: mainServer).map(\.code) == [404])
        let wrong = request(
            "INVITE", "sip:bob@127.0.0.1:5060;ctid=\(String(repeating: "a", count: 24))",
            from: "sip:alice@example.test")
        #expect(scene.call(wrong, from: phoneA).map(\.code) == [403])
    }

    @Test func `is not needed to hear that we are there`() {
        let options = scene.send(request("OPTIONS", "sip:127.0.0.1:5060"), from: stranger)
        #expect(options.map(\.code) == [200])
    }

    @Test(
        arguments: [
            ("<sip:127.0.0.1:5060;lr>", false), ("<sip:proxy.example.test;lr>", false),
            ("<sip:192.0.2.77;lr>", true), ("<sip:127.0.0.1:5080;lr>", true),
        ])
    func `leaves the topmost Route behind if it may be ours`(route: String, isKept: Bool) {
        let call = request(
            "INVITE", "sip:bob@elsewhere.test", from: "sip:alice@example.test", route: [route])
        let sent = passed(scene.send(call, from: phoneA))
        #expect(sent.to == mainServer)
        #expect(sent.all("Route") == (isKept ? [route] : []))
    }

    @Test func `of the phone's own goes to the main registrar, wherever it points`() {
        let call = request(
            "INVITE", "sip:bob@elsewhere.test", from: "sip:alice@example.test",
            route: ["<sip:127.0.0.1:5060;lr>"])
        let sent = passed(scene.send(call, from: phoneA))
        #expect(sent.to == mainServer)
        #expect(sent.all("Route").isEmpty)
        #expect(sent.first("Record-Route").hasSuffix("@127.0.0.1:5060;lr>"))
        let back = scene.send(answer(sent, without: true), from: mainServer, socket: mainSocket)
        #expect(back.map(\.to) == [phoneA])
        #expect(scene.send(call, from: stranger).map(\.code) == [403])
        let open = Scene(Scene.options { $0.strangers = .main })
        #expect(open.send(call, from: stranger).map(\.to) == [stranger, mainServer])
    }

    @Test func `answers to nothing of ours are dropped`() {
        let invite = passed(scene.send(request("INVITE", uri), from: mainServer))
        let text = answer(invite, 200, without: true).components("z9hG4bKcall")
            .joined(separator: "z9hG4bKother")
        #expect(scene.send(text, from: phoneA).isEmpty)
        #expect(scene.counter(.droppedSealBroken) == 1)
        #expect(scene.send(request("INVITE", uri), from: mainServer, socket: ownSocket).isEmpty)
    }
}

@Suite("Two workers")
struct TwoWorkerTests {
    @Test func `meet at the owner with everything of one phone and its calls`() {
        let scenes = (0..<2).map { worker in
            Scene(
                Scene.options {
                    $0.workers = 2
                    $0.worker = worker
                })
        }
        /// Gives it to the wrong worker first, if there is one.
        func deliver(_ text: String, _ source: TransportAddress, _ socket: UInt16) -> (Int, [Sent])
        {
            for first in 0..<2 {
                let sent = scenes[first].send(text, from: source, socket: socket)
                guard case .handOver(let owner) = scenes[first].disposition else {
                    if sent.isEmpty { continue }
                    return (first, sent)
                }
                #expect(owner == 1 - first)
                #expect(sent.isEmpty)
                scenes[owner].mayHandOver = false
                let there = scenes[owner].send(text, from: source, socket: socket)
                scenes[owner].mayHandOver = true
                return (owner, there)
            }
            return (-1, [])
        }
        var owners: Set<Int> = []
        for number in 0..<12 {
            let user = "user\(number)"
            var phone = Phone(
                user: user, contact: "<sip:\(user)@192.0.2.1:5062>", callID: "m\(number)xxxx@p")
            let (owner, relayed) = deliver(phone.register(), phoneA, listener)
            owners.insert(owner)
            let (second, done) = deliver(answer(relayed[0]), mainServer, mainSocket)
            #expect(second == owner)
            #expect(done.map(\.code) == [200])
            let uri = "sip:x@127.0.0.1:5060;ctid=\(relayed[0].first("Contact").contactID)"
            var route = ""
            for method in ["INVITE", "CANCEL", "ACK"] {
                let (worker, sent) = deliver(
                    request(method, uri, branch: "z9hG4bKcall\(number)", callID: "c\(number)"),
                    mainServer, listener)
                // There its call is: it is answered, an ACK aside.
                #expect(worker == owner || method == "ACK" && sent.isEmpty)
                guard method == "INVITE" else { continue }
                let invite = passed(sent)
                route = invite.first("Record-Route")
                // So are answers of the phone, wherever they come in.
                let (back, ringing) = deliver(answer(invite, 180, without: true), phoneA, listener)
                #expect(back == owner && ringing.map(\.to) == [mainServer])
            }
            for source in [mainServer, phoneA] {
                let bye = request("BYE", "sip:y@192.0.2.1", toTag: "t", route: [route])
                let (worker, sent) = deliver(bye, source, listener)
                #expect(worker == owner)
                #expect(sent[0].to == (source == mainServer ? phoneA : mainServer))
            }
        }
        #expect(owners == [0, 1])
    }
}
