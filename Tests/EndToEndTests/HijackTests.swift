import Foundation
import Testing

extension EndToEnd {
    /// The attacks that throttling without authentication falls to, from another address.
    @Suite("Hijack attempts from a second address", .serialized)
    struct Hijack {
        /// What a stranger sends who knows everything but the password.
        enum Attempt: String, CaseIterable, Sendable, CustomTestStringConvertible {
            case newContact = "a new contact"
            case refresh = "a refresh of the victim's contact"
            case refreshFromOwnContact = "the victim's Call-ID with a contact of the stranger's"
            case removal = "a removal of the victim's contact"
            case wildcard = "a wildcard removal"
            var testDescription: String { rawValue }
        }

        /// `withPassword`: the stranger has an account of its own and uses its password.
        /// Stands for C3 P5; #2536, #3193.
        @Test(arguments: Attempt.allCases, [false, true])
        func `changes nothing without the main registrar's 2xx`(
            attempt: Attempt, withPassword: Bool
        )
            async throws
        {
            let stage = try await Stage()
            let victim = try stage.phone("alice")
            #expect(try await victim.register().status == 200)
            let rows = try await stage.main.rows()
            let contacts = try await stage.midreg.contacts()
            try #require(rows.count == 1 && contacts.count == 1)

            let stranger = try stage.phone("alice", at: "127.0.0.2")
            func send() async throws -> Message? {
                let request: Message
                switch attempt {
                case .newContact: request = stranger.makeRegister()
                case .refresh: request = stranger.makeRegister(contact: victim.contact)
                case .refreshFromOwnContact: request = stranger.makeRegister()
                case .removal:
                    request = stranger.makeRegister(expires: 0, contact: victim.contact)
                case .wildcard: request = stranger.makeRegister(expires: 0, contact: "*")
                }
                return try await stranger.exchange(request)
            }
            if attempt != .newContact {
                stranger.callID = victim.callID
                stranger.sequence = victim.sequence + 10
            }
            let answer = try #require(try await send())
            #expect(answer.status == 401, "\(answer.text)")
            #expect(answer.all("Contact").isEmpty, "the victim's contact is not told")
            if withPassword {
                try stranger.answer(challenge: answer, as: "mallory")
                #expect(try await send()?.status == 403)
            }

            #expect(try await stage.main.rows() == rows)
            #expect(stable(try await stage.midreg.contacts()) == stable(contacts))
            // The victim has lost nothing: it is refreshed here, and called on its own flow.
            victim.credentials = nil
            #expect(try await victim.exchange(victim.makeRegister())?.status == 200)
            #expect(try await stage.midreg.metrics().absorbed == 1)
            let call = try Sipp.startCall(to: "alice", at: stage.main.endpoint, in: stage.folder)
            _ = try await victim.answerCall()
            #expect(try await call.end() == .exit(0))
            #expect(try await stranger.socket.receive(within: .milliseconds(100)) == nil)
            try await stage.end()
        }

        /// The stranger has even seen the REGISTER on the main side, but cannot send from there; or
        /// it can, but must guess our branch.
        @Test func `a spoofed 200 to a pending REGISTER is dropped`() async throws {
            let folder = try Folder()
            let main = try DatagramSocket("127.0.0.1", port: Ports.take())
            let midreg = try Midreg(
                main: main.endpoint, configuration: Midreg.unprobed, in: folder)
            try await midreg.start()
            let phone = try Phone("alice", server: midreg.endpoint)
            phone.send(phone.makeRegister())
            let pending = try #require(try await main.receiveMessage(within: .seconds(5)))
            let source = try #require(pending.source)
            let contact = try #require(pending["Contact"])
            var success = pending.response(200, "OK", toTag: "spoofed")
            success.fields.append(
                ("Contact", contact.contains(";expires=") ? contact : "\(contact);expires=3600"))

            let stranger = try DatagramSocket("127.0.0.2")
            stranger.send(success.text, to: source)
            stranger.send(success.text, to: midreg.endpoint)
            let neighbour = try DatagramSocket("127.0.0.1")
            neighbour.send(success.text, to: source)
            #expect(try await phone.socket.receive(within: .seconds(1)) == nil)

            let via = try #require(pending["Via"])
            let branch = try #require(via.range(of: "branch="))
            let after = via[branch.upperBound...].prefix { $0 != ";" }
            for offset in [8, 20, after.count - 1] where offset < after.count {
                var forged = Array(after)
                forged[offset] = forged[offset] == "a" ? "b" : "a"
                var answer = success
                answer.set("Via", via.replacingOccurrences(of: after, with: String(forged)))
                main.send(answer.text, to: source)
            }
            #expect(try await phone.socket.receive(within: .seconds(1)) == nil)
            #expect(try await midreg.contacts() == [])
            #expect(try await midreg.metrics().dropped >= 6)

            // The true answer, for comparison, is taken.
            main.send(success.text, to: source)
            #expect(try await phone.socket.receiveMessage(within: .seconds(5))?.status == 200)
            #expect(try await midreg.contacts().count == 1)
            try await midreg.stop()
        }

        /// Also from the main registrar's own host: it is known by address and port.
        @Test(arguments: ["127.0.0.2", "127.0.0.1"])
        func `a stranger's INVITE gets the same 403 whether or not the contact ID exists`(
            host: String
        )
            async throws
        {
            let stage = try await Stage()
            let victim = try stage.phone("alice")
            #expect(try await victim.register().status == 200)
            let contact = try #require(try await stage.main.rows().first?.contact)
            let valid = try #require(contactID(in: contact))
            var wrong = Array(valid)
            wrong[wrong.count - 1] = wrong[wrong.count - 1] == "a" ? "b" : "a"
            let unknown = contact.replacingOccurrences(of: valid, with: String(wrong))

            let stranger = try stage.phone("mallory", at: host)
            var answers: [String] = []
            for uri in [contact, unknown, "sip:bob@example.test"] {
                stranger.sequence += 1
                let invite = stranger.makeRequest("INVITE", uri, sequence: stranger.sequence)
                let answer = try #require(try await stranger.exchange(invite, within: .seconds(5)))
                #expect(answer.status == 403)
                let told = answer.fields.filter { !["Via", "CSeq", "To"].contains($0.name) }
                answers.append("\(answer.startLine) \(told)")
            }
            #expect(Set(answers).count == 1, "\(answers)")
            #expect(try await victim.socket.receive(within: .milliseconds(300)) == nil)
            #expect(try await stage.midreg.metrics().callsRefused("forbidden") >= 3)
            try await stage.end()
        }
    }
}

/// What does not move by itself in a listing.
func stable(_ lines: [String]) -> [String] {
    lines.map { line in
        line.split(separator: " ").filter { !$0.hasPrefix("main_expires_in=") }
            .joined(separator: " ")
    }
}
