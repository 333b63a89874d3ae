/// The differences that are known, each with the sentence that decides it.
package enum Decided {
    package struct Rule: Sendable {
        /// How the key of a class begins, after its defect; empty fits all.
        let difference: String
        let defects: [Defect]
        /// RFC 3261 unless another is named.
        package let sentence: String
    }

    /// The rule for the key of a class, or `nil`: then somebody has to decide.
    package static func rule(for key: String) -> Rule? {
        let parts = key.split(separator: "\t", maxSplits: 1).map(String.init)
        guard parts.count == 2, let defect = Defect(rawValue: parts[0]) else { return nil }
        return rules.first { rule in
            (rule.defects.isEmpty || rule.defects.contains(defect))
                && parts[1].hasPrefix(rule.difference)
        }
    }

    private static func we(
        _ reason: String, _ defects: [Defect] = [], _ sentence: String
    ) -> Rule {
        Rule(difference: "only we refuse (\(reason)", defects: defects, sentence: sentence)
    }

    private static func they(_ reason: String, _ defects: [Defect], _ sentence: String) -> Rule {
        Rule(difference: "only sofia refuses (\(reason)", defects: defects, sentence: sentence)
    }

    private static let random: [Defect] = [.byteChanged, .byteRemoved, .byteAdded, .cutShort]
    private static let rules: [Rule] = [
        // Start line
        we(
            "startLine", [.onlyLineFeeds] + random,
            "§7: each line \"MUST be terminated by a carriage-return line-feed sequence (CRLF)\""),
        we(
            "startLine", [.twoSpacesInStartLine, .leadingSpace, .trailingSpaceInStartLine],
            "§7.1: \"a method name, a Request-URI, and the protocol version separated by a single space (SP) character\"; RFC 4475 §3.1.2.8, §3.1.2.9"
        ),
        we(
            "startLine", [.noReasonSpace],
            "§25.1: Status-Line = SIP-Version SP Status-Code SP Reason-Phrase CRLF"),
        we(
            "startLine", [.statusTooLarge, .statusTooShort],
            "§7.2: \"The Status-Code is a 3-digit integer result code\"; §25.1 has classes 1 to 6; RFC 4475 §3.1.2.19"
        ),
        we(
            "startLine", [.wrongVersion],
            "§7.1: \"applications sending SIP messages MUST include a SIP-Version of 'SIP/2.0'\"; HTTP/1.1 is no SIP-Version (§25.1)"
        ),
        we(
            "version", [.wrongVersion] + random,
            "§21.5.6: \"The server does not support, or refuses to support, the SIP protocol version that was used in the request\""
        ),
        we(
            "numberTooLarge", [.forwardsTooLarge] + random,
            "§20.22: \"an integer in the range 0-255\""),
        we("number", random, "§25.1: Max-Forwards = \"Max-Forwards\" HCOLON 1*DIGIT"),
        // Fields
        we(
            "doubledHeader", [],
            "§7.3.1: multiple rows \"with the same field-name MAY be present in a message if and only if the entire field-value for that header field is defined as a comma-separated list\""
        ),
        we("callID", [], "§25.1: callid = word [ \"@\" word ]"),
        we(
            "sequence", [],
            "§8.1.1.5: \"the sequence number value MUST be expressible as a 32-bit unsigned integer and MUST be less than 2**31\""
        ),
        we("methodMismatch", [], "§8.1.1.5: \"The method MUST match that of the request\""),
        we(
            "missingHeader", random,
            "§8.1.1: \"A valid SIP request formulated by a UAC MUST, at a minimum, contain the following header fields\""
        ),
        we("noColon", random, "§25.1: a header field is its name, HCOLON and its value"),
        we("headerName", random, "§25.1: header-name = token"),
        we(
            "contentLength", [.lengthTooLong] + random,
            "§18.3: \"If the transport packet ends before the end of the message body, this is considered an error\""
        ),
        we(
            "noEnd", random,
            "§7: \"The empty line MUST be present even if the message-body is not\""),
        we(
            "bareCarriageReturn", [],
            "§25.1: CR and LF occur only in CRLF; §7.3.1 folds with CRLF and white space"),
        we(
            "controlByte", [],
            "§25.1: TEXT-UTF8char = %x21-7E / UTF8-NONASCII; a control byte only behind a backslash in a quoted string"
        ),
        // Values
        we(
            "requestURI.", [],
            "§25.1 SIP-URI: scheme, 1*user byte before \"@\", host, port = 1*DIGIT (65,535 is the largest there is, 0 names none), pname [ \"=\" pvalue ] of paramchar, IPv6address"
        ),
        we(
            "contacts.address", [],
            "§25.1: Contact = contact-param *(COMMA contact-param): no element is empty"),
        we(
            "via.", [],
            "§25.1: via-parm, protocol-name \"SIP\", IPv6reference, branch = token; §20.42: one branch"
        ),
        we(
            "from.parameter", [],
            "§7.3.1: \"Even though an arbitrary number of parameter pairs may be attached to a header field value, any given parameter-name MUST NOT appear more than once\""
        ),
        we("to.parameter", [], "§7.3.1, as for From"),
        we("from.", [.bracketNotOpened] + random, "§25.1: name-addr, addr-spec"),
        we("to.", [.bracketNotOpened] + random, "§25.1: name-addr, addr-spec"),
        we("contacts.", random, "§25.1: name-addr, addr-spec"),
        we("routes.", random, "§25.1: name-addr, addr-spec"),
        // Where sofia is stricter, or reads something else
        they(
            "a fold", [],
            "§7.3.1: \"The line break and the whitespace at the beginning of the next line are treated as a single SP character\""
        ),
        Rule(difference: "fold read as part of a URI", defects: [], sentence: "§7.3.1, as above"),
        Rule(
            difference: "only sofia refuses (no-start-line", defects: random,
            sentence:
                "§16.3: \"If the Request-URI has a URI whose scheme is not understood by the proxy, the proxy SHOULD reject the request with a 416\""
        ),
        they(
            "sanity CSeq", random,
            "§25.1: Method may be an extension-method, which is any token; OPTONS is one"),
        they(
            "", random + [.noName],
            "§16.3: \"Any other components, well-formed or not, SHOULD be ignored and remain unchanged when the message is forwarded\""
        ),
        Rule(
            difference: "", defects: random,
            sentence: "§16.3, as above: a foreign scheme, a display name, a port with leading zeros"
        ),
    ]
}
