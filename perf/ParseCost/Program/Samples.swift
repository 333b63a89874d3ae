/// The messages that are read again and again.
enum Sample: String, CaseIterable {
    case register, invite

    var text: String { (self == .register ? registerLines : inviteLines).joined(separator: "\r\n") }
}

/// 550 bytes, as perf/phones sends: AOR, Contact and Call-ID of the usual lengths.
private let registerLines = [
    "REGISTER sip:ims.example.test SIP/2.0",
    "Via: SIP/2.0/UDP 198.51.100.27:40112;rport;branch=z9hG4bKa1b2c3d4e5f60718",
    "Max-Forwards: 70",
    "From: <sip:u0000012345@ims.example.test>;tag=7f3a91c2",
    "To: <sip:u0000012345@ims.example.test>",
    "Call-ID: 0123456789abcdef0123456789abcdef",
    "CSeq: 4711 REGISTER",
    "Contact: <sip:u0000012345@198.51.100.27:40112>;expires=600",
    "Expires: 600",
    "Supported: path, outbound, gruu",
    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, NOTIFY, UPDATE",
    "User-Agent: Example Phone/4.12.7 (build 20260114; rev 0123456)",
    "Content-Length: 0",
    "", "",
]

private let inviteLines = [
    "INVITE sip:+15550100@ims.example.test;user=phone SIP/2.0",
    "Via: SIP/2.0/UDP 198.51.100.27:40112;rport;branch=z9hG4bKnashds8a1b2c3d4",
    "Max-Forwards: 70",
    "Route: <sip:edge.example.test;lr>",
    "From: \"Alice Example\" <sip:u0000012345@ims.example.test>;tag=88sja8x1",
    "To: <sip:+15550100@ims.example.test;user=phone>",
    "Call-ID: 987asjd97y7atg0123456789abcdef@198.51.100.27",
    "CSeq: 986759 INVITE",
    "Contact: <sip:u0000012345@198.51.100.27:40112;transport=udp>",
    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, NOTIFY, UPDATE, PRACK, REFER",
    "Supported: 100rel, timer, replaces, outbound",
    "Session-Expires: 1800",
    "Min-SE: 90",
    "User-Agent: Example Phone/4.12.7 (build 20260114)",
    "Content-Type: application/sdp",
    "Content-Length: 266",
    "",
    "v=0",
    "o=- 3890844526 3890844526 IN IP4 198.51.100.27",
    "s=-",
    "c=IN IP4 198.51.100.27",
    "t=0 0",
    "m=audio 49170 RTP/AVP 96 8 0 101",
    "a=rtpmap:96 opus/48000/2",
    "a=fmtp:96 useinbandfec=1",
    "a=rtpmap:8 PCMA/8000",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:101 telephone-event/8000",
    "a=sendrecv",
    "",
]
