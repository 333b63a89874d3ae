import Bytes
import CoreScene
import Forwarding
import MidRegistrarCore
import Registration
import Testing

/// An AOR whose phones are called together or one after the other.
struct Fork {
    let scene: Scene
    let phones: [TransportAddress]
    let uri = "sip:alice%40example.test@127.0.0.1:5060"

    /// - Parameter preferences: the `q` of each phone's contact; `nil` for none.
    init(_ preferences: [String?], _ change: (inout CoreOptions) -> Void = { _ in }) {
        scene = Scene(
            Scene.options {
                $0.mode = .throttleByAOR
                change(&$0)
            })
        var phones: [TransportAddress] = []
        for (number, q) in preferences.enumerated() {
            let text = "192.0.2.\(number + 1):5062"
            let from = address(text)
            var phone = Phone(from: from)
            phone.callID = "phone\(number)"
            let parameters = q.map { ";q=\($0)" } ?? ""
            let relayed = scene.send(
                phone.register(contact: "<sip:alice@\(text)>\(parameters)"), from: from)[0]
            scene.send(answer(relayed), from: mainServer, socket: mainSocket)
            phones.append(from)
        }
        self.phones = phones
    }

    /// The INVITE of a caller behind the main registrar; what midreg sends for it.
    func invite() -> [Sent] { scene.send(request("INVITE", uri), from: mainServer) }

    func respond(_ code: Int, to sent: Sent, extra: [String] = []) -> [Sent] {
        scene.send(answer(sent, code, without: true, extra: extra), from: sent.to)
    }
}

@Suite("Calls while a round has more to send than there is room")
struct FullOutboxTests {
    @Test func `a refusal that comes again gets its ACK, and not the INVITE`() {
        let fork = Fork([nil, nil])
        let invite = fork.invite()[1]
        fork.scene.fillOutbox()
        let refusal = answer(invite, 486, without: true)
        fork.scene.deliver(refusal, from: invite.to)
        fork.scene.endRound()
        #expect(!fork.scene.drain().contains { $0.to == invite.to })
        let again = fork.scene.send(refusal, from: invite.to)
        #expect(again.map(\.method) == ["ACK"])
        #expect(again.map(\.to) == [invite.to])
        #expect(again.first?.first("Via") == invite.first("Via"))
    }

    @Test func `a CANCEL goes with the next round`() {
        let fork = Fork([nil, nil])
        let sent = fork.invite()
        for invite in sent.dropFirst() { _ = fork.respond(180, to: invite) }
        fork.scene.fillOutbox()
        fork.scene.deliver(answer(sent[1], 200, without: true), from: sent[1].to)
        fork.scene.endRound()
        #expect(!fork.scene.drain().contains { $0.method == "CANCEL" })
        let later = fork.scene.advance(ms: 10)
        #expect(later.map(\.method) == ["CANCEL"])
        #expect(later.map(\.to) == [sent[2].to])
        #expect(later[0].all("Reason") == ["SIP;cause=200;text=\"Call completed elsewhere\""])
    }
}

@Suite("Forking (RFC 3261 §16.6, §16.7)")
struct ForkTests {
    @Test func `calls the phones of the highest q first`() {
        let fork = Fork(["0.5", nil, "1.0"])
        let sent = fork.invite()
        #expect(sent.map(\.code) == [100, 0, 0])
        #expect(Set(sent.dropFirst().map(\.to)) == [fork.phones[1], fork.phones[2]])
        #expect(fork.respond(486, to: sent[1]).map(\.method) == ["ACK"])
        let next = fork.respond(480, to: sent[2])
        #expect(next.map(\.method) == ["ACK", "INVITE"])
        #expect(next[1].to == fork.phones[0])
        let last = fork.respond(486, to: next[1])
        // 480 and 486 are equal: the first of them.
        #expect(last.map(\.code) == [0, 486])
        #expect(last[1].to == mainServer)
    }

    @Test func `calls all at once if told so`() {
        let fork = Fork(["0.5", nil]) { $0.forkOrder = .allAtOnce }
        #expect(fork.invite().map(\.method) == ["", "INVITE", "INVITE"])
    }

    @Test func `passes the 2xx and cancels the others with the reason`() {
        let fork = Fork([nil, nil, nil])
        let sent = fork.invite()
        #expect(fork.respond(180, to: sent[1]).map(\.code) == [180])
        #expect(fork.respond(180, to: sent[2]).map(\.code) == [180])
        let answered = fork.respond(200, to: sent[1])
        #expect(answered.map(\.code) == [200, 0])
        #expect(answered[1].method == "CANCEL")
        #expect(answered[1].to == sent[2].to)
        #expect(answered[1].all("Reason") == ["SIP;cause=200;text=\"Call completed elsewhere\""])
        #expect(answered[1].first("Via") == sent[2].first("Via"))
        #expect(answered[1].all("Via").count == 1)
        // The third had said nothing, so it is cancelled when it does (§9.1).
        let late = fork.respond(180, to: sent[3])
        #expect(late.map(\.method) == ["CANCEL"])
        #expect(fork.respond(487, to: sent[2]).map(\.method) == ["ACK"])
        // A crossing 2xx is passed too.
        #expect(fork.respond(200, to: sent[3]).map(\.code) == [200])
    }

    @Test func `a 6xx ends the search, but not before all have ended`() {
        let fork = Fork([nil, nil, "0.1"])
        let sent = fork.invite()
        _ = fork.respond(180, to: sent[2])
        let declined = fork.respond(603, to: sent[1])
        #expect(declined.map(\.method) == ["ACK", "CANCEL"])
        #expect(declined[1].all("Reason") == ["SIP;cause=603;text=\"Decline\""])
        let ended = fork.respond(487, to: sent[2])
        #expect(ended.map(\.code) == [0, 603])
    }

    @Test func `challenges of all branches go back together`() {
        let fork = Fork([nil, nil])
        let sent = fork.invite()
        _ = fork.respond(401, to: sent[1], extra: ["WWW-Authenticate: Digest realm=\"a\""])
        let last = fork.respond(407, to: sent[2], extra: ["Proxy-Authenticate: Digest realm=\"b\""])
        #expect(last.map(\.code) == [0, 401])
        #expect(last[1].all("WWW-Authenticate") == ["Digest realm=\"a\""])
        #expect(last[1].all("Proxy-Authenticate") == ["Digest realm=\"b\""])
    }

    @Test func `a MESSAGE is for all phones too, without provisional responses`() {
        let fork = Fork([nil, nil])
        let sent = fork.scene.send(request("MESSAGE", fork.uri), from: mainServer)
        #expect(sent.map(\.method) == ["MESSAGE", "MESSAGE"])
        #expect(fork.respond(404, to: sent[0]).isEmpty)
        #expect(fork.respond(200, to: sent[1]).map(\.code) == [200])
        // A copy gets the same answer.
        #expect(
            fork.scene.send(request("MESSAGE", fork.uri), from: mainServer).map(\.code) == [200])
    }

    @Test func `silence is 408 to an INVITE and nothing to a MESSAGE`() {
        let fork = Fork([nil, nil])
        _ = fork.invite()
        let sent = fork.scene.advance(ms: 33_000, step: 10)
        #expect(sent.filter { $0.method == "INVITE" }.count == 12)
        // The caller acknowledges nothing, so it is told twice.
        #expect(sent.filter { $0.code > 0 }.map(\.code) == [408, 408])
        let other = Fork([nil, nil])
        _ = other.scene.send(request("MESSAGE", other.uri), from: mainServer)
        let message = other.scene.advance(ms: 40_000, step: 10)
        // 100 once the caller's copies are far apart (RFC 4320 §4.1).
        #expect(message.filter { $0.code > 0 }.map(\.code) == [100])
    }

    /// The main registrar forks, so the branches are calls here that agree in Call-ID, CSeq and tags.
    @Test func `two calls that differ in their branch alone are both answered`() {
        let scene = Scene()
        var invites: [Sent] = []
        for number in 0..<2 {
            let host = "192.0.2.\(number + 1)"
            var phone = Phone(
                from: address("\(host):5062"), contact: "<sip:alice@\(host):5062>",
                sentBy: "\(host):5062", callID: "p\(number)@phone")
            let relayed = scene.send(phone.register(), from: phone.from)[0]
            scene.send(answer(relayed), from: mainServer, socket: mainSocket)
            let uri = "sip:alice@127.0.0.1:5060;ctid=\(relayed.first("Contact").contactID)"
            invites.append(
                passed(
                    scene.send(
                        request("INVITE", uri, branch: "z9hG4bKfork\(number)"), from: mainServer)))
        }
        #expect(invites.map(\.to) == [address("192.0.2.1:5062"), address("192.0.2.2:5062")])
        for _ in 0..<3 {
            for invite in invites {
                let back = scene.send(answer(invite, without: true), from: invite.to)
                #expect(back.map(\.code) == [200])
            }
        }
        scene.advance(ms: 70_000, step: 100)
        #expect(scene.gauge(.callsHeld) == 0)
    }

    @Test func `all memory is given back`() {
        let fork = Fork([nil, nil, nil])
        let sent = fork.invite()
        _ = fork.respond(180, to: sent[1])
        _ = fork.respond(200, to: sent[1])
        _ = fork.respond(486, to: sent[2])
        _ = fork.respond(487, to: sent[3])
        fork.scene.advance(ms: 40_000, step: 100)
        #expect(fork.scene.gauge(.callsHeld) == 0)
        #expect(fork.scene.gauge(.branchesHeld) == 0)
        #expect(fork.scene.gauge(.callBytes) == 0)
    }
}

@Suite("A fork that ends otherwise than it began")
struct ForkEndTests {
    private func expectNothingLeft(_ scene: Scene) {
        #expect(scene.gauge(.callsHeld) == 0)
        #expect(scene.gauge(.branchesHeld) == 0)
        #expect(scene.gauge(.callBytes) == 0)
    }

    @Test(arguments: ["INVITE", "MESSAGE"])
    func `gives back what was kept of a refusal when another phone answers`(method: String) {
        let fork = Fork([nil, nil])
        let sent = fork.scene.send(request(method, fork.uri), from: mainServer)
            .filter { $0.code == 0 }
        _ = fork.respond(486, to: sent[0])
        #expect(fork.respond(200, to: sent[1]).map(\.code) == [200])
        fork.scene.advance(ms: 70_000, step: 100)
        expectNothingLeft(fork.scene)
    }

    @Test func `gives back what was kept of a refusal when nobody waits for it any more`() {
        let fork = Fork(["1", "0.5"])
        let first = fork.scene.send(request("MESSAGE", fork.uri), from: mainServer)
        fork.scene.advance(ms: 20_000, step: 100)
        #expect(fork.respond(486, to: first[0]).map(\.method) == ["MESSAGE"])
        fork.scene.advance(ms: 100_000, step: 100)
        expectNothingLeft(fork.scene)
    }

    @Test func `is 503 where there is no room, whatever had none`() {
        var refused = 0
        for bytes in stride(from: 1_024, through: 8_192, by: 256) {
            let fork = Fork([nil, nil]) { $0.callBytesMax = bytes }
            let finals = fork.invite().filter { $0.code > 100 }
            #expect(finals.allSatisfy { $0.code == 503 && !$0.first("Retry-After").isEmpty })
            refused += finals.count
        }
        #expect(refused > 0)
    }

    @Test func `passes a 2xx that comes when the caller's transaction is over`() {
        let fork = Fork([nil, nil])
        let sent = fork.invite().filter { $0.code == 0 }
        #expect(fork.respond(200, to: sent[0]).map(\.code) == [200])
        fork.scene.advance(ms: 20_000, step: 100)
        #expect(fork.respond(180, to: sent[1]).map(\.method) == ["CANCEL"])
        fork.scene.advance(ms: 20_000, step: 100)
        #expect(fork.respond(200, to: sent[1]).map(\.code) == [200])
        fork.scene.advance(ms: 70_000, step: 100)
        expectNothingLeft(fork.scene)
    }

    @Test func `knows the copies of a MESSAGE that is not answered, a 408 being none`() {
        let fork = Fork([nil, nil])
        let message = request("MESSAGE", fork.uri)
        let sent = fork.scene.send(message, from: mainServer)
        for branch in sent { #expect(fork.respond(408, to: branch) == []) }
        // Its branches are forgotten, and its caller has not given up.
        fork.scene.advance(ms: 8_000, step: 100)
        #expect(fork.scene.send(message, from: mainServer).allSatisfy { $0.code == 100 })
        fork.scene.advance(ms: 70_000, step: 100)
        expectNothingLeft(fork.scene)
    }

    @Test func `tries nobody for a MESSAGE that its sender has given up`() {
        let fork = Fork(["1", "0.5"])
        var sent = fork.scene.send(request("MESSAGE", fork.uri), from: mainServer)
        sent += fork.scene.advance(ms: 70_000, step: 100)
        #expect(sent.allSatisfy { $0.to == fork.phones[0] || $0.code == 100 })
        expectNothingLeft(fork.scene)
    }
}

@Suite("CANCEL (RFC 3261 §9, §16.10)")
struct CancelTests {
    private func cancel(_ fork: Fork, reasons: [String] = []) -> [Sent] {
        fork.scene.send(
            request("CANCEL", fork.uri, extra: reasons.map { "Reason: \($0)" }), from: mainServer)
    }

    @Test func `CAN-1: is answered at once, passed to every branch, and ends in 487`() {
        let fork = Fork([nil, nil])
        let sent = fork.invite()
        _ = fork.respond(180, to: sent[1])
        _ = fork.respond(100, to: sent[2])
        let cancelled = cancel(fork)
        #expect(cancelled.map(\.code) == [200, 0, 0])
        for (number, branch) in cancelled.dropFirst().enumerated() {
            let invite = sent.first { $0.to == branch.to && $0.method == "INVITE" }
            #expect(branch.method == "CANCEL", "\(number)")
            #expect(branch.first("Via") == invite?.first("Via"))
            #expect(branch.first("CSeq") == "1 CANCEL")
            #expect(branch.all("Reason") == ["SIP;cause=487;text=\"ORIGINATOR_CANCEL\""])
        }
        #expect(fork.respond(487, to: sent[1]).map(\.method) == ["ACK"])
        let last = fork.respond(487, to: sent[2])
        #expect(last.map(\.code) == [0, 487])
        // CAN-9: a late one is answered and has no effect.
        #expect(cancel(fork).map(\.code) == [200])
    }

    @Test func `CAN-2: waits for the first provisional response, with its reasons`() {
        let fork = Fork([nil])
        let sent = fork.invite()
        let reasons = ["SIP;cause=200;text=\"Call completed elsewhere\"", "Q.850;cause=26"]
        #expect(cancel(fork, reasons: reasons).map(\.code) == [200])
        let late = fork.respond(180, to: sent[1])
        #expect(late.map(\.method) == ["", "CANCEL"])
        #expect(late[1].all("Reason") == reasons)
    }

    @Test func `CAN-2: a 2xx that comes instead is passed on`() {
        let fork = Fork([nil])
        let sent = fork.invite()
        _ = cancel(fork)
        #expect(fork.respond(200, to: sent[1]).map(\.code) == [200])
    }

    @Test func `CAN-4: a phone that rings too long is cancelled as not answering`() {
        let fork = Fork([nil])
        let sent = fork.invite()
        _ = fork.respond(180, to: sent[1])
        let late = fork.scene.advance(ms: 181_000, step: 100)
        #expect(late.map(\.method) == ["CANCEL"])
        #expect(late[0].all("Reason") == ["SIP;cause=480;text=\"NO_ANSWER\""])
        // To the caller nobody answered.
        #expect(fork.respond(487, to: sent[1]).map(\.code) == [0, 408])
    }

    @Test func `CAN-7: of a call that is not here is answered 481`() {
        let fork = Fork([nil])
        #expect(cancel(fork).map(\.code) == [481])
        // From elsewhere it is nobody's.
        _ = fork.invite()
        let foreign = fork.scene.send(request("CANCEL", fork.uri), from: stranger)
        #expect(foreign.map(\.code) == [403])
    }

    @Test func `is repeated until it is answered`() {
        let fork = Fork([nil])
        let sent = fork.invite()
        _ = fork.respond(180, to: sent[1])
        let first = cancel(fork)[1]
        #expect(fork.scene.advance(ms: 1_600, step: 10).map(\.method) == ["CANCEL", "CANCEL"])
        #expect(fork.respond(200, to: first).isEmpty)
        #expect(fork.scene.advance(ms: 10_000, step: 10).isEmpty)
    }
}
