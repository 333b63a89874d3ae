/// A generated message and what was done to it.
package struct Sample: Sendable {
    package let bytes: [UInt8]
    package let defect: Defect
}

/// Makes requests and responses by the grammar of RFC 3261 §25, each the same for a seed and number;
/// half of them with one defect.
package struct Generator {
    var random: SplitMix
    var defect = Defect.none
    /// How often white space stands where the grammar lets it: once in that many places; 0 is never.
    var spaceRate = 0

    package init(seed: UInt64, number: UInt64) {
        random = SplitMix(seed: seed &* 0x2545_F491_4F6C_DD1D &+ number)
    }

    package mutating func sample() -> Sample {
        if random.once(in: 2) {
            defect = Defect.allCases[random.below(Defect.allCases.count)]
        }
        spaceRate = random.once(in: 3) ? 4 : 0
        var bytes = Array(message().utf8)
        spoil(&bytes)
        return Sample(bytes: bytes, defect: defect)
    }

    // MARK: The message

    private mutating func message() -> String {
        let method = random.pick([
            "REGISTER", "REGISTER", "INVITE", "OPTIONS", "MESSAGE", "BYE", "SUBSCRIBE", "X-New.1",
        ])
        let isRequest =
            switch defect {
            case .statusTooLarge, .statusTooShort, .noReasonSpace: false
            case .methodNoToken, .trailingSpaceInStartLine, .noVersion, .methodMismatch: true
            case _ where "\(defect)".hasPrefix("uri"): true
            default: random.below(4) > 0
            }
        let body = random.once(in: 3) ? "" : makeBody()
        var fields = mandatoryFields(method)
        fields += optionalFields(method, isRequest)
        if random.below(8) > 0 || "\(defect)".hasPrefix("length") {
            fields.append((["Content-Length", "l"][random.below(2)], length(body)))
        }
        double(&fields, body)
        leaveOut(&fields)
        fields.shuffle(using: &random)
        orderVias(&fields)
        var text = random.once(in: 20) && defect == .none ? "\r\n\r\n" : ""
        text += isRequest ? requestLine(method) : statusLine()
        let spoiled = random.below(fields.count)
        for (index, field) in fields.enumerated() {
            text += line(field.name, field.value, spoiled: index == spoiled)
        }
        return text + "\r\n" + body
    }

    private mutating func requestLine(_ method: String) -> String {
        var name = method
        var uri = makeURI(isBare: false, isSpoiled: true)
        var version = "SIP/2.0"
        switch defect {
        case .methodNoToken: name = random.pick(["IN@ITE", "REG:STER", "OP(TIONS", ""])
        case .uriBracketed: uri = "<\(uri)>"
        case .wrongVersion: version = random.pick(["SIP/3.0", "SIP/2.1", "SIP/2", "HTTP/1.1"])
        case .noVersion: return "\(name) \(uri)\r\n"
        case .twoSpacesInStartLine:
            return random.once(in: 2)
                ? "\(name)  \(uri) \(version)\r\n" : "\(name) \(uri)  \(version)\r\n"
        case .leadingSpace: name = " " + name
        case .trailingSpaceInStartLine: version += " "
        default: if random.once(in: 30) { version = "sip/2.0" }
        }
        return "\(name) \(uri) \(version)\r\n"
    }

    private mutating func statusLine() -> String {
        let status = random.pick(["100", "180", "200", "200", "302", "401", "404", "486", "603"])
        let reason = random.pick(["OK", "", "Not Found", "Très bien", "a  b\t\"c"])
        switch defect {
        case .statusTooLarge: return "SIP/2.0 \(random.pick(["700", "999", "2000"])) OK\r\n"
        case .statusTooShort: return "SIP/2.0 \(random.pick(["20", "2", "099"])) OK\r\n"
        case .noReasonSpace: return "SIP/2.0 \(status)\r\n"
        case .wrongVersion: return "SIP/3.0 \(status) \(reason)\r\n"
        case .twoSpacesInStartLine: return "SIP/2.0  \(status) \(reason)\r\n"
        case .leadingSpace: return " SIP/2.0 \(status) \(reason)\r\n"
        default: return "SIP/2.0 \(status) \(reason)\r\n"
        }
    }

    // MARK: Fields

    private typealias Field = (name: String, value: String)

    private mutating func mandatoryFields(_ method: String) -> [Field] {
        var sequence = "\(random.below(1 << 31))"
        if random.once(in: 10) { sequence = random.pick(["0", "2147483647", "0001", "1"]) }
        var named = method
        switch defect {
        case .methodMismatch: named = method == "INVITE" ? "BYE" : "INVITE"
        case .cseqTooLarge: sequence = random.pick(["2147483648", "4294967295"])
        case .cseqHuge: sequence = random.pick(["4294967296", "18446744073709551617"])
        case .cseqNoNumber: sequence = random.pick(["x", "-1", "+1", "1a", ""])
        default: break
        }
        let cseq = defect == .cseqNoMethod ? sequence : sequence + mandatorySpace() + named
        let word = random.pick(["a84b4c76e66710", "f81d4fae-7dec.11d0", "(x)<y>\"z\"/[?]{1}", "%1"])
        var callID = random.once(in: 2) ? word : word + "@" + makeHost()
        switch defect {
        case .callIDEmpty: callID = ""
        case .callIDTwoWords: callID = "abc def"
        default: break
        }
        let both = Defect.addressDefects.contains(defect)
        let inFrom = random.once(in: 2)
        var fields: [Field] = [
            ("From", makeAddress(tagged: true, isSpoiled: both && inFrom)),
            ("To", makeAddress(tagged: random.once(in: 2), isSpoiled: both && !inFrom)),
            ("Call-ID", callID), ("CSeq", cseq),
        ]
        if defect == .fromEmpty { fields[0].value = "" }
        let vias = 1 + random.below(3)
        var list = makeVia(isSpoiled: true)
        for _ in 1..<max(vias, 2) where vias > 1 {
            if random.once(in: 2) {
                list += comma() + makeVia(isSpoiled: false)
            } else {
                fields.append(("Via", list))
                list = makeVia(isSpoiled: false)
            }
        }
        fields.append(("Via", list))
        return fields
    }

    private mutating func optionalFields(_ method: String, _ isRequest: Bool) -> [Field] {
        var fields: [Field] = []
        let forwards: String? =
            switch defect {
            case .forwardsTooLarge: random.pick(["256", "4294967296", "99999"])
            case .forwardsNoNumber: random.pick(["x", "-1", "7x", ""])
            default: random.once(in: 6) ? nil : "\(random.pick(["70", "0", "255", "007", "16"]))"
            }
        if let forwards { fields.append(("Max-Forwards", forwards)) }
        let isStar = method == "REGISTER" && isRequest && random.once(in: 12)
        switch defect {
        case .starAndMore: fields.append(("Contact", "*, <sip:a@example.test>"))
        case .emptyElement:
            fields.append(
                ("Contact", makeContact() + "," + random.pick(["", " "]) + "," + makeContact()))
        case .commaAtEnd: fields.append(("Contact", makeContact() + ","))
        case .contactExpiresNoNumber:
            fields.append(
                (
                    "Contact",
                    "<\(makeURI(isBare: false))>;expires=" + random.pick(["x", "-1", "\"6\""])
                ))
        case _ where isStar: fields.append(("Contact", "*"))
        default:
            for _ in 0..<random.below(3) {
                var list = makeContact()
                for _ in 0..<random.below(3) { list += comma() + makeContact() }
                fields.append(("Contact", list))
            }
        }
        if isRequest, random.once(in: 4) {
            var list = makeRoute()
            for _ in 0..<random.below(3) { list += comma() + makeRoute() }
            fields.append(("Route", list))
        }
        let others: [Field] = [
            ("Expires", "3600"), ("Subject", "lunch, \"today\""), ("s", "x"),
            ("Supported", "path, gruu"), ("k", "outbound"), ("User-Agent", "A Phone/1.0 (b; c)"),
            ("X-Unknown", "a\tb;;,\"<"), ("x", "90"), ("Allow", "INVITE,ACK , BYE"),
            ("Accept", ""), ("X.y-z!%*_+`'~", "é ü"), ("Content-Type", "application/sdp"),
            ("Date", "Sat, 13 Nov 2010 23:29:00 GMT"), ("P-Asserted-Identity", "<tel:+1234>"),
        ]
        for other in others where random.once(in: 5) { fields.append(other) }
        return fields
    }

    private mutating func length(_ body: String) -> String {
        let count = body.utf8.count
        switch defect {
        case .lengthTooLong: return "\(count + 1 + random.below(50))"
        case .lengthTooShort: return "\(max(0, count - 1 - random.below(9)))"
        case .lengthNoNumber: return random.pick(["x", "1 2", "0x10", "\(count),\(count)", ""])
        case .lengthNegative: return "-\(1 + count)"
        case .lengthPlus: return "+\(count)"
        case .lengthHuge: return "\(UInt64(1 << 32) + UInt64(count))"
        default: return random.once(in: 10) ? "00\(count)" : "\(count)"
        }
    }

    private mutating func double(_ fields: inout [Field], _ body: String) {
        let name: String
        switch defect {
        case .twoFroms: name = "From"
        case .twoTos: name = "To"
        case .twoCallIDs: name = "Call-ID"
        case .twoCSeqs: name = "CSeq"
        case .twoMaxForwards: name = "Max-Forwards"
        case .twoLengths:
            fields.removeAll { $0.name == "Content-Length" || $0.name == "l" }
            fields += [("Content-Length", "\(body.utf8.count)"), ("l", "\(body.utf8.count)")]
            return
        case .differingLengths:
            fields.removeAll { $0.name == "Content-Length" || $0.name == "l" }
            fields += [("Content-Length", "\(body.utf8.count)"), ("l", "0")]
            if body.isEmpty { fields[fields.count - 1].value = "1" }
            return
        default: return
        }
        if let field = fields.first(where: { $0.name == name }) { fields.append(field) }
        if name == "Max-Forwards", fields.filter({ $0.name == name }).count < 2 {
            fields += [(name, "70"), (name, "69")]
        }
    }

    private func leaveOut(_ fields: inout [Field]) {
        let name: String
        switch defect {
        case .noVia: name = "Via"
        case .noFrom: name = "From"
        case .noTo: name = "To"
        case .noCallID: name = "Call-ID"
        case .noCSeq: name = "CSeq"
        default: return
        }
        fields.removeAll { $0.name == name }
    }

    /// The topmost Via is the one that was to be spoiled.
    private func orderVias(_ fields: inout [Field]) {
        let places = fields.indices.filter { fields[$0].name == "Via" }
        guard let bad = places.first(where: { fields[$0].value.contains("X-SPOILED") }) else {
            return
        }
        fields.swapAt(places[0], bad)
    }

    private mutating func line(_ name: String, _ value: String, spoiled: Bool) -> String {
        var shown = name
        let compact = [
            "Via": "v", "From": "f", "To": "t", "Call-ID": "i", "Contact": "m", "Subject": "s",
        ]
        switch random.below(8) {
        case 0, 1: shown = compact[name] ?? name
        case 2: shown = name.lowercased()
        case 3: shown = name.uppercased()
        default: break
        }
        let before =
            spaceRate > 0 && random.once(in: spaceRate) ? random.pick([" ", "\t", "  "]) : ""
        let after = spaceRate > 0 ? space() : random.pick([" ", " ", " ", ""])
        var end = spaceRate > 0 && random.once(in: spaceRate) ? random.pick([" ", "\t"]) : ""
        var shownValue = value
        if spoiled {
            switch defect {
            case .noColon: return "\(shown) \(value.filter { $0 != ":" })\r\n"
            case .spaceInName: shown = "X Y"
            case .noName: shown = ""
            case .bareCR: shownValue = broken(value, "\r")
            case .bareLF: shownValue = broken(value, "\n")
            case .controlByte:
                shownValue = broken(value, random.pick(["\u{1}", "\u{8}", "\u{7F}"]))
            case .nulByte: shownValue = broken(value, "\0")
            default: break
            }
        }
        if shownValue.isEmpty { end = "" }
        return shown + before + ":" + after + shownValue + end + "\r\n"
    }

    private mutating func broken(_ value: String, _ byte: String) -> String {
        let place = value.index(value.startIndex, offsetBy: random.below(value.count + 1))
        return value[..<place] + byte + value[place...]
    }

    private mutating func makeBody() -> String {
        random.pick([
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n", "hello", "\r\n\r\n", "\0\u{1}\u{2}é",
            "REGISTER sip:x SIP/2.0\r\n\r\n",
        ])
    }

    // MARK: Bytes

    private mutating func spoil(_ bytes: inout [UInt8]) {
        guard bytes.count > 8 else { return }
        let place = random.below(bytes.count)
        let byte = UInt8(truncatingIfNeeded: random.next())
        switch defect {
        case .cutShort: bytes.removeLast(bytes.count - place)
        case .byteChanged: bytes[place] = byte
        case .byteRemoved: bytes.remove(at: place)
        case .byteAdded: bytes.insert(byte, at: place)
        case .onlyLineFeeds: bytes.removeAll { $0 == 0x0D }
        default: break
        }
    }
}
