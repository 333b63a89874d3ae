/// A main registrar that keeps what reaches it and agrees to all of it.
///
/// It answers with the bytes of the request: what it makes of a Via, a To or a Contact is no more
/// than what stood there.
final class StubRegistrar {
    let socket: DatagramSocket
    private(set) var requests: [RawMessage] = []
    /// All that came, as it came.
    private(set) var datagrams: [[UInt8]] = []
    /// Bytes of its answers.
    private(set) var answeredBytes = 0

    init() throws { socket = try DatagramSocket("127.0.0.1", port: Ports.take()) }

    /// Takes and answers all that is here.
    func serve() {
        while let (bytes, from) = socket.take() {
            let request = RawMessage(bytes)
            requests.append(request)
            datagrams.append(bytes)
            guard request.method != "ACK", request.status == nil else { continue }
            let answer = Self.answer(request)
            answeredBytes += answer.count
            socket.send(answer, to: from)
        }
    }

    private static func answer(_ request: RawMessage) -> [UInt8] {
        var answer = Array("SIP/2.0 200 OK\r\n".utf8)
        for name in ["via", "record-route", "from", "call-id", "cseq"] {
            for field in request.all(name) { answer += field.line }
        }
        if let to = request.first("to") {
            let hasTag = to.value.contains("tag")
            answer += to.line.dropLast(2) + Array(hasTag ? "\r\n".utf8 : ";tag=stub\r\n".utf8)
        }
        if request.method == "REGISTER" {
            let common = request.first("expires")?.value ?? "3600"
            for contact in request.all("contact") {
                let hasTime = contact.value.contains(";expires=")
                answer += contact.line.dropLast(2)
                answer += Array(hasTime ? "\r\n".utf8 : ";expires=\(common)\r\n".utf8)
            }
        }
        return answer + Array("Content-Length: 0\r\n\r\n".utf8)
    }
}
