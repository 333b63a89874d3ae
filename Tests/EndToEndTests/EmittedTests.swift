import Foundation
import Testing

extension EndToEnd {
    /// Every message that leaves midreg in these scenes stands Kamailio's checks
    /// (`sanity_check("17895", "7")`); of those of other readers, see `Tests/Differential`.
    @Suite("What midreg emits is valid to a strict reader", .serialized)
    struct Emitted {
        /// midreg between a main registrar that agrees to all and phones that keep all they get.
        final class Scene {
            let folder: Folder
            let main: StubRegistrar
            let midreg: Midreg
            let judge: Judge
            private(set) var toPhones: [[UInt8]] = []

            init(configuration: String? = nil, arguments: [String] = []) async throws {
                folder = try Folder()
                main = try StubRegistrar()
                midreg = try Midreg(
                    main: main.socket.endpoint, configuration: configuration,
                    arguments: arguments, in: folder)
                try await midreg.start()
                judge = try await Judge(in: folder)
            }

            /// Another midreg over the state of one that was before.
            init(after main: StubRegistrar, in folder: Folder) async throws {
                self.folder = folder
                self.main = main
                midreg = try Midreg(main: main.socket.endpoint, in: folder)
                try await midreg.start()
                judge = try await Judge(in: folder)
            }

            /// Has a message that came to a phone judged too.
            func keep(_ bytes: [UInt8]) { toPhones.append(bytes) }

            /// What comes to a socket next, while the main registrar serves; `nil` if nothing does.
            @discardableResult
            func next(
                at socket: DatagramSocket, within limit: Duration = .seconds(5)
            ) async throws -> [UInt8]? {
                let deadline = ContinuousClock.now + limit
                while ContinuousClock.now < deadline {
                    main.serve()
                    if let (bytes, _) = socket.take() {
                        toPhones.append(bytes)
                        return bytes
                    }
                    try await Task.sleep(for: .milliseconds(2))
                }
                return nil
            }

            /// Sends a request of a phone and returns the status of what comes back.
            func exchange(_ phone: Phone, _ text: String) async throws -> Int? {
                phone.socket.send(text, to: midreg.endpoint)
                return try await next(at: phone.socket).flatMap { RawMessage($0).status }
            }

            /// The request that came to the main registrar last.
            var lastAtMain: RawMessage? { main.requests.last }

            /// Shows all that left midreg to the judge, and to sofia-sip if it is installed; returns
            /// how many messages that were.
            ///
            /// - Parameter echoed: what is broken in answers to requests in which it was broken: an
            ///   answer repeats those fields (RFC 3261 §8.2.6.2).
            func judgeAll(echoed: [String] = []) async throws -> Int {
                main.serve()
                let all = main.datagrams + toPhones
                let other = try await SofiaReader.complaints(about: all, in: folder)
                for (index, bytes) in all.enumerated() {
                    let text = String(latin: bytes)
                    guard !echoed.contains(where: text.contains) else { continue }
                    let verdict = try await judge.verdict(of: bytes)
                    #expect(verdict == "200 Valid", "\(text)")
                    if let other { #expect(other[index] == "", "\(text)") }
                }
                let requests = all.count { RawMessage($0).status == nil }
                print("judged: \(requests) requests, \(all.count - requests) responses")
                await judge.stop()
                let (ending, _) = try await midreg.stop()
                #expect(ending == .exit(0), "\(midreg.log.suffix(3_000))")
                return all.count
            }
        }

        @Test func `the judge knows a bad message from a good one`() async throws {
            let folder = try Folder()
            let judge = try await Judge(in: folder)
            let phone = try Phone("alice", server: Endpoint("127.0.0.1", 9))
            let good = phone.makeRegister().text
            #expect(try await judge.verdict(of: Array(good.utf8)) == "200 Valid")
            for (old, new) in [
                ("Content-Length: 0", "Content-Length: 7"), ("CSeq: 1 REGISTER", "CSeq: 1 INVITE"),
                ("CSeq: 1", "CSeq: x"), ("sip:example.test SIP", "sip:[::: SIP"),
                ("Call-ID:", "X-ID:"), ("From: <sip:", "From: <"),
            ] {
                let bad = good.replacingOccurrences(of: old, with: new)
                let verdict = try await judge.verdict(
                    of: Array(bad.utf8), within: .milliseconds(500))
                #expect(verdict != "200 Valid", "\(old) made \(new)")
            }
            await judge.stop()
        }

        /// Stands for #1141.
        @Test func `a relayed REGISTER with several contacts, absorbed 200s and removals`()
            async throws
        {
            let scene = try await Scene()
            let phone = try Phone("alice", server: scene.midreg.endpoint)
            let at = phone.socket.endpoint
            let shapes = [
                "<sip:alice@\(at)>",
                "\"A, \\\"q\\\"; <x>\" <sip:alice@\(at);transport=udp>;expires=90;q=0.5",
                "sip:alice@\(at);expires=60, <sip:a%20b@\(at)>;+sip.instance=\"<urn:uuid:1>\"",
                "Alice B <sip:alice@\(at)>;q=1;x=\"y, z\",\r\n <sip:[2001:db8::1]:5070>\t;expires = 80",
            ]
            for (number, shape) in shapes.enumerated() {
                phone.callID = "several-\(number)"
                phone.sequence = 0
                for _ in 0..<3 {
                    let request = phone.makeRegister(expires: 60, contact: shape)
                    #expect(try await scene.exchange(phone, request.text) == 200, "\(shape)")
                }
                var removal = phone.makeRegister(expires: 0, contact: shape)
                removal.set("Contact", "*")
                #expect(try await scene.exchange(phone, removal.text) == 200)
            }
            // Compact names, folds and white space go on as they came.
            phone.sequence = 0
            phone.callID = "compact"
            var compact = phone.makeRegister()
            for (index, field) in compact.fields.enumerated() {
                let short = ["Via": "v", "From": "f", "To": "t", "Call-ID": "i", "Contact": "m"]
                compact.fields[index].name = short[field.name] ?? field.name
                compact.fields[index].value = "\r\n " + field.value
            }
            #expect(try await scene.exchange(phone, compact.text) == 200)
            #expect(try await scene.midreg.metrics().absorbed > 0)
            let count = try await scene.judgeAll()
            #expect(count >= 24)
        }

        @Test func `a removal of its own`() async throws {
            let scene = try await Scene(configuration: EndToEnd.Silence.shortGrants)
            let phone = try Phone("carol", server: scene.midreg.endpoint)
            let request = phone.makeRegister(expires: 2)
            #expect(try await scene.exchange(phone, request.text) == 200)
            try await until(within: .seconds(20), "its removal is there") {
                scene.main.serve()
                return scene.main.requests.count > 1
            }
            let removal = try #require(scene.lastAtMain)
            #expect(removal.method == "REGISTER")
            #expect(removal.first("call-id")?.value != phone.callID)
            let count = try await scene.judgeAll()
            #expect(count >= 3)
        }

        @Test func `calls and messages both ways`() async throws {
            let scene = try await Scene(arguments: ["--strangers", "main"])
            let phone = try Phone("bob", server: scene.midreg.endpoint)
            #expect(try await scene.exchange(phone, phone.makeRegister().text) == 200)
            let contact = try #require(scene.lastAtMain?.first("contact")?.value)
            let uri = String(contact.drop { $0 != "<" }.dropFirst().prefix { $0 != ">" })

            // From the main side to the phone, which answers each.
            let caller = try Phone("main", server: scene.midreg.endpoint)
            for (number, method) in ["INVITE", "ACK", "MESSAGE", "OPTIONS", "BYE"]
                .enumerated()
            {
                var request = caller.makeRequest(method, uri, sequence: UInt32(number + 1))
                request.set(
                    "Via", "SIP/2.0/UDP \(scene.main.socket.endpoint);branch=z9hG4bKm\(number)")
                request.body = method == "MESSAGE" ? "hello\r\n" : ""
                scene.main.socket.send(request.text, to: scene.midreg.endpoint)
                let arrived = try #require(try await scene.next(at: phone.socket), "\(method)")
                #expect(RawMessage(arrived).method == method)
                guard method != "ACK", let message = Message(arrived) else { continue }
                let before = scene.main.datagrams.count
                phone.socket.send(
                    message.response(200, "OK", toTag: "t").text, to: scene.midreg.endpoint)
                try await until(within: .seconds(5), "the answer to \(method) is there") {
                    scene.main.serve()
                    return scene.main.datagrams.count > before
                }
            }
            // A call that is given up while it rings.
            var ringing: Message?
            for method in ["INVITE", "CANCEL"] {
                var request = caller.makeRequest(method, uri, sequence: 20)
                request.set("Via", "SIP/2.0/UDP \(scene.main.socket.endpoint);branch=z9hG4bKgiven")
                scene.main.socket.send(request.text, to: scene.midreg.endpoint)
                let arrived = try #require(try await scene.next(at: phone.socket), "\(method)")
                #expect(RawMessage(arrived).method == method)
                let message = try #require(Message(arrived))
                if method == "INVITE" { ringing = message }
                phone.socket.send(
                    message.response(method == "INVITE" ? 180 : 200, "OK", toTag: "g").text,
                    to: scene.midreg.endpoint)
            }
            phone.socket.send(
                try #require(ringing).response(487, "Request Terminated", toTag: "g").text,
                to: scene.midreg.endpoint)
            let ack = try #require(try await scene.next(at: phone.socket), "the ACK")
            #expect(RawMessage(ack).method == "ACK")

            // From the phone to the main registrar, which answers.
            for (number, method) in ["INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE"].enumerated() {
                let request = phone.makeRequest(
                    method, "sip:dave@example.test", sequence: UInt32(number + 10))
                var status = try await scene.exchange(phone, request.text)
                if method == "INVITE" {
                    #expect(status == 100)
                    status = try await scene.next(at: phone.socket).flatMap {
                        RawMessage($0).status
                    }
                }
                #expect(status == 200, "\(method)")
                #expect(scene.lastAtMain?.method == method)
            }
            let count = try await scene.judgeAll()
            #expect(count >= 20)
        }

        @Test func `a refusal of each kind`() async throws {
            let scene = try await Scene()
            let phone = try Phone("erin", server: scene.midreg.endpoint)
            func edited(_ name: String, _ value: String) -> String {
                var request = phone.makeRegister()
                request.set(name, value)
                return request.text
            }
            func other(_ method: String, _ uri: String, hops: String = "70") -> String {
                phone.sequence += 1
                var request = phone.makeRequest(method, uri, sequence: phone.sequence)
                request.set("Max-Forwards", hops)
                return request.text
            }
            let many = (0..<40).map { "<sip:e\($0)@192.0.2.1>" }.joined(separator: ",")
            let version = phone.makeRegister().text
                .replacingOccurrences(of: "test SIP/2.0\r\n", with: "test SIP/7.0\r\n")
            let refusals: [(Int, String)] = [
                (400, edited("Contact", "<sip:a")),
                (400, edited("Contact", "<sip:a@x>;expires=1;expires=2")),
                (400, edited("Max-Forwards", "many")), (400, edited("Contact", many)),
                (400, edited("CSeq", "x REGISTER")), (400, edited("Content-Length", "99")),
                (400, edited("From", "\"x <sip:a@example.test>;tag=1")),
                (400, edited("To", "<tel:+1>")), (403, other("MESSAGE", "sip:x@elsewhere.test")),
                (416, other("OPTIONS", "tel:+1")), (420, edited("Require", "foo, bar")),
                (420, edited("Proxy-Require", "foo")), (483, edited("Max-Forwards", "0")),
                (505, version),
            ]
            for (status, text) in refusals {
                let answer = try await scene.exchange(phone, text)
                #expect(answer == status, "\(text)")
            }
            let count = try await scene.judgeAll(echoed: [
                "CSeq: x REGISTER", "From: \"x <sip",
            ])
            #expect(count == refusals.count)
        }

        @Test func `a refusal of a call whose phone is gone, and of a short expiry`() async throws {
            let scene = try await Scene()
            let phone = try Phone("frank", server: scene.midreg.endpoint)
            #expect(try await scene.exchange(phone, phone.makeRegister(expires: 5).text) == 423)
            // From the main side, for a contact that nobody has.
            let uri = "sip:x@\(scene.midreg.endpoint);ctid=AAAAAAAAAAAAAAAAAAAAAAAA"
            var call = phone.makeRequest("INVITE", uri, sequence: 900)
            call.set("Via", "SIP/2.0/UDP \(scene.main.socket.endpoint);branch=z9hG4bKgone")
            scene.main.socket.send(call.text, to: scene.midreg.endpoint)
            try await until(within: .seconds(5), "the refusal is there") {
                scene.main.serve()
                return scene.lastAtMain?.status == 404
            }
            #expect(try await scene.judgeAll() == 2)
        }
    }
}
