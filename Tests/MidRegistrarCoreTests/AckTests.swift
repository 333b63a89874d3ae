import Bytes
import CoreScene
import MidRegistrarCore
import Testing

/// A 2xx that comes a third time, and which of the two sides owes why.
@Suite("An ACK that goes missing")
struct AckTests {
    private let fork = Fork([nil])
    private let contact = ["Contact: <sip:alice@10.0.0.7:5060>"]

    private var missing: [CoreEvent] {
        fork.scene.events.filter { $0.kind == .ackUnsent || $0.kind == .ackUnheard }
    }

    /// ACK-5 as the element notes it.
    @Test func `is told once, with the caller's side, Contact and Call-ID, if none came by`() {
        let invite = fork.invite()[1]
        for copy in 1...5 {
            #expect(fork.respond(200, to: invite, extra: contact).map(\.code) == [200])
            #expect(missing.count == (copy < 3 ? 0 : 1))
        }
        let event = missing[0]
        #expect(event.kind == .ackUnsent && event.source == mainServer)
        #expect(event.aor == "sip:alice@10.0.0.7:5060" && event.number == 1)
        #expect(event.callID == "call@main")
    }

    @Test func `is told with the phone's side if it was passed on`() {
        let invite = fork.invite()[1]
        _ = fork.respond(200, to: invite, extra: ["Contact: <sip:alice@192.0.2.1:5062>"])
        let ack = request(
            "ACK", "sip:alice@192.0.2.1:5062", toTag: "main", branch: "z9hG4bKack",
            route: invite.all("Record-Route"))
        #expect(fork.scene.send(ack, from: mainServer).map(\.to) == [fork.phones[0]])
        for _ in 2...3 {
            _ = fork.respond(200, to: invite, extra: ["Contact: <sip:alice@192.0.2.1:5062>"])
        }
        #expect(missing.map(\.kind) == [.ackUnheard])
        #expect(missing[0].source == fork.phones[0] && missing[0].number == 0)
    }

    @Test func `is not told of two phones that answer once each`() {
        let fork = Fork([nil, nil])
        let sent = fork.invite()
        for _ in 1...2 {
            for invite in sent.dropFirst() { _ = fork.respond(200, to: invite, extra: contact) }
        }
        #expect(!fork.scene.events.contains { $0.kind == .ackUnsent || $0.kind == .ackUnheard })
    }
}
