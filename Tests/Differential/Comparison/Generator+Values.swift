extension Defect {
    static let addressDefects: Set<Defect> = [
        .quoteNotClosed, .bracketNotClosed, .bracketNotOpened, .nameUnquoted, .twoSemicolons,
        .semicolonAtEnd, .tagTwice, .tagEmpty, .questionMarkUnbracketed, .textAfterBracket,
    ]
}

/// Values of header fields.
extension Generator {
    // MARK: White space

    /// `SWS`: none, white space, or a fold.
    mutating func space() -> String {
        guard spaceRate > 0, random.once(in: spaceRate) else { return "" }
        return random.pick([" ", "  ", "\t", "\r\n ", " \r\n\t"])
    }

    /// `LWS`: at least one.
    mutating func mandatorySpace() -> String {
        spaceRate > 0 && random.once(in: spaceRate) ? random.pick(["\t", "  ", "\r\n "]) : " "
    }

    mutating func comma() -> String {
        spaceRate > 0 ? space() + "," + space() : random.pick([",", ", "])
    }

    private mutating func semicolon() -> String { space() + ";" + space() }
    private mutating func equals() -> String { space() + "=" + space() }

    // MARK: URIs (§19.1.1)

    mutating func makeHost() -> String {
        random.pick([
            "example.test", "a.b-c.example.test", "EXAMPLE.test", "example.test.", "192.0.2.7",
            "[2001:db8::1]", "[::ffff:192.0.2.1]", "[2001:DB8:0:0:8:800:200C:417A]", "localhost",
        ])
    }

    /// - Parameter isBare: whether it has to do without parameters and headers, since no brackets
    ///   stand around it.
    mutating func makeURI(isBare: Bool, isSpoiled: Bool = false) -> String {
        if isSpoiled, let bad = spoiledURI() { return bad }
        if random.once(in: 20) {
            return random.pick([
                "tel:+12015550123", "urn:service:sos", "http://example.test/a",
                "im:bob@example.test",
            ])
        }
        var uri = random.pick(["sip:", "sip:", "sip:", "sips:", "SIP:", "Sip:"])
        if random.below(4) > 0 {
            uri += random.pick([
                "alice", "bob", "+4930123456", "a%20b", "%61lice", "j.doe", "1&2=3+4$5", "a/b",
                "user-_.!~*'()", "%00x", "%c3%a9",
            ])
            if !isBare, random.once(in: 8) { uri += random.pick([";x=y", "?z", ",w"]) }
            if random.once(in: 10) { uri += random.pick([":secret", ":", ":a&b=c+d$e"]) }
            uri += "@"
        }
        uri += makeHost()
        if random.once(in: 3) { uri += random.pick([":5060", ":1", ":65535", ":05061"]) }
        guard !isBare else { return uri }
        for _ in 0..<random.below(3) {
            uri += random.pick([
                ";transport=udp", ";lr", ";maddr=192.0.2.9", ";ttl=1", ";user=phone", ";foo",
                ";foo=b%20r", ";method=INVITE", ";a[]=/:&+$", ";Transport=TCP",
            ])
        }
        if random.once(in: 12) {
            uri += random.pick(["?subject=x", "?subject=a%20b&priority=urgent", "?empty="])
        }
        return uri
    }

    private mutating func spoiledURI() -> String? {
        switch defect {
        case .uriWithSpace: random.pick(["sip:a b@example.test", "sip:a@example .test"])
        case .uriNoScheme: random.pick(["alice@example.test", "example.test", "//example.test"])
        case .uriBadEscape:
            random.pick(["sip:%zz@example.test", "sip:a%2@example.test", "sip:%@x"])
        case .uriBadIPv6: random.pick(["sip:[::1", "sip:[:::1]", "sip:[2001:db8]", "sip:a@::1"])
        case .uriPortTooLarge: random.pick(["sip:a@x.test:65536", "sip:x.test:99999999999"])
        case .uriPortZero: "sip:a@example.test:0"
        case .uriNoHost: random.pick(["sip:", "sip:a@", "sip:;lr", "sip:a@:5060"])
        case .uriNoUser: random.pick(["sip:@example.test", "sip::x@example.test"])
        case .uriTwoAtSigns: random.pick(["sip:a@b@example.test", "sip:a@example.test;x=y@z"])
        case .uriEmptyPort: "sip:a@example.test:"
        case .uriEmptyParameter:
            random.pick(["sip:a@x.test;", "sip:a@x.test;;lr", "sip:a@x.test;=b", "sip:a@x.test;c="])
        default: nil
        }
    }

    // MARK: Addresses (§20.10)

    private mutating func makeName() -> String {
        switch random.below(4) {
        case 0: ""
        case 1:
            random.pick(["Alice", "Bob Smith", "A.-!%*_+`'~", "x\ty"]) + random.pick([" ", ""])
        default:
            random.pick([
                "\"\"", "\"Alice\"", "\"A, \\\"q\\\"; <x> : name\"", "\"\\\\\"", "\"é, ü\"",
                "\"sip:x@y\"", "\"a\\\u{1}b\"", "\"tab\tin\"",
            ]) + space() + random.pick(["", " "])
        }
    }

    mutating func makeAddress(tagged: Bool, isSpoiled: Bool) -> String {
        if isSpoiled { return spoiledAddress() }
        var text =
            random.once(in: 5)
            ? makeURI(isBare: true) : makeName() + "<" + makeURI(isBare: false) + ">"
        if tagged {
            text += semicolon() + "tag" + equals() + random.pick(["1928301774", "a.b-c~"])
        }
        if random.once(in: 6) { text += parameter() }
        return text
    }

    private mutating func parameter() -> String {
        switch random.below(5) {
        case 0: semicolon() + "flag"
        case 1: semicolon() + "name" + equals() + "token"
        case 2: semicolon() + "q-name" + equals() + "\"a, \\\"b\\\"; c=<d>\""
        case 3: semicolon() + "host" + equals() + makeHost()
        default: semicolon() + "+sip.x" + equals() + "\"\""
        }
    }

    private mutating func spoiledAddress() -> String {
        let uri = "sip:bob@example.test"
        return switch defect {
        case .quoteNotClosed: "\"Bob <\(uri)>;tag=1"
        case .bracketNotClosed: "Bob <\(uri);tag=1"
        case .bracketNotOpened: random.pick(["Bob \(uri)>;tag=1", "\(uri)>;tag=1"])
        case .nameUnquoted:
            random.pick(["Bob, B <\(uri)>;tag=1", "B;b <\(uri)>;tag=1", "a@b <\(uri)>"])
        case .twoSemicolons: "<\(uri)>;;tag=1"
        case .semicolonAtEnd: "<\(uri)>;tag=1;"
        case .tagTwice: "<\(uri)>;tag=1;tag=2"
        case .tagEmpty: random.pick(["<\(uri)>;tag=", "<\(uri)>;tag=;x=y"])
        case .questionMarkUnbracketed: "\(uri)?a=b"
        default: random.pick(["<\(uri)> x;tag=1", "<\(uri)>x", "<\(uri)>>;tag=1"])
        }
    }

    mutating func makeContact() -> String {
        var text =
            random.once(in: 6)
            ? makeURI(isBare: true) : makeName() + "<" + makeURI(isBare: false) + ">"
        if random.once(in: 2) {
            text +=
                semicolon() + "expires" + equals() + random.pick(["60", "3600", "0", "4294967295"])
        }
        if random.once(in: 4) {
            text += semicolon() + "q" + equals() + random.pick(["0.5", "1", "0"])
        }
        if random.once(in: 4) { text += semicolon() + "+sip.instance=\"<urn:uuid:0-1>\"" }
        if random.once(in: 5) { text += parameter() }
        return text
    }

    mutating func makeRoute() -> String {
        makeName() + "<" + makeURI(isBare: false) + random.pick([";lr>", ">"])
    }

    // MARK: Via (§20.42)

    mutating func makeVia(isSpoiled: Bool) -> String {
        let plain = "SIP/2.0/UDP 192.0.2.1"
        if isSpoiled {
            switch defect {
            case .viaNoSentBy: return "SIP/2.0/UDP ;branch=z9hG4bK1;X-SPOILED"
            case .viaProtocol:
                return random.pick(["HTTP", "S IP"]) + "/2.0/UDP h;branch=z9hG4bK1;X-SPOILED"
            case .viaBadPort: return plain + ":x;branch=z9hG4bK1;X-SPOILED"
            case .viaPortTooLarge: return plain + ":65536;branch=z9hG4bK1;X-SPOILED"
            case .viaBranchEmpty: return plain + ";branch=;X-SPOILED"
            case .viaBranchTwice: return plain + ";branch=z9hG4bK1;branch=z9hG4bK2;X-SPOILED"
            case .viaNoTransport:
                return random.pick(["SIP/2.0 h", "SIP/2.0/ h", "UDP h"]) + ";branch=z;X-SPOILED"
            case .viaBadIPv6:
                return "SIP/2.0/UDP " + random.pick(["[::1", "[2001:db8]", "[g::]"]) + ";X-SPOILED"
            default: break
            }
        }
        let slash = space() + "/" + space()
        var text = random.pick(["SIP", "SIP", "sip"]) + slash + "2.0" + slash
        text +=
            random.pick(["UDP", "TCP", "TLS", "WS", "udp", "X-new"]) + mandatorySpace() + makeHost()
        if random.once(in: 2) {
            text += space() + ":" + space() + random.pick(["5060", "1", "65535"])
        }
        if random.below(10) > 0 {
            text +=
                semicolon() + "branch" + equals()
                + random.pick(["z9hG4bK776asdhds", "z9hG4bK-.!%*"])
        }
        if random.once(in: 3) {
            text += semicolon() + random.pick(["rport", "rport=5060", "RPORT"])
        }
        if random.once(in: 5) {
            text += semicolon() + "received" + equals() + random.pick(["192.0.2.9", "2001:db8::9"])
        }
        if random.once(in: 6) {
            text += semicolon() + "ttl=16" + semicolon() + "maddr=239.255.255.1"
        }
        if random.once(in: 8) { text += parameter() }
        return text
    }
}
