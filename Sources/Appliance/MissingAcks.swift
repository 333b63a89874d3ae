package import Bytes
internal import Synchronization
package import Telemetry

/// An ACK of a 2xx that went missing, and on which side of midreg.
package struct MissingAck: Equatable, Sendable {
    package enum Side: String, Sendable {
        /// 2xx were passed back, and no ACK came by.
        case caller
        /// An ACK was passed on, and whoever accepted the call still repeats its 2xx.
        case callee
    }

    package let time: UnixTime
    package let side: Side
    /// To whom the 2xx went back, or the ACK went on.
    package let peer: TransportAddress
    /// The URI of the 2xx's Contact, where the caller has been told to send its ACK.
    package let contact: String
    /// Whether the contact names an address that means nothing outside of its own network.
    package let isPrivate: Bool
    package let callID: String

    package init(
        time: UnixTime, side: Side, peer: TransportAddress, contact: String, isPrivate: Bool,
        callID: String
    ) {
        self.time = time
        self.side = side
        self.peer = peer
        self.contact = contact
        self.isPrivate = isPrivate
        self.callID = callID
    }

    /// Where it was lost, as far as it can be seen from here.
    var what: String {
        switch side {
        case .caller: "caller sent no ACK"
        case .callee: "callee does not hear the ACK"
        }
    }

    /// What to look at next.
    var hint: String {
        switch (side, isPrivate) {
        case (.caller, true):
            "the Contact is private: an ACK that does not carry our Route cannot reach it; see "
                + "whether a proxy on the caller's side drops Record-Route or routes by Contact alone"
        case (.caller, false):
            "see on the caller's side whether the 2xx arrived with this Contact and our "
                + "Record-Route, and where its ACK went: a proxy that rewrites Contact sends it astray"
        case (.callee, _):
            "the ACK went to this address: capture there; if it does not arrive, a NAT or firewall "
                + "has closed the way (nat.ping); if it does, the callee does not take it for its call"
        }
    }

    private var fields: [(String, String)] {
        [
            ("peer", peer.text), ("contact", contact), ("private", isPrivate ? "yes" : "no"),
            ("call_id", callID), ("hint", hint),
        ]
    }

    /// One line for people, without its end.
    package var text: String {
        time.text + " " + what + ": "
            + fields.map { "\($0)=\(LogLine.value($1))" }.joined(separator: " ")
    }

    /// The same as an object of JSON, in one line.
    package var json: String {
        let all = [("time", time.text), ("side", side.rawValue), ("what", what)] + fields
        return "{" + all.map { "\"\($0)\":\"\(LogLine.escaped($1))\"" }.joined(separator: ",") + "}"
    }
}

/// The last ACKs that went missing, for `midreg diagnose`.
///
/// Noted once for a call, when its third 2xx has come; the log may leave lines out, this does not.
package final class MissingAcks: Sendable {
    /// Enough to see a pattern, and 64 KiB at most of contacts.
    package static let countMax = 64

    private struct Ring {
        var kept: [MissingAck] = []
        /// Where the oldest stands once there are ``countMax``.
        var oldest = 0
    }

    private let ring = Mutex(Ring())

    package init() {}

    package func note(_ ack: MissingAck) {
        ring.withLock { ring in
            if ring.kept.count < Self.countMax {
                ring.kept.append(ack)
            } else {
                ring.kept[ring.oldest] = ack
                ring.oldest = (ring.oldest + 1) % Self.countMax
            }
        }
    }

    /// What is kept, the newest first.
    package var newestFirst: [MissingAck] {
        ring.withLock { ring in
            Array((ring.kept[ring.oldest...] + ring.kept[..<ring.oldest]).reversed())
        }
    }

    /// The page for `midreg diagnose`: one line each, or an array of JSON with a line for each.
    package func page(asJSON: Bool) -> String {
        let all = newestFirst
        if asJSON { return "[" + all.map { "\n" + $0.json }.joined(separator: ",") + "\n]\n" }
        guard !all.isEmpty else { return "No ACK has gone missing since midreg was started.\n" }
        return all.map { $0.text + "\n" }.joined()
    }
}
