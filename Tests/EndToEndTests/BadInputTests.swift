import Foundation
import Testing

extension EndToEnd {
    @Suite("Bad input over UDP", .serialized)
    struct BadInput {
        /// What an input must lead to.
        enum Expected: Equatable {
            case badRequest
            case silence
            /// A Via may or may not be found in it; if it is, the answer is a refusal.
            case refusalOrSilence
        }

        /// A good REGISTER, line by line, for the table to spoil.
        static func lines(of phone: Phone) -> [String] {
            phone.makeRegister().text.components(separatedBy: "\r\n")
        }

        struct Spoiling {
            let name: String
            let expected: Expected
            let spoil: (Phone) -> [UInt8]
        }

        static func edited(
            _ name: String, _ expected: Expected = .badRequest,
            _ edit: @escaping ([String]) -> [String]
        ) -> Spoiling {
            Spoiling(name: name, expected: expected) { phone in
                Array(edit(lines(of: phone)).joined(separator: "\r\n").utf8)
            }
        }

        static func raw(_ name: String, _ bytes: [UInt8]) -> Spoiling {
            Spoiling(name: name, expected: .silence) { _ in bytes }
        }

        static func replaced(_ field: String, with value: String) -> Spoiling {
            edited("\(field): \(value.prefix(40))") { lines in
                lines.map { $0.hasPrefix("\(field):") ? "\(field): \(value)" : $0 }
            }
        }

        /// `added` after the Via, which stays first and whole so that an answer finds its way.
        static func withField(_ added: [String], in lines: [String]) -> [String] {
            Array(lines[..<2]) + added + Array(lines[2...])
        }

        static var noise: [Spoiling] {
            let scrambled: [UInt8] = (0..<600).map { UInt8(($0 * 7 % 128) | 0x80) }
            return [
                raw("nothing but noise", scrambled),
                raw("zeros", [UInt8](repeating: 0, count: 512)),
                raw("65,507 bytes of noise", [UInt8](repeating: 65, count: 65_507)),
                raw("an HTTP request", Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8)),
                edited("a request line alone", .silence) { [$0[0]] },
                edited("no Via", .silence) { $0.filter { !$0.hasPrefix("Via:") } },
            ]
        }

        static var cut: [Spoiling] {
            [
                edited("cut after the Via", .refusalOrSilence) { Array($0[..<2]) },
                edited("cut in the From", .refusalOrSilence) {
                    Array($0[..<3]) + ["From: <sip:al"]
                },
                edited("no empty line", .refusalOrSilence) { $0.filter { !$0.isEmpty } },
            ]
        }

        static var large: [Spoiling] {
            [
                edited("a header of 64,000 bytes") { lines in
                    withField(["X-Filler: " + String(repeating: "x", count: 64_000)], in: lines)
                },
                // A good request, but with our Via it is more than a datagram holds.
                edited("a body that fills the datagram", .refusalOrSilence) { lines in
                    let head = lines.dropLast(3) + ["Content-Length: 65000", "", ""]
                    let room = 65_507 - head.joined(separator: "\r\n").utf8.count
                    return lines.dropLast(3) + [
                        "Content-Length: \(room)", "", String(repeating: "x", count: room),
                    ]
                },
                edited("1,000 header fields") { lines in
                    withField((0..<1_000).map { "X-\($0): y" }, in: lines)
                },
            ]
        }

        static var missingAndDoubled: [Spoiling] {
            let mandatory = ["From", "To", "Call-ID", "CSeq"]
            let missing = mandatory.map { field in
                edited("no \(field)") { $0.filter { !$0.hasPrefix("\(field):") } }
            }
            let doubled = mandatory.map { field in
                edited("two \(field)") { lines in
                    lines.flatMap { $0.hasPrefix("\(field):") ? [$0, $0] : [$0] }
                }
            }
            let lengths = edited("two Content-Length that differ") { lines in
                withField(["Content-Length: 5"], in: lines)
            }
            return missing + doubled + [lengths]
        }

        static var absurd: [Spoiling] {
            let values: [(String, [String])] = [
                (
                    "CSeq",
                    [
                        "4294967296 REGISTER", "2147483648 REGISTER", "-1 REGISTER", "REGISTER",
                        "99999999999999999999999 REGISTER", "1 INVITE", "0x10 REGISTER",
                    ]
                ),
                (
                    "Content-Length",
                    ["4294967328", "-1", "99999999999999999999999", "1000", "five"]
                ),
                ("Max-Forwards", ["99999999999999999999999", "-1", "many"]),
                (
                    "From",
                    ["<sip:", "<sip:alice@[::1>;tag=1", String(repeating: "\"", count: 3_001)]
                ),
                ("To", ["<>", ""]),
            ]
            return values.flatMap { field, values in values.map { replaced(field, with: $0) } }
        }

        @Test func `is answered 400 or dropped, counted, and changes nothing`() async throws {
            let folder = try Folder()
            // A main registrar that would see anything that got through.
            let main = try DatagramSocket("127.0.0.1", port: Ports.take())
            let midreg = try Midreg(
                main: main.endpoint, configuration: Midreg.unprobed, in: folder)
            try await midreg.start()
            let before = try await midreg.metrics()
            var sent: [String: String] = [:]

            let table = Self.noise + Self.cut + Self.large + Self.missingAndDoubled + Self.absurd
            for input in table {
                let (name, expected) = (input.name, input.expected)
                let phone = try Phone("alice", server: midreg.endpoint)
                sent[phone.callID] = name
                phone.socket.send(input.spoil(phone), to: midreg.endpoint)
                let limit: Duration = expected == .badRequest ? .seconds(5) : .milliseconds(300)
                let answer = try await phone.socket.receiveMessage(within: limit)
                switch expected {
                case .badRequest:
                    #expect(answer?.status == 400, "\(name): \(answer?.startLine ?? "-")")
                case .silence: #expect(answer == nil, "\(name): \(answer?.startLine ?? "")")
                case .refusalOrSilence:
                    #expect((400...513).contains(answer?.status ?? 400), "\(name)")
                }
                #expect(midreg.isRunning, "\(name): \(midreg.log.suffix(2_000))")
                try #require(midreg.isRunning)
            }
            var relayed: [String] = []
            while let message = try await main.receiveMessage(within: .milliseconds(200)) {
                relayed.append(sent[message["Call-ID"] ?? ""] ?? message.text)
            }
            #expect(relayed == [], "nothing gets through")
            #expect(try await midreg.contacts() == [])
            let after = try await midreg.metrics()
            func faults(_ at: Metrics) -> Int { at.dropped + at.rejected + at.unsent }
            let counted = faults(after) - faults(before)
            #expect(counted == table.count)

            // It still serves.
            let phone = try Phone("alice", server: midreg.endpoint)
            phone.send(phone.makeRegister())
            #expect(try await main.receiveMessage(within: .seconds(5))?.method == "REGISTER")
            let (ending, _) = try await midreg.stop()
            #expect(ending == .exit(0))
        }

        @Test func `in a flood leaves few lines in the log, with a count`() async throws {
            let folder = try Folder()
            let main = try DatagramSocket("127.0.0.1", port: Ports.take())
            let midreg = try Midreg(
                main: main.endpoint, configuration: Midreg.unprobed, in: folder)
            try await midreg.start()
            let begin = ContinuousClock.now
            let linesBefore = midreg.log.split(separator: "\n").count
            let phone = try Phone("alice", server: midreg.endpoint)
            let good = Self.lines(of: phone)
            let kinds: [[UInt8]] = [
                Array("noise".utf8),
                Array(good.filter { !$0.hasPrefix("CSeq:") }.joined(separator: "\r\n").utf8),
            ]
            for round in 0..<3_000 {
                phone.socket.send(kinds[round % 2], to: midreg.endpoint)
                if round % 50 == 0 { try await Task.sleep(for: .milliseconds(5)) }
            }
            try await until("most are counted") {
                let counted = try await midreg.metrics()
                return counted.dropped + counted.rejected > 2_500
            }
            let seconds = Int((ContinuousClock.now - begin) / .seconds(1)) + 1
            let lines = midreg.log.split(separator: "\n").count - linesBefore
            #expect(lines <= seconds * 10 * kinds.count)
            #expect(midreg.isRunning)
            try await midreg.stop()
        }
    }
}
