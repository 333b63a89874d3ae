import Testing

extension EndToEnd {
    @Suite("A message of a registration lost once (RFC 3261 §17.1.2)", .serialized)
    struct LossTests {
        @Test(arguments: Loss.allCases)
        func `between phone and midreg is made good`(loss: Loss) async throws {
            let stage = try await Stage()
            let wire = try Relay(to: stage.midreg.endpoint, judge: loss.judge)
            defer { wire.stop() }
            let phone = try Phone("alice", server: wire.endpoint)
            #expect(try await phone.register().status == 200)
            #expect(phone.sent == 3, "one copy made it good")
            #expect(try await stage.main.rows().count == 1)
            #expect(try await stage.midreg.contacts().count == 1)
            try await stage.end()
        }

        @Test(arguments: Loss.allCases)
        func `between midreg and Kamailio is made good`(loss: Loss) async throws {
            let stage = try await Stage(wire: { try Relay(to: $0, judge: loss.judge) })
            let phone = try stage.phone("alice")
            #expect(try await phone.register().status == 200)
            #expect(phone.sent == 3, "one copy made it good")
            #expect(try await stage.main.rows().count == 1)
            #expect(try await stage.midreg.contacts().count == 1)
            try await stage.end()
        }
    }

    @Suite("Stopped with four workers, started with two", .serialized)
    struct Restart {
        @Test func `a call to a contact registered before reaches the phone`() async throws {
            let stage = try await Stage(workers: 4)
            let phones = try (0..<4).map { try stage.phone("u\($0)") }
            for phone in phones { #expect(try await phone.register().status == 200) }
            let rows = try await stage.main.rows()
            #expect(rows.count == phones.count)
            try await stage.midreg.stop()
            try await stage.midreg.start(workers: 2)

            for phone in phones {
                let call = try Sipp.startCall(
                    to: phone.user, at: stage.main.endpoint, in: stage.folder)
                _ = try await phone.answerCall()
                #expect(try await call.end() == .exit(0), "\(call.log.suffix(2_000))")
                phone.credentials = nil
                #expect(try await phone.exchange(phone.makeRegister())?.status == 200)
            }
            #expect(try await stage.main.rows() == rows, "the same contact IDs")
            let counted = try await stage.midreg.metrics()
            #expect(counted.absorbed == phones.count)
            #expect(counted.relayed == 0)
            try await stage.end()
        }

        /// Stands for R20.
        @Test func `an answer that was on its way still lands and is kept`() async throws {
            let stage = try await Stage(
                workers: 4,
                wire: { main in
                    try Relay(to: main) { way, message in
                        way == .response && message.status == 200 ? .hold : .pass
                    }
                })
            let wire = try #require(stage.wire)
            let phones = try (0..<8).map { try stage.phone("u\($0)") }
            for phone in phones {
                let challenge = try #require(try await phone.exchange(phone.makeRegister()))
                try phone.answer(challenge: challenge)
                phone.send(phone.makeRegister())
            }
            try await until("Kamailio has answered each") { wire.heldCount == phones.count }
            #expect(try await stage.midreg.contacts() == [])
            try await stage.midreg.stop()
            try await stage.midreg.start(workers: 2)
            wire.release()

            for phone in phones {
                let answer = try await phone.socket.receiveMessage(within: .seconds(5))
                #expect(answer?.status == 200)
                #expect(answer?["Contact"]?.contains("\(phone.socket.endpoint)") == true)
            }
            #expect(try await stage.midreg.contacts().count == phones.count)
            try await stage.end()
        }
    }

    @Suite("A phone that falls silent", .serialized)
    struct Silence {
        static let shortGrants = """
            [register]
            min_expires = "1s"
            """

        @Test func `is removed at Kamailio soon after its expiry`() async throws {
            let stage = try await Stage(configuration: Self.shortGrants)
            let phone = try stage.phone("alice")
            #expect(try await phone.register(expires: 3).status == 200)
            #expect(try await stage.main.rows().count == 1)
            // Kamailio would have kept it for the hour that we asked for.
            try await until(within: .seconds(20), "Kamailio is empty") {
                try await stage.main.rows().isEmpty
            }
            try await until("the removal is counted") {
                try await stage.midreg.metrics().ownRemovals("done") == 1
            }
            #expect(try await stage.midreg.metrics().ownRemovals("refused") == 0)
            #expect(try await stage.midreg.contacts() == [])
            try await stage.end()
        }

        @Test func `is counted as refused by a Kamailio that does not trust us`() async throws {
            let stage = try await Stage(trusting: false, configuration: Self.shortGrants)
            let phone = try stage.phone("alice")
            #expect(try await phone.register(expires: 3).status == 200)
            try await until(within: .seconds(20), "the refusal is counted") {
                try await stage.midreg.metrics().ownRemovals("refused") == 1
            }
            #expect(try await stage.main.rows().count == 1)
            #expect(try await stage.midreg.metrics().ownRemovals("done") == 0)
            try await stage.end()
        }
    }
}
