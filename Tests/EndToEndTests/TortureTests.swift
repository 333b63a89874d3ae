import Foundation
import Testing

extension EndToEnd {
    @Suite("The torture messages of RFC 4475 and RFC 5118, at the appliance over UDP", .serialized)
    struct Torture {
        /// A host of our own, so that the port of a Via can be listened on.
        static let sender = "127.44.75.1"

        /// Sends a message to an appliance that has not seen any, and watches what comes of it.
        ///
        /// The main registrar agrees to everything; an answer is looked for at the source of the
        /// datagram and at the port of its Via. That the message was read, and that nothing went
        /// anywhere else, is known from the appliance's own counts.
        func outcome(
            of vector: TortureVector, twin: [UInt8]? = nil
        ) async throws -> TortureOutcome {
            let folder = try Folder()
            let main = try StubRegistrar()
            let midreg = try Midreg(
                main: main.socket.endpoint, configuration: Midreg.unprobed,
                arguments: ["--strangers", "main"], in: folder)
            try await midreg.start()
            let source = try DatagramSocket(Self.sender)
            let sentBy = try DatagramSocket(Self.sender, port: vector.sentByPort)
            var outcome = TortureOutcome(messages: twin == nil ? 1 : 2)
            func look() {
                main.serve()
                while let (bytes, _) = source.take() { outcome.atSource.append(RawMessage(bytes)) }
                while let (bytes, _) = sentBy.take() { outcome.atSentBy.append(RawMessage(bytes)) }
                outcome.atMain = main.requests
            }

            for bytes in [vector.bytes, twin].compactMap({ $0 }) {
                source.send(bytes, to: midreg.endpoint)
            }
            let begin = ContinuousClock.now
            while outcome.answers.count < outcome.messages,
                ContinuousClock.now < begin + .seconds(5)
            {
                try await Task.sleep(for: .milliseconds(2))
                look()
                // What is neither passed on nor answered soon is dropped; a later surprise is
                // found out by the counts below.
                if outcome.seen == 0, ContinuousClock.now > begin + .milliseconds(300) { break }
            }

            // It still serves, and has sent nothing that was not seen.
            let prober = try Phone("probe", server: midreg.endpoint)
            let probe = prober.makeRequest("OPTIONS", "sip:\(midreg.endpoint)", sequence: 1)
            let alive = try await prober.exchange(probe, within: .seconds(5))
            look()
            if alive?.status != 200 {
                outcome.fall = midreg.isRunning ? "serves no longer" : "crash"
                return outcome
            }
            let givenBytes =
                vector.bytes.count + (twin?.count ?? 0) + main.answeredBytes
                + probe.text.utf8.count * prober.sent
            let deadline = ContinuousClock.now + .seconds(5)
            var metrics = try await midreg.metrics()
            func isSettled() -> Bool {
                look()
                outcome.sent = metrics.sent - prober.sent
                return metrics.receivedBytes >= givenBytes && outcome.sent == outcome.seen
            }
            while !isSettled(), ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(20))
                metrics = try await midreg.metrics()
            }
            if metrics.receivedBytes < givenBytes { outcome.fall = "not all was read" }
            outcome.sendErrors = metrics.unsent
            outcome.contacts = try await midreg.contacts()
            let (ending, _) = try await midreg.stop()
            if ending != .exit(0) { outcome.fall = "ended with \(String(describing: ending))" }
            return outcome
        }

        /// `MIDREG_TORTURE=NAME` sends one of them alone.
        @Test func `are forwarded, answered or dropped as they should be`() async throws {
            let only = ProcessInfo.processInfo.environment["MIDREG_TORTURE"]
            let vectors = try TortureVector.all().filter { only == nil || $0.name == only }
            #expect(vectors.count == 65 || only != nil)
            var ideal = 0
            var tolerable: [String] = []
            var failed: [String] = []
            print("torture at the appliance over UDP: message, section, outcome, judgement")
            for vector in vectors {
                let outcome = try await outcome(of: vector, twin: Self.twin(of: vector))
                let (word, judgement) = Self.judge(vector, outcome)
                print("\(vector.name), RFC \(vector.section), \(word), \(judgement)")
                switch judgement {
                case .ideal: ideal += 1
                case .tolerable: tolerable.append("\(vector.name): \(word)")
                case .fail: failed.append("\(vector.name): \(word)")
                }
            }
            print(
                "torture at the appliance over UDP: \(ideal) ideal, \(tolerable.count) tolerable",
                "\(tolerable), \(failed.count) failed \(failed)")
            #expect(failed == [])
            #expect(ideal >= 60 || only != nil)
        }

        enum Judgement { case ideal, tolerable, fail }

        static func judge(
            _ vector: TortureVector, _ outcome: TortureOutcome
        ) -> (word: String, Judgement) {
            let word = outcome.word(for: vector)
            let breaches = breaches(of: vector, outcome)
            guard breaches.isEmpty else {
                return ("\(word); \(breaches.joined(separator: "; "))", .fail)
            }
            if vector.ideal.contains(word) { return (word, .ideal) }
            return (word, vector.tolerable.contains(word) ? .tolerable : .fail)
        }

        /// A second message that only a careless reader takes for a copy of the first.
        static func twin(of vector: TortureVector) -> [UInt8]? {
            guard vector.name == "badbranch" else { return nil }
            return String(latin: vector.bytes).replacing("badbranch.", with: "twinbranch.")
                .latinBytes
        }
    }
}
