internal import Synchronization
internal import Transport

/// Something an operator asks of all workers.
enum Order: Sendable {
    /// All leases, over so many seconds; `nil` for as long as the configured rate needs.
    case sync(overSeconds: UInt32?)
    /// Those of one address of record.
    case syncAddress(String)
}

/// How far an order has come.
final class OrderProgress: Sendable {
    private let left: Atomic<Int>
    private let bindings = Atomic<Int>(0)
    private let owners = Atomic<Int>(0)

    let wakeup: Wakeup

    init(workers: Int) throws(TransportError) {
        left = Atomic(workers)
        wakeup = try Wakeup()
    }

    /// A worker has done its part.
    ///
    /// - Parameter count: bindings concerned; `nil` if the order was none of its business.
    func note(_ count: Int?) {
        if let count {
            _ = bindings.wrappingAdd(count, ordering: .relaxed)
            _ = owners.wrappingAdd(1, ordering: .relaxed)
        }
        _ = left.wrappingSubtract(1, ordering: .releasing)
        wakeup.signal()
    }

    /// Bindings concerned; `nil` while a worker has not answered, or if none owned what was named.
    func result() -> (isDone: Bool, bindings: Int?) {
        guard left.load(ordering: .acquiring) == 0 else { return (false, nil) }
        return (
            true, owners.load(ordering: .relaxed) > 0 ? bindings.load(ordering: .relaxed) : nil
        )
    }
}

/// Where one worker finds its orders; a round without any costs it one load.
final class OrderBox: Sendable {
    private let isFilled = Atomic<Bool>(false)
    private let orders = Mutex<[(Order, OrderProgress)]>([])

    func put(_ order: Order, _ progress: OrderProgress) {
        orders.withLock { $0.append((order, progress)) }
        isFilled.store(true, ordering: .releasing)
    }

    func take() -> [(Order, OrderProgress)] {
        guard isFilled.load(ordering: .acquiring) else { return [] }
        isFilled.store(false, ordering: .relaxed)
        return orders.withLock { orders in
            defer { orders = [] }
            return orders
        }
    }
}

extension Switchboard {
    /// Gives an order to all workers and waits until they have followed it, two seconds at most.
    func give(_ order: Order) throws(TransportError) -> (isDone: Bool, bindings: Int?) {
        let progress = try OrderProgress(workers: orders.count)
        var poll = try EventPoll()
        try poll.add(progress.wakeup.fd, tag: 0)
        for (number, box) in orders.enumerated() {
            box.put(order, progress)
            wakeups[number].signal()
        }
        let end = Clock.monotonicNanoseconds() + 2_000_000_000
        while !progress.result().isDone, Clock.monotonicNanoseconds() < end {
            _ = try poll.wait(timeoutMs: 100)
            progress.wakeup.drain()
        }
        return progress.result()
    }
}

extension Switchboard {
    func sync(_ request: AdminServer.SyncRequest) -> AdminServer.SyncResult {
        let order: Order
        switch request {
        case .all(let seconds): order = .sync(overSeconds: seconds)
        case .address(let address):
            order = .syncAddress(address.hasPrefix("sip") ? address : "sip:" + address)
        }
        guard let result = try? give(order), result.isDone else { return .failed }
        guard let bindings = result.bindings else { return .unknown }
        return .begun(bindings: bindings)
    }
}
