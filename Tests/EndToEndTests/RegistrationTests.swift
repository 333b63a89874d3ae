import Foundation
import Testing

extension EndToEnd {
    @Suite("Registering through midreg at Kamailio (RFC 3261 §10)", .serialized)
    struct Registration {
        /// `bare.xml` is the proof of absorption: at Kamailio alone its refreshes are challenged.
        @Test(arguments: ["life.xml", "bare.xml"])
        func `sipp's refreshes stop at midreg and its removal empties Kamailio`(scenario: String)
            async throws
        {
            let stage = try await Stage()
            let phones = try await Sipp.phones(
                scenario, at: stage.midreg.endpoint, in: stage.folder)
            #expect(phones.succeeded, "\(phones.output.suffix(2_000))")
            #expect(try await stage.main.rows() == [])
            #expect(try await stage.midreg.contacts() == [])

            let counted = try await stage.midreg.metrics()
            #expect(counted.absorbed == 9, "three phones, three refreshes each")
            #expect(counted.relayed == 9)
            #expect(counted.relayed("new_contact") == 6, "challenged, then with credentials")
            #expect(counted.relayed("removal") == 3)
            #expect(counted.mainAnswers("401") == 3)
            #expect(counted.mainAnswers("200") == 6)
            #expect(counted.contacts == 0)
            try await stage.end()
        }

        @Test func `the first REGISTER is challenged by Kamailio and bound under our contact ID`()
            async throws
        {
            let stage = try await Stage()
            let phone = try stage.phone("alice")
            let challenge = try #require(try await phone.exchange(phone.makeRegister()))
            #expect(challenge.status == 401)
            #expect(try await stage.main.rows() == [])
            #expect(try await stage.midreg.contacts() == [], "nothing is kept without a 2xx")

            try phone.answer(challenge: challenge)
            let answer = try #require(try await phone.exchange(phone.makeRegister()))
            #expect(answer.status == 200)
            #expect(answer.all("Contact").count == 1)
            #expect(answer["Contact"]?.hasPrefix("<sip:alice@\(phone.socket.endpoint)>") == true)
            let rows = try await stage.main.rows()
            try #require(rows.count == 1)
            #expect(rows[0].addressOfRecord == "alice")
            #expect(rows[0].sequence == "2")
            #expect(isOurs(rows[0].contact, user: "alice", at: stage.midreg.endpoint))
            let listed = try await stage.midreg.contacts(of: "alice")
            #expect(listed.count == 1)
            #expect(listed.first?.contains("sip:alice@example.test") == true)

            phone.credentials = nil
            let refresh = try #require(try await phone.exchange(phone.makeRegister()))
            #expect(refresh.status == 200)
            #expect(refresh["Contact"]?.hasPrefix("<sip:alice@\(phone.socket.endpoint)>") == true)
            #expect(try await stage.main.rows() == rows, "Kamailio has not seen the refresh")
            let counted = try await stage.midreg.metrics()
            #expect(counted.absorbed == 1)
            #expect(counted.relayed("new_contact") == 2)

            #expect(try await phone.register(expires: 0).status == 200)
            #expect(try await stage.main.rows() == [])
            #expect(try await stage.midreg.contacts() == [])
            try await stage.end()
        }

        @Test func `a call from the main side reaches the phone and is hung up`() async throws {
            let stage = try await Stage()
            let phone = try stage.phone("bob")
            #expect(try await phone.register().status == 200)
            let call = try Sipp.startCall(to: "bob", at: stage.main.endpoint, in: stage.folder)
            let invite = try await phone.answerCall()
            #expect(invite.requestURI == "sip:bob@\(phone.socket.endpoint)", "as it registered")
            #expect(try await call.end() == .exit(0), "\(call.log.suffix(2_000))")
            try await stage.end()
        }

        @Test(
            .enabled("needs ::1") { (try? DatagramSocket("::1")) != nil }, arguments: [true, false])
        func `a phone registers over IPv6`(mainToo: Bool) async throws {
            let stage = try await Stage(
                mainHost: mainToo ? "::1" : "127.0.0.1",
                hosts: mainToo ? ["::1"] : ["127.0.0.1", "::1"])
            let listener = try #require(stage.midreg.listeners.last)
            let phone = try Phone("frank", at: "::1", server: listener)
            #expect(try await phone.register().status == 200)
            let rows = try await stage.main.rows()
            try #require(rows.count == 1)
            // What Kamailio is to call us at is of the family that it is spoken to in.
            #expect(isOurs(rows[0].contact, user: "frank", at: stage.midreg.endpoint))
            phone.credentials = nil
            #expect(try await phone.register().status == 200)
            #expect(try await stage.midreg.metrics().absorbed == 1)
            #expect(try await stage.midreg.contacts().count == 1)
            try await stage.end()
        }

        @Test func `stopped by SIGTERM within a second it serves at once when started again`()
            async throws
        {
            let stage = try await Stage()
            let phones = try (0..<20).map { try stage.phone("u\($0)") }
            for phone in phones { #expect(try await phone.register().status == 200) }
            let (ending, took) = try await stage.midreg.stop()
            #expect(ending == .exit(0))
            #expect(took < .seconds(1))
            #expect(try await stage.midreg.contacts().count == phones.count, "read with no daemon")

            try await stage.midreg.start()
            for phone in phones {
                phone.credentials = nil
                let answer = try await phone.exchange(phone.makeRegister())
                #expect(answer?.status == 200)
            }
            let counted = try await stage.midreg.metrics()
            #expect(counted.absorbed == phones.count)
            #expect(counted.relayed == 0)
            try await stage.end()
        }
    }
}

/// Kamailio as main registrar, midreg before it, and room for phones.
final class Stage {
    let folder: Folder
    let main: Kamailio
    let midreg: Midreg

    /// - Parameters:
    ///   - mainProcesses: Kamailio's; with more than one a response may overtake another there.
    ///   - trusting: whether Kamailio takes removals from midreg's own socket unchallenged.
    ///   - wire: makes what stands between midreg and Kamailio.
    init(
        mainHost: String = "127.0.0.1", hosts: [String] = ["127.0.0.1"], workers: Int? = nil,
        trusting: Bool = true, storesPath: Bool = false, mainProcesses: Int = 2,
        configuration: String? = nil, prefix: [String] = [],
        wire: ((Endpoint) throws -> Relay)? = nil
    ) async throws {
        folder = try Folder()
        let own = Endpoint(mainHost, try Ports.take())
        main = try await Kamailio(
            at: Endpoint(mainHost, Ports.take()), own: trusting ? own : nil, prefix: prefix,
            storesPath: storesPath, processes: mainProcesses, in: folder)
        self.wire = try wire?(main.endpoint)
        midreg = try Midreg(
            main: self.wire?.endpoint ?? main.endpoint, hosts: hosts, own: own,
            configuration: configuration, prefix: prefix, in: folder)
        try await midreg.start(workers: workers)
    }

    let wire: Relay?

    func phone(_ user: String, at host: String = "127.0.0.1") throws -> Phone {
        try Phone(user, at: host, server: midreg.endpoint)
    }

    /// Stops both, and checks that midreg was well to the end.
    func end() async throws {
        let (ending, _) = try await midreg.stop()
        #expect(ending == .exit(0), "\(midreg.log.suffix(3_000))")
        await main.stop()
        wire?.stop()
    }
}

/// Whether a contact at the main registrar is `sip:USER@LISTENER;ctid=` and 24 characters of ours.
func isOurs(_ contact: String, user: String, at listener: Endpoint) -> Bool {
    let start = "sip:\(user)@\(listener);ctid="
    guard contact.hasPrefix(start) else { return false }
    return contactID(in: contact)?.count == 24
}

/// The contact ID in a URI of ours.
func contactID(in uri: String) -> String? {
    guard let start = uri.range(of: ";ctid=") else { return nil }
    return String(uri[start.upperBound...].prefix { $0.isLetter || $0.isNumber })
}
