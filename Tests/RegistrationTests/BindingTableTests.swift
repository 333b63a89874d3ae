import Bytes
import Keys
import Registration
import Testing

let testKeys: KeyRing = {
    let secret = (0..<32).map { UInt8($0 + 1) }
    return KeyRing(secret: secret.span)
}()

/// A sequence that a seed repeats.
struct Seeded {
    var state: UInt64
    mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(bound))
    }
}

func at(_ ms: UInt64) -> Instant { Instant(milliseconds: ms) }

@Suite("The table of bindings")
struct BindingTableTests {
    private func binding(_ number: Int, of aor: Int, deadline: UInt64 = 0) -> Binding {
        var binding = Binding()
        // Few different home cells, so that runs are long and wrap round the end.
        binding.aor = AORKey(high: 1, low: UInt64(aor) << 32 | UInt64(aor % 3 + 13))
        binding.id = ContactID(high: UInt64(number % 5 + 11), low: UInt64(number) << 16)
        binding.state = .live
        binding.deadline = at(deadline)
        return binding
    }

    @Test(arguments: 1...5)
    func `finds the live flows of a contact, newest first, whatever comes and goes`(seed: Int) {
        var random = Seeded(state: UInt64(seed) &* 0x9E37_79B9)
        var table = BindingTable(bindingsMax: 40, now: at(0))
        // Contact c is of AOR c / 2; up to four flows each.
        var flows: [Int: [(place: BindingIndex, heard: UInt64)]] = [:]
        for step in 0..<3_000 {
            let contact = random.below(12)
            let count = flows[contact]?.count ?? 0
            if count > 0, random.below(2) == 0 {
                let number = random.below(count)
                guard let place = flows[contact]?.remove(at: number).place else { continue }
                table.remove(place)
            } else if count < RegistrationLimits.flowsPerContactMax {
                var added = binding(contact, of: contact / 2)
                added.lastHeard = at(UInt64(random.below(1_000_000)))
                added.deadline = added.lastHeard
                added.identity = UInt64(contact << 16 | step % 0xFFFF + 1)
                guard let place = table.insert(added) else { continue }
                flows[contact, default: []].append((place, added.lastHeard.milliseconds))
            }
            let expected = (flows[contact] ?? []).sorted { $0.heard > $1.heard }
            let found = table.liveFlows(of: binding(contact, of: 0).id)
            #expect((0..<found.count).map { found[$0] } == expected.map(\.place))
            #expect(found.newest == expected.first?.place)
        }
    }

    @Test(arguments: [
        // (state, pings lost, with the unreachable ones) and whether it is a way to its contact.
        (Binding.State.live, 0, false, true), (.live, 3, false, true), (.live, 4, false, false),
        (.live, 4, true, true), (.lapsed, 0, true, false), (.tombstone, 0, true, false),
        (.refused, 0, true, false),
    ])
    func `takes a flow for a way to its contact`(
        state: Binding.State, lost: UInt8, includingUnreachable: Bool, isWay: Bool
    ) {
        var table = BindingTable(bindingsMax: 4, now: at(0))
        var only = binding(1, of: 1)
        only.state = state
        if state == .live { only.unansweredPings = lost }
        _ = table.insert(only)
        let flows = table.liveFlows(of: only.id, includingUnreachable: includingUnreachable)
        #expect(flows.count == (isWay ? 1 : 0))
    }

    /// Stands for #244, #1094, #1151, #1178, #1183, #2451, #3606.
    @Test(arguments: 1...5)
    func `agrees with a dictionary after thousands of steps`(seed: Int) {
        var random = Seeded(state: UInt64(seed) &* 0x9E37_79B9)
        var table = BindingTable(bindingsMax: 40, now: at(0))
        var model: [Int: Int] = [:]
        var places: [Int: BindingIndex] = [:]
        for step in 0..<4_000 {
            let number = random.below(70)
            if let place = places[number] {
                if random.below(2) == 0 {
                    table.remove(place)
                    model[number] = nil
                    places[number] = nil
                } else {
                    table[place].state = random.below(2) == 0 ? .live : .lapsed
                    table[place].deadline = at(UInt64(random.below(100_000)))
                    table.reschedule(place)
                }
            } else {
                let aor = random.below(15)
                let place = table.insert(binding(number, of: aor))
                #expect((place == nil) == (model.count == 40))
                if let place {
                    model[number] = aor
                    places[number] = place
                }
            }
            guard step % 20 == 0 else { continue }
            #expect(table.count == model.count)
            #expect(table.isFull == (model.count == 40))
            #expect(table.aorCount == Set(model.values).count)
            var live = 0
            var liveAORs: Set<Int> = []
            for (number, place) in places where table[place].state == .live {
                live += 1
                liveAORs.insert(model[number] ?? -1)
            }
            #expect(table.liveCount == live)
            #expect(table.liveAORCount == liveAORs.count)
            for number in 0..<70 {
                let found = table.find(binding(number, of: 0).id)
                #expect(found == places[number])
            }
            for aor in 0..<15 {
                var found: Set<BindingIndex> = []
                var next = table.first(of: binding(0, of: aor).aor)
                while let place = next {
                    #expect(found.insert(place).inserted)
                    next = table.next(after: place)
                }
                #expect(found == Set(model.filter { $0.value == aor }.keys.map { places[$0] }))
            }
        }
    }

    @Test func `ends everything once, never early and within two seconds`() {
        var table = BindingTable(bindingsMax: 500, now: at(5_000_300))
        var random = Seeded(state: 7)
        var due: [BindingIndex: UInt64] = [:]
        for number in 0..<400 {
            // Some are farther ahead than the wheel goes round, some are past already.
            let deadline = 4_990_000 + UInt64(random.below(number < 100 ? 12_000_000 : 300_000))
            guard let place = table.insert(binding(number, of: number, deadline: deadline)) else {
                continue
            }
            due[place] = deadline
        }
        var now: UInt64 = 5_000_300
        while now < 17_100_000 {
            now += UInt64(500 + random.below(900))
            #expect(table.nextTurn.milliseconds <= now + 1_000)
            var budget = 10_000
            while let place = table.nextDue(at: at(now), budget: &budget) {
                guard let deadline = due[place] else {
                    Issue.record("ended twice")
                    return
                }
                #expect(deadline <= now)
                #expect(now < max(deadline, 5_000_300) + 3_500)
                if random.below(4) == 0 {
                    let later = now + UInt64(random.below(200_000))
                    table[place].deadline = at(later)
                    table.reschedule(place)
                    due[place] = later
                } else {
                    table.remove(place)
                    due[place] = nil
                }
            }
            // One that moved nearer, and one that moved away without a word.
            if let (place, deadline) = due.first, deadline > now + 20_000 {
                table[place].deadline = at(now + 3_000)
                table.reschedule(place)
                due[place] = now + 3_000
            }
            if let (place, deadline) = due.reversed().first, random.below(3) == 0 {
                table[place].deadline = at(deadline + 4_000)
                due[place] = deadline + 4_000
            }
        }
        var budget = 10_000
        while let place = table.nextDue(at: at(40_000_000), budget: &budget) {
            table.remove(place)
            due[place] = nil
        }
        #expect(due.isEmpty)
        #expect(table.count == 0)
    }

    @Test func `does no more in a turn than it is allowed, and goes on`() {
        var table = BindingTable(bindingsMax: 100, now: at(0))
        for number in 0..<100 { _ = table.insert(binding(number, of: number, deadline: 1_000)) }
        var ended = 0
        var turns = 0
        while ended < 100 {
            var budget = 7
            turns += 1
            while let place = table.nextDue(at: at(2_000), budget: &budget) {
                table.remove(place)
                ended += 1
            }
            if ended < 100 { #expect(table.nextTurn == at(0)) }
        }
        #expect(turns == 15)
    }
}
