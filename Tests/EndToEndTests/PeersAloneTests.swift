import Testing

extension EndToEnd {
    /// The controls: what the peers do without midreg between them. Where one of these fails, the
    /// harness or the machine is at fault, not the product.
    @Suite("The peers without midreg", .serialized)
    struct PeersAlone {
        @Test func `sipp lives by the book at Kamailio and leaves nothing`() async throws {
            let folder = try Folder()
            let main = try await Kamailio(at: Endpoint("127.0.0.1", Ports.take()), in: folder)
            let life = try await Sipp.phones("life.xml", at: main.endpoint, in: folder)
            #expect(life.succeeded, "\(life.output.suffix(2_000))")
            #expect(try await main.rows() == [])
            await main.stop()
        }

        @Test func `a refresh without credentials is challenged by Kamailio`() async throws {
            let folder = try Folder()
            let main = try await Kamailio(at: Endpoint("127.0.0.1", Ports.take()), in: folder)
            let bare = try await Sipp.phones("bare.xml", count: 1, at: main.endpoint, in: folder)
            #expect(bare.ending == .exit(1))
            await main.stop()
        }

        @Test func `our own phone registers, is called and hung up`() async throws {
            let folder = try Folder()
            let main = try await Kamailio(at: Endpoint("127.0.0.1", Ports.take()), in: folder)
            let phone = try Phone("dave", server: main.endpoint)
            #expect(try await phone.register().status == 200)
            let rows = try await main.rows()
            #expect(rows.map(\.contact) == ["sip:dave@\(phone.socket.endpoint)"])
            let call = try Sipp.startCall(to: "dave", at: main.endpoint, in: folder)
            let invite = try await phone.answerCall()
            #expect(invite.requestURI == "sip:dave@\(phone.socket.endpoint)")
            #expect(try await call.end() == .exit(0))
            #expect(try await phone.register(expires: 0).status == 200)
            #expect(try await main.rows() == [])
            await main.stop()
        }

        @Test(arguments: Loss.allCases)
        func `a message lost between phone and Kamailio is made good`(loss: Loss) async throws {
            let folder = try Folder()
            let main = try await Kamailio(at: Endpoint("127.0.0.1", Ports.take()), in: folder)
            let wire = try Relay(to: main.endpoint, judge: loss.judge)
            defer { wire.stop() }
            let phone = try Phone("erin", server: wire.endpoint)
            #expect(try await phone.register().status == 200)
            #expect(phone.sent == 3)
            #expect(try await main.rows().count == 1)
            await main.stop()
        }

        @Test func `linphone registers with a password and is called`() async throws {
            let folder = try Folder()
            let main = try await Kamailio(at: Endpoint("127.0.0.1", Ports.take()), in: folder)
            let phone = try Linphone(registrar: main.endpoint, in: folder)
            try await until("linphone is registered") { phone.registrations > 0 }
            let call = try Sipp.startCall(to: "alice", at: main.endpoint, in: folder)
            #expect(
                try await call.end(within: .seconds(30)) == .exit(0), "\(call.log.suffix(2_000))")
            #expect(try await phone.quit() == .exit(0))
            try await until("Kamailio is empty") { try await main.rows().isEmpty }
            await main.stop()
        }

        @Test(
            .enabled("needs root and network namespaces") { await NetworkNamespace.isAvailable() })
        func `baresip registers in its namespace and is called`() async throws {
            let folder = try Folder()
            let space = try await NetworkNamespace()
            let main = try await Kamailio(
                at: Endpoint(NetworkNamespace.server, Ports.take()), prefix: space.prefix,
                in: folder)
            let phone = try Baresip(
                registrar: main.endpoint, prefix: space.prefix, in: folder)
            try await until("baresip is registered") { try await !main.rows().isEmpty }
            let call = try Sipp.startCall(
                to: "carol", at: main.endpoint, host: NetworkNamespace.server,
                prefix: space.prefix, in: folder)
            #expect(
                try await call.end(within: .seconds(30)) == .exit(0), "\(call.log.suffix(2_000))")
            _ = await phone.quit()
            try await until("Kamailio is empty") { try await main.rows().isEmpty }
            await main.stop()
        }
    }
}

/// Which of the four messages of a challenged registration is lost, once.
enum Loss: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case first = "REGISTER"
    case challenge = "401"
    case second = "REGISTER with credentials"
    case success = "200"

    var testDescription: String { rawValue }

    var judge: Relay.Judge {
        switch self {
        case .first: losing(.request) { $0["Authorization"] == nil }
        case .challenge: losing(.response) { $0.status == 401 }
        case .second: losing(.request) { $0["Authorization"] != nil }
        case .success: losing(.response) { $0.status == 200 }
        }
    }
}
