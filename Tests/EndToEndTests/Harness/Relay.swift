import Foundation
import Synchronization

/// A wire between two sides over UDP that can lose or hold back single messages.
///
/// What reaches `front` goes on to `far`; a response from there goes to the sent-by of its topmost
/// `Via`, so that several sockets of the near side are kept apart without remembering them.
final class Relay: Sendable {
    enum Direction: Sendable { case request, response }
    enum Verdict: Sendable { case pass, lose, hold }
    typealias Judge = @Sendable (Direction, Message) -> Verdict

    /// The address the near side sends to.
    var endpoint: Endpoint { front.endpoint }

    private let front: DatagramSocket
    private let back: DatagramSocket
    private let far: Endpoint
    private let judge: Judge
    private let ended = Atomic<Bool>(false)
    private let held = Mutex<[[UInt8]]>([])
    private let seen = Mutex<[(Direction, Message)]>([])

    init(to far: Endpoint, at host: String = "127.0.0.1", judge: @escaping Judge) throws {
        self.far = far
        self.judge = judge
        front = try DatagramSocket(host, port: Ports.take())
        back = try DatagramSocket(host, port: Ports.take())
        Thread.detachNewThread { self.carry() }
    }

    /// Ends the thread; a relay that is not stopped lives as long as the tests.
    func stop() { ended.store(true, ordering: .relaxed) }

    /// How many responses are held back.
    var heldCount: Int { held.withLock { $0.count } }

    /// Lets the responses go that were held back.
    func release() {
        for bytes in held.withLock({ held in
            defer { held = [] }; return held
        }) {
            deliver(bytes)
        }
    }

    /// Everything that came, in order, lost messages included.
    var messages: [(Direction, Message)] { seen.withLock { $0 } }

    private func carry() {
        while !ended.load(ordering: .relaxed) {
            var descriptors = [front, back].map {
                pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0)
            }
            poll(&descriptors, nfds_t(descriptors.count), 20)
            while let (bytes, source) = front.take() {
                if verdict(.request, bytes, source) == .pass { back.send(bytes, to: far) }
            }
            while let (bytes, source) = back.take() {
                switch verdict(.response, bytes, source) {
                case .pass: deliver(bytes)
                case .hold: held.withLock { $0.append(bytes) }
                case .lose: break
                }
            }
        }
    }

    private func verdict(_ direction: Direction, _ bytes: [UInt8], _ source: Endpoint) -> Verdict {
        guard let message = Message(bytes, from: source) else { return .pass }
        seen.withLock { $0.append((direction, message)) }
        return judge(direction, message)
    }

    private func deliver(_ bytes: [UInt8]) {
        guard let via = Message(bytes)?.all("Via").first,
            let sentBy = via.split(separator: " ").dropFirst().first?.prefix(while: { $0 != ";" }),
            let colon = sentBy.lastIndex(of: ":"),
            let port = UInt16(sentBy[sentBy.index(after: colon)...])
        else { return }
        front.send(bytes, to: Endpoint(String(sentBy[..<colon]), port))
    }
}

/// Loses the first message that fits, and no other.
func losing(
    _ direction: Relay.Direction, _ fits: @escaping @Sendable (Message) -> Bool
) -> Relay.Judge {
    let done = Once()
    return { way, message in
        way == direction && fits(message) && done.first() ? .lose : .pass
    }
}

/// True once.
final class Once: Sendable {
    private let used = Atomic<Bool>(false)
    func first() -> Bool { !used.exchange(true, ordering: .relaxed) }
}
