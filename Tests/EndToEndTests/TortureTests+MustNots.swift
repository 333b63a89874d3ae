extension EndToEnd.Torture {
    /// What of the column `must` does not hold, and what no answer may lack.
    static func breaches(of vector: TortureVector, _ outcome: TortureOutcome) -> [String] {
        var breaches: [String] = []
        func must(_ holds: Bool, _ what: String) {
            if !holds { breaches.append("must: \(what)") }
        }
        if vector.must.hasPrefix("not forwarded") || vector.must.contains("no binding") {
            must(outcome.atMain.isEmpty, "not forwarded")
            must(outcome.contacts.isEmpty, "no binding")
        }
        if !vector.isRequest { must(outcome.seen == 0, "nothing comes of a stray response") }
        let twinID = Self.twin(of: vector).map { RawMessage($0).first("call-id")?.value }
        for answer in outcome.answers where answer.first("call-id")?.value != twinID {
            if let missing = lacks(answer, to: vector.message) {
                must(false, "an answer its sender can match, but \(missing)")
            }
        }
        let original = vector.message
        let forwarded = outcome.atMain.first
        let contacts = outcome.answers.last?.all("contact").map(\.value) ?? []
        switch vector.name {
        case "badbranch":
            let vias = Set(outcome.atMain.compactMap { $0.first("via")?.value })
            must(vias.count == outcome.atMain.count, "no collision of transactions")
        case "bext01":
            let tags = outcome.answers.first?.all("unsupported").map(\.value) ?? []
            let asked = original.all("proxy-require").map(\.value)
            must(tags == asked, "Unsupported lists the two of Proxy-Require, not \(tags)")
        case "cparam01":
            must(
                contacts.count == 1 && !contacts[0].contains("unknownparam>")
                    && contacts[0].contains(";unknownparam"),
                "unknownparam is not part of the URI: \(contacts)")
        case "cparam02":
            must(
                contacts.count == 1
                    && contacts[0].contains("<sip:+19725552222@gw1.example.net;unknownparam>"),
                "unknownparam is part of the URI: \(contacts)")
        case "dblreq":
            must(outcome.atMain.allSatisfy { $0.method == "REGISTER" }, "no INVITE")
            must(forwarded?.body.isEmpty ?? false, "no octet of the INVITE")
        case "esc02": must(outcome.contacts.isEmpty, "no binding by RE%47IST%45R")
        case "escnull":
            must(
                contacts.contains { $0.contains("<sip:%00@host5.example.com>") }
                    && contacts.contains { $0.contains("<sip:%00%00@host5.example.com>") },
                "two bindings: \(contacts)")
            let users = Set((forwarded?.all("contact") ?? []).map(\.value))
            must(users.count == 2, "two bindings at the main registrar: \(users)")
            must(forwarded?.first("to")?.line == original.first("to")?.line, "To as it was")
            must(
                outcome.contacts.count == 2
                    && outcome.contacts.allSatisfy { $0.contains("null-%00-null") },
                "an address of record that is not cut short: \(outcome.contacts)")
        case "escruri":
            must(!(forwarded?.startText.contains("?") ?? false), "no headers in the request-URI")
            must(forwarded?.first("route") == nil, "no Route made of them")
        case "ltgtruri":
            must(!(forwarded?.startText.contains("<") ?? false), "no brackets")
        case "lwsruri", "lwsstart", "trws":
            let words = forwarded.map { String(latin: $0.startLine).split(separator: " ").count }
            must(
                words == nil
                    || (words == 3 && !String(latin: forwarded?.startLine ?? []).contains(" \r\n")),
                "single spaces in the request line, none at its end")
        case "mpart01": must(forwarded?.body.count == 553, "a body of 553 octets")
        case "inv2543":
            must(forwarded?.first("max-forwards")?.value == "70", "Max-Forwards inserted")
            must(forwarded?.body == original.body, "the body to the end of the datagram")
        case "regaut01":
            must(
                forwarded?.first("authorization")?.line == original.first("authorization")?.line,
                "Authorization as it was")
        case "regbadct":
            must(
                contacts.isEmpty || contacts[0].contains("?Route="), "the whole URI, if accepted")
        case "regescrt":
            must(
                contacts.count == 1
                    && contacts[0].contains(
                        "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"),
                "the escaped header stays in the URI: \(contacts)")
        case "wsinv":
            must(forwarded?.first("max-forwards")?.value == "67", "Max-Forwards 68, then 67")
        default: break
        }
        return breaches
    }

    /// What an answer lacks that its sender needs (RFC 3261 §8.2.6.2).
    static func lacks(_ answer: RawMessage, to original: RawMessage) -> String? {
        guard answer.status != nil else { return "it is no answer" }
        for name in ["from", "call-id", "cseq"] {
            guard answer.all(name).count <= 1 else { return "\(name) stands there twice" }
            guard answer.first(name)?.line == original.first(name)?.line else {
                return "\(name) differs"
            }
        }
        let (vias, wanted) = (answer.all("via"), original.all("via"))
        guard vias.count == wanted.count, !vias.isEmpty,
            TortureOutcome.isStamped(vias[0], of: wanted[0]),
            zip(vias, wanted).dropFirst().allSatisfy({ $0.line == $1.line })
        else { return "the Vias differ" }
        if let to = original.first("to"), let answered = answer.first("to") {
            let start = to.line.dropLast(2)
            guard answered.line.starts(with: start) else { return "To differs" }
        }
        return nil
    }
}
