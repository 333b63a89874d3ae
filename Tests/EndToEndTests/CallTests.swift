import Foundation
import Testing

extension EndToEnd {
    @Suite("Calls between Kamailio and phones, through midreg", .serialized)
    struct Calls {
        private static let elsewhere = "SIP;cause=200;text=\"Call completed elsewhere\""
        private static let reasons = [
            "SIP;cause=487;text=\"Caller gave up\"", "Q.850;cause=31;text=\"Normal, unspecified\"",
        ]

        private static let hangsUp = SippScript(
            "calls and hangs up", [.call, .hear(200), .acknowledge(200), .hangUp])
        private static let answers = SippScript(
            "rings, answers, is hung up",
            [
                .ring, .answer(180, "Ringing"), .answer(200, "OK"), .await("ACK"),
                .accept("BYE"),
            ])
        private static let answersWhenTold = SippScript(
            "rings, answers when told to, is hung up",
            [
                .ring, .answer(180, "Ringing"), .awaitCue, .answer(200, "OK"), .await("ACK"),
                .accept("BYE"),
            ])
        private static let answersAndHangsUp = SippScript(
            "rings, answers, hangs up when told to",
            [
                .ring, .answer(180, "Ringing"), .answer(200, "OK"), .await("ACK"), .awaitCue,
                .hangUp,
            ])
        private static let hangsUpWhenTold = SippScript(
            "calls, hangs up when told to",
            [.call, .hear(200), .acknowledge(200), .awaitCue, .hangUp])
        private static let isHungUp = SippScript(
            "calls and is hung up", [.call, .hear(200), .acknowledge(200), .accept("BYE")])
        private static let isCancelled = SippScript(
            "rings until it is cancelled",
            [
                .ring, .answer(180, "Ringing"), .accept("CANCEL"),
                .answer(487, "Request Terminated"), .await("ACK"),
            ])

        /// CAN-3 with real programs.
        @Test func `answered by one of three phones, the others are told so`() async throws {
            let stage = try await Stage(
                mainProcesses: 1, configuration: Form.addressOfRecord.configuration)
            let callID = UUID().uuidString
            var others: [SippPeer] = []
            for _ in 1...2 {
                others.append(
                    try await stage.sippPhone("alice", Self.isCancelled, callID: callID))
            }
            let one = try await stage.sippPhone("alice", Self.answers, callID: callID)
            let caller = try stage.sippCaller(of: "alice", Self.hangsUp, callID: callID)
            for peer in [caller, one] + others { try await peer.end() }

            for other in others { try expectCancelled(other, [Self.elsewhere]) }
            #expect(one.received("CANCEL").isEmpty)
            #expect(caller.received("BYE").isEmpty && caller.heard(200, to: "BYE"))
            let counted = try await stage.midreg.metrics()
            #expect(counted.sum("midreg_ack_missing_total") == 0)
            try await stage.end()
        }

        /// CAN-2 with real programs: nothing but its INVITE comes to a phone that has said nothing.
        @Test(arguments: [Form.parameter, .addressOfRecord])
        func `cancelled before the phone has said anything, it hears so as soon as it does`(
            form: Form
        ) async throws {
            let stage = try await Stage(mainProcesses: 1, configuration: form.configuration)
            let callID = UUID().uuidString
            let endpoint = try await stage.registeredBySipp("alice")
            var silent: DatagramSocket? = try DatagramSocket(endpoint.host, port: endpoint.port)
            let caller = try stage.sippCaller(of: "alice", Self.cancels(on: 100), callID: callID)
            func next() async throws -> Message? {
                try await silent?.receiveMessage(within: .seconds(20))
            }
            #expect(try await next()?.method == "INVITE")
            try await until("Kamailio has the CANCEL") { caller.heard(200, to: "CANCEL") }
            try await until("midreg has it") {
                try await stage.midreg.metrics().sum(
                    "midreg_call_requests_total", ["kind": "cancel"]) > 0
            }
            #expect(try await next()?.method == "INVITE", "a copy, and no CANCEL")
            silent = nil

            let phone = try stage.sippPhone(at: endpoint, Self.isCancelled, callID: callID)
            for peer in [caller, phone] { try await peer.end() }
            try expectCancelled(phone, Self.reasons)
            try await stage.end()
        }

        /// CAN-1, CAN-6 with real programs.
        @Test(arguments: [Form.parameter, .addressOfRecord])
        func `cancelled while it rings, the phone is told why`(form: Form) async throws {
            let stage = try await Stage(mainProcesses: 1, configuration: form.configuration)
            let callID = UUID().uuidString
            let phone = try await stage.sippPhone("alice", Self.isCancelled, callID: callID)
            let caller = try stage.sippCaller(of: "alice", Self.cancels(on: 180), callID: callID)
            for peer in [caller, phone] { try await peer.end() }
            try expectCancelled(phone, Self.reasons)
            try await stage.end()
        }

        /// CAN-3 with a phone program that rings beside a sipp, whichever of the two is quicker.
        @Test(arguments: [true, false])
        func `linphone stops ringing when the other answers, and the other when it does`(
            sippAnswers: Bool
        ) async throws {
            let stage = try await Stage(
                mainProcesses: 1, configuration: Form.addressOfRecord.configuration)
            let real = try Linphone(
                registrar: stage.midreg.endpoint, answers: false, in: stage.folder)
            try await until("linphone is registered") { real.registrations > 0 }
            let callID = UUID().uuidString
            let phone = try await stage.sippPhone(
                "alice", sippAnswers ? Self.answersWhenTold : Self.isCancelled, callID: callID)
            let caller = try stage.sippCaller(of: "alice", Self.hangsUp, callID: callID)
            try await until("linphone rings") { real.log.contains("SIP/2.0 180 Ringing") }
            if sippAnswers {
                try await phone.cue()
            } else {
                try await until("the other rings") { phone.received("INVITE").count > 0 }
                try real.command("answer")
            }
            for peer in [caller, phone] { try await peer.end() }
            if sippAnswers {
                try await until("linphone has stopped ringing") {
                    real.log.contains("SIP/2.0 487 Request")
                }
                let log = real.log.replacing("\r\n", with: "\n")
                #expect(log.contains("\nReason: \(Self.elsewhere)\n"))
            } else {
                try expectCancelled(phone, [Self.elsewhere])
            }
            #expect(try await real.quit() == .exit(0))
            try await stage.end()
        }

        /// DLG-3 with real programs: nothing of a call that was answered is kept; its Route brings what
        /// follows to the phone and back.
        @Test(arguments: [Form.parameter, .addressOfRecord], [true, false])
        func `hung up by either side when midreg has been killed and started again`(
            form: Form, callerHangsUp: Bool
        ) async throws {
            let stage = try await Stage(mainProcesses: 1, configuration: form.configuration)
            let callID = UUID().uuidString
            let phone = try await stage.sippPhone(
                "alice", callerHangsUp ? Self.answers : Self.answersAndHangsUp, callID: callID)
            let caller = try stage.sippCaller(
                of: "alice", callerHangsUp ? Self.hangsUpWhenTold : Self.isHungUp, callID: callID)
            try await until("the phone has its ACK") { !phone.received("ACK").isEmpty }

            try await stage.midreg.crash()
            try await stage.midreg.start()
            try await (callerHangsUp ? caller : phone).cue()
            for peer in [caller, phone] { try await peer.end() }

            let bye = try #require((callerHangsUp ? phone : caller).received("BYE").first)
            let answer = try #require(caller.received.last { $0.status == 200 })
            #expect(answer.first("cseq")?.value.hasSuffix("BYE") == callerHangsUp)
            let tags = [bye.first("from")?.value, bye.first("to")?.value]
            #expect(tags.allSatisfy { $0?.contains(";tag=") == true })
            #expect(bye.all("route").isEmpty, "it was sent by the last of the Route")
            try await stage.end()
        }

        /// ACK-5 with real programs: the phone is heard, its caller sends no ACK, or none that it hears.
        @Test(arguments: [false, true])
        func `whose ACK goes missing are told by midreg diagnose, side and Contact`(
            isSent: Bool
        ) async throws {
            let stage = try await Stage(mainProcesses: 1)
            #expect(try await stage.midreg.diagnosis().contains("No ACK has gone missing"))
            let callID = UUID().uuidString
            let contact = "sip:alice@10.99.0.7:5060"
            let phone = try await stage.sippPhone(
                "alice",
                SippScript(
                    "repeats its 200 until it is told to stop",
                    [.ring, .answer(200, "OK", contact: contact), .awaitCue]), callID: callID)
            let caller = try stage.sippCaller(
                of: "alice",
                SippScript(
                    isSent ? "sends its ACK" : "sends no ACK",
                    [.call, .hear(200)] + (isSent ? [.acknowledge(200)] : []) + [.awaitCue]),
                callID: callID)
            let what = isSent ? "callee does not hear the ACK" : "caller sent no ACK"
            let peer = isSent ? phone.endpoint : stage.main.endpoint
            var lines: [Substring] = []
            try await until("midreg has noticed") {
                lines = try await stage.midreg.diagnosis().split(separator: "\n")
                return lines.first?.contains(what) == true
            }
            for peer in [phone, caller] {
                try await peer.cue()
                try await peer.end()
            }
            #expect(lines.count == 1)
            let told =
                "\(what): peer=\(peer) contact=\(contact) private=yes "
                + "call_id=\(callID) hint="
            #expect(lines[0].contains(told), "\(lines[0])")
            let side = isSent ? "callee" : "caller"
            #expect(
                try await stage.midreg.diagnosis(["--format", "json"]).contains(
                    "\"side\":\"\(side)\""))
            #expect(phone.sent.count { $0.status == 200 } >= 3)
            let counted = try await stage.midreg.metrics()
            #expect(counted.sum("midreg_ack_missing_total", ["side": side]) == 1)
            try await stage.end()

            let gone = try await run(
                [try Midreg.binary(), "diagnose", "--counters", "\(stage.midreg.counters)"])
            #expect(gone.ending == .exit(3))
        }

        /// RED-2 with real programs: a phone is nobody whose word on other addresses is taken.
        @Test func `a phone's 302 is the caller's to read`() async throws {
            let stage = try await Stage(mainProcesses: 1)
            let callID = UUID().uuidString
            let target = try DatagramSocket("127.0.0.9", port: Ports.take())
            let moved = "sip:alice@\(target.endpoint)"
            let phone = try await stage.sippPhone(
                "alice",
                SippScript(
                    "is elsewhere",
                    [.ring, .answer(302, "Moved Temporarily", contact: moved), .await("ACK")]),
                callID: callID)
            let caller = try stage.sippCaller(
                of: "alice",
                SippScript("hears 302", [.call, .hear(302), .acknowledge(302)]), callID: callID)
            for peer in [caller, phone] { try await peer.end() }
            let answer = try #require(caller.received.last { $0.status == 302 })
            #expect(answer.all("contact").map(\.value) == ["<\(moved)>"])
            #expect(target.take() == nil, "nobody has followed it")
            try await stage.end()
        }

        /// RED-2 with real programs: by way of Kamailio, which knows where that user's phones are.
        @Test
        func `a phone's 302 is followed where that is configured, and the call goes on there`()
            async throws
        {
            let stage = try await Stage(
                mainProcesses: 1, configuration: "[redirect]\nfrom_phones = \"follow\"\n")
            let callID = UUID().uuidString
            let phone = try await stage.sippPhone(
                "alice",
                SippScript(
                    "sends callers to bob",
                    [
                        .ring,
                        .answer(302, "Moved Temporarily", contact: "sip:bob@example.test"),
                        .await("ACK"),
                    ]), callID: callID)
            // It came through Kamailio and midreg twice; on the way back to Kamailio there is no phone
            // for a token to lead to.
            let other = try await stage.sippPhone(
                "bob", SippScript("answers for alice", Self.answers.steps, vias: 5, routes: 3),
                callID: callID)
            let caller = try stage.sippCaller(of: "alice", Self.hangsUp, callID: callID)
            for peer in [caller, phone, other] { try await peer.end() }
            #expect(!caller.received.contains { ($0.status ?? 0) >= 300 })
            let counted = try await stage.midreg.metrics()
            #expect(counted.sum("midreg_redirects_total", ["result": "followed"]) == 1)
            try await stage.end()
        }

        private static func cancels(on status: Int) -> SippScript {
            SippScript(
                "cancels on \(status)",
                [
                    .call, .hear(status), .cancel(reasons: reasons), .hear(200), .hear(487),
                    .acknowledge(487),
                ])
        }

        /// RFC 3261 §9.1: one Via, that of the INVITE, its Request-URI, and no CANCEL unless the phone
        /// has said something.
        private func expectCancelled(_ phone: SippPeer, _ reasons: [String]) throws {
            let invite = try #require(phone.received("INVITE").first)
            let cancel = try #require(phone.received("CANCEL").first)
            #expect(cancel.all("via").map(\.value) == [invite.first("via")?.value])
            #expect(
                cancel.startText.split(separator: " ")[1]
                    == invite.startText.split(separator: " ")[1])
            #expect(cancel.all("reason").map(\.value) == reasons)
            #expect(phone.received("CANCEL").count == 1)
        }
    }
}
