import Bytes
import StoreInMemory

// What happens to phones, main registrar and store.
extension World {
    func populate() {
        for aor in 0..<plan.aors {
            for _ in 0..<plan.phonesOfAOR[aor] {
                addPhone(aor, isHostile: false)
                if plan.mode == .flows, chance.happens(70) { addFlow() }
            }
        }
        for _ in 0..<plan.hostiles { addPhone(chance.below(plan.aors), isHostile: true) }
        let end = now + plan.faultsMs
        for phone in phones.indices {
            agenda.add(
                now + UInt64(chance.below(60_000)), .turn(phone: phone, plan: phones[phone].plans))
            if !phones[phone].isHostile { nextWhim(phone) }
        }
        for _ in 0..<plan.restarts { agenda.add(moment(before: end), .restart) }
        for _ in 0..<plan.amnesias { agenda.add(moment(before: end), .amnesia) }
        for _ in 0..<plan.storeFaults {
            let start = moment(before: end)
            agenda.add(start, chance.happens(70) ? .storeBreaks : .storeFills)
            agenda.add(min(end, start + UInt64(chance.between(10, 60_000))), .storeMends)
        }
        agenda.add(end, .calm)
    }

    private func moment(before end: UInt64) -> UInt64 {
        now + UInt64(chance.below(Int(end - now)))
    }

    private func addPhone(_ aor: Int, isHostile: Bool) {
        let number = phones.count
        // Every third one speaks IPv6.
        let port = UInt16(10_000 + number * 500)
        let low = UInt64(number) + 1
        let isIPv6 = number % 3 == 2
        let host = isIPv6 ? "[2001:db8::\(String(low, radix: 16))]" : "192.0.2.\(low)"
        var phone = Phone(
            number: number, aor: aor, host: host,
            address: isIPv6
                ? TransportAddress(high: 0x2001_0DB8_0000_0000, low: low, port: port)
                : TransportAddress(ipv4: 0xC000_0200 + UInt32(low), port: port),
            instance: "", user: "p\(number)", uris: ["sip:p\(number)@\(host):5060"],
            lifetime: chance.pick(plan.lifetimes), style: chance.below(3),
            refreshPercent: chance.between(50, 95), isEager: chance.happens(60),
            callID: "c\(number)@p")
        if chance.happens(40) {
            phone.instance = "0000-\(number)"
        } else if chance.happens(15) {
            phone.uris.append("sip:q\(number)@\(host):5062")
        }
        if chance.happens(10), plan.lifetimes.contains(60) { phone.lifetime = 30 }
        phone.sequence = chance.below(3) == 0 ? chance.below(100_000) : 0
        phone.isHostile = isHostile
        phones.append(phone)
    }

    /// Gives the newest phone a second flow.
    private func addFlow() {
        let first = phones.count - 1
        addPhone(phones[first].aor, isHostile: false)
        if phones[first].instance.isEmpty { phones[first].instance = "0000-\(first)" }
        phones[first].uris = [phones[first].uris[0]]
        phones[first].flowNumber = 1
        phones[first + 1].instance = phones[first].instance
        phones[first + 1].user = phones[first].user
        phones[first + 1].uris = ["sip:\(phones[first].user)@\(phones[first + 1].host):5060"]
        phones[first + 1].flowNumber = 2
    }

    func happen(_ event: Event) {
        switch event {
        case .toMidreg(let bytes, let source, let socket):
            notice(bytes, from: source, socket: socket)
            give(bytes, from: source, socket: socket)
        case .toMain(let bytes, let isOwn): arriveAtMain(bytes, isOwn: isOwn)
        case .toPhone(let bytes, let to): arriveAtPhone(SIPText(bytes), at: to)
        case .turn(let phone, let plan):
            guard phones[phone].plans == plan else { return }
            if phones[phone].isHostile { attack(phone) } else { takeTurn(phone) }
        case .retransmit(let phone, let transaction): retransmit(phone, transaction)
        case .whim(let phone): followWhim(phone)
        case .settle: settle()
        case .storeBreaks:
            storeWasBad = true
            store.isFailing = true
        case .storeFills:
            storeWasBad = true
            store.isFull = true
        case .storeMends:
            store.isFailing = false
            store.isFull = false
            store.comeUp()
            settle()
        case .restart: if !isCalm { restart() }
        case .amnesia:
            main.forgetAll()
            noteAmnesia()
        case .calm: beginCalm()
        case .registeredBy(let phone): judgeRegistered(phone)
        case .farewell: sayFarewell()
        case .end:
            judgeEmpty()
            isOver = true
        }
    }

    // MARK: The main registrar

    private func arriveAtMain(_ bytes: [UInt8], isOwn: Bool) {
        let request = SIPText(bytes)
        let outcome = main.receive(request, isOwn: isOwn, at: now, &chance)
        if outcome.isAccepted { noteAcceptance(request, isOwn: isOwn) }
        guard let response = outcome.response else { return }
        if !isOwn {
            if outcome.isAccepted { tally.accepted += 1 } else { tally.refused += 1 }
        }
        let socket = isOwn ? Self.ownSocket : Self.mainSocket
        let event = Event.toMidreg(response, from: Self.mainServer, socket: socket)
        if outcome.delayMs == 0 {
            travel(event)
        } else {
            agenda.add(now + outcome.delayMs, event)
        }
        // Late answers come twice.
        if !isCalm, chance.happens(plan.slowPercent / 4) {
            agenda.add(now + UInt64(chance.below(40_000)), event)
        }
    }

    // MARK: Phones

    private func plan(_ phone: Int, inMs: UInt64) {
        phones[phone].plans += 1
        agenda.add(now + inMs, .turn(phone: phone, plan: phones[phone].plans))
    }

    private func takeTurn(_ number: Int) {
        guard phones[number].isThere else { return }
        guard phones[number].transaction == nil else {
            // One at a time (RFC 3261 §10.2).
            plan(number, inMs: 1_000)
            return
        }
        if phones[number].wantsBinding {
            send(number, .register, authorized: phones[number].isEager, challenges: 0)
        }
    }

    private func send(
        _ number: Int, _ purpose: Phone.Purpose, authorized: Bool, challenges: Int
    ) {
        phones[number].plans += 1
        phones[number].begin(
            purpose, authorized: authorized, challenges: challenges, at: now,
            word: MainRegistrar.word(phones[number].aor))
        guard let transaction = phones[number].transaction else { return }
        agenda.add(now + 500, .retransmit(phone: number, transaction: transaction.number))
        transmit(number, transaction.bytes)
    }

    private func transmit(_ number: Int, _ bytes: [UInt8]) {
        travel(.toMidreg(bytes, from: phones[number].address, socket: Self.listener))
    }

    private func retransmit(_ number: Int, _ transaction: Int) {
        guard var open = phones[number].transaction, open.number == transaction,
            phones[number].isThere
        else { return }
        if now >= open.startMs + 32_000 {
            phones[number].transaction = nil
            plan(number, inMs: UInt64(chance.between(1, 20)) * 1_000)
            return
        }
        open.intervalMs = min(open.intervalMs * 2, 4_000)
        phones[number].transaction = open
        agenda.add(now + open.intervalMs, .retransmit(phone: number, transaction: transaction))
        transmit(number, open.bytes)
    }

    private func arriveAtPhone(_ response: SIPText, at address: TransportAddress) {
        guard response.code >= 200,
            let number = phones.firstIndex(where: { $0.address == address && $0.isThere }),
            let open = phones[number].transaction, let via = response.vias.first,
            response.sequence == open.sequence,
            SIPText.parameter("branch", of: via) == open.branch
        else { return }
        phones[number].transaction = nil
        if response.code != 401 { phones[number].wasRefused = response.code == 500 }
        switch response.code {
        case 200..<300: rejoice(number, open, response)
        case 401 where open.challenges < 3 && !phones[number].isHostile:
            send(number, open.purpose, authorized: true, challenges: open.challenges + 1)
        case 423:
            phones[number].lifetime = max(phones[number].lifetime, response.minExpires ?? 60)
            plan(number, inMs: 100)
        default:
            plan(
                number,
                inMs: UInt64(response.retryAfter ?? chance.between(5, 30)) * 1_000)
        }
    }

    private func rejoice(_ number: Int, _ open: Phone.Transaction, _ response: SIPText) {
        guard open.purpose == .register else {
            if open.purpose == .fetch {
                plan(number, inMs: 1_000)
                return
            }
            phones[number].registeredUntil = 0
            phones[number].wantsBinding = false
            if isCalm {
                if !isFarewell { comeBack(number) }
            } else {
                agenda.add(
                    now + UInt64(chance.between(1, 120)) * 1_000, .whim(phone: number))
            }
            return
        }
        let told = response.contacts.filter { phones[number].uris.contains($0.uri) }
        guard told.count == phones[number].uris.count,
            let seconds = told.compactMap({ $0.expires }).min()
        else {
            plan(number, inMs: UInt64(chance.between(5, 20)) * 1_000)
            return
        }
        phones[number].registeredUntil = now + UInt64(seconds) * 1_000
        // Every fourth one is late while faults last: it comes back as its binding lapses.
        let isLate = !isCalm && number % 4 == 3
        let lateMs = UInt64((389 * number + 97 * open.sequence) % 1_500)
        plan(
            number,
            inMs: isLate
                ? UInt64(seconds) * 1_000 + lateMs
                : UInt64(seconds) * UInt64(phones[number].refreshPercent) * 10)
    }

    // MARK: Whims

    private func nextWhim(_ number: Int) {
        let mean = phones[number].lifetime * 3
        agenda.add(now + UInt64(chance.between(10, 2 * mean)) * 1_000, .whim(phone: number))
    }

    private func followWhim(_ number: Int) {
        guard !isCalm else { return }
        nextWhim(number)
        if !phones[number].isThere || !phones[number].wantsBinding {
            comeBack(number)
            return
        }
        let whim = chance.below(11)
        if (6...8).contains(whim), phones[number].transaction != nil { return }
        switch whim {
        case 0, 1:
            move(number)
            if chance.happens(50) { plan(number, inMs: 0) }
        case 2:  // A reboot that forgets its CSeq and nothing else.
            phones[number].sequence = 0
            phones[number].transaction = nil
            plan(number, inMs: UInt64(chance.below(20_000)))
        case 3:
            phones[number].newCallID()
            phones[number].sequence = chance.below(50)
            phones[number].transaction = nil
            if chance.happens(50) { move(number) }
            plan(number, inMs: UInt64(chance.below(20_000)))
        case 4, 5:
            phones[number].isThere = false
            phones[number].transaction = nil
        case 6: send(number, .remove, authorized: phones[number].isEager, challenges: 0)
        case 7: send(number, .removeAll, authorized: phones[number].isEager, challenges: 0)
        case 8: send(number, .fetch, authorized: phones[number].isEager, challenges: 0)
        case 9:
            phones[number].parameters = ";q=0.\(chance.between(1, 9))"
            plan(number, inMs: 0)
        default:
            // With Path the old address would stay at the main registrar, and lead here.
            if plan.mode == .path || chance.happens(50) {
                phones[number].lifetime = chance.pick(plan.lifetimes)
            } else {
                // By another port: with another user, the main registrar would hold two contacts of
                // one contact ID where the ID is a parameter.
                phones[number].uris = [
                    "sip:\(phones[number].user)@\(phones[number].host)"
                        + ":\(chance.between(6_000, 6_003))"
                ]
            }
            plan(number, inMs: 0)
        }
    }

    private func comeBack(_ number: Int) {
        phones[number].isThere = true
        phones[number].wantsBinding = true
        if chance.happens(30) { move(number) }
        if chance.happens(30) { phones[number].newCallID() }
        plan(number, inMs: UInt64(chance.below(3_000)))
    }

    /// A NAT gives it another port.
    private func move(_ number: Int) {
        let base = phones[number].address.port / 500 * 500
        let offset = (phones[number].address.port - base + 1) % 500
        phones[number].address = phones[number].address.withPort(base + offset)
    }

    // MARK: Hostile ones

    private func attack(_ number: Int) {
        guard !isFarewell else { return }
        plan(number, inMs: UInt64(chance.between(1, 60)) * 1_000)
        let victims = phones.indices.filter { !phones[$0].isHostile }
        let victim = phones[chance.pick(victims)]
        phones[number].transactions += 1
        let branch = "z9hG4bK\(number)x\(phones[number].transactions)"
        let word = chance.pick(["", "Digest username=\"a\(victim.aor)\", response=\"bad\""])
        let sequence = victim.sequence + chance.pick([0, 1, 1, 1, 2, 500])
        let callID = chance.happens(80) ? victim.callID : "evil\(number)@x"
        let bytes: [UInt8]
        switch chance.below(6) {
        case 0:
            bytes = victim.write(
                .register, branch: branch, word: word, sequence: sequence, callID: callID,
                uris: ["sip:evil\(number)@203.0.113.\(number + 1)"])
        case 1, 2:
            bytes = victim.write(
                .register, branch: branch, word: word, sequence: sequence, callID: callID,
                uris: victim.uris)
        case 3:
            bytes = victim.write(
                .remove, branch: branch, word: word, sequence: sequence, callID: callID,
                uris: victim.uris)
        case 4:
            bytes = victim.write(
                .removeAll, branch: branch, word: word, sequence: sequence, callID: callID,
                uris: [])
        default:
            bytes = victim.write(
                .fetch, branch: branch, word: word, sequence: sequence, callID: callID, uris: [])
        }
        transmit(number, bytes)
    }

    // MARK: The end

    /// Faults stop; everybody comes back and has two of its periods to be registered again.
    private func beginCalm() {
        isCalm = true
        calmMs = now
        main.isCalm = true
        if store.isFailing || store.isFull || store.isDown { happen(.storeMends) }
        var last: UInt64 = 0
        for number in phones.indices where !phones[number].isHostile {
            if !phones[number].isThere || !phones[number].wantsBinding { comeBack(number) }
            let periods = UInt64(2 * max(60, phones[number].lifetime, plan.lifetimes[0])) * 1_000
            let deadline = now + periods + 100_000
            agenda.add(deadline, .registeredBy(phone: number))
            last = max(last, deadline)
        }
        agenda.add(last + 1_000, .farewell)
    }

    /// Half of the phones say goodbye, half vanish.
    private func sayFarewell() {
        isFarewell = true
        for number in phones.indices where !phones[number].isHostile {
            phones[number].wantsBinding = false
            phones[number].plans += 1
            phones[number].transaction = nil
            if chance.happens(50) {
                send(number, .remove, authorized: true, challenges: 0)
            } else {
                phones[number].isThere = false
            }
        }
        let longest = max(plan.mainSeconds, plan.mainLeast, plan.lifetimes.max() ?? 0)
        agenda.add(now + UInt64(longest + plan.mainMore + 200) * 1_000, .end)
    }
}
