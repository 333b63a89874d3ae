import Bytes
import CoreScene
import Forwarding
import MidRegistrarCore
import Registration
import Testing

@Suite("Strict routers before and behind us (RFC 3261 §16.4, §16.6 step 6)")
struct StrictRoutingTests {
    let scene = Scene(Scene.options { $0.edges = Edges([StrictRoutingTests.edge.withPort(0)]) })
    static let edge = address("192.0.2.20:5060")
    static let target = "sip:alice@192.0.2.1:5062"

    /// Registers a phone, over the edge if it has a Path; returns what main calls it by.
    private func register(path: String? = nil) -> String {
        var phone = Phone(
            from: path == nil ? phoneA : Self.edge, extra: path.map { ["Path: \($0)"] } ?? [])
        let relayed = scene.send(phone.register(), from: phone.from)[0]
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        return "sip:alice@127.0.0.1:5060;ctid=\(relayed.first("Contact").contactID)"
    }

    private func uri(_ value: String) -> String { value.components("<")[1].components(">")[0] }

    @Test(arguments: ["ACK", "BYE", "INVITE"], [false, true])
    func `one before us has put our value into the request-URI`(method: String, isPhone: Bool) {
        let invite = passed(scene.send(request("INVITE", register()), from: mainServer))
        let ours = uri(invite.first("Record-Route"))
        let target = isPhone ? "sip:bob@127.0.0.1:5070" : Self.target
        let sent = scene.send(
            request(
                method, ours, toTag: "t", sequence: 2, branch: "z9hG4bKs",
                route: ["<sip:192.0.2.77;lr>, <\(target)>"]), from: isPhone ? phoneA : mainServer)
        #expect(sent.map(\.to) == [isPhone ? mainServer : phoneA])
        #expect(sent.first?.startLine == "\(method) \(target) SIP/2.0")
        #expect(sent.first?.all("Route") == ["<sip:192.0.2.77;lr>"])
    }

    @Test func `with a Route that is no target, nothing opens`() {
        let invite = passed(scene.send(request("INVITE", register()), from: mainServer))
        let ours = uri(invite.first("Record-Route"))
        for (route, code) in [("<tel:1>", 416), ("<sip:a@192.0.2.1?X=y>", 400)] {
            let bye = request("BYE", ours, toTag: "t", route: [route])
            #expect(scene.send(bye, from: mainServer).map(\.code) == [code])
        }
        let bye = request("BYE", ours, toTag: "t", route: ["<\(Self.target)>"])
        #expect(scene.send(bye, from: stranger).map(\.code) == [403])
        #expect(scene.send(request("BYE", ours, toTag: "t"), from: mainServer).map(\.code) == [404])
    }

    @Test(arguments: ["INVITE", "MESSAGE"])
    func `an edge that is one gets its Path as request-URI`(method: String) {
        let contact = register(path: "<sip:e@192.0.2.20:5080>, <sip:inner@10.2.2.2;lr>")
        let sent = passed(scene.send(request(method, contact), from: mainServer))
        #expect(sent.to == address("192.0.2.20:5080"))
        #expect(sent.startLine == "\(method) sip:e@192.0.2.20:5080 SIP/2.0")
        #expect(sent.all("Route") == ["<sip:inner@10.2.2.2;lr>", "<\(Self.target)>"])
    }

    @Test func `one behind us in a dialog of an edge's phone is told so too`() {
        let contact = register(path: "<sip:e@192.0.2.20;lr>")
        let invite = passed(scene.send(request("INVITE", contact), from: mainServer))
        let sent = scene.send(
            request(
                "BYE", Self.target, toTag: "t", sequence: 2,
                route: [invite.first("Record-Route"), "<sip:rr@192.0.2.20:5099;x=1>"]),
            from: mainServer)
        #expect(sent.map(\.to) == [address("192.0.2.20:5099")])
        #expect(sent.first?.startLine == "BYE sip:rr@192.0.2.20:5099;x=1 SIP/2.0")
        #expect(sent.first?.all("Route") == ["<\(Self.target)>"])
    }

    @Test func `for a contact of a phone the last Route is what it registered`() {
        let sent = passed(
            scene.send(
                request("INVITE", register(), route: ["<sip:127.0.0.1>", "<sip:192.0.2.77>"]),
                from: mainServer))
        #expect(sent.to == phoneA)
        #expect(sent.startLine == "INVITE sip:192.0.2.77 SIP/2.0")
        #expect(sent.all("Route") == ["<\(Self.target)>"])
    }

    @Test func `a maddr of ours is what the request is not for`() {
        _ = register()
        let own = "sip:alice@example.test"
        // At our address a user is one of the main registrar's; without the maddr nobody is.
        let sent = passed(
            scene.call(
                request("INVITE", "sip:bob@127.0.0.1:5061;maddr=127.0.0.1", from: own), from: phoneA
            ))
        #expect(sent.startLine == "INVITE sip:bob@127.0.0.1:5061;maddr=127.0.0.1 SIP/2.0")
        let bare = passed(
            scene.call(
                request("INVITE", "sip:bob@x.test:5060;maddr=127.0.0.1", from: own), from: phoneA))
        #expect(bare.startLine == "INVITE sip:bob@x.test SIP/2.0")
        let options = request("OPTIONS", "sip:127.0.0.1:5060;maddr=127.0.0.1")
        #expect(scene.send(options, from: stranger).map(\.code) == [200])
    }
}
