import Bytes
import CoreScene
import MidRegistrarCore
import Registration
import Testing

/// A sequence that a seed repeats.
struct Seeded {
    var state: UInt64
    mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(bound))
    }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

/// A main registrar that keeps what it granted, loses answers and sends them again late.
struct ModelMain {
    /// When it drops what it holds, by contact ID.
    var bindings: [String: UInt64] = [:]
    var late: [(at: UInt64, text: String)] = []
    /// Copies of a request get the same answer again (RFC 3261 §17.2.2).
    private var accepted: [String: String] = [:]

    mutating func receive(_ request: Sent, at now: UInt64, _ random: inout Seeded) -> String? {
        guard request.method == "REGISTER" else { return nil }
        let isOurs = request.socket == ownSocket
        if let text = accepted[request.first("Via")] { return random.chance(85) ? text : nil }
        if !isOurs, request.all("Authorization").isEmpty {
            return random.chance(90) ? answer(request, 401) : nil
        }
        if !isOurs, random.chance(5) { return answer(request, [403, 500, 503][random.below(3)]) }
        var text: String
        let grant = random.chance(20) ? 200 + random.below(3_400) : nil
        if request.contacts == ["*"] {
            bindings = [:]
        } else {
            for contact in request.contacts {
                let asked = contact.components(";expires=").last.flatMap { Int($0) } ?? 0
                bindings[contact.contactID] =
                    asked == 0 ? nil : now + UInt64(min(asked, grant ?? asked)) * 1_000
            }
        }
        text = answer(request, expires: grant)
        // It may grant no more than it was asked for.
        if let grant {
            let asked =
                request.contacts.compactMap {
                    $0.components(";expires=").last.flatMap { Int($0) }
                }.max() ?? 0
            if grant > asked { text = answer(request) }
        }
        accepted[request.first("Via")] = text
        if random.chance(10) { late.append((now + UInt64(random.below(40_000)), text)) }
        return random.chance(85) ? text : nil
    }
}

@Suite("What a phone was granted, the main registrar holds")
struct LeaseTests {
    /// - Returns: the first moment at which it was not so.
    private func history(_ seed: UInt64, steps: Int) -> String? {
        var random = Seeded(state: seed)
        let scene = Scene(
            Scene.options {
                $0.jitter = 0.1
                $0.mainSeconds = 3_600
            })
        var main = ModelMain()
        var phones = (0..<4).map { number in
            Phone(
                user: "u\(number)", from: address("192.0.2.\(number + 1):5062"),
                contact: "<sip:u\(number)@192.0.2.\(number + 1):5062>",
                callID: "p\(number)xxxx@h")
        }
        var ids = [String](repeating: "", count: 4)
        var granted = [UInt64](repeating: 0, count: 4)
        var unanswered = [Bool](repeating: false, count: 4)

        /// Plays messages until nobody has anything to say.
        func play(_ sent: [Sent]) -> String? {
            var queue = sent
            while !queue.isEmpty {
                let message = queue.removeFirst()
                if message.to == mainServer {
                    let contact = message.first("Contact").contactID
                    if message.socket == mainSocket,
                        let number = Int(message.first("To").dropFirst(6).prefix(1))
                    {
                        if !contact.isEmpty { ids[number] = contact }
                        unanswered[number] = true
                    }
                    let text = main.receive(message, at: scene.now, &random)
                    if message.socket == mainSocket,
                        let number = Int(message.first("To").dropFirst(6).prefix(1))
                    {
                        // What the phone's own request has ended or shortened there is no breach.
                        granted[number] = min(granted[number], main.bindings[ids[number]] ?? 0)
                    }
                    if let text {
                        queue += scene.send(
                            text, from: mainServer,
                            socket: message.socket == ownSocket ? ownSocket : mainSocket)
                    }
                    continue
                }
                guard let number = Int(message.first("To").dropFirst(6).prefix(1)) else { continue }
                if message.code >= 300 || message.first("To").contains(";tag=main") {
                    unanswered[number] = false
                }
                guard message.code == 200, message.to == phones[number].from else { continue }
                guard let told = message.expires() else {
                    granted[number] = 0
                    continue
                }
                granted[number] = scene.now + UInt64(told) * 1_000
                let held = main.bindings[ids[number]] ?? 0
                if held < granted[number] {
                    return "u\(number) at \(scene.now): told until \(granted[number]), held until "
                        + "\(held)\n\(message.text)"
                }
            }
            return nil
        }

        for _ in 0..<steps {
            let number = random.below(4)
            var expires = 600
            switch random.below(20) {
            case 0:
                phones[number].from = address("192.0.2.\(number + 1):\(5_062 + random.below(9))")
            case 1: phones[number].callID = "p\(number)xx\(random.below(99))@h"
            case 2:
                phones[number].contact =
                    "<sip:u\(number)@192.0.2.\(number + 1):5062>;q=0.\(random.below(9))"
            case 3: expires = 0
            case 4:
                // Crash and restart, when nothing is unanswered: only then is all known that counts.
                if unanswered.allSatisfy({ !$0 }) { scene.restart() }
            default: break
            }
            var sent = scene.send(
                phones[number].register(expires: expires), from: phones[number].from)
            if let broken = play(sent) { return broken }
            if unanswered[number], random.chance(50) {
                scene.now += 500
                sent = scene.send(phones[number].text(expires: expires), from: phones[number].from)
                if let broken = play(sent) { return broken }
            }
            let pause = UInt64(random.chance(10) ? random.below(1_200_000) : random.below(300_000))
            let end = scene.now + pause
            while scene.now < end {
                let step = scene.advance(ms: min(end - scene.now, 10_000), step: 10_000)
                if let broken = play(step) { return broken }
                while let at = main.late.firstIndex(where: { $0.at <= scene.now }) {
                    let text = main.late.remove(at: at).text
                    let isOwn = text.contains("127.0.0.1:5170")
                    let sent = scene.send(
                        text, from: mainServer, socket: isOwn ? ownSocket : mainSocket)
                    if let broken = play(sent) { return broken }
                }
            }
            // Whoever is promised something is held, whatever has happened since.
            for number in 0..<4 where granted[number] > scene.now {
                let held = main.bindings[ids[number]] ?? 0
                if held < granted[number] {
                    return "u\(number) at \(scene.now): promised until \(granted[number]), "
                        + "held until \(held)"
                }
            }
        }
        return nil
    }

    /// Stands for C3 invariant.
    @Test(arguments: 1...40)
    func `in every history`(seed: Int) {
        let broken = history(UInt64(seed) &* 0x9E37_79B9_7F4A_7C15, steps: 120)
        #expect(broken == nil, "\(broken ?? "")")
    }
}
