internal import Bytes
internal import MidRegistrarCore
internal import Transport

/// The sockets of all workers: each has its own at every listener; main-side ports and our own
/// socket are one each, and stay open whatever the number of workers.
struct OpenSockets {
    /// `listeners[listener][worker]`
    private let listeners: [[UDPSocket]]
    private let others: [UDPSocket]
    private let workers: Int

    init(_ plan: Plan) throws(ApplianceError) {
        var listeners: [[UDPSocket]] = []
        var others: [UDPSocket] = []
        do throws(TransportError) {
            for socket in plan.sockets.prefix(plan.listenerCount) {
                try UDPSocket.exclusivelyFree(socket.local)
                var row: [UDPSocket] = []
                listeners.append(row)
                for _ in 0..<plan.workers {
                    row.append(try UDPSocket.open(bind: socket.local, reusePort: true))
                    listeners[listeners.count - 1] = row
                }
            }
            for socket in plan.sockets.dropFirst(plan.listenerCount) {
                others.append(try UDPSocket.open(bind: socket.local, reusePort: false))
            }
        } catch {
            for socket in listeners.joined() { socket.close() }
            for socket in others { socket.close() }
            throw ApplianceError(error.description)
        }
        self.listeners = listeners
        self.others = others
        workers = plan.workers
    }

    var all: [UDPSocket] { Array(listeners.joined()) + others }

    func close() { for socket in all { socket.close() } }

    /// The file descriptor behind each socket number, for a worker.
    func descriptors(forWorker worker: Int) -> [Int32] {
        listeners.map { $0[worker].fd } + others.map(\.fd)
    }

    /// The socket numbers a worker reads: its listeners, its share of the main-side ports, and for
    /// the first one our own socket.
    func reads(byWorker worker: Int) -> [Int] {
        var numbers = Array(listeners.indices)
        for index in others.indices {
            let isOwn = index == others.count - 1
            if isOwn ? worker == 0 : index % workers == worker {
                numbers.append(listeners.count + index)
            }
        }
        return numbers
    }
}
