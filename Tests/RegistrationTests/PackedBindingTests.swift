import Bytes
import Keys
@testable import Registration
import Testing

@Suite("A binding in 128 bytes")
struct PackedBindingTests {
    private static let day: UInt64 = 86_400_000
    /// What the offset of a time from the deadline can be.
    private static let reach = UInt64(Int32.max)

    @Test func `has 128 bytes, and a relay that is waited for 32`() {
        #expect(MemoryLayout<PackedBinding>.stride == 128)
        #expect(MemoryLayout<RelayFilter.Entry>.stride == 32)
    }

    private static func isSame(_ a: Binding, _ b: Binding) -> Bool {
        a.aor == b.aor && a.id == b.id && a.identity == b.identity && a.contact == b.contact
            && a.callID == b.callID && a.transaction == b.transaction && a.record == b.record
            && a.ticket == b.ticket && a.deadline == b.deadline && a.mainExpiry == b.mainExpiry
            && a.lastHeard == b.lastHeard && a.arrival == b.arrival
            && a.dirtyUntil == b.dirtyUntil && a.flow == b.flow && a.state == b.state
            && a.flags == b.flags && a.unansweredPings == b.unansweredPings
            && a.unansweredRemovals == b.unansweredRemovals
            && a.sequenceRelayed == b.sequenceRelayed
            && a.sequenceHeard == b.sequenceHeard && a.grantedSeconds == b.grantedSeconds
            && a.block == b.block && a.unanswered == b.unanswered
    }

    private static func binding(deadline: UInt64) -> Binding {
        var binding = Binding()
        binding.state = .live
        binding.deadline = at(deadline)
        binding.mainExpiry = at(deadline)
        binding.lastHeard = at(deadline)
        binding.arrival = at(deadline)
        binding.dirtyUntil = at(deadline)
        return binding
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let change: @Sendable (inout Binding) -> Void
        init(_ name: String, _ change: @escaping @Sendable (inout Binding) -> Void) {
            testDescription = name
            self.change = change
        }
    }

    @Test(arguments: [
        Case("AOR") { $0.aor = AORKey(high: .max, low: .max) },
        Case("ID") { $0.id = ContactID(high: .max, low: .max) },
        Case("identity") { $0.identity = .max },
        Case("contact") { $0.contact = .max },
        Case("Call-ID") { $0.callID = .max },
        Case("transaction") { $0.transaction = .max },
        Case("record") { $0.record = RecordNumber(1 << 48 - 1) },
        Case("ticket of 32 bits") { $0.ticket = CommitTicket(0xFFFF_FFFF) },
        Case("ticket past 32 bits") { $0.ticket = CommitTicket(5 << 32 | 7) },
        Case("nearest main expiry") { $0.mainExpiry = at(1 << 40 - reach) },
        Case("farthest main expiry") { $0.mainExpiry = at(1 << 40 + reach) },
        Case("last heard") { $0.lastHeard = at(1 << 40 - reach) },
        Case("arrival") { $0.arrival = at(1 << 40 - 1) },
        Case("dirty until") { $0.dirtyUntil = at(1 << 40 + 32_000) },
        Case("last deadline") { $0 = binding(deadline: 1 << 48 - 1) },
        Case("first deadline") { $0 = binding(deadline: 0) },
        Case("IPv4") {
            $0.flow = Flow(peer: TransportAddress(ipv4: .max, port: .max), socket: .max)
        },
        Case("IPv6") {
            $0.flow = Flow(
                peer: TransportAddress(
                    high: 0x2001_0DB8_0123_4567, low: 0x89AB_CDEF_0246_8ACE, port: 5_061),
                socket: 3)
        },
        Case("IPv6, all ones") {
            $0.flow = Flow(peer: TransportAddress(high: .max, low: .max, port: .max), socket: 0)
        },
        Case("IPv6 loopback") {
            $0.flow = Flow(peer: TransportAddress(high: 0, low: 1, port: 1), socket: 0)
        },
        Case("IPv6, lower half only") {
            $0.flow = Flow(peer: TransportAddress(high: 0, low: 1 << 63, port: 1), socket: 0)
        },
        Case("tombstone") { $0.state = .tombstone },
        Case("lost pings") {
            $0.state = .live
            $0.unansweredPings = 4
        },
        Case("unanswered removals") {
            $0.state = .lapsed
            $0.unansweredRemovals = 7
        },
        Case("all flags") { $0.flags = Binding.Flags(rawValue: 0x1FFF) },
        Case("CSeq relayed") { $0.sequenceRelayed = .max },
        Case("CSeq heard") { $0.sequenceHeard = .max },
        Case("granted") { $0.grantedSeconds = .max },
        Case("block") { $0.block = UInt32(UInt16.max) },
        Case("unanswered") { $0.unanswered = .max },
    ])
    func `keeps every field at its extreme, and nothing of it in another`(test: Case) {
        var written = Self.binding(deadline: 1 << 40)
        test.change(&written)
        var table = BindingTable(bindingsMax: 3, now: at(0))
        let before = table.insert(Binding())
        guard let place = table.insert(written) else {
            Issue.record("the table has room")
            return
        }
        #expect(Self.isSame(table[place], written))
        var changed = Self.binding(deadline: 1 << 39)
        changed.aor = written.aor
        changed.id = written.id
        changed.ticket = written.ticket
        table[place] = changed
        #expect(Self.isSame(table[place], changed))
        table[place] = written
        #expect(Self.isSame(table[place], written))
        #expect(table.contact(place) == written.contact)
        if let before { #expect(table[before].flow == Binding().flow) }
    }

    @Test func `a time farther from the deadline than 24 days reads as that far`() {
        var written = Self.binding(deadline: 100 * Self.day)
        written.mainExpiry = at(.max)
        written.dirtyUntil = at(0)
        var table = BindingTable(bindingsMax: 1, now: at(0))
        guard let place = table.insert(written) else { return }
        #expect(table[place].mainExpiry == at(100 * Self.day + Self.reach))
        #expect(table[place].dirtyUntil == at(100 * Self.day - Self.reach - 1))
        #expect(table[place].deadline == at(100 * Self.day))
    }

    @Test func `an old ticket stays the same while 2^32 others follow, and is never ahead`() {
        var table = BindingTable(bindingsMax: 2, now: at(0))
        var binding = Binding()
        binding.ticket = CommitTicket(1_000)
        guard let old = table.insert(binding) else { return }
        binding.id = ContactID(high: 1, low: 1)
        guard let new = table.insert(binding) else { return }
        table[new].ticket = CommitTicket(1_000 + 0xFFFF_FFFF)
        #expect(table[old].ticket == CommitTicket(1_000))
        table[new].ticket = CommitTicket(9 << 32)
        #expect(table[old].ticket <= CommitTicket(9 << 32))
        #expect(table[new].ticket == CommitTicket(9 << 32))
    }

    @Test(arguments: 1...4)
    func `any binding comes back as it was put in`(seed: Int) {
        var random = Seeded(state: UInt64(seed) &* 0x51_7CC1)
        func word() -> UInt64 {
            UInt64(random.below(1 << 24)) << 40 ^ UInt64(random.below(1 << 24)) << 20
                ^ UInt64(random.below(1 << 24))
        }
        func near(_ deadline: UInt64) -> Instant {
            at(deadline - 1 << 30 + UInt64(random.below(1 << 30)) * 2)
        }
        var table = BindingTable(bindingsMax: 60, now: at(0))
        var model: [BindingIndex: Binding] = [:]
        var ticket: UInt64 = 0
        for _ in 0..<3_000 {
            let held = model.keys.sorted { table[$0].identity < table[$1].identity }
            var binding = Binding()
            let place = held.isEmpty ? nil : held[random.below(held.count)]
            if let place, random.below(3) == 0 {
                table.remove(place)
                model[place] = nil
                continue
            }
            binding.aor = AORKey(high: word(), low: word())
            binding.id = ContactID(high: word(), low: word())
            binding.identity = word()
            binding.contact = word()
            binding.callID = Binding.half(word())
            binding.transaction = Binding.half(word())
            binding.record = RecordNumber(word() >> 16)
            ticket += UInt64(random.below(1 << 18))
            binding.ticket = CommitTicket(ticket)
            let deadline = 1 << 31 + word() >> 18
            binding.deadline = at(deadline)
            binding.mainExpiry = near(deadline)
            binding.lastHeard = near(deadline)
            binding.arrival = near(deadline)
            binding.dirtyUntil = near(deadline)
            let peer =
                switch random.below(3) {
                case 0: TransportAddress(ipv4: Binding.half(word()), port: 5_060)
                case 1: TransportAddress(high: word(), low: word(), port: 1)
                default: TransportAddress.none
                }
            binding.flow = Flow(peer: peer, socket: UInt16(random.below(1 << 16)))
            binding.state = Binding.State(rawValue: UInt8(1 + random.below(4))) ?? .live
            binding.flags = Binding.Flags(rawValue: UInt16(random.below(1 << 13)))
            binding.sequenceRelayed = Binding.half(word())
            binding.sequenceHeard = Binding.half(word())
            binding.grantedSeconds = Binding.half(word())
            binding.block = UInt32(random.below(4_097))
            binding.unanswered = Binding.half(word())
            if let place, random.below(2) == 0, let old = model[place] {
                binding.aor = old.aor
                binding.id = old.id
                table[place] = binding
                model[place] = binding
            } else if let new = table.insert(binding) {
                model[new] = binding
            } else {
                #expect(model.count == 60)
            }
            for (place, binding) in model {
                guard Self.isSame(table[place], binding), table.find(binding.id) == place,
                    table.first(of: binding.aor) == place
                else {
                    Issue.record("\(binding) came back as \(table[place])")
                    return
                }
            }
        }
    }
}
