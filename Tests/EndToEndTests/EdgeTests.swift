import Foundation
import Testing

extension EndToEnd {
    /// An edge proxy with a token in its Path stands between phone and midreg.
    @Suite("Phones behind an edge, before Kamailio", .serialized)
    struct Edges {
        private static func configuration(_ insert: String) -> String {
            """
            [main]
            insert = "\(insert)"
            [register]
            edges = ["127.0.0.2"]
            min_expires = "2s"
            max_expires = "60s"
            """
        }

        private func register(_ phone: Phone, credentials: Bool = true) async throws -> Message {
            func request() -> Message {
                var request = phone.makeRegister()
                request.fields.append(("Supported", "path"))
                return request
            }
            if !credentials { phone.credentials = nil }
            guard let first = try await phone.exchange(request()) else {
                throw HarnessError("no answer to REGISTER")
            }
            guard first.status == 401, credentials else { return first }
            try phone.answer(challenge: first)
            guard let second = try await phone.exchange(request()) else {
                throw HarnessError("no answer to REGISTER with digest")
            }
            return second
        }

        private func call(_ phone: Phone, _ stage: Stage) async throws -> Message {
            let call = try Sipp.startCall(
                to: phone.user, at: stage.main.endpoint, in: stage.folder)
            let invite: Message
            do { invite = try await phone.answerCall() } catch {
                let errors = stage.folder.read("call.xml.err")
                throw HarnessError("\(error)\n\(errors)\n\(call.log.suffix(2_000))")
            }
            #expect(try await call.end() == .exit(0), "\(call.log.suffix(2_000))")
            return invite
        }

        @Test(arguments: ["contact", "path"])
        func `are absorbed from any port of it, and called by its Path`(insert: String) async throws
        {
            let stage = try await Stage(
                storesPath: true, configuration: Self.configuration(insert))
            let edge = try Edge(to: stage.midreg.endpoint, at: "127.0.0.2")
            let phone = try Phone("alice", server: edge.endpoint)
            let path = edge.path(of: phone.socket.endpoint)

            let bound = try await register(phone)
            #expect(bound.status == 200, "\(bound.text)")
            #expect(bound.all("Path").joined(separator: ", ").hasSuffix(path))
            let rows = try await stage.main.rows()
            try #require(rows.count == 1)
            #expect(rows[0].path.contains(path) == (insert == "path"), "\(rows[0])")
            #expect(try await stage.midreg.contacts().first?.hasSuffix(" path=\(path)") == true)

            for round in 1...3 {
                try edge.changePort()
                let refresh = try await register(phone, credentials: false)
                #expect(refresh.status == 200, "\(refresh.text)")
                #expect(refresh.all("Path").joined(separator: ", ").hasSuffix(path))
                #expect(try await stage.midreg.metrics().absorbed == round)
            }
            #expect(try await stage.main.rows() == rows, "Kamailio has not seen it")

            for isAfterRestart in [false, true] {
                if isAfterRestart {
                    try await stage.midreg.stop()
                    try await stage.midreg.start()
                }
                let before = edge.calls.count
                let invite = try await call(phone, stage)
                #expect(invite.requestURI == "sip:alice@\(phone.socket.endpoint)")
                let taken = edge.calls.dropFirst(before)
                #expect(taken.map(\.method) == ["INVITE", "ACK", "BYE"])
                #expect(taken.first?.all("Route") == [path])
                #expect(edge.strays.isEmpty, "\(edge.strays.map(\.text))")
            }
            // After the restart as before it.
            try edge.changePort()
            #expect(try await register(phone, credentials: false).status == 200)

            // The same phone by another flow of the edge is asked by Kamailio.
            let moved = try Phone("alice", server: edge.endpoint)
            (moved.callID, moved.sequence) = (phone.callID, phone.sequence)
            var request = moved.makeRegister(contact: phone.contact)
            request.fields.append(("Supported", "path"))
            #expect(try await moved.exchange(request)?.status == 401)

            // It calls through the edge, to the main registrar.
            let calls = try await stage.midreg.metrics().sum("midreg_calls_total", ["to": "main"])
            let invite = phone.makeRequest("INVITE", "sip:nobody@example.test", sequence: 1_000)
            let refusal = try #require(try await phone.exchange(invite))
            #expect(refusal.status == 404, "\(refusal.text)")
            let metrics = try await stage.midreg.metrics()
            #expect(metrics.sum("midreg_calls_total", ["to": "main"]) > calls)

            // A removal is never absorbed.
            let challenge = try #require(try await phone.exchange(phone.makeRegister(expires: 0)))
            #expect(challenge.status == 401)
            try phone.answer(challenge: challenge)
            #expect(try await phone.exchange(phone.makeRegister(expires: 0))?.status == 200)
            #expect(try await stage.main.rows() == [])
            edge.stop()
            try await stage.end()
        }

        @Test(arguments: ["contact", "path"])
        func `are not made one by a Path of their own`(insert: String) async throws {
            let stage = try await Stage(
                storesPath: true, configuration: Self.configuration(insert))
            let victim = try DatagramSocket("127.0.0.9", port: Ports.take())
            let phone = try stage.phone("alice", at: "127.0.0.3")
            func request() -> Message {
                var request = phone.makeRegister()
                request.fields.append(("Supported", "path"))
                request.fields.append(("Path", "<sip:x@\(victim.endpoint);lr>"))
                return request
            }
            let first = try #require(try await phone.exchange(request()))
            try phone.answer(challenge: first)
            let bound = try #require(try await phone.exchange(request()))
            #expect(bound.status == 200)
            #expect(!bound.text.contains("\(victim.endpoint)"))
            let rows = try await stage.main.rows()
            #expect(rows.count == 1 && !rows[0].path.contains("\(victim.endpoint)"))
            let listed = try await stage.midreg.contacts()
            #expect(listed.count == 1 && !listed[0].contains("path="))

            phone.credentials = nil
            #expect(try await phone.exchange(request())?.status == 401, "it is relayed")
            let metrics = try await stage.midreg.metrics()
            #expect(metrics.absorbed == 0)
            #expect(metrics.sum("midreg_paths_unused_total", ["reason": "no_edge"]) == 3)

            let invite = try await call(phone, stage)
            #expect(invite.all("Route").isEmpty)
            #expect(try await victim.receive(within: .milliseconds(200)) == nil)
            try await stage.end()
        }
    }
}
