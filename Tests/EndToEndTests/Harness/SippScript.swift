/// What a sipp does in one call, step by step, and the XML that has it do so.
///
/// What a script does not await is passed over. A phone's responses are made of the INVITE that it
/// kept, not of what came last, so that it can refuse the INVITE after it has taken the CANCEL.
struct SippScript {
    enum Step {
        /// A caller's INVITE to the user that sipp was given.
        case call
        /// Waits for a response, whatever provisional ones come before it.
        case hear(Int)
        /// A caller's ACK: of a 2xx along the dialog, of anything else to where the INVITE went.
        case acknowledge(Int)
        /// A caller's CANCEL with these Reasons.
        case cancel(reasons: [String])

        /// A phone waits for its INVITE.
        case ring
        /// A phone answers its INVITE; a 200 is repeated until the next step happens.
        case answer(Int, String, contact: String? = nil)

        /// Waits for a request that has no answer.
        case await(String)
        /// Waits for a request and answers it 200.
        case accept(String)
        /// Waits for the test's word, ``SippPeer/cue()``.
        case awaitCue
        /// BYE, and its 200.
        case hangUp
    }

    /// What it notes when it has heard the test's word.
    static let cueHeard = "cue heard"

    let name: String
    let steps: [Step]
    /// Topmost first: ours, the main registrar's, the caller's.
    private let vias: [String]
    /// Ours, the main registrar's.
    private let routes: [String]

    /// - Parameters:
    ///   - vias: values in the INVITE that a phone gets, each in a line of its own.
    ///   - routes: the same of Record-Route.
    init(_ name: String, _ steps: [Step], vias: Int = 3, routes: Int = 2) {
        self.name = name
        self.steps = steps
        self.vias = (1...vias).map { "via\($0)" }
        self.routes = (1...routes).map { "route\($0)" }
    }

    /// Whether it begins by waiting for a call.
    var isPhone: Bool {
        if case .ring = steps[0] { return true }
        return false
    }

    var xml: String {
        """
        <?xml version="1.0" encoding="ISO-8859-1"?>
        <!DOCTYPE scenario SYSTEM "sipp.dtd">
        <scenario name="\(name)">
        \(steps.map(xml).joined())\(reference)</scenario>

        """
    }

    private func xml(_ step: Step) -> String {
        switch step {
        case .call: Self.send(Self.invite, isRepeated: true)
        case .hear(let status):
            [100, 180, 183].filter { $0 < status }
                .map { "<recv response=\"\($0)\" optional=\"true\"/>\n" }.joined()
                + "<recv response=\"\(status)\" rrs=\"true\"><action>\n"
                + Self.keep("to", "To") + "</action></recv>\n"
        case .acknowledge(let status): Self.send(Self.ack(of: status))
        case .cancel(let reasons): Self.send(Self.cancel(reasons), isRepeated: true)
        case .ring: ring
        case .answer(let status, let reason, let contact):
            Self.send(
                answer(status, reason, contact: contact ?? "sip:[local_ip]:[local_port]"),
                isRepeated: status >= 200)
        case .await(let method): "<recv request=\"\(method)\"/>\n"
        case .accept(let method): "<recv request=\"\(method)\"/>\n" + Self.send(Self.okay)
        case .awaitCue:
            "<recv request=\"INFO\"/>\n"
                + "<nop><action><log message=\"\(Self.cueHeard)\"/></action></nop>\n"
        case .hangUp:
            Self.send(isPhone ? Self.byeOfPhone : Self.byeOfCaller, isRepeated: true)
                + "<recv response=\"200\"/>\n"
        }
    }
}

// MARK: What is sent

extension SippScript {
    private static func send(_ message: String, isRepeated: Bool = false) -> String {
        "<send\(isRepeated ? " retrans=\"500\"" : "")><![CDATA[\n\(message)\n]]></send>\n"
    }

    private static func head(_ branch: String, _ method: String, _ uri: String) -> String {
        """
        \(method) \(uri) SIP/2.0
        Via: SIP/2.0/UDP [local_ip]:[local_port];branch=\(branch);rport
        Max-Forwards: 70

        """
    }

    private static let service = "sip:[service]@example.test"
    /// The same in INVITE, CANCEL and the ACK of a refusal (RFC 3261 §9.1, §17.1.1.3).
    private static let inviteBranch = "z9hG4bK-[pid]-[call_number]-invite"
    private static let callerFrom = "From: <sip:caller@example.test>;tag=c[pid]\n"

    private static let description = """
        Content-Type: application/sdp
        Content-Length: [len]

        v=0
        o=- 1 1 IN IP[local_ip_type] [local_ip]
        s=-
        c=IN IP[media_ip_type] [media_ip]
        t=0 0
        m=audio [media_port] RTP/AVP 0
        a=rtpmap:0 PCMU/8000

        """

    private static let invite =
        head(inviteBranch, "INVITE", service) + callerFrom
            + """
            To: <\(service)>
            Call-ID: [call_id]
            CSeq: 1 INVITE
            Contact: <sip:caller@[local_ip]:[local_port]>

            """ + description

    private static func ack(of status: Int) -> String {
        let isSuccess = (200..<300).contains(status)
        return
            (isSuccess
            ? head("[branch]", "ACK", "[next_url]") + "[routes]\n"
            : head(inviteBranch, "ACK", service))
            + callerFrom
                + """
                To:[$to]
                Call-ID: [call_id]
                CSeq: 1 ACK
                Content-Length: 0

                """
    }

    private static func cancel(_ reasons: [String]) -> String {
        head(inviteBranch, "CANCEL", service) + callerFrom
            + """
            To: <\(service)>
            Call-ID: [call_id]
            CSeq: 1 CANCEL

            """ + reasons.map { "Reason: \($0)\n" }.joined() + "Content-Length: 0\n"
    }

    private static let byeOfCaller =
        head("[branch]", "BYE", "[next_url]") + "[routes]\n" + callerFrom
            + """
            To:[$to]
            Call-ID: [call_id]
            CSeq: 2 BYE
            Content-Length: 0

            """

    private static let singles = ["from": "From", "to": "To", "cseq": "CSeq"]

    private var ring: String {
        var kept = ""
        for (at, name) in vias.enumerated() { kept += Self.keep(name, "Via", at + 1) }
        for (at, name) in routes.enumerated() { kept += Self.keep(name, "Record-Route", at + 1) }
        for (name, field) in Self.singles.sorted(by: <) { kept += Self.keep(name, field) }
        return "<recv request=\"INVITE\" rrs=\"true\"><action>\n\(kept)</action></recv>\n"
    }

    /// Puts a field of what has come into a variable.
    private static func keep(_ variable: String, _ field: String, _ occurrence: Int = 1) -> String {
        """
        <ereg regexp=".*" search_in="hdr" header="\(field):" occurrence="\(occurrence)" \
        assign_to="\(variable)"/>

        """
    }

    /// Names all variables: sipp refuses a script that sets one and does not use it.
    private var reference: String {
        let names = isPhone ? vias + routes + Self.singles.keys.sorted() : ["to"]
        return "<Reference variables=\"\(names.joined(separator: ","))\"/>\n"
    }

    /// Each process is a phone of its own, with a tag of its own.
    private static let ownTag = ";tag=p[pid]"

    private func answer(_ status: Int, _ reason: String, contact: String) -> String {
        let hasDialog = status < 300
        return "SIP/2.0 \(status) \(reason)\n" + vias.map { "Via:[$\($0)]\n" }.joined()
            + (hasDialog ? routes.map { "Record-Route:[$\($0)]\n" }.joined() : "")
                + """
                From:[$from]
                To:[$to]\(Self.ownTag)
                Call-ID: [call_id]
                CSeq:[$cseq]
                Contact: <\(contact)>

                """ + (status == 200 ? Self.description : "Content-Length: 0\n")
    }

    private static let byeOfPhone =
        head("[branch]", "BYE", "[next_url]")
            + """
            [routes]
            From:[$to]\(Self.ownTag)
            To:[$from]
            Call-ID: [call_id]
            CSeq: 1 BYE
            Content-Length: 0

            """

    private static let okay = """
        SIP/2.0 200 OK
        [last_Via:]
        [last_From:]
        [last_To:]
        [last_Call-ID:]
        [last_CSeq:]
        Content-Length: 0

        """
}
