import Bytes
import Keys
import Migration
import Registration
import Testing

private let now = Instant(milliseconds: 1_000_000)
private let wall: UInt64 = 1_700_000_000
private let keys = KeyRing(secret: [UInt8](repeating: 7, count: 32).span)

/// What was made of a dump: of each row a line, or why not.
private func outcome(
    _ text: String, _ source: DumpSource, piece: Int = 4_096, domain: String = "",
    advertised: TransportAddress = TransportAddress(ipv4: 0xC633_6401, port: 5_060)
) -> [String] {
    var options = FactMaker.Options()
    options.advertised = advertised
    options.domain = Array(domain.utf8)
    var maker = FactMaker(options, keys: keys, now: now, wallSeconds: wall)
    var lines: [String] = []
    for row in rows(text, source, piece: piece) {
        do throws(Refusal) {
            _ = try maker.make(row)
            guard let fact = Fact(maker.fact) else {
                lines.append("no fact")
                continue
            }
            lines.append(ExportLine.csv(fact, maker.fact, now: now, wallSeconds: wall))
        } catch {
            lines.append("\(row.line) \(error.reason) \(error.column.map(\.name) ?? "row")")
        }
    }
    return lines
}

private func rows(_ text: String, _ source: DumpSource, piece: Int = 4_096) -> [DumpRow] {
    var reader = DumpReader(source)
    var rows: [DumpRow] = []
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: piece) {
        reader.read(Array(bytes[start..<min(bytes.count, start + piece)])) { rows.append($0) }
    }
    reader.finish { rows.append($0) }
    return rows
}

private let mysqldump = """
    -- MySQL dump 10.13; it's a comment
    /*!40101 SET NAMES utf8mb4 */;
    CREATE TABLE `location` (
      `contact_id` bigint(10) unsigned NOT NULL AUTO_INCREMENT,
      `username` char(64) NOT NULL DEFAULT '',
      `domain` char(64) DEFAULT NULL,
      `contact` text NOT NULL,
      `received` char(255) DEFAULT NULL,
      `path` char(255) DEFAULT NULL,
      `expires` int(10) unsigned NOT NULL,
      `q` float(10,2) NOT NULL DEFAULT 1.00,
      `callid` char(255) NOT NULL DEFAULT 'Default-Call-ID',
      `cseq` int(11) NOT NULL DEFAULT 13,
      `socket` char(64) DEFAULT NULL,
      PRIMARY KEY (`contact_id`)
    ) ENGINE=InnoDB;
    INSERT INTO `acc` VALUES (1,'location;)');
    INSERT INTO `location` VALUES (3617797875662073346,'alice','example.com','sip:alice@10.0.0.1:5062',\
    'sip:192.0.2.9:40000',NULL,1700003600,1.00,'a\\'b''c,d)\\\\',7,'udp:198.51.100.1:5060'),
    (2,'bob','example.com','sip:bob@10.0.0.2',NULL,NULL,1699999999,1.00,'x',1,NULL);

    """

@Suite("A dump of a location table")
struct MigrationTests {
    static let alice =
        "sip:alice@example.com,<sip:alice@10.0.0.1:5062>,sip:192.0.2.9:40000,udp:198.51.100.1:5060,"
        + "1700003600,"

    @Test func `whose rows do not say where we are called needs to be told`() {
        let row = "username,domain,contact,expires,socket\nal,e.org,sip:al@10.0.0.1,1700000060,"
        #expect(outcome(row, .csv, advertised: .none) == ["2 nowhere socket"])
        #expect(
            outcome(row + "udp:192.0.2.1:5060", .csv, advertised: .none)[0].hasPrefix("sip:al@"))
        #expect(outcome(row, .csv)[0].hasPrefix("sip:al@"))
    }

    @Test(arguments: [1, 7, 4_096])
    func `of mysqldump is read in pieces of any size and keeps the number`(piece: Int) {
        #expect(
            outcome(mysqldump, .opensips, piece: piece) == [
                Self.alice + "\"a'b'c,d)\\\",7,3617797875662073346,3600,3600,",
                "19 expired expires",
            ])
    }

    @Test func `of pg_dump is read by the columns of COPY`() {
        let text = """
            SET client_encoding = 'UTF8';
            COPY public.location (id, ruid, username, domain, contact, received, expires, callid, cseq, socket, instance) FROM stdin;
            1\tuloc-1\talice\texample.com\tsip:alice@10.0.0.1:5062\tsip:192.0.2.9:40000\t2023-11-14 23:13:20\tc\\tid\t9\tudp:198.51.100.1:5060\t\\N
            2\tuloc-2\tbob\texample.com\tsip:bob@10.0.0.2\t\\N\t2023-11-14 23:13:20\n\\.

            """
        let lines = outcome(text, .kamailio)
        #expect(lines.count == 2)
        #expect(lines.first?.hasPrefix(Self.alice + "c\tid,9,") == true, "\(lines)")
        #expect(lines.last == "4 broken row")
    }

    @Test func `of the management interface of OpenSIPS is read`() {
        let text = """
            {"Domains":[{"name":"location","hash_size":512,"AORs":[{"AOR":"alice@example.com",
            "Contacts":[{"Contact":"sip:alice@10.0.0.1:5062","ContactID":"3617797875662073346",
            "Expires":3600,"Q":"","Callid":"c\\u0031","Cseq":7,"Received":"sip:192.0.2.9:40000",
            "State":"CS_NEW","Socket":"udp:198.51.100.1:5060"}]}]}]}
            """
        #expect(
            outcome(text, .opensips) == [Self.alice + "c1,7,3617797875662073346,3600,3600,"])
    }

    @Test func `of the RPC of Kamailio is read`() {
        let text = """
            {"jsonrpc":"2.0","result":{"Domains":[{"Domain":{"Domain":"location","Size":1024,
            "AoRs":[{"Info":{"AoR":"alice","HashID":1,"Contacts":[{"Contact":{
            "Address":"sip:alice@10.0.0.1:5062","Expires":3600,"Q":-1,"Call-ID":"c","CSeq":7,
            "Received":"sip:192.0.2.9:40000","Path":"[not set]","Instance":"[not set]","Reg-Id":0,
            "Socket":"udp:198.51.100.1:5060"}}]}}]}}]},"id":1}
            """
        let lines = outcome(text, .kamailio, domain: "example.com")
        #expect(lines.count == 1)
        #expect(lines.first?.hasPrefix(Self.alice + "c,7,") == true, "\(lines)")
    }

    @Test func `that we exported ourselves gives the same facts`() {
        let first = outcome(mysqldump, .opensips)[0]
        let head = ExportLine.head + "\n"
        #expect(outcome(head + first + "\n", .csv) == [first])
        let named = outcome(
            "username,domain,contact,expires\nal,e.org,sip:al@192.0.2.1,1700000060\n", .csv)
        #expect(outcome(head + named[0] + "\n", .csv) == named)
    }

    @Test(arguments: [
        ("al,e.org,sip:al@192.0.2.1,1,,,,", "expired expires"),
        ("al,e.org,sip:al@192.0.2.1,0,,,,", "permanent expires"),
        ("al,e.org,sip:al@192.0.2.1,soon,,,,", "noExpiry expires"),
        ("al,,sip:al@192.0.2.1,1700000060,,,,", "noDomain domain"),
        (",e.org,sip:al@192.0.2.1,1700000060,,,,", "noAOR username"),
        ("al,e.org,,1700000060,,,,", "noContact contact"),
        ("al,e.org,al at home,1700000060,,,,", "badContact contact"),
        ("a b,e.org,sip:al@192.0.2.1,1700000060,,,,", "badAOR username"),
        ("al,e.org,sip:al@phone.lan,1700000060,,,,", "noFlow contact"),
        ("al,e.org,sip:al@192.0.2.1;transport=tcp,1700000060,,,,", "notUDP contact"),
        ("al,e.org,sip:al@192.0.2.1,1700000060,-1,,,", "badSequence cseq"),
        ("al,e.org,sip:al@192.0.2.1,1700000060,,<sip:p>,,", "behindProxy path"),
        ("al,e.org,sip:al@192.0.2.1,1700000060,,,tls:192.0.2.9:5061,", "notUDP socket"),
        ("al,e.org,sip:al@192.0.2.1,1700000060,,,,x1", "badID contact_id"),
        ("al,e.org,sip:al@192.0.2.1,1700000060", "broken row"),
    ])
    func `has each bad row refused at its line and column`(row: String, reason: String) {
        let head = "username,domain,contact,expires,cseq,path,socket,contact_id\n"
        #expect(outcome(head + row + "\n", .csv) == ["2 " + reason])
    }

    @Test func `has the row that expires last for each contact`() {
        let text = """
            username,domain,contact,expires,contact_id
            al,e.org,sip:al@192.0.2.1,1700000060,5
            al,e.org,sip:al@192.0.2.1,1700000050,5
            al,e.org,sip:al@192.0.2.1,1700000070,5
            bo,e.org,sip:bo@192.0.2.1,1700000070,5

            """
        let lines = outcome(text, .csv)
        #expect(lines[1] == "3 duplicate row")
        #expect(lines[2].contains("1700000070"))
        #expect(lines[3] == "5 sameID contact_id")
    }

    @Test func `keeps the flows of a phone as facts of one contact ID`() {
        let instance = "\"<urn:uuid:1>\""
        let head = "username,domain,contact,expires,instance,reg-id\n"
        func row(_ host: Int, _ instance: String, _ flow: Int) -> String {
            let quoted = instance.split(separator: "\"", omittingEmptySubsequences: false)
                .joined(separator: "\"\"")
            return "al,e.org,sip:al@192.0.2.\(host),1700000060,\"\(quoted)\",\(flow)\n"
        }
        let lines = outcome(
            head + row(1, instance, 1) + row(2, instance, 2) + row(3, instance, 2)
                + row(4, "\"<urn:uuid:2>\"", 1), .csv)
        #expect(lines.count == 4 && lines[2] == "4 duplicate row")
        let ids = [lines[0], lines[1], lines[3]].map { $0.split(separator: ",").suffix(3).first }
        #expect(ids[0] == ids[1] && ids[0] != ids[2])
        // As we export them they come back, both under the ID that they have.
        let again = ExportLine.head + "\n" + lines[0] + "\n" + lines[1] + "\n"
        #expect(outcome(again, .csv) == [lines[0], lines[1]])
    }

    @Test func `gives back any bytes that mysqldump escapes`() {
        var random = SystemRandomNumberGenerator()
        let escapes: [UInt8: String] = [
            0: "\\0", 8: "\\b", 9: "\\t", 10: "\\n", 13: "\\r", 26: "\\Z", 0x22: "\\\"",
            0x5C: "\\\\",
        ]
        for _ in 0..<500 {
            let alphabet: [UInt8] = Array(escapes.keys) + Array("'(),;-N x".utf8)
            let value = (0..<Int.random(in: 1...12, using: &random)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
            let quoted = value.map { byte in
                byte == 0x27
                    ? (Bool.random(using: &random) ? "''" : "\\'")
                    : escapes[byte] ?? String(UnicodeScalar(byte))
            }.joined()
            let text = "INSERT INTO `location` (`callid`,`username`) VALUES ('\(quoted)','al');"
            let found = rows(text, .opensips, piece: 5)
            #expect(found.count == 1, "\(text)")
            #expect(found.first?[.callID] == value && found.first?.isBroken == false, "\(text)")
        }
    }
}

@Suite("An imported number")
struct ImportedNumberTests {
    @Test(arguments: [1, 3_617_797_875_662_073_346, UInt64.max])
    func `stays itself in a contact ID and steers`(number: UInt64) {
        let id = ContactID(imported: number, steering: SteeringBits(0xABCDE))
        #expect(id.importedNumber == number)
        #expect(id.text == String(number))
        #expect(id.steering.value == 0xABCDE)
        #expect(ContactID.number(Array(String(number).utf8).span) == number)
    }

    @Test(arguments: ["", "0", "01", "18446744073709551616", "12a"])
    func `is none of other texts`(text: String) {
        #expect(ContactID.number(Array(text.utf8).span) == nil)
    }
}
