import Foundation
import Testing

/// A mode, and what the main registrar is given in place of a phone's contact.
enum Form: CaseIterable {
    case parameter, user, path, addressOfRecord, mirror

    var keys: (main: String, register: String) {
        switch self {
        case .parameter: ("id = \"parameter\"", "mode = \"contact\"")
        case .user: ("id = \"user\"", "mode = \"contact\"")
        case .path: ("insert = \"path\"", "mode = \"contact\"")
        case .addressOfRecord: ("", "mode = \"aor\"")
        case .mirror: ("", "mode = \"mirror\"")
        }
    }

    var configuration: String {
        """
        [main]
        \(keys.main)
        [register]
        \(keys.register)
        min_expires = "2s"
        max_expires = "60s"
        """
    }

    /// What stands at the main registrar for the phone, as far as it is known beforehand.
    func isRow(_ row: Kamailio.Row, of phone: String, user: String, at listener: Endpoint) -> Bool {
        switch self {
        case .parameter, .mirror: isOurs(row.contact, user: user, at: listener)
        case .user:
            row.contact.hasPrefix("sip:") && row.contact.hasSuffix("@\(listener)")
                && row.contact.utf8.count == "sip:@\(listener)".utf8.count + 24
        case .path:
            row.contact == phone && row.path.contains("@\(listener);lr")
        case .addressOfRecord: row.contact == "sip:\(user)%40example.test@\(listener)"
        }
    }
}

extension EndToEnd {
    @Suite("All modes, and all ways of being found again, before Kamailio", .serialized)
    struct Modes {
        @Test(arguments: Form.allCases)
        func `two phones register, refresh, are called, leave and lapse`(form: Form) async throws {
            let stage = try await Stage(storesPath: true, configuration: form.configuration)
            let one = try stage.phone("alice")
            let two = try stage.phone("alice")
            #expect(try await one.register().status == 200)
            let first = try await stage.main.rows()
            try #require(first.count == 1)
            let isRow = form.isRow(
                first[0], of: "sip:alice@\(one.socket.endpoint)", user: "alice",
                at: stage.midreg.endpoint)
            #expect(isRow, "\(first[0]) \(first[0].path)")

            one.credentials = nil
            let refresh = try #require(try await one.exchange(one.makeRegister()))
            if form == .mirror {
                #expect(refresh.status == 401, "it is Kamailio that is asked")
                #expect(try await one.register().status == 200)
                #expect(try await stage.main.rows() != first)
            } else {
                #expect(refresh.status == 200)
                #expect(try await stage.main.rows() == first, "Kamailio has not seen it")
            }

            let second = try await two.register()
            #expect(second.status == 200)
            #expect(second.all("Contact").joined().components(separatedBy: "sip:").count == 3)
            let isShared = form == .addressOfRecord
            #expect(try await stage.main.rows().count == (isShared ? 1 : 2))
            #expect(try await stage.midreg.contacts().count == 2)

            // With one contact at the main registrar it is the phone that was heard of last.
            let call = try Sipp.startCall(to: "alice", at: stage.main.endpoint, in: stage.folder)
            let invite: Message
            do { invite = try await two.answerCall() } catch {
                let errors = stage.folder.read("call.xml.err")
                throw HarnessError("\(error)\n\(errors)\n\(call.log.suffix(2_000))")
            }
            #expect(invite.requestURI == "sip:alice@\(two.socket.endpoint)")
            #expect(try await call.end() == .exit(0), "\(call.log.suffix(2_000))")

            #expect(try await one.register(expires: 0).status == 200)
            #expect(try await stage.main.rows().count == 1, "the other phone is there")
            #expect(try await stage.midreg.contacts().count == 1)
            #expect(try await two.register(expires: 0).status == 200)
            #expect(try await stage.main.rows() == [])
            #expect(try await stage.midreg.contacts() == [])

            #expect(try await two.register(expires: 2).status == 200)
            #expect(try await stage.main.rows().count == 1)
            try await until("the silent phone is gone from Kamailio") {
                try await stage.main.rows().isEmpty
            }
            let counted = try await stage.midreg.metrics()
            #expect(counted.absorbed == (form == .mirror ? 0 : 1))
            // The main registrar's own clock ends what it was told of with the phone's expiry.
            if form != .mirror { #expect(counted.ownRemovals("done") == 1) }
            try await stage.end()
        }

        @Test(arguments: [Form.path, .addressOfRecord])
        func `linphone registers, is called and leaves`(form: Form) async throws {
            let stage = try await Stage(storesPath: true, configuration: form.configuration)
            let phone = try Linphone(registrar: stage.midreg.endpoint, in: stage.folder)
            try await until("linphone is registered") { phone.registrations > 0 }
            #expect(try await stage.main.rows().count == 1)
            let call = try Sipp.startCall(to: "alice", at: stage.main.endpoint, in: stage.folder)
            #expect(
                try await call.end(within: .seconds(30)) == .exit(0), "\(call.log.suffix(2_000))")
            #expect(try await phone.quit() == .exit(0))
            try await until("Kamailio is empty") { try await stage.main.rows().isEmpty }
            try await stage.end()
        }

        /// The bar of the test below: without a Path it is refused there.
        /// Stands for #439.
        @Test func `Kamailio alone refuses Outbound that comes through a proxy without it`()
            async throws
        {
            let folder = try Folder()
            let main = try await Kamailio(
                at: Endpoint("127.0.0.1", Ports.take()), storesPath: true, in: folder)
            let phone = try Phone("alice", server: main.endpoint)
            let contact =
                phone.contact
                + ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\";reg-id=1"
            let first = try #require(try await phone.exchange(phone.makeRegister()))
            try phone.answer(challenge: first)
            var request = phone.makeRegister(contact: contact)
            request.fields.append(("Supported", "outbound, path"))
            request.fields.insert(
                ("Via", "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKfar"), at: 1)
            #expect(try await phone.exchange(request)?.status == 439)
            await main.stop()
        }

        /// RFC 5626 §6: a registrar that is asked for Outbound by a request that no edge proxy marked
        /// answers 439, so what cannot be kept may not be passed on.
        @Test(
            .enabled("needs root and network namespaces") { await NetworkNamespace.isAvailable() },
            arguments: [Form.parameter, .path])
        func `baresip that asks for Outbound registers, is called and leaves`(form: Form)
            async throws
        {
            let space = try await NetworkNamespace()
            let stage = try await Stage(
                mainHost: NetworkNamespace.server, hosts: [NetworkNamespace.server],
                storesPath: true, configuration: form.configuration, prefix: space.prefix)
            let phone = try Baresip(
                registrar: stage.midreg.endpoint, outbound: true, prefix: space.prefix,
                in: stage.folder)
            try await until("baresip is registered") { try await !stage.main.rows().isEmpty }
            let rows = try await stage.main.rows()
            try #require(rows.count == 1)
            #expect(phone.log.contains("reg-id=1"), "it asks for a flow")
            #expect(rows[0].path.contains(";lr;ob") == (form == .path))
            #expect(rows[0].flow == (form == .path ? "1" : "0"))
            #expect(try await stage.midreg.metrics().mainAnswers("439") == 0)
            let call = try Sipp.startCall(
                to: "carol", at: stage.main.endpoint, host: NetworkNamespace.server,
                prefix: space.prefix, in: stage.folder)
            #expect(
                try await call.end(within: .seconds(30)) == .exit(0), "\(call.log.suffix(2_000))")
            _ = await phone.quit()
            try await until("Kamailio is empty") { try await stage.main.rows().isEmpty }
            try await stage.end()
        }
    }
}
