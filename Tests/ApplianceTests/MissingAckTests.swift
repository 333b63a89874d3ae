import Bytes
import Telemetry
import Testing

@testable import Appliance

/// What `midreg diagnose` prints.
@Suite("The last missing ACKs")
struct MissingAckTests {
    private func ack(
        _ number: Int, _ side: MissingAck.Side = .caller,
        contact: String = "sip:alice@10.0.0.7:5060", isPrivate: Bool = true
    ) -> MissingAck {
        MissingAck(
            time: UnixTime(milliseconds: 1_795_632_894_063 + Int64(number)), side: side,
            peer: TransportAddress(ipv4: 0xC000_020A, port: 5_060), contact: contact,
            isPrivate: isPrivate, callID: "call-\(number)")
    }

    /// ACK-5 as the operator reads it.
    @Test func `are a line each, the newest first`() {
        let acks = MissingAcks()
        #expect(acks.page(asJSON: false) == "No ACK has gone missing since midreg was started.\n")
        for number in 0..<3 { acks.note(ack(number)) }
        let lines = acks.page(asJSON: false).split(separator: "\n")
        #expect(lines.count == 3)
        #expect(
            lines[0].hasPrefix(
                "2026-11-25T18:54:54.065Z caller sent no ACK: peer=192.0.2.10:5060 "
                    + "contact=sip:alice@10.0.0.7:5060 private=yes call_id=call-2 hint=\""))
        #expect(lines[2].contains("call_id=call-0"))
    }

    @Test(
        arguments: [
            (.caller, true, "caller sent no ACK: ", "drops Record-Route"),
            (.caller, false, "caller sent no ACK: ", "rewrites Contact"),
            (.callee, true, "callee does not hear the ACK: ", "capture there"),
            (.callee, false, "callee does not hear the ACK: ", "capture there"),
        ] as [(MissingAck.Side, Bool, String, String)])
    func `say which side, and what to look at`(
        side: MissingAck.Side, isPrivate: Bool, what: String, hint: String
    ) {
        let text = ack(0, side, isPrivate: isPrivate).text
        #expect(text.contains(what) && text.contains(hint))
        #expect(text.contains(" private=\(isPrivate ? "yes" : "no") "))
    }

    @Test(arguments: [0, 1, 63, 64, 65, 128, 200])
    func `are the last sixty-four`(count: Int) {
        let acks = MissingAcks()
        for number in 0..<count { acks.note(ack(number)) }
        let expected = (0..<count).suffix(64).reversed().map { "call-\($0)" }
        #expect(acks.newestFirst.map(\.callID) == Array(expected))
    }

    @Test func `are objects of JSON if asked for`() {
        let acks = MissingAcks()
        #expect(acks.page(asJSON: true) == "[\n]\n")
        acks.note(ack(0))
        acks.note(ack(1, .callee))
        let lines = acks.page(asJSON: true).split(separator: "\n")
        #expect(lines.count == 4 && lines[0] == "[" && lines[3] == "]")
        #expect(lines[1].hasPrefix("{\"time\":\"2026-11-25T18:54:54.064Z\",\"side\":\"callee\","))
        #expect(lines[1].hasSuffix("},") && lines[2].hasSuffix("}"))
        #expect(lines[2].contains("\"contact\":\"sip:alice@10.0.0.7:5060\",\"private\":\"yes\""))
    }

    /// A contact is the network's word.
    @Test func `cannot make lines of their own`() {
        let odd = ack(0, contact: "sip:a\u{1B}[2J\"@x\r\nfake=1")
        for text in [odd.text, odd.json] {
            #expect(!text.contains("\u{1B}") && !text.contains("\r") && !text.contains("\n"))
            #expect(text.contains("\\u001b[2J\\\"@x\\r\\nfake=1"))
        }
    }
}
