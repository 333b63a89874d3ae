import Foundation
import Synchronization

/// A small edge proxy between phones and midreg (RFC 3327, RFC 5626 §5): it adds Via, `received` and
/// `rport`, puts a Path with an opaque token for the phone's flow into REGISTERs, and passes calls on
/// to the flow whose token stands in their topmost Route, and to nobody else.
///
/// Its requests leave from a port of their own, which it may change; calls come to another.
final class Edge: Sendable {
    /// Where phones send to.
    var endpoint: Endpoint { front.endpoint }
    /// Where calls come to: what stands in its Path.
    let inner: Endpoint
    private let host: String
    private let far: Endpoint
    private let front: DatagramSocket
    private let listening: DatagramSocket
    private let out: Mutex<DatagramSocket>
    private let ended = Atomic<Bool>(false)
    private let flows = Mutex<[Endpoint]>([])
    private let requests = Mutex<[Message]>([])
    private let lost = Mutex<[Message]>([])

    init(to far: Endpoint, at host: String) throws {
        self.far = far
        self.host = host
        front = try DatagramSocket(host, port: Ports.take())
        listening = try DatagramSocket(host, port: Ports.take())
        inner = listening.endpoint
        out = Mutex(try DatagramSocket(host, port: Ports.take()))
        Thread.detachNewThread { self.carry() }
    }

    /// From now on its requests leave from another port; nobody hears what comes to the old one.
    func changePort() throws {
        let fresh = try DatagramSocket(host, port: Ports.take())
        out.withLock { $0 = fresh }
    }

    func stop() { ended.store(true, ordering: .relaxed) }

    /// Requests that came from midreg and were passed on, as they came.
    var calls: [Message] { requests.withLock { $0 } }
    /// Requests that came from midreg without a token of ours.
    var strays: [Message] { lost.withLock { $0 } }

    /// What stands in the Path of a phone's REGISTERs.
    func path(of phone: Endpoint) -> String {
        let number = flows.withLock { flows in
            if let known = flows.firstIndex(of: phone) { return known }
            flows.append(phone)
            return flows.count - 1
        }
        return "<sip:flow-\(number)-\(String(inner.port, radix: 16))@\(inner);lr>"
    }

    private func phone(of route: String) -> Endpoint? {
        flows.withLock { $0 }.first { path(of: $0) == route }
    }

    private func carry() {
        while !ended.load(ordering: .relaxed) {
            let leaving = out.withLock { $0 }
            var descriptors = [front, listening, leaving].map {
                pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0)
            }
            poll(&descriptors, nfds_t(descriptors.count), 20)
            while let (bytes, source) = front.take() {
                guard let message = read(bytes, from: source) else { continue }
                if message.status == nil {
                    passOut(message, from: source)
                } else {
                    answer(message, from: listening)
                }
            }
            for socket in [listening, leaving] {
                while let (bytes, source) = socket.take() {
                    guard let message = read(bytes, from: source) else { continue }
                    if message.status == nil {
                        passIn(message)
                    } else {
                        answer(message, from: front)
                    }
                }
            }
        }
    }

    /// A message without its length, which is written anew.
    private func read(_ bytes: [UInt8], from source: Endpoint) -> Message? {
        var message = Message(bytes, from: source)
        message?.fields.removeAll { $0.name.lowercased() == "content-length" }
        return message
    }

    /// A phone's request, to midreg.
    private func passOut(_ request: Message, from source: Endpoint) {
        var request = request
        guard let top = request.fields.firstIndex(where: { $0.name == "Via" }) else { return }
        let via = request.fields[top].value
        request.fields[top].value =
            via.replacingOccurrences(of: ";rport", with: "")
            + ";received=\(source.host);rport=\(source.port)"
        request.fields.insert(ownVia(before: via), at: top)
        if request.method == "REGISTER" {
            request.fields.insert(("Path", path(of: source)), at: top + 2)
        }
        out.withLock { $0 }.send(request.text, to: far)
    }

    /// midreg's request, to the phone whose token stands in it.
    private func passIn(_ request: Message) {
        var request = request
        guard let top = request.fields.firstIndex(where: { $0.name == "Route" }),
            case let hops = request.fields[top].value.components(separatedBy: ","),
            case let first = hops[0].trimmingCharacters(in: .whitespaces),
            let phone = phone(of: first),
            let via = request.fields.firstIndex(where: { $0.name == "Via" })
        else {
            lost.withLock { $0.append(request) }
            return
        }
        requests.withLock { $0.append(request) }
        if hops.count == 1 {
            request.fields.remove(at: top)
        } else {
            request.fields[top].value = hops.dropFirst().joined(separator: ",")
                .trimmingCharacters(in: .whitespaces)
        }
        let index = request.fields.firstIndex { $0.name == "Via" } ?? via
        request.fields.insert(ownVia(before: request.fields[index].value), at: index)
        request.fields.insert(("Record-Route", first), at: index)
        front.send(request.text, to: phone)
    }

    /// A response, without our Via, to whom the next one names.
    private func answer(_ response: Message, from socket: DatagramSocket) {
        var response = response
        guard let top = response.fields.firstIndex(where: { $0.name == "Via" }) else { return }
        response.fields.remove(at: top)
        guard let via = response["Via"],
            let sentBy = via.split(separator: " ").dropFirst().first?.prefix(while: { $0 != ";" }),
            let colon = sentBy.lastIndex(of: ":"),
            let sentPort = UInt16(sentBy[sentBy.index(after: colon)...])
        else { return }
        func parameter(_ name: String) -> String? {
            via.components(separatedBy: ";").first { $0.hasPrefix(name + "=") }
                .map { String($0.dropFirst(name.count + 1)) }
        }
        let port = parameter("rport").flatMap { UInt16($0) } ?? sentPort
        socket.send(
            response.text, to: Endpoint(parameter("received") ?? String(sentBy[..<colon]), port))
    }

    /// Our Via, with a branch that is the same for every copy of a request.
    private func ownVia(before via: String) -> (name: String, value: String) {
        let branch = via.components(separatedBy: "branch=").last?.prefix { $0 != ";" } ?? ""
        return ("Via", "SIP/2.0/UDP \(inner);branch=z9hG4bKedge\(md5(String(branch)).prefix(16))")
    }
}
