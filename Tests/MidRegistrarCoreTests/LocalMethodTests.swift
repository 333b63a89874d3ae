import Bytes
import CoreScene
import Forwarding
import MidRegistrarCore
import Registration
import Testing

@Suite("PRX-5: requests of phones that do not go by way of the main registrar")
struct LocalMethodTests {
    /// Phones of several AORs at two workers, each of which has its own.
    final class Pair {
        let scenes: [Scene]
        init(_ methods: CoreOptions.LocalMethods, _ change: (inout CoreOptions) -> Void = { _ in })
        {
            scenes = (0..<2).map { worker in
                Scene(
                    Scene.options {
                        $0.workers = 2
                        $0.worker = worker
                        $0.localMethods = methods
                        change(&$0)
                    })
            }
        }

        /// Gives it to a worker, and on to whom that hands it; who had it, and what was sent.
        func deliver(
            _ text: String, from source: TransportAddress, first: Int = 0, socket: UInt16 = listener
        ) -> (way: [Int], sent: [Sent]) {
            var (worker, way) = (first, [first])
            scenes[worker].mayHandOver = true
            scenes[worker].isVouched = false
            var sent = scenes[worker].send(text, from: source, socket: socket)
            while way.count < 4 {
                switch scenes[worker].disposition {
                case .done: return (way, sent)
                case .handOver(let owner):
                    worker = owner
                    scenes[worker].isVouched = false
                case .handOverVouched(let owner):
                    worker = owner
                    scenes[worker].isVouched = true
                }
                way.append(worker)
                scenes[worker].mayHandOver = false
                sent = scenes[worker].send(text, from: source, socket: socket)
                scenes[worker].isVouched = false
            }
            return (way, sent)
        }

        /// Registers a user at the address of that number; the worker that has it.
        func register(_ user: String, _ number: Int) -> Int {
            let from = Self.source(number)
            var phone = Phone(
                user: user, from: from, contact: "<sip:\(user)@\(from.text)>",
                callID: "\(user)@phone")
            let (way, relayed) = deliver(phone.register(), from: from)
            _ = deliver(answer(relayed[0]), from: mainServer, socket: mainSocket)
            return way[way.count - 1]
        }

        static func source(_ number: Int) -> TransportAddress { address("192.0.2.\(number):5062") }
    }

    private func text(
        _ method: String, _ user: String, from: String, tag: String? = nil, extra: [String] = []
    ) -> String {
        request(
            method, "sip:\(user)@example.test", from: "sip:\(from)@example.test", toTag: tag,
            callID: "\(method)-\(from)-\(user)", extra: extra)
    }

    @Test func `reach the phone whichever worker has which`() {
        let pair = Pair([.message, .options])
        var owners: [Int] = []
        for number in 0..<8 { owners.append(pair.register("user\(number)", number + 1)) }
        #expect(Set(owners) == [0, 1])
        for caller in 0..<8 {
            for callee in 0..<8 {
                for first in 0..<2 {
                    let (way, sent) = pair.deliver(
                        text("MESSAGE", "user\(callee)", from: "user\(caller)"),
                        from: Pair.source(caller + 1), first: first)
                    #expect(sent.map(\.to) == [Pair.source(callee + 1)])
                    // To the caller's worker, and from there to the callee's; twice at most.
                    #expect(way.last == owners[callee] && way.count <= 3)
                    #expect(way.contains(owners[caller]))
                    let back = pair.deliver(
                        answer(sent[0], without: true), from: Pair.source(callee + 1), first: first)
                    #expect(back.sent.map(\.to) == [Pair.source(caller + 1)])
                }
            }
        }
    }

    @Test func `go to the main registrar where no phone can be reached here`() {
        let pair = Pair(.message)
        let owner = pair.register("alice", 1)
        for number in 0..<8 {
            let (way, sent) = pair.deliver(
                text("MESSAGE", "away\(number)", from: "alice"), from: phoneA)
            #expect(sent.map(\.to) == [mainServer])
            #expect(way.contains(owner))
        }
        // A domain alone is nobody.
        let domain = request("MESSAGE", "sip:example.test", from: "sip:alice@example.test")
        #expect(pair.deliver(domain, from: phoneA).sent.map(\.to) == [mainServer])
    }

    @Test(
        arguments: [
            ("MESSAGE", nil, true), ("OPTIONS", nil, false), ("MESSAGE", "t", false),
            ("SUBSCRIBE", nil, false), ("INVITE", nil, false), ("FOO", nil, false),
            ("PUBLISH", nil, true),
        ] as [(String, String?, Bool)])
    func `are those that are named, outside dialogs`(method: String, tag: String?, isLocal: Bool) {
        let pair = Pair([.message, .publish])
        _ = pair.register("alice", 1)
        _ = pair.register("bob", 2)
        let sent = pair.deliver(text(method, "bob", from: "alice", tag: tag), from: phoneA).sent
        #expect(passed(sent).to == (isLocal ? phoneB : mainServer))
    }

    @Test(arguments: [CoreOptions.Strangers.refuse, .main])
    func `are nobody else's: strangers, edges, phones that say they are others`(
        strangers: CoreOptions.Strangers
    ) {
        let edge = address("192.0.2.20:5060")
        let pair = Pair(.message) {
            $0.strangers = strangers
            $0.edges = Edges([edge])
        }
        _ = pair.register("alice", 1)
        _ = pair.register("bob", 2)
        for (from, source) in [("alice", stranger), ("carol", stranger), ("alice", phoneB)] {
            for first in 0..<2 {
                let sent = pair.deliver(
                    text("MESSAGE", "bob", from: from), from: source, first: first
                ).sent
                #expect(sent.first?.code == (strangers == .refuse ? 403 : 0))
                #expect(sent.map(\.to) == [strangers == .refuse ? source : mainServer])
            }
        }
        let sent = pair.deliver(text("MESSAGE", "bob", from: "carol"), from: edge).sent
        #expect(sent.map(\.to) == [mainServer])
    }

    @Test func `come to all phones of who is called, and assert nothing`() {
        for isOne in [true, false] {
            let scene = Scene(Scene.options { $0.localMethods = .message })
            for (user, number) in [("alice", 1), ("bob", 2)] + (isOne ? [] : [("bob", 3)]) {
                let from = address("192.0.2.\(number):5062")
                var phone = Phone(
                    user: user, from: from, contact: "<sip:\(user)@\(from.text)>",
                    callID: "\(number)@phone")
                scene.register(&phone)
            }
            let sent = scene.send(
                text(
                    "MESSAGE", "bob", from: "alice",
                    extra: ["P-Asserted-Identity : <sip:boss@example.test>", "X: y"]), from: phoneA)
            #expect(sent.count == (isOne ? 1 : 2))
            for one in sent {
                #expect(one.startLine == "MESSAGE sip:bob@\(one.to.text) SIP/2.0")
                #expect(!one.text.contains("Asserted") && one.first("X") == "y")
                #expect(one.all("Record-Route").isEmpty)
            }
            #expect(scene.counter(.callsLocal) == 1)
            // Towards the main registrar it is that one's to judge.
            let kept = scene.call(
                text(
                    "MESSAGE", "dave", from: "alice", extra: ["P-Asserted-Identity: <sip:b@x.test>"]
                ),
                from: phoneA)
            #expect(kept.map(\.to) == [mainServer])
            #expect(kept.first?.text.contains("Asserted") == true)
        }
    }

    @Test func `are not answered with contacts by a redirect server`() {
        let pair = Pair(.message) { $0.redirectServer = .movedTemporarily }
        _ = pair.register("alice", 1)
        _ = pair.register("bob", 2)
        let sent = pair.deliver(text("MESSAGE", "bob", from: "alice"), from: phoneA).sent
        #expect(sent.map(\.to) == [phoneB])
    }
}
