import Bytes

/// What happens when: a heap by time, and by order of entry among equal times.
struct Agenda<Event> {
    fileprivate struct Entry {
        let ms: UInt64
        let order: UInt64
        let event: Event

        func isBefore(_ other: Entry) -> Bool {
            ms != other.ms ? ms < other.ms : order < other.order
        }
    }

    fileprivate var heap: [Entry] = []
    private var order: UInt64 = 0

    var nextMs: UInt64 { heap.first?.ms ?? .max }

    mutating func add(_ ms: UInt64, _ event: Event) {
        order += 1
        heap.append(Entry(ms: ms, order: order, event: event))
        var at = heap.count - 1
        while at > 0, heap[at].isBefore(heap[(at - 1) / 2]) {
            heap.swapAt(at, (at - 1) / 2)
            at = (at - 1) / 2
        }
    }

    mutating func next() -> Event? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first.event }
        heap[0] = last
        var at = 0
        while true {
            var least = at
            for child in [2 * at + 1, 2 * at + 2]
            where child < heap.count && heap[child].isBefore(heap[least]) {
                least = child
            }
            if least == at { break }
            heap.swapAt(at, least)
            at = least
        }
        return first.event
    }
}

extension World {
    enum Event {
        case toMidreg([UInt8], from: TransportAddress, socket: UInt16)
        case toMain([UInt8], isOwn: Bool)
        case toPhone([UInt8], to: TransportAddress)
        /// The next step of a phone's plan.
        case turn(phone: Int, plan: Int)
        case retransmit(phone: Int, transaction: Int)
        case whim(phone: Int)
        case settle
        case storeBreaks, storeFills, storeMends
        case restart
        case amnesia
        case calm
        case registeredBy(phone: Int)
        case farewell
        case end
    }
}

extension Agenda<World.Event> {
    /// Whether the next is a datagram to midreg at `ms`: it comes in the same round.
    func isDatagramToMidreg(at ms: UInt64) -> Bool {
        guard let first = heap.first, first.ms == ms, case .toMidreg = first.event else {
            return false
        }
        return true
    }
}
