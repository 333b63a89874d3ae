import Bytes
import CoreScene
import Forwarding
import MidRegistrarCore
import Registration
import Testing

/// A phone on IPv6, while the main registrar knows us by IPv4.
@Suite("Record-Route of a call between two addresses of ours (RFC 5658, RFC 3261 §16.6 step 4)")
struct RecordRouteTests {
    static let away = address("[2001:db8::1]:5062")
    static let listener6: UInt16 = 3
    let scene = Scene()
    let uri: String

    init() {
        var phone = Phone(
            from: Self.away, socket: Self.listener6, contact: "<sip:alice@[2001:db8::1]:5062>",
            sentBy: "[2001:db8::1]:5062")
        let relayed = scene.send(phone.register(), from: phone.from, socket: phone.socket)[0]
        scene.send(answer(relayed), from: mainServer, socket: mainSocket)
        uri = "sip:alice@127.0.0.1:5060;ctid=\(relayed.first("Contact").contactID)"
    }

    /// The hosts of Record-Route, from the top.
    private func hosts(_ sent: Sent) -> [String] {
        sent.all("Record-Route").map { $0.components("@")[1] }
    }

    private func send(_ method: String, from source: TransportAddress, _ route: [String]) -> [Sent]
    {
        let isMain = source == mainServer
        return scene.send(
            request(
                method, isMain ? "sip:alice@[2001:db8::1]:5062" : "sip:bob@127.0.0.1:5070",
                toTag: "t", sequence: 2, branch: "z9hG4bK\(method)\(isMain)\(route.count)",
                route: route), from: source, socket: isMain ? listener : Self.listener6)
    }

    @Test func `has for each side the address it can reach, above that of whom it goes to`() {
        let invite = passed(scene.send(request("INVITE", uri), from: mainServer))
        #expect(invite.to == Self.away && invite.socket == Self.listener6)
        #expect(hosts(invite) == ["[2001:db8::5]:5060;lr>", "127.0.0.1:5060;lr>"])
        let own = passed(
            scene.send(
                request(
                    "INVITE", "sip:bob@x.test", from: "sip:alice@example.test", callID: "own@phone"
                ), from: Self.away, socket: Self.listener6))
        #expect(own.to == mainServer)
        #expect(hosts(own) == ["127.0.0.1:5060;lr>", "[2001:db8::5]:5060;lr>"])
        #expect(Set(own.all("Record-Route").map { $0.components("@")[0] }).count == 1)
    }

    @Test(arguments: ["ACK", "BYE", "INVITE", "UPDATE"], [false, true])
    func `brings requests of both sides through, and none of it goes on`(
        method: String, isRestarted: Bool
    ) {
        let invite = passed(scene.send(request("INVITE", uri), from: mainServer))
        let values = invite.all("Record-Route")
        if isRestarted { scene.restart() }
        let behind = "<sip:127.0.0.1:5070;lr>"
        for (source, route) in [
            (mainServer, Array(values.reversed())), (Self.away, values + [behind]),
        ] {
            let sent = send(method, from: source, route)
            #expect(sent.map(\.to) == [source == mainServer ? Self.away : mainServer])
            #expect(sent[0].all("Route") == (source == mainServer ? [] : [behind]))
            #expect(sent[0].all("Record-Route").isEmpty)
        }
    }

    @Test func `of a call from before it was written twice is as good`() {
        let invite = passed(scene.send(request("INVITE", uri), from: mainServer))
        for value in invite.all("Record-Route") {
            #expect(send("BYE", from: mainServer, [value]).map(\.to) == [Self.away])
            #expect(send("BYE", from: Self.away, [value]).map(\.to) == [mainServer])
        }
    }

    @Test func `of a phone that calls itself is taken away one passage at a time`() {
        let own = passed(
            scene.send(
                request("INVITE", "sip:alice@x.test", from: "sip:alice@example.test"),
                from: Self.away, socket: Self.listener6))
        // The main registrar, which writes none, sends it on to the same phone.
        let second = passed(
            scene.send(
                request(
                    "INVITE", uri, from: "sip:alice@example.test", branch: "z9hG4bKback",
                    extra: own.all("Record-Route").map { "Record-Route: \($0)" }), from: mainServer)
        )
        let values = second.all("Record-Route")
        #expect(values.count == 4)
        let bye = send("BYE", from: Self.away, values)
        #expect(bye.map(\.to) == [mainServer])
        #expect(bye[0].all("Route") == Array(values.dropFirst(2)))
        let there = send("BYE", from: mainServer, bye[0].all("Route"))
        #expect(there.map(\.to) == [Self.away])
        #expect(there[0].all("Route").isEmpty)
    }

    @Test func `opens no way to strangers, whichever value is on top`() {
        let invite = passed(scene.send(request("INVITE", uri), from: mainServer))
        let values = invite.all("Record-Route")
        for route in [values, values.reversed(), ["<sip:127.0.0.1:5060;lr>", values[0]]] {
            #expect(
                scene.send(
                    request("BYE", "sip:x@192.0.2.1", toTag: "t", route: route), from: stranger
                ).map(\.code) == [403])
        }
    }
}
