import Testing

/// The lines of a scenario under a title and one registered phone; the first is line 4.
private func complaint(_ lines: String, top: String = "# X-1: a scenario") -> String? {
    let text = top + "\npeer alice1 192.0.2.1:5062\nregistered alice1 as alice\n" + lines
    do {
        let scenario = try ScenarioParser.parse(text, file: "x.sipflow")
        try Player.play(scenario)
        return nil
    } catch {
        return (error as? Complaint)?.description
    }
}

@Suite("The language of scenarios")
struct LanguageTests {
    @Test(
        arguments: [
            ("turn left", "x.sipflow:4: turn is no word that begins a line"),
            ("wait 5", "x.sipflow:4: a time is a number and ms, s, min or h"),
            ("wait five s", "x.sipflow:4: a time is a number and ms, s, min or h"),
            (
                "main -> invite to alice1",
                "x.sipflow:4: invite is neither a method nor a status code"
            ),
            ("main -> INVITE at alice1", "x.sipflow:4: at is not understood"),
            ("main <- 99", "x.sipflow:4: is not \"PEER <- METHOD or CODE\""),
            ("main -> INVITE to alice1\n  hm", "x.sipflow:5: \"hm\" changes nothing in a message"),
            ("main <- 180\n  Via has 2", "x.sipflow:5: \"Via has 2\" is no check"),
            ("main <- 180\n  $x = To [a]", "x.sipflow:5: a pattern stands between slashes"),
            (
                "wait 1 s\n  Via: x",
                "x.sipflow:5: is indented, but nothing above it takes such lines"
            ),
            ("pending because", "x.sipflow:4: pending stands at the top"),
            ("peer main", "x.sipflow:4: is not \"peer NAME ADDRESS\""),
            ("nothing", "x.sipflow:4: is neither \"nothing more\" nor \"nothing for TIME\""),
        ])
    func `says where a line cannot be read`(lines: String, expected: String) {
        #expect(complaint(lines) == expected)
    }

    @Test func `asks for a title`() {
        #expect(
            complaint("nothing more", top: "peer bob 192.0.2.2")
                == "x.sipflow:1: begins with \"# POINT: what it shows\"")
    }

    @Test(
        arguments: [
            (
                "main -> INVITE to alice1\nnothing more", 5,
                "not expected:\n  main <- SIP/2.0 100 Trying"
            ),
            ("main -> INVITE to alice1", 4, "not expected by the end:\n  main <- SIP/2.0 100"),
            ("main -> INVITE to alice1\nwait 1 s", 5, "not expected before time passes"),
            ("main -> INVITE to alice1\nalice1 <- BYE", 5, "BYE did not come, but INVITE"),
            ("main <- 200", 4, "main <- 200 did not come"),
            ("within 3 s main <- 200", 4, "main <- 200 did not come"),
            ("main -> INVITE to alice1\nalice1 <- INVITE again", 5, "got no INVITE before"),
            (
                "main -> INVITE to alice1\nalice1 <- INVITE\n  Max-Forwards: 70", 6,
                "Max-Forwards of alice1's INVITE is \"69\", not \"70\""
            ),
            (
                "main -> INVITE to alice1\nalice1 <- INVITE\n  Via count 1", 6,
                "2 and not 1"
            ),
            (
                "main -> INVITE to alice1\nalice1 <- INVITE\n  From contains carol", 6,
                "without \"carol\""
            ),
            (
                "main -> INVITE to alice1\nalice1 <- INVITE\n  From lacks bob", 6,
                "which has \"bob\" in it"
            ),
            ("main -> INVITE to alice1\nalice1 <- INVITE\n  From absent", 6, "should be absent"),
            ("main -> INVITE to alice1\nalice1 <- INVITE\n  Route present", 6, "should be there"),
            ("main -> INVITE to alice1\nalice1 <- INVITE\n  Via as sent", 6, "as in main's INVITE"),
            (
                "main -> INVITE to alice1\nalice1 <- INVITE\n  From matches /carol/", 6,
                "which does not match /carol/"
            ),
            (
                "main -> INVITE to alice1\nalice1 <- INVITE\n  $x = From /(carol)/", 6,
                "which does not match /(carol)/"
            ),
            ("main -> INVITE to $nobody", 4, "there is no $nobody"),
            ("main -> BYE", 4, "main has no dialog for a BYE"),
            ("main -> ACK", 4, "main got no final response to acknowledge"),
            ("alice1 -> 200", 4, "alice1 got no request to answer"),
            ("carol -> INVITE to alice1", 4, "there is no peer carol"),
            ("counter midreg_calls_total is 1", 4, "midreg_calls_total is 0, not 1"),
            ("counter midreg_nothing_total is 1", 4, "there is no counter or gauge"),
            ("gauge midreg_contacts is 2", 4, "midreg_contacts is 1, not 2"),
            ("setting register.mode = aor", 4, "settings stand before the first message"),
        ])
    func `fails where it does not go as it says`(lines: String, line: Int, part: String) throws {
        let found = try #require(complaint(lines))
        #expect(found.hasPrefix("x.sipflow:\(line): "))
        #expect(found.contains(part))
        // The ladder so far is told too.
        #expect(found.contains("\n0.000\talice1 -> REGISTER sip:example.test SIP/2.0\n"))
    }

    @Test func `goes from timer to timer at their exact times`() {
        let lapses = """
            after 601 s main <- REGISTER
                Contact contains expires=0
                socket: own
            after 500 ms main <- REGISTER again
            after 1 s main <- REGISTER again
            main -> 200
            nothing for 60 s
            """
        #expect(complaint(lapses) == nil)
        let late = lapses.replacing("after 1 s", with: "after 1001 ms")
        #expect(complaint(late)?.contains("not expected before 1001 ms had passed") == true)
        let early = lapses.replacing("after 1 s", with: "after 999 ms")
        #expect(complaint(early)?.contains("main <- REGISTER did not come") == true)
    }

    @Test func `fills in what was captured, set and known of peers`() {
        let flow = """
            let $words = Busy, call later
            main -> INVITE to alice1 as first
                Subject: $words
            alice1 <- INVITE as ringing
                Subject: $words
                $rr = Record-Route
                $branch = Via /branch=(z9hG4bK[^;]+)/
            main <- 100
            alice1 -> 180 to ringing
                - Contact
                + X-Note: $alice1.address
                X-Route: $rr
                X-Branch: $branch
            main <- 180 to INVITE in first
                Contact absent
                X-Note: 192.0.2.1:5062
                X-Route: $rr
                X-Branch contains z9hG4bK
            """
        #expect(complaint(flow) == nil)
    }

    @Test func `sends any bytes`() {
        let flow = """
            main -> MESSAGE to alice1
                Content-Type: application/isup
                hex 00 ff 0d 0a
                | --text
                fill 3
            alice1 <- MESSAGE
                body as sent
                Content-Length: 15
            alice1 -> raw
                | SIP/2.0 nonsense
                |
            main -> MESSAGE to alice1
                no body
            alice1 <- MESSAGE
                body as sent
            """
        #expect(complaint(flow) == nil)
    }

    @Test func `sends from elsewhere, to another socket, and what was said before`() {
        let flow = """
            peer mallory 203.0.113.9:5060
            alice1 -> INVITE to sip:bob@elsewhere.test
                source: 203.0.113.9:5060
            mallory <- 403
            main -> MESSAGE to alice1
                socket: main-side
            alice1 <- MESSAGE
                socket: listener
            alice1 -> 200 "Fine" to MESSAGE
            main <- 200
                reason: Fine
            alice1 -> 200 again
            main <- 200 again
            """
        #expect(complaint(flow) == nil)
    }

    @Test func `acknowledges and ends along the dialog of the one that is named`() {
        let flow = """
            peer alice2 192.0.2.2:5062
            registered alice2 as alice
            ignoring 100
            main -> INVITE to alice1
            alice1 <- INVITE
            alice1 -> 183
            main <- 183
            alice1 -> 200
                To: <sip:alice@example.test>;tag=alice2
                Contact: <sip:other@192.0.2.1:5062>
            main <- 200
            main -> ACK in dialog with alice2
            alice1 <- ACK
                uri: sip:other@192.0.2.1:5062
                To contains ;tag=alice2
                CSeq: 1 ACK
            main -> INFO in dialog with alice1
            alice1 <- INFO
                uri: $alice1.contact
                To contains ;tag=alice1
                CSeq: 2 INFO
            """
        #expect(complaint(flow) == nil)
    }

    @Test func `adds a field behind those that stand instead of others`() {
        let flow = """
            main -> INVITE to alice1
                Subject: one
                + Subject: three
                Subject: two
            main <- 100
            alice1 <- INVITE
                Subject: one
                Subject: two
                Subject: three
            """
        #expect(complaint(flow) == nil)
    }

    @Test func `finds the dialog of a Call-ID that was used before it`() {
        let flow = """
            ignoring 100
            main -> INVITE to alice1
            alice1 <- INVITE
            alice1 -> 401
            alice1 <- ACK
            main <- 401
            main -> ACK
            main -> INVITE to alice1
                Call-ID: call-1@main
                CSeq: 2 INVITE
            alice1 <- INVITE
            alice1 -> 200
            main <- 200
            main -> ACK
            alice1 <- ACK
                CSeq: 2 ACK
                To contains ;tag=alice1
            alice1 -> BYE
            main <- BYE
            main -> BYE
            alice1 <- BYE
                CSeq: 3 BYE
            """
        #expect(complaint(flow) == nil)
    }

    @Test func `lets the store fail and work again`() {
        let flow = """
            store fails
            alice1 -> REGISTER
                Call-ID: another
            main <- REGISTER
            main -> 200
            alice1 <- 200
            counter midreg_contacts_volatile_total is 1
            store works
            """
        #expect(complaint(flow) == nil)
    }

    @Test func `keeps the store over a restart`() {
        let flow = """
            gauge midreg_contacts is 1
            restart
            wait 1 s
            main -> MESSAGE to alice1
            alice1 <- MESSAGE
            """
        #expect(complaint(flow) == nil)
    }
}
