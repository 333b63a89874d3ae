import Bytes

/// A phone, or somebody who behaves like one: a small user agent that registers, refreshes, answers
/// challenges, retransmits, moves, reboots and vanishes.
struct Phone {
    enum Purpose { case register, remove, removeAll, fetch }

    struct Transaction {
        var number: Int
        var branch: String
        var sequence: Int
        var bytes: [UInt8]
        var purpose: Purpose
        var isAuthorized: Bool
        var challenges: Int
        var startMs: UInt64
        var intervalMs: UInt64
    }

    let number: Int
    let aor: Int
    /// As it stands in a URI.
    let host: String
    var address: TransportAddress
    var instance: String
    /// Of a phone that keeps two, each of them a phone in the model; 0 for one that keeps none.
    var flowNumber = 0
    /// Flows of one phone have one user.
    var user = ""
    /// What it registers: a URI each.
    var uris: [String]
    var parameters = ""
    var lifetime: Int
    /// Where it writes the lifetime: 0 in the parameter, 1 in Expires, 2 in both.
    var style: Int
    var refreshPercent: Int
    /// The last answer was 500.
    var wasRefused = false
    /// Shows its word before it is asked.
    var isEager: Bool
    var callID: String
    var sequence = 0
    var boots = 0
    var transaction: Transaction?
    var transactions = 0
    /// Timers of older plans count for nothing.
    var plans = 0
    /// It wants to be registered, and is there.
    var isThere = true
    var wantsBinding = true
    /// When it registered last, by its own knowledge until when.
    var registeredUntil: UInt64 = 0
    /// Whether it shows a wrong word, and whose contact it copies.
    var isHostile = false

    mutating func newCallID() {
        boots += 1
        callID = "c\(number)-\(boots)@p"
    }

    /// Writes a request with the next CSeq and opens its transaction.
    mutating func begin(
        _ purpose: Purpose, authorized: Bool, challenges: Int, at now: UInt64, word: String
    ) {
        sequence += 1
        transactions += 1
        let branch = "z9hG4bK\(number)x\(transactions)"
        let bytes = write(
            purpose, branch: branch, word: authorized ? word : "", sequence: sequence,
            callID: callID, uris: uris)
        transaction = Transaction(
            number: transactions, branch: branch, sequence: sequence, bytes: bytes,
            purpose: purpose, isAuthorized: authorized, challenges: challenges, startMs: now,
            intervalMs: 500)
    }

    func write(
        _ purpose: Purpose, branch: String, word: String, sequence: Int, callID: String,
        uris: [String]
    ) -> [UInt8] {
        var text = "REGISTER sip:\(SIPText.domain(aor)) SIP/2.0\r\n"
        text += "Via: SIP/2.0/UDP \(host):\(5_060);branch=\(branch);rport\r\n"
        text += "Max-Forwards: 70\r\nFrom: <\(SIPText.uri(aor))>;tag=t\(number)\r\n"
        text += "To: <\(SIPText.uri(aor))>\r\nCall-ID: \(callID)\r\n"
        text += "CSeq: \(sequence) REGISTER\r\n"
        let seconds = purpose == .register ? lifetime : 0
        switch purpose {
        case .register, .remove:
            for uri in uris {
                text += "Contact: <\(uri)>\(parameters)"
                if !instance.isEmpty { text += ";+sip.instance=\"<urn:uuid:\(instance)>\"" }
                if flowNumber > 0 { text += ";reg-id=\(flowNumber)" }
                if style != 1 { text += ";expires=\(seconds)" }
                text += "\r\n"
            }
            if style != 0 { text += "Expires: \(seconds)\r\n" }
        case .removeAll: text += "Contact: *\r\nExpires: 0\r\n"
        case .fetch: break
        }
        if !word.isEmpty { text += "Authorization: \(word)\r\n" }
        text += "Content-Length: 0\r\n\r\n"
        return Array(text.utf8)
    }
}
