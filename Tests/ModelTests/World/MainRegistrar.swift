/// A registrar as RFC 3261 §10.3 has it, which challenges whoever does not show the right word.
///
/// It keeps the contacts it is given, whatever they look like, with the Path they came by.
struct MainRegistrar {
    struct Held {
        var uri: String
        var callID: String
        var sequence: Int
        var expiryMs: UInt64
        var paths: [String]
    }

    /// What it did with a request.
    struct Outcome {
        var response: [UInt8]?
        var delayMs: UInt64 = 0
        /// It agreed, at its first copy: bindings may have changed.
        var isAccepted = false
    }

    private(set) var held: [[Held]]
    private var answered: [String: (untilMs: UInt64, response: [UInt8])] = [:]
    private let plan: Plan
    /// No more 503, stale words or delays.
    var isCalm = false

    init(_ plan: Plan) {
        self.plan = plan
        held = Array(repeating: [], count: plan.aors)
    }

    static func word(_ aor: Int) -> String {
        "Digest username=\"a\(aor)\", response=\"good-a\(aor)\""
    }

    /// Until when it holds a contact of an AOR; 0 if it does not.
    func expiry(_ aor: Int, _ uri: String, at now: UInt64) -> UInt64 {
        for entry in held[aor] where entry.uri == uri && entry.expiryMs > now {
            return entry.expiryMs
        }
        return 0
    }

    mutating func forgetAll() {
        for aor in held.indices { held[aor] = [] }
        answered = [:]
    }

    mutating func receive(
        _ request: SIPText, isOwn: Bool, at now: UInt64, _ chance: inout Chance
    ) -> Outcome {
        let key = request.vias[0]
        if let old = answered[key], now < old.untilMs { return Outcome(response: old.response) }
        var outcome = judge(request, isOwn: isOwn, at: now, &chance)
        if let response = outcome.response {
            answered[key] = (now + 32_000, response)
            if !isCalm, chance.happens(plan.slowPercent) {
                outcome.delayMs = UInt64(chance.pick([100, 700, 3_000, 9_000]))
            }
        }
        return outcome
    }

    private mutating func judge(
        _ request: SIPText, isOwn: Bool, at now: UInt64, _ chance: inout Chance
    ) -> Outcome {
        guard request.method == "REGISTER", let aor = request.aor,
            held.indices.contains(aor)
        else { return refusal(404, "Not Found", request) }
        held[aor].removeAll { $0.expiryMs <= now }
        if isOwn {
            guard plan.ownRemovals == .accepted else { return refusal(403, "Forbidden", request) }
        } else {
            if !isCalm, chance.happens(plan.busyPercent) {
                return refusal(
                    chance.pick([503, 500]), "Busy", request,
                    more: chance.happens(50) ? "Retry-After: 3\r\n" : "")
            }
            let isStale = !isCalm && chance.happens(plan.stalePercent)
            guard request.credentials == Self.word(aor), !isStale else {
                let isWrong = !request.credentials.isEmpty && !isStale && chance.happens(50)
                return isWrong
                    ? refusal(403, "Forbidden", request)
                    : refusal(
                        401, "Unauthorized", request,
                        more: "WWW-Authenticate: Digest realm=\"m\", nonce=\"n\"\r\n")
            }
        }
        return change(aor, request, isOwn: isOwn, at: now, &chance)
    }

    /// §10.3 steps 6 to 8: every contact or none.
    private mutating func change(
        _ aor: Int, _ request: SIPText, isOwn: Bool, at now: UInt64, _ chance: inout Chance
    ) -> Outcome {
        if request.isWildcard {
            if held[aor].contains(where: { isOld(request, $0) }) {
                return refusal(500, "Old", request)
            }
            held[aor] = []
            return acceptance(aor, request, at: now)
        }
        var seconds: [Int] = []
        for contact in request.contacts {
            let asked = contact.expires ?? request.expires ?? 3_600
            if let entry = held[aor].first(where: { $0.uri == contact.uri }),
                isOld(request, entry)
            {
                return refusal(500, "Old", request)
            }
            if asked > 0, plan.mainLeast > 0, asked < plan.mainLeast {
                return refusal(
                    423, "Interval Too Brief", request, more: "Min-Expires: \(plan.mainLeast)\r\n")
            }
            var granted = asked
            if asked > 0 {
                if plan.mainMost > 0 { granted = min(asked, plan.mainMost - chance.below(5)) }
                granted += plan.mainMore
                // What it does not say is what it was asked for.
                if plan.expiryStyle == .missing { granted = asked }
            }
            seconds.append(granted)
        }
        if !isOwn, !isCalm, chance.happens(plan.emptyPercent), !request.contacts.isEmpty {
            // It agrees and holds nothing of it.
            held[aor].removeAll { entry in request.contacts.contains { $0.uri == entry.uri } }
            var outcome = Outcome(isAccepted: true)
            outcome.response = answer(200, "OK", request, "")
            return outcome
        }
        for (number, contact) in request.contacts.enumerated() {
            held[aor].removeAll { $0.uri == contact.uri }
            guard seconds[number] > 0 else { continue }
            held[aor].append(
                Held(
                    uri: contact.uri, callID: request.callID, sequence: request.sequence,
                    expiryMs: now + UInt64(seconds[number]) * 1_000, paths: request.paths))
        }
        return acceptance(aor, request, at: now)
    }

    /// Step 7: under the same Call-ID, the CSeq must be higher.
    private func isOld(_ request: SIPText, _ entry: Held) -> Bool {
        entry.callID == request.callID && request.sequence <= entry.sequence
    }

    private func acceptance(_ aor: Int, _ request: SIPText, at now: UInt64) -> Outcome {
        var lines = ""
        var listed = held[aor]
        if !plan.listsAll {
            listed.removeAll { entry in !request.contacts.contains { $0.uri == entry.uri } }
        }
        let usesHeader = plan.expiryStyle == .header && listed.count == 1
        for entry in listed {
            lines += "Contact: <\(entry.uri)>"
            let seconds = (entry.expiryMs - now) / 1_000
            if usesHeader {
                lines += "\r\nExpires: \(seconds)"
            } else if plan.expiryStyle != .missing
                || !request.contacts.contains(where: {
                    $0.uri == entry.uri
                })
            {
                lines += ";expires=\(seconds)"
            }
            lines += "\r\n"
        }
        lines += "Service-Route: <sip:route@main;lr>\r\n"
        return Outcome(response: answer(200, "OK", request, lines), isAccepted: true)
    }

    private func refusal(
        _ code: Int, _ reason: String, _ request: SIPText, more: String = ""
    ) -> Outcome {
        Outcome(response: answer(code, reason, request, more))
    }

    private func answer(
        _ code: Int, _ reason: String, _ request: SIPText, _ more: String
    ) -> [UInt8] {
        var text = "SIP/2.0 \(code) \(reason)\r\n"
        for via in request.vias { text += "Via: \(via)\r\n" }
        text += "From: \(request.from)\r\nTo: \(request.to);tag=main\r\n"
        text += "Call-ID: \(request.callID)\r\nCSeq: \(request.sequence) REGISTER\r\n"
        text += more
        text += "Content-Length: 0\r\n\r\n"
        return Array(text.utf8)
    }
}
