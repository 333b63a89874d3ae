import Foundation
import Testing

extension EndToEnd {
    /// RFC 5626: a phone that keeps two flows is one contact at the main registrar.
    @Suite("A phone with two flows before Kamailio", .serialized)
    struct Flows {
        @Test(arguments: [Form.parameter, .user])
        func `is one row there, and called by the flow heard of last`(form: Form) async throws {
            let stage = try await Stage(configuration: form.configuration)
            let one = try stage.phone("alice")
            let two = try stage.phone("alice")
            let instance = ";+sip.instance=\"<urn:uuid:\(UUID().uuidString.lowercased())>\""
            let contacts = [
                "\(one.contact)\(instance);reg-id=1", "\(two.contact)\(instance);reg-id=2",
            ]

            #expect(try await one.register(contact: contacts[0]).status == 200)
            let first = try await stage.main.rows()
            try #require(first.count == 1)
            let both = try await two.register(contact: contacts[1])
            #expect(both.status == 200 && both.all("Require").isEmpty)
            #expect(both.all("Contact").joined().components(separatedBy: "reg-id=").count == 3)
            let rows = try await stage.main.rows()
            #expect(rows.map(\.contact) == first.map(\.contact))
            #expect(try await stage.midreg.contacts().count == 2)
            try await expectCall(by: two, stage)

            // Without credentials: nobody but midreg has answered.
            one.credentials = nil
            #expect(
                try await one.exchange(one.makeRegister(contact: contacts[0]))?.status == 200)
            try await expectCall(by: one, stage)

            // Both come back after a restart.
            _ = try await stage.midreg.stop()
            try await stage.midreg.start()
            for (phone, contact) in [(one, contacts[0]), (two, contacts[1])] {
                phone.credentials = nil
                let refresh = phone.makeRegister(contact: contact)
                #expect(try await phone.exchange(refresh)?.status == 200)
            }
            try await expectCall(by: two, stage)

            #expect(try await two.register(expires: 0, contact: contacts[1]).status == 200)
            #expect(try await stage.main.rows().map(\.contact) == first.map(\.contact))
            #expect(try await stage.midreg.contacts().count == 1)
            try await expectCall(by: one, stage)

            #expect(try await one.register(expires: 0, contact: contacts[0]).status == 200)
            #expect(try await stage.main.rows() == [])
            #expect(try await stage.midreg.contacts() == [])

            // Silent flows: the shorter one takes nothing along, the longer one the contact.
            #expect(try await one.register(expires: 5, contact: contacts[0]).status == 200)
            #expect(try await two.register(expires: 2, contact: contacts[1]).status == 200)
            try await until("the shorter flow has ended") {
                try await stage.midreg.metrics().contacts == 1
            }
            #expect(try await stage.main.rows().count == 1)
            try await until("the silent phone is gone from Kamailio") {
                try await stage.main.rows().isEmpty
            }
            #expect(try await stage.midreg.metrics().ownRemovals("done") == 1)
            try await stage.end()
        }

        private func expectCall(by phone: Phone, _ stage: Stage) async throws {
            let call = try Sipp.startCall(to: "alice", at: stage.main.endpoint, in: stage.folder)
            let invite = try await phone.answerCall()
            #expect(invite.requestURI == "sip:alice@\(phone.socket.endpoint)")
            #expect(try await call.end() == .exit(0), "\(call.log.suffix(2_000))")
        }
    }
}
