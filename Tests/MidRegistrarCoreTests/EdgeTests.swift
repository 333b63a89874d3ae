import Bytes
import CoreScene
import Forwarding
import MidRegistrarCore
import Registration
import StoreInMemory
import Testing

private let edge = address("192.0.2.20:5060")
private let otherEdge = address("192.0.2.21:5060")
private let phoneURI = "sip:alice@10.1.1.7:5062"

private func edgeScene(
    placement: MainContact.Placement = .parameter, edges: [String] = ["192.0.2.20", "192.0.2.21"],
    _ change: (inout CoreOptions) -> Void = { _ in }
) -> Scene {
    Scene(
        Scene.options(placement: placement) { options in
            options.edges = Edges(
                edges.compactMap { text in
                    let bytes = Array(text.utf8)
                    return TransportAddress(host: bytes.span, port: 0)
                        ?? TransportAddress(hostPort: text, defaultPort: 0)
                })
            change(&options)
        })
}

/// A phone as an edge passes on what it sends: one Via more, and a Path.
struct EdgePhone {
    var user = "alice"
    var source = edge
    var vias = [
        "SIP/2.0/UDP 10.1.1.7:5062;branch=z9hG4bKp;rport=40001;received=198.51.100.7"
    ]
    var paths = ["<sip:token1@192.0.2.20;lr>"]
    var supported = "path"
    var callID = "edge-1@phone"
    var sequence = 0
    var contact = "<\(phoneURI)>"

    mutating func register(expires: Int = 600, contact: String? = nil) -> String {
        sequence += 1
        return text(expires: expires, contact: contact)
    }

    func text(expires: Int = 600, contact: String? = nil) -> String {
        let lines =
            [
                "REGISTER sip:example.test SIP/2.0",
                "Via: SIP/2.0/UDP 192.0.2.20;branch=z9hG4bKe\(callID.prefix(6))\(sequence)",
            ] + vias.map { "Via: \($0)" } + [
                "Max-Forwards: 69", "From: <sip:\(user)@example.test>;tag=f",
                "To: <sip:\(user)@example.test>", "Call-ID: \(callID)",
                "CSeq: \(sequence) REGISTER", "Contact: \(contact ?? self.contact)",
                "Expires: \(expires)", "Authorization: Digest username=\"\(user)\"",
            ] + paths.map { "Path: \($0)" }
            + (supported.isEmpty ? [] : ["Supported: \(supported)"])
            + ["Content-Length: 0", "", ""]
        return lines.joined(separator: "\r\n")
    }
}

extension Scene {
    /// Registers by way of the main registrar; what went there, and what came back.
    func bind(
        _ phone: inout EdgePhone, extra: [String] = []
    ) -> (relayed: Sent?, told: Sent?) {
        let sent = send(phone.register(), from: phone.source)
        guard let relayed = sent.first, relayed.to == mainServer else { return (nil, sent.first) }
        let told = send(answer(relayed, extra: extra), from: mainServer, socket: mainSocket)
        return (relayed, told.first)
    }
}

@Suite("A refresh that comes through an edge")
struct EdgeRefreshTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let change: @Sendable (inout EdgePhone) -> Void
        /// `nil`: absorbed.
        let cause: Counter?

        init(
            _ name: String, _ cause: Counter? = nil,
            _ change: @escaping @Sendable (inout EdgePhone) -> Void
        ) {
            testDescription = name
            self.change = change
            self.cause = cause
        }
    }

    /// C3 P4 from both sides, and the Path of P7.
    @Test(arguments: [
        Case("as it was") { _ in },
        Case("from another port of the edge") { $0.source = address("192.0.2.20:31999") },
        Case("from another edge", .relayFlowChanged) { $0.source = otherEdge },
        Case("from no edge", .relaySeveralVias) { $0.source = address("192.0.2.22:5060") },
        Case("with another branch of the phone's") {
            $0.vias[0] = $0.vias[0].replacing("z9hG4bKp", with: "z9hG4bKq")
        },
        Case("with `received` in its other spelling") {
            $0.vias[0] = $0.vias[0].replacing("198.51.100.7", with: "::ffff:198.51.100.7")
        },
        Case("from another port of the phone's NAT", .relayContactChanged) {
            $0.vias[0] = $0.vias[0].replacing("40001", with: "40002")
        },
        Case("from another address of the phone's NAT", .relayContactChanged) {
            $0.vias[0] = $0.vias[0].replacing("198.51.100.7", with: "198.51.100.8")
        },
        Case("without `received`", .relayContactChanged) {
            $0.vias[0] = $0.vias[0].replacing(";received=198.51.100.7", with: "")
        },
        Case("without `rport`", .relayContactChanged) {
            $0.vias[0] = $0.vias[0].replacing(";rport=40001", with: "")
        },
        Case("from another host of the phone", .relayContactChanged) {
            $0.vias[0] = $0.vias[0].replacing("10.1.1.7", with: "10.1.1.8")
        },
        Case("from another port of the phone", .relayContactChanged) {
            $0.vias[0] = $0.vias[0].replacing("5062;", with: "5063;")
        },
        Case("through one proxy more, which says nothing of the phone") {
            $0.vias.insert("SIP/2.0/UDP 10.2.2.2;branch=z9hG4bKm", at: 0)
        },
        Case("with both Vias in one field") {
            $0.vias = ["SIP/2.0/UDP 10.2.2.2;branch=z9hG4bKm, " + $0.vias[0]]
        },
        Case("with the Vias the other way round", .relayContactChanged) {
            $0.vias.append("SIP/2.0/UDP 10.2.2.2;branch=z9hG4bKm")
        },
        Case("with another token in the Path", .relayContactChanged) {
            $0.paths = ["<sip:token2@192.0.2.20;lr>"]
        },
        Case("with another letter case in the Path", .relayContactChanged) {
            $0.paths = ["<sip:token1@192.0.2.20;LR>"]
        },
        Case("with a longer Path", .relayContactChanged) {
            $0.paths += ["<sip:inner@10.2.2.2;lr>"]
        },
        Case("without the Path", .relayContactChanged) { $0.paths = [] },
        Case("with one Via, as from a phone", .relayContactChanged) {
            $0.vias = []
            $0.paths = []
        },
        Case("with another expiry", .relayContactChanged) { $0.contact += ";expires=300" },
        Case("with another Call-ID", .relayCallIDChanged) { $0.callID = "edge-2@phone" },
    ])
    func `is absorbed if it took the same way`(_ one: Case) {
        let scene = edgeScene()
        var phone = EdgePhone()
        #expect(scene.bind(&phone).told?.code == 200)
        _ = scene.advance(s: 60)
        let before = scene.store.visible
        one.change(&phone)
        let sent = scene.send(phone.register(), from: phone.source)
        guard let cause = one.cause else {
            #expect(sent.map(\.to) == [phone.source] && sent.first?.code == 200)
            #expect(scene.counter(.registerAbsorbed) == 1)
            #expect(scene.store.visible == before, "nothing that lasts has changed")
            return
        }
        #expect(sent.map(\.to) == [mainServer])
        #expect(scene.counter(cause) == 1)
    }

    @Test func `is absorbed whether the Path stands in one field or in several`() {
        let scene = edgeScene()
        var phone = EdgePhone()
        phone.paths = ["<sip:token1@192.0.2.20;lr>", "<sip:inner@10.2.2.2;lr>"]
        _ = scene.bind(&phone)
        phone.paths = [phone.paths.joined(separator: ", ")]
        #expect(scene.send(phone.register(), from: edge).first?.code == 200)
        phone.paths = ["<sip:inner@10.2.2.2;lr>", "<sip:token1@192.0.2.20;lr>"]
        #expect(scene.send(phone.register(), from: edge).first?.to == mainServer)
    }

    @Test func `with a Path and one Via is one of an edge's`() {
        let scene = edgeScene()
        var phone = EdgePhone(vias: [])
        _ = scene.bind(&phone)
        #expect(
            scene.send(phone.register(), from: address("192.0.2.20:9")).first?.code == 200)
        phone.paths = ["<sip:other@192.0.2.20;lr>"]
        #expect(scene.send(phone.register(), from: edge).first?.to == mainServer)
    }

    @Test func `gets its answer again from another port of the edge`() {
        let scene = edgeScene()
        var phone = EdgePhone()
        _ = scene.bind(&phone)
        let refresh = phone.register()
        let first = scene.send(refresh, from: edge)
        let again = scene.send(refresh, from: address("192.0.2.20:7000"))
        #expect(first.map(\.code) == [200] && again.map(\.code) == [200])
        #expect(again.map(\.to) == [address("192.0.2.20:7000")])
        #expect(scene.counter(.registerAbsorbedCopy) == 1)
        // One that was overtaken has no effect.
        phone.sequence = 1
        let late = phone.text().replacing("z9hG4bKe", with: "z9hG4bKlate")
        #expect(scene.send(late, from: edge).map(\.code) == [500])
    }

    @Test func `is not absorbed after 403, asked for from whichever port of the edge`() {
        let scene = edgeScene()
        var phone = EdgePhone()
        _ = scene.bind(&phone)
        let removal = scene.send(phone.register(expires: 0), from: address("192.0.2.20:99"))[0]
        #expect(removal.to == mainServer)
        scene.send(
            answer(removal, 403, reason: "No"), from: mainServer, socket: mainSocket)
        #expect(scene.send(phone.register(), from: edge).first?.to == mainServer)
        #expect(scene.counter(.relayDirty) == 1)
    }

    @Test func `is absorbed after a restart as before, from any port`() {
        let scene = edgeScene()
        var phone = EdgePhone()
        _ = scene.bind(&phone)
        scene.restart()
        #expect(
            scene.send(phone.register(), from: address("192.0.2.20:4711")).first?.code == 200)
        phone.paths = ["<sip:token2@192.0.2.20;lr>"]
        #expect(scene.send(phone.register(), from: edge).first?.to == mainServer)
    }

    @Test func `is relayed once the address is no edge any more`() {
        let before = edgeScene()
        var phone = EdgePhone()
        _ = before.bind(&phone)
        let after = edgeScene(edges: [])
        after.store = before.store
        after.restart()
        #expect(after.send(phone.register(), from: edge).first?.to == mainServer)
        #expect(after.counter(.relaySeveralVias) == 1 && after.counter(.pathFromNoEdge) == 1)
    }

    @Test func `is absorbed from IPv4 whichever way the address is written`() {
        let scene = edgeScene(edges: ["::ffff:192.0.2.20"])
        var phone = EdgePhone()
        _ = scene.bind(&phone)
        #expect(scene.send(phone.register(), from: edge).first?.code == 200)
    }

    @Test func `keeps an edge with a port to that port`() {
        let scene = edgeScene(edges: ["192.0.2.20:5060"])
        var phone = EdgePhone()
        _ = scene.bind(&phone)
        #expect(scene.send(phone.register(), from: edge).first?.code == 200)
        #expect(
            scene.send(phone.register(), from: address("192.0.2.20:5061")).first?.to == mainServer)
        #expect(scene.counter(.relaySeveralVias) == 1)
    }

    @Test func `of a phone behind NAT is no matter of pings`() {
        let scene = edgeScene { $0.natPing = .crlf }
        var phone = EdgePhone()
        _ = scene.bind(&phone)
        #expect(scene.advance(s: 100).isEmpty)
    }
}

@Suite("An SBC that speaks for many phones with one Via")
struct ManyBehindOneTests {
    private let sbc = edge

    private func phone(_ number: Int) -> Phone {
        Phone(
            user: "user\(number)", from: sbc, contact: "<sip:user\(number)@192.0.2.20:5060>",
            sentBy: "192.0.2.20:5060", callID: "call-\(number)@sbc")
    }

    /// C3 P4. Known as an edge or not: without a second Via and a Path it is a phone like any other.
    @Test(arguments: [["192.0.2.20"], []])
    func `has its refreshes absorbed, which change nothing but expiry and CSeq`(edges: [String]) {
        let scene = edgeScene(edges: edges)
        var phones = (1...20).map(phone)
        for number in phones.indices { scene.register(&phones[number]) }
        let before = scene.store.visible
        for number in phones.indices {
            let sent = scene.send(phones[number].register(), from: sbc)
            #expect(sent.first?.code == 200 && sent.first?.contacts.count == 1)
        }
        #expect(scene.counter(.registerAbsorbed) == 20)
        #expect(scene.store.visible == before)
        // By Call-ID and contact of another of its phones nothing is moved to another port.
        let moved = address("192.0.2.20:6000")
        #expect(scene.send(phones[3].register(), from: moved).first?.to == mainServer)
        #expect(scene.counter(.relayFlowChanged) == 1)
        #expect(scene.store.visible == before)
        let swapped = phones[4].register(contact: phones[5].contact)
        #expect(scene.send(swapped, from: sbc).first?.to == mainServer)
        let call = phones[6].register().replacing("call-7@sbc", with: "call-8@sbc")
        #expect(scene.send(call, from: sbc).first?.to == mainServer)
        #expect(scene.counter(.relayCallIDChanged) == 1)
        #expect(scene.store.visible == before)
    }
}

@Suite("What others than edges say of the way")
struct NoEdgeTests {
    /// C3 P4 for strangers.
    @Test(arguments: [MainContact.Placement.parameter, .path])
    func `is relayed without it, never absorbed, and no call takes it`(
        placement: MainContact.Placement
    ) throws {
        let scene = edgeScene(placement: placement)
        var phone = EdgePhone(source: stranger, paths: ["<sip:victim@198.51.100.99;lr>"])
        let (relayed, told) = scene.bind(&phone)
        let sent = try #require(relayed)
        #expect(sent.all("Path").allSatisfy { !$0.contains("victim") })
        #expect(sent.all("Path").count == (placement == .path ? 1 : 0))
        #expect(told?.code == 200)
        #expect(told?.text.contains("victim") == false)
        #expect(scene.store.visible.values.allSatisfy { !$0.has("victim") })
        for round in 2...4 as ClosedRange<UInt64> {
            #expect(scene.send(phone.register(), from: stranger).first?.to == mainServer)
            #expect(scene.counter(.pathFromNoEdge) == round)
        }
        #expect(scene.counter(.registerAbsorbed) == 0)
        guard placement == .parameter else { return }
        let id = sent.first("Contact").contactID
        let call = scene.call(
            request("INVITE", "sip:alice@127.0.0.1:5060;ctid=\(id)"), from: mainServer)[0]
        #expect(call.to == stranger && call.all("Route").isEmpty)
    }

    @Test func `does not count where it is two Vias without a Path`() {
        let scene = edgeScene()
        var phone = EdgePhone(source: stranger, paths: [])
        _ = scene.bind(&phone)
        #expect(scene.send(phone.register(), from: stranger).first?.to == mainServer)
        #expect(scene.counter(.relaySeveralVias) == 2 && scene.counter(.pathFromNoEdge) == 0)
    }
}

@Suite("The Path of an edge, towards the main registrar and back")
struct EdgePathTests {
    private static let long = ["<sip:token1@192.0.2.20;lr>", "<sip:inner@10.2.2.2:5070;lr>;x=1"]

    @Test(arguments: [MainContact.Placement.parameter, .user, .addressOfRecord])
    func `stays here where the contact is ours`(placement: MainContact.Placement) throws {
        let isShared = placement == .addressOfRecord
        let scene = edgeScene(placement: isShared ? .parameter : placement) {
            if isShared { $0.mode = .throttleByAOR }
        }
        var phone = EdgePhone(paths: Self.long)
        let (relayed, told) = scene.bind(&phone, extra: ["Path: <sip:foreign@9.9.9.9;lr>"])
        #expect(try #require(relayed).all("Path").isEmpty)
        // §5.3: the answer repeats what the registrar has stored, and nothing else.
        #expect(
            told?.all("Path") == ["<sip:token1@192.0.2.20;lr>, <sip:inner@10.2.2.2:5070;lr>;x=1"])
        let absorbed = scene.send(phone.register(), from: edge)[0]
        #expect(absorbed.code == 200 && absorbed.all("Path") == told?.all("Path"))
    }

    @Test func `stands below ours where the main registrar stores Paths`() throws {
        let scene = edgeScene(placement: .path)
        var phone = EdgePhone(paths: Self.long)
        let first = scene.send(phone.register(), from: edge)[0]
        let paths = first.all("Path")
        #expect(paths.count == 3 && Array(paths.dropFirst()) == Self.long)
        #expect(paths[0].hasSuffix("@127.0.0.1:5060;lr>"))
        let told = scene.send(
            answer(first, extra: ["Path: \(paths.joined(separator: ", "))"]), from: mainServer,
            socket: mainSocket)[0]
        #expect(told.all("Path") == [paths.joined(separator: ", ")])
        let absorbed = scene.send(phone.register(), from: address("192.0.2.20:6060"))[0]
        #expect(absorbed.code == 200 && absorbed.all("Path") == told.all("Path"))
    }

    @Test(arguments: [MainContact.Placement.parameter, .path])
    func `is told only to whom knows Path`(placement: MainContact.Placement) throws {
        let scene = edgeScene(placement: placement)
        var phone = EdgePhone(supported: "gruu")
        let relayed = scene.send(phone.register(), from: edge)[0]
        let path = relayed.all("Path").map { "Path: \($0)" }
        let told = scene.send(
            answer(relayed, extra: path), from: mainServer, socket: mainSocket)[0]
        #expect(told.code == 200 && told.all("Path").isEmpty)
        let absorbed = scene.send(phone.register(), from: edge)[0]
        #expect(absorbed.code == 200 && absorbed.all("Path").isEmpty)
        // It was kept all the same.
        #expect(scene.store.visible.values.contains { $0.has("token1") })
    }

    @Test(
        arguments: [
            ("<sip:192.0.2.20;lr>", nil), ("<sips:e@edge.test;lr>", nil),
            ("\"E\" <sip:e@edge.test;lr>;p=1", nil),
            ("sip:192.0.2.20;lr", .pathMalformed), ("<tel:+1>", .pathMalformed),
            ("<sip:192.0.2.20;lr", .pathMalformed), ("<sip:192.0.2.20;lr>,", .pathMalformed),
            ("<sip:192.0.2.20;lr?X=1>", .pathMalformed), ("", .pathMalformed),
            (Self.fitting(1_024), nil), (Self.fitting(1_025), .pathTooLong),
        ] as [(String, Counter?)]
    )
    func `is refused if it cannot be read or kept`(path: String, reason: Counter?) {
        let scene = edgeScene()
        var phone = EdgePhone(paths: [path])
        let sent = scene.send(phone.register(), from: edge)
        guard let reason else {
            #expect(sent.map(\.to) == [mainServer])
            return
        }
        #expect(sent.map(\.code) == [400] && sent.map(\.to) == [edge])
        #expect(scene.counter(reason) == 1 && scene.counter(.registerRejected) == 1)
        // From anybody else it is of no interest.
        var other = EdgePhone(source: stranger, paths: [path])
        #expect(scene.send(other.register(), from: stranger).first?.to == mainServer)
    }

    /// A Path of so many bytes, in several hops.
    static func fitting(_ count: Int) -> String {
        let hop = "<sip:h;lr>, "
        let head = String(repeating: hop, count: 40)
        let rest = count - head.utf8.count
        return head + "<sip:" + String(repeating: "t", count: rest - 11) + "@h;lr>"
    }
}

extension [UInt8] {
    fileprivate func has(_ text: String) -> Bool { firstRange(of: Array(text.utf8)) != nil }
}

@Suite("A call to a phone behind an edge")
struct EdgeCallTests {
    private func uri(_ relayed: Sent?) -> String {
        "sip:alice@127.0.0.1:5060;ctid=\(relayed?.first("Contact").contactID ?? "")"
    }

    @Test(
        arguments: [
            ("<sip:token1@192.0.2.20;lr>", "192.0.2.20:5060"),
            ("<sip:token1@192.0.2.20:5080;lr>", "192.0.2.20:5080"),
            ("<sip:token1@192.0.2.21:5080;transport=UDP;lr>", "192.0.2.21:5080"),
            ("<sip:token1@[::ffff:192.0.2.20]:5080;lr>", "192.0.2.20:5080"),
            // What UDP does not reach, a name, and who is no edge: back to where it came from.
            ("<sip:token1@edge.test:5080;lr>", "192.0.2.20:31000"),
            ("<sip:token1@198.51.100.1:5080;lr>", "192.0.2.20:31000"),
            ("<sip:token1@[2001:db8::20]:5080;lr>", "192.0.2.20:31000"),
            ("<sip:token1@192.0.2.20:5080;transport=tcp;lr>", "192.0.2.20:31000"),
            ("<sips:token1@192.0.2.20:5080;lr>", "192.0.2.20:31000"),
        ])
    func `has the whole Path as its Route, and goes to the first of it`(
        first: String, hop: String
    ) throws {
        let scene = edgeScene(edges: ["192.0.2.20", "192.0.2.21", "2001:db8::20"])
        var phone = EdgePhone(
            source: address("192.0.2.20:31000"), paths: [first, "<sip:inner@10.2.2.2;lr>"])
        let (relayed, _) = scene.bind(&phone)
        for isAfterRestart in [false, true] {
            if isAfterRestart { scene.restart() }
            let call = scene.call(request("INVITE", uri(relayed)), from: mainServer)[0]
            #expect(call.to == address(hop) && call.socket == listener)
            #expect(call.startLine == "INVITE \(phoneURI) SIP/2.0")
            #expect(call.all("Route") == ["\(first), <sip:inner@10.2.2.2;lr>"])
            #expect(call.first("Record-Route").hasSuffix("@127.0.0.1:5060;lr>"))
            let ringing = scene.send(answer(call, 180, without: true), from: address(hop))
            #expect(ringing.map(\.to) == [mainServer] && ringing[0].all("Via").count == 1)
        }
    }

    /// The port from which an edge refreshes is no way to move a call.
    @Test func `goes where it went before a refresh from another port was absorbed`() {
        let scene = edgeScene()
        var phone = EdgePhone(paths: ["<sip:token1@edge.test;lr>"])
        let (relayed, _) = scene.bind(&phone)
        #expect(
            scene.send(phone.register(), from: address("192.0.2.20:999")).first?.code == 200)
        #expect(scene.call(request("INVITE", uri(relayed)), from: mainServer).map(\.to) == [edge])
    }

    @Test func `without a Path goes to the flow`() {
        let scene = edgeScene()
        var phone = EdgePhone(paths: [])
        let (relayed, _) = scene.bind(&phone)
        let call = scene.call(request("INVITE", uri(relayed)), from: mainServer)[0]
        #expect(call.to == edge && call.all("Route").isEmpty)
    }

    @Test func `does not take the Path of an edge that is none any more`() {
        let before = edgeScene()
        var phone = EdgePhone()
        let (relayed, _) = before.bind(&phone)
        let after = edgeScene(edges: ["192.0.2.21"])
        after.store = before.store
        after.restart()
        let call = after.call(request("INVITE", uri(relayed)), from: mainServer)[0]
        #expect(call.to == edge && call.all("Route").isEmpty)
        #expect(after.counter(.pathOfFormerEdge) == 1)
    }

    @Test func `takes the newest Path that the main registrar has agreed to`() {
        let scene = edgeScene()
        var phone = EdgePhone()
        let (relayed, _) = scene.bind(&phone)
        phone.paths = ["<sip:token2@192.0.2.21:5070;lr>"]
        let pending = scene.send(phone.register(), from: otherEdge)[0]
        let early = scene.call(request("INVITE", uri(relayed)), from: mainServer)[0]
        #expect(early.to == edge && early.first("Route").contains("token1"))
        scene.send(answer(pending), from: mainServer, socket: mainSocket)
        let late = scene.call(
            request("INVITE", uri(relayed), branch: "z9hG4bK2"), from: mainServer)[0]
        #expect(late.to == address("192.0.2.21:5070") && late.first("Route").contains("token2"))
    }

    @Test func `to the one contact of an AOR takes the Path of the phone it rings`() {
        let scene = edgeScene { $0.mode = .throttleByAOR }
        var phone = EdgePhone()
        _ = scene.bind(&phone)
        let call = scene.call(
            request("INVITE", "sip:alice%40example.test@127.0.0.1:5060"), from: mainServer)[0]
        #expect(call.to == edge && call.all("Route") == phone.paths)
    }

    @Test func `by our Path finds the edge's behind it, once`() throws {
        let scene = edgeScene(placement: .path)
        var phone = EdgePhone(paths: ["<sip:token1@192.0.2.20:5088;lr>"])
        let (relayed, _) = scene.bind(&phone)
        let paths = try #require(relayed).all("Path")
        let whole = scene.call(request("INVITE", phoneURI, route: paths), from: mainServer)[0]
        #expect(whole.to == address("192.0.2.20:5088") && whole.all("Route") == phone.paths)
        // A main registrar that kept the topmost alone: ours knows the rest.
        let cut = scene.call(
            request("INVITE", phoneURI, branch: "z9hG4bK2", route: [paths[0]]), from: mainServer)[0]
        #expect(cut.to == address("192.0.2.20:5088") && cut.all("Route") == phone.paths)
    }

    @Test func `is hung up along the edge's Record-Route, or by its Path without one`() {
        let scene = edgeScene()
        var phone = EdgePhone(paths: ["<sip:token1@192.0.2.20:5088;lr>"])
        let (relayed, _) = scene.bind(&phone)
        let call = scene.call(request("INVITE", uri(relayed)), from: mainServer)[0]
        let ours = call.first("Record-Route")
        func bye(_ route: [String], _ branch: String) -> Sent {
            scene.send(
                request("BYE", phoneURI, toTag: "p", sequence: 2, branch: branch, route: route),
                from: mainServer)[0]
        }
        let recorded = bye([ours, "<sip:rr@192.0.2.20:5099;lr>"], "z9hG4bKb1")
        #expect(recorded.to == address("192.0.2.20:5099"))
        #expect(recorded.all("Route") == ["<sip:rr@192.0.2.20:5099;lr>"])
        let foreign = bye([ours, "<sip:rr@198.51.100.5;lr>"], "z9hG4bKb2")
        #expect(foreign.to == edge && foreign.all("Route") == ["<sip:rr@198.51.100.5;lr>"])
        let plain = bye([ours], "z9hG4bKb3")
        #expect(plain.to == address("192.0.2.20:5088") && plain.all("Route") == phone.paths)
    }
}

@Suite("A call from an edge")
struct CallFromEdgeTests {
    let scene = edgeScene()

    private func invite(_ source: TransportAddress, from: String = "sip:alice@example.test")
        -> [Sent]
    {
        scene.call(
            request("INVITE", "sip:bob@example.test", from: from, branch: "z9hG4bK\(source.port)"),
            from: source)
    }

    @Test func `goes to the main registrar, whoever calls`() {
        #expect(invite(edge).map(\.to) == [mainServer])
        #expect(
            invite(address("192.0.2.20:999"), from: "sip:x@else.test").map(\.to) == [mainServer])
        #expect(invite(stranger).map(\.code) == [403])
        #expect(invite(address("192.0.2.22:5060")).map(\.code) == [403])
    }

    @Test func `also by our own address as its domain`() {
        let text = request("INVITE", "sip:bob@127.0.0.1:5060", from: "sip:x@127.0.0.1")
        #expect(scene.call(text, from: edge).map(\.to) == [mainServer])
        #expect(scene.send(text, from: stranger).map(\.code) == [403])
    }

    @Test func `of a bound phone is recorded, from any port, and its dialog goes both ways`() {
        var phone = EdgePhone()
        _ = scene.bind(&phone)
        let call = invite(address("192.0.2.20:40000"))[0]
        #expect(call.to == mainServer && call.all("Record-Route").count == 1)
        let route = call.first("Record-Route")
        func bye(_ source: TransportAddress) -> [Sent] {
            scene.send(
                request("BYE", "sip:bob@127.0.0.1", toTag: "t", sequence: 2, route: [route]),
                from: source)
        }
        #expect(bye(address("192.0.2.20:40001")).map(\.to) == [mainServer])
        #expect(bye(otherEdge).map(\.code) == [403])
        #expect(bye(stranger).map(\.code) == [403])
        let back = bye(mainServer)
        #expect(back.map(\.to) == [edge] && back[0].all("Route") == phone.paths)
    }

    /// RFC 5626 §4.2.1: two flows of one phone, each by an edge of its own.
    @Test func `goes on by the other edge of a phone with two flows`() {
        var first = EdgePhone()
        let instance = ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\""
        first.contact += instance + ";reg-id=1"
        _ = scene.bind(&first)
        var second = EdgePhone(source: otherEdge, paths: ["<sip:token2@192.0.2.21;lr>"])
        second.callID = "edge-2@phone"
        second.contact = "<\(phoneURI)>\(instance);reg-id=2"
        _ = scene.bind(&second)
        let route = invite(edge)[0].first("Record-Route")
        func bye(_ source: TransportAddress) -> [Sent] {
            scene.send(
                request("BYE", "sip:bob@127.0.0.1", toTag: "t", sequence: 2, route: [route]),
                from: source)
        }
        #expect(bye(address("192.0.2.21:40001")).map(\.to) == [mainServer])
        #expect(bye(address("192.0.2.22:5060")).map(\.code) == [403])
        let back = bye(mainServer)
        #expect(back.map(\.to) == [edge] && back[0].all("Route") == first.paths)
    }

    /// Contact IDs and tokens are the main side's.
    @Test func `to a contact ID, an AOR's contact or a token is forbidden`() {
        var phone = EdgePhone()
        let (relayed, _) = scene.bind(&phone)
        let id = relayed?.first("Contact").contactID ?? ""
        let token = invite(edge)[0].first("Record-Route")
        for text in [
            request("INVITE", "sip:alice@127.0.0.1:5060;ctid=\(id)"),
            request("INVITE", "sip:alice%40example.test@127.0.0.1:5060"),
            request("INVITE", phoneURI, route: [token]),
        ] {
            #expect(scene.call(text, from: edge).map(\.code) == [403])
        }
    }
}
