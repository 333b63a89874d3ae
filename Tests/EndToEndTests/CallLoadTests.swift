import Testing

extension EndToEnd {
    /// `callers` ends with 0 only if nothing was missing: no CANCEL, no ACK, no Reason, no answer.
    @Suite("Many calls at once, each seen to its end at both ends", .serialized)
    struct CallLoad {
        struct Case: CustomTestStringConvertible {
            let name: String
            let shape: String
            let phones: Int
            let calls: Int
            let cancels: Int
            var testDescription: String { name }
        }

        @Test(arguments: [
            Case(
                name: "CAN-7: CANCEL back to back with INVITE", shape: "early", phones: 1,
                calls: 10_000, cancels: 10_000),
            Case(
                name: "CAN-3: answered on one phone of three", shape: "answer", phones: 3,
                calls: 2_000, cancels: 4_000),
        ])
        func `every phone is cancelled, with the reason why, and every answer acknowledged`(
            _ load: Case
        ) async throws {
            let folder = try Folder()
            let main = Endpoint("127.0.0.1", try Ports.take())
            let registrar = try await Load.mainRegistrar(
                at: main, asksForCredentials: false, in: folder)
            let callers = try Load.Callers(in: folder)
            let sources = callers.callers.map { "\"\($0)\"" }.joined(separator: ", ")
            let midreg = try Midreg(
                main: main, configuration: "[main]\nprobe = \"0s\"\nsources = [\(sources)]\n",
                arguments: ["--mode", "aor"], in: folder)
            // With more than one worker, INVITE and CANCEL must also find to the same one.
            try await midreg.start(workers: 2)
            let bound = try await callers.register(at: midreg.endpoint, contacts: load.phones)
            #expect(bound.succeeded, "\(bound.output)")

            let called = try await callers.call(
                at: midreg.endpoint, shape: load.shape, contacts: load.phones, count: load.calls,
                rate: 2_500)
            #expect(called.succeeded, "\(called.output)")
            #expect(called.output.contains("\"complete\":\(load.calls),"), "\(called.output)")
            #expect(called.output.contains("\"cancels\":\(load.cancels),"), "\(called.output)")
            #expect(try await midreg.stop().ending == .exit(0))
            await registrar.stop()
        }
    }
}
