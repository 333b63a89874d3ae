import Testing

extension EndToEnd {
    @Suite("Real phone programs behind midreg", .serialized)
    struct RealPhones {
        /// Both programs refresh at nine tenths of what they are granted: after 9 s.
        static let shortGrants = """
            [register]
            min_expires = "5s"
            max_expires = "10s"
            """

        @Test func `linphone registers, is refreshed here, called, hung up, and leaves`()
            async throws
        {
            let stage = try await Stage(configuration: Self.shortGrants)
            let phone = try Linphone(registrar: stage.midreg.endpoint, in: stage.folder)
            try await until("linphone is registered") { phone.registrations > 0 }
            let rows = try await stage.main.rows()
            try #require(rows.count == 1)
            #expect(isOurs(rows[0].contact, user: "alice", at: stage.midreg.endpoint))

            let call = try Sipp.startCall(to: "alice", at: stage.main.endpoint, in: stage.folder)
            #expect(
                try await call.end(within: .seconds(30)) == .exit(0), "\(call.log.suffix(2_000))")

            try await until(within: .seconds(30), "linphone's refresh is absorbed") {
                try await stage.midreg.metrics().absorbed > 0
            }
            try await until("linphone has its 200") { phone.registrations > 1 }
            #expect(try await stage.main.rows() == rows, "Kamailio has not seen the refresh")
            let counted = try await stage.midreg.metrics()
            #expect(counted.mainAnswers("401") == 1)
            #expect(counted.mainAnswers("200") == 1)
            #expect(counted.callsToPhone > 0)

            #expect(try await phone.quit() == .exit(0))
            try await until("Kamailio is empty") { try await stage.main.rows().isEmpty }
            #expect(try await stage.midreg.metrics().relayed("removal") > 0)
            #expect(try await stage.midreg.contacts() == [])
            try await stage.end()
        }

        /// Without qop baresip sends each refresh without credentials first. Absorbed on the verified
        /// flow, it is not challenged, and there is no second round.
        @Test(
            .enabled("needs root and network namespaces") { await NetworkNamespace.isAvailable() })
        func `baresip registers, is refreshed here, called, hung up, and leaves`() async throws {
            let space = try await NetworkNamespace()
            let stage = try await Stage(
                mainHost: NetworkNamespace.server, hosts: [NetworkNamespace.server],
                configuration: Self.shortGrants, prefix: space.prefix)
            let phone = try Baresip(
                registrar: stage.midreg.endpoint, prefix: space.prefix, in: stage.folder)
            try await until("baresip is registered") { try await !stage.main.rows().isEmpty }
            let rows = try await stage.main.rows()
            #expect(rows.count == 1)
            #expect(rows[0].contact.contains("@\(stage.midreg.endpoint);ctid="))

            let call = try Sipp.startCall(
                to: "carol", at: stage.main.endpoint, host: NetworkNamespace.server,
                prefix: space.prefix, in: stage.folder)
            #expect(
                try await call.end(within: .seconds(30)) == .exit(0), "\(call.log.suffix(2_000))")

            try await until(within: .seconds(30), "baresip's refresh is absorbed") {
                try await stage.midreg.metrics().absorbed > 0
            }
            #expect(try await stage.main.rows() == rows, "Kamailio has not seen the refresh")
            #expect(try await stage.midreg.metrics().mainAnswers("401") == 1)

            _ = await phone.quit()
            try await until("Kamailio is empty") { try await stage.main.rows().isEmpty }
            #expect(try await stage.midreg.contacts() == [])
            try await stage.end()
        }
    }
}
