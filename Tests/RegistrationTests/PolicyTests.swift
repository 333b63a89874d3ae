import Bytes
import Keys
import Registration
import Testing

@Suite("A refresh the main registrar need not see")
struct RefreshPolicyTests {
    let policy = RefreshPolicy(mainSeconds: 3_600)
    static let flow = Flow(peer: TransportAddress(ipv4: 1, port: 5_060), socket: 0)
    static let now: UInt64 = 10_000_000

    private static func bound() -> Binding {
        var binding = Binding()
        binding.state = .live
        binding.deadline = at(now + 1)
        binding.mainExpiry = at(now + 600_000 + 180_000 + 1)
        binding.callID = 1
        binding.sequenceHeard = 100
        binding.transaction = 50
        binding.lastHeard = at(now - 60_000)
        binding.flow = flow
        return binding
    }

    private static func refresh(
        callID: UInt64 = 1, sequence: UInt32 = 101, transaction: UInt64 = 51, port: UInt16 = 5_060,
        socket: UInt16 = 0, host: UInt32 = 1, isByEdge: Bool = false
    ) -> RefreshPolicy.Refresh {
        var refresh = RefreshPolicy.Refresh(
            callID: callID, sequence: sequence, transaction: transaction,
            flow: Flow(peer: TransportAddress(ipv4: host, port: port), socket: socket),
            grantSeconds: 600)
        refresh.isByEdge = isByEdge
        return refresh
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var refresh = RefreshPolicyTests.refresh()
        var change: @Sendable (inout Binding) -> Void = { _ in }
        let expected: RefreshPolicy.Decision
    }

    @Test(arguments: [
        Case(testDescription: "as it should be", expected: .absorb),
        Case(
            testDescription: "P1 lapsed", change: { $0.state = .lapsed },
            expected: .relay(.newContact)),
        Case(
            testDescription: "P1 over", change: { $0.deadline = at(now) },
            expected: .relay(.newContact)),
        Case(
            testDescription: "P3 Call-ID", refresh: refresh(callID: 2),
            expected: .relay(.callIDChanged)),
        Case(
            testDescription: "P3 step", refresh: refresh(sequence: 100 + 1 << 20), expected: .absorb
        ),
        Case(
            testDescription: "P3 leap", refresh: refresh(sequence: 101 + 1 << 20),
            expected: .relay(.sequence)),
        Case(
            testDescription: "P3 copy", refresh: refresh(sequence: 100, transaction: 50),
            expected: .repeatAnswer),
        Case(
            testDescription: "P3 equal", refresh: refresh(sequence: 100, transaction: 51),
            expected: .relay(.sequence)),
        Case(
            testDescription: "P3 copy from elsewhere",
            refresh: refresh(sequence: 100, transaction: 50, port: 1), expected: .relay(.sequence)),
        Case(
            testDescription: "P3 lower, long ago", refresh: refresh(sequence: 99),
            expected: .relay(.sequence)),
        Case(
            testDescription: "P3 lower, at the edge", refresh: refresh(sequence: 99),
            change: { $0.lastHeard = at(now - 32_000) }, expected: .relay(.sequence)),
        Case(
            testDescription: "P3 overtaken", refresh: refresh(sequence: 99),
            change: { $0.lastHeard = at(now - 31_999) }, expected: .overtaken),
        Case(
            testDescription: "P3 lower from elsewhere", refresh: refresh(sequence: 99, port: 1),
            change: { $0.lastHeard = at(now) }, expected: .relay(.sequence)),
        Case(testDescription: "P4 port", refresh: refresh(port: 1), expected: .relay(.flowChanged)),
        Case(
            testDescription: "P4 socket", refresh: refresh(socket: 1),
            expected: .relay(.flowChanged)),
        Case(
            testDescription: "P4 indirect", change: { $0.flags = .indirect },
            expected: .relay(.severalVias)),
        Case(
            testDescription: "P4 by an edge, other port", refresh: refresh(port: 1, isByEdge: true),
            change: { $0.flags = .byEdge }, expected: .absorb),
        Case(
            testDescription: "P4 by an edge, other socket",
            refresh: refresh(socket: 1, isByEdge: true), change: { $0.flags = .byEdge },
            expected: .absorb),
        Case(
            testDescription: "P4 by another edge", refresh: refresh(host: 2, isByEdge: true),
            change: { $0.flags = .byEdge }, expected: .relay(.flowChanged)),
        Case(
            testDescription: "P4 direct, bound by an edge", change: { $0.flags = .byEdge },
            expected: .relay(.flowChanged)),
        Case(
            testDescription: "P4 by an edge, bound direct", refresh: refresh(isByEdge: true),
            expected: .relay(.flowChanged)),
        Case(
            testDescription: "P3 copy by an edge",
            refresh: refresh(sequence: 100, transaction: 50, port: 1, isByEdge: true),
            change: { $0.flags = .byEdge }, expected: .repeatAnswer),
        Case(
            testDescription: "P3 copy by another edge",
            refresh: refresh(sequence: 100, transaction: 50, host: 2, isByEdge: true),
            change: { $0.flags = .byEdge }, expected: .relay(.sequence)),
        Case(
            testDescription: "P3 overtaken by an edge",
            refresh: refresh(sequence: 99, port: 1, isByEdge: true),
            change: {
                $0.flags = .byEdge
                $0.lastHeard = at(now - 31_999)
            }, expected: .overtaken),
        Case(
            testDescription: "P3 lower by another edge",
            refresh: refresh(sequence: 99, host: 2, isByEdge: true),
            change: {
                $0.flags = .byEdge
                $0.lastHeard = at(now)
            }, expected: .relay(.sequence)),
        Case(
            testDescription: "P6 edge",
            change: { $0.mainExpiry = at(now + 600_000 + 180_000) }, expected: .relay(.mainDue)),
        Case(testDescription: "P8 dirty", change: { $0.flags = .dirty }, expected: .relay(.dirty)),
        Case(
            testDescription: "P8 unanswered", change: { $0.noteRelay(7, at: at(now)) },
            expected: .relay(.dirty)),
        Case(
            testDescription: "P8 answered",
            change: {
                $0.noteRelay(7, at: at(now))
                $0.noteAnswer(7)
            }, expected: .absorb),
        Case(
            testDescription: "P8 one of two answered",
            change: {
                $0.noteRelay(7, at: at(now))
                $0.noteRelay(8, at: at(now))
                $0.noteAnswer(8)
            }, expected: .relay(.dirty)),
        Case(
            testDescription: "committed", change: { $0.ticket = CommitTicket(3) }, expected: .absorb
        ),
        Case(
            testDescription: "not committed", change: { $0.ticket = CommitTicket(4) },
            expected: .relay(.dirty)),
        Case(
            testDescription: "volatile", change: { $0.flags = .volatile },
            expected: .relay(.storeDown)),
    ])
    func `is the one that changes nothing`(_ one: Case) {
        var binding = Self.bound()
        one.change(&binding)
        let decision = policy.decide(
            one.refresh, binding, committed: CommitTicket(3), now: at(Self.now))
        #expect(decision == one.expected)
    }

    /// Stands for C3 P6.
    @Test(
        arguments: [(60, 32_000), (640, 32_000), (641, 32_050), (3_600, 180_000)]
            as [(UInt32, UInt64)])
    func `leaves room for a failed round`(seconds: UInt32, reserve: UInt64) {
        #expect(RefreshPolicy(mainSeconds: seconds).guardMs == reserve)
    }

    @Test func `is spread by contact and number, never above the grant`() {
        let spread = GrantSpread(fraction: 0.1)
        var seen: Set<UInt32> = []
        for sequence in 0..<500 as Range<UInt32> {
            let id = ContactID(high: 7, low: UInt64(sequence / 10))
            let told = spread.spread(600, id, sequence: sequence)
            #expect(told >= 540 && told <= 600)
            #expect(told == spread.spread(600, id, sequence: sequence))
            seen.insert(told)
        }
        #expect(seen.count > 40)
        #expect(spread.spread(1, ContactID(high: 1, low: 1), sequence: 1) == 1)
        #expect(spread.spread(0, ContactID(high: 1, low: 1), sequence: 1) == 0)
        #expect(
            GrantSpread(fraction: 0).spread(600, ContactID(high: 1, low: 1), sequence: 1) == 600)
    }
}

@Suite("The filter of relayed REGISTERs")
struct RelayFilterTests {
    let aor = AORKey(high: 1, low: 99)

    @Test func `lets copies through as fast as Timer E sends them`() {
        var filter = RelayFilter(entriesMax: 100, now: at(0))
        func judge(_ ms: UInt64) -> RelayFilter.Verdict {
            filter.judge(aor, 1, inFlightMax: 8, now: at(ms))
        }
        #expect(judge(1_000) == .relay)
        #expect(judge(1_449) == .dropTooSoon)
        for ms in [1_500, 2_500, 4_500, 8_500, 12_500] as [UInt64] {
            #expect(judge(ms) == .relayCopy)
            #expect(judge(ms + 400) == .dropTooSoon)
        }
        filter.set(.committing, aor, 1)
        #expect(judge(13_000) == .dropCommitting)
        filter.set(.accepted, aor, 1)
        #expect(judge(13_001) == .answerAccepted)
        #expect(filter.waitingCount == 0)
        let first = filter.entry(aor, 1)?.first
        #expect(first == at(1_000))
    }

    @Test func `relays what was refused again at once`() {
        var filter = RelayFilter(entriesMax: 100, now: at(0))
        let v1 = filter.judge(aor, 1, inFlightMax: 8, now: at(1))
        #expect(v1 == .relay)
        filter.set(.refused, aor, 1)
        #expect(filter.waitingCount == 0)
        let v2 = filter.judge(aor, 1, inFlightMax: 8, now: at(2))
        #expect(v2 == .relayCopy)
        #expect(filter.waitingCount == 1)
    }

    @Test func `bounds the relays of one AOR`() {
        var filter = RelayFilter(entriesMax: 100, now: at(0))
        for number in 0..<8 as Range<UInt64> {
            let v3 = filter.judge(aor, number, inFlightMax: 8, now: at(1))
            #expect(v3 == .relay)
        }
        let v4 = filter.judge(aor, 8, inFlightMax: 8, now: at(1))
        #expect(v4 == .refuse)
        let other = AORKey(high: 1, low: 100)
        let v5 = filter.judge(other, 8, inFlightMax: 8, now: at(1))
        #expect(v5 == .relay)
        let w8021 = filter.isWaiting(aor, now: at(32_000))
        #expect(w8021)
        let w8077 = filter.isWaiting(aor, now: at(32_001))
        #expect(!w8077)
        filter.set(.refused, aor, 0)
        let v6 = filter.judge(aor, 8, inFlightMax: 8, now: at(1))
        #expect(v6 == .relay)
        // After 64·T1 nobody waits any more.
        let v7 = filter.judge(aor, 9, inFlightMax: 8, now: at(32_001))
        #expect(v7 == .relay)
    }

    @Test func `keeps one AOR's challenges in one place`() {
        var filter = RelayFilter(entriesMax: 100, now: at(0))
        for number in 0..<5_000 as Range<UInt64> {
            let v8 = filter.judge(aor, number, inFlightMax: 8, now: at(1))
            #expect(v8 == .relay)
            filter.set(.refused, aor, number)
        }
        #expect(filter.count == 1)
    }

    @Test func `forgets after two generations, also when nothing came meanwhile`() {
        var filter = RelayFilter(entriesMax: 100, now: at(0))
        _ = filter.judge(aor, 1, inFlightMax: 8, now: at(31_000))
        _ = filter.judge(aor, 2, inFlightMax: 8, now: at(32_000))
        let e9167 = filter.entry(aor, 1) != nil
        #expect(e9167)
        _ = filter.judge(aor, 3, inFlightMax: 8, now: at(64_000))
        let e9278 = filter.entry(aor, 1) == nil
        #expect(e9278)
        let e9323 = filter.entry(aor, 2) != nil
        #expect(e9323)
        filter.set(.accepted, aor, 3)
        let v9 = filter.judge(aor, 3, inFlightMax: 8, now: at(900_000))
        #expect(v9 == .relay)
    }
}

@Suite("Blocks of repeated header fields")
struct ReplyBlocksTests {
    @Test func `are kept once each, until there is no room`() {
        var blocks = ReplyBlocks(testKeys)
        let empty: [UInt8] = []
        #expect(blocks.intern(empty.span) == 0)
        var numbers: Set<UInt32> = []
        for number in 0..<ReplyBlocks.blocksMax {
            let text = Array("Server: \(number)\r\n".utf8)
            guard let block = blocks.intern(text.span) else {
                Issue.record("room")
                return
            }
            #expect(blocks.intern(text.span) == block)
            #expect(blocks.block(block).count == text.count)
            numbers.insert(block)
        }
        #expect(numbers.count == ReplyBlocks.blocksMax)
        let more = Array("Server: more\r\n".utf8)
        #expect(blocks.intern(more.span) == nil)
    }
}
