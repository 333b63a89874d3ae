import Bytes
import MidRegistrarCore
import StoreInMemory

// The judge: looks at every message that leaves midreg, and asks it for promised bindings.
extension World {
    func broken(_ invariant: Invariant, _ what: String, aor: Int? = nil) {
        guard violation == nil else { return }
        var text =
            "seed \(seed), mode \(plan.mode.rawValue), step \(steps), \(now) ms: \(what)\n  broken: \(invariant.rawValue)\n"
        text += "  plan: \(plan)\n"
        if let aor { text += ladders[aor].text(last: 40, full: false) }
        violation = text
        violated = invariant
    }

    func broken(_ what: String, _ how: String) { broken(.sane, "\(what): \(how)") }

    // MARK: Towards the main registrar

    func judgeTowardsMain(_ message: SIPText, isOwn: Bool) {
        guard let aor = aor(of: message) else {
            return broken(.sane, "a REGISTER for nobody: \(message.summary)")
        }
        ladders[aor].add(now, isOwn ? .ownToMain : .midregToMain, port: 0, message.bytes)
        if isOwn {
            judgeOwnRemoval(message, aor)
        } else {
            judgeRelay(message, aor)
        }
    }

    private func judgeOwnRemoval(_ message: SIPText, _ aor: Int) {
        let branch = message.vias[0]
        guard removalsSeen[branch] == nil else { return }
        removalsSeen[branch] = OwnRemoval(callID: message.callID, sequence: message.sequence)
        tally.removals += 1
        guard message.contacts.count == 1, message.contacts[0].expires == 0,
            message.credentials.isEmpty
        else { return broken(.sane, "no removal of ours: \(message.summary)", aor: aor) }
        let uri = message.contacts[0].uri
        let name = "\(message.callID) \(uri)"
        if let last = removalsSeen[name], last.sequence > message.sequence {
            broken(.counted, "\(message.summary) after \(last.sequence)", aor: aor)
        }
        removalsSeen[name] = OwnRemoval(callID: message.callID, sequence: message.sequence)
        let holders = known.filter { $0.aor == aor && $0.mainURI == uri }
        // One contact of all phones has the number of the last of them.
        let last = holders.map(\.lastConfirmedOrder).max() ?? -1
        for entry in holders {
            if entry.lastConfirmedOrder == last, entry.confirmedCallID == message.callID,
                entry.confirmedSequence >= message.sequence
            {
                broken(
                    .counted, "\(message.summary), which the phone has used up", aor: aor)
            }
            if entry.promisedMs > now {
                broken(
                    .kept,
                    "\(entry.uri) is removed at the main registrar and promised until "
                        + "\(entry.promisedMs)", aor: aor)
            }
        }
    }

    private func judgeRelay(_ message: SIPText, _ aor: Int) {
        guard let request = askedBySecondVia(message) else {
            return broken(.sane, "a relay of nothing: \(message.summary)", aor: aor)
        }
        // One that was refused has changed nothing; it may ask for what has been learnt since.
        if request.relayedIn == incarnation, request.relayed != message.vias[0],
            request.refusedIn < incarnation
        {
            broken(.idempotent, "a copy is relayed otherwise: \(message.summary)", aor: aor)
        }
        if request.answeredIn == incarnation, request.incarnation == incarnation,
            (200..<300).contains(request.answered), now < request.firstMs + 30_000,
            !isOvertaken(request)
        {
            broken(.idempotent, "relayed after its 2xx: \(message.summary)", aor: aor)
        }
        request.relayed = message.vias[0]
        request.relayedIn = incarnation
        let uris = message.contacts.map(\.uri)
        request.mainURIs =
            uris.count == 1
            ? request.contacts.map { _ in uris[0] } : uris
        relayedMs[aor] = now
    }

    /// Something newer has changed its contacts since it came.
    private func isOvertaken(_ request: Asked) -> Bool {
        if (removedMs[request.aor] ?? 0) >= request.firstMs { return true }
        return request.contacts.contains {
            find(request.aor, $0.uri).map {
                max($0.lastAnsweredOrder, $0.lastAcceptedOrder) > request.order
            } ?? false
        }
    }

    // MARK: Towards phones

    func judgeTowardsPhone(_ message: SIPText, to: TransportAddress) {
        let branch = message.vias.first.map { SIPText.parameter("branch", of: $0) } ?? ""
        guard let number = askedByKey[key(branch: branch, port: to.port)] else {
            return broken(.sane, "an answer to nobody: \(message.summary)")
        }
        let request = asked[number]
        ladders[request.aor].add(now, .midregToPhone, port: to.port, message.bytes)
        guard request.source == to else {
            return broken(.earned, "an answer to somebody else", aor: request.aor)
        }
        guard message.code >= 200 else { return }
        let wasAccepted =
            (200..<300).contains(request.answered) && request.answeredIn == incarnation
        guard message.code < 300 else {
            // Where a copy was absorbed, the main registrar's answer to the first may still come.
            let isLate = !request.relayed.isEmpty && request.acceptedMs == nil
            if wasAccepted, !isLate, !isOvertaken(request), request.incarnation == incarnation {
                broken(.idempotent, "\(message.code) after its 2xx", aor: request.aor)
            }
            request.refusedIn = incarnation
            if request.answered == 0 {
                (request.answered, request.answeredIn) = (message.code, incarnation)
            }
            return
        }
        let isRelayed = request.acceptedMs != nil && request.handedIn == incarnation
        if !isRelayed { judgeAbsorbed(request, message) }
        judgeListed(request, message, isRelayed: isRelayed, isCopy: wasAccepted)
        if !wasAccepted {
            if isRelayed { confirm(request, message) } else { refresh(request, message) }
            for contact in request.contacts {
                guard let entry = find(request.aor, contact.uri) else { continue }
                entry.lastAnsweredOrder = max(entry.lastAnsweredOrder, request.order)
            }
        }
        (request.answered, request.answeredIn) = (message.code, incarnation)
    }

    /// An answer that the main registrar did not give: only to a refresh by a flow that it confirmed.
    private func judgeAbsorbed(_ request: Asked, _ message: SIPText) {
        tally.absorbed += 1
        guard !request.isWildcard, !request.contacts.isEmpty else {
            // An address of the phone's that has changed meanwhile may be told what the other was.
            if isAnsweredElsewhere(request) { return }
            return broken(.earned, "absorbed without a contact", aor: request.aor)
        }
        for contact in request.contacts {
            guard contact.seconds > 0, let entry = find(request.aor, contact.uri) else {
                if isAnsweredElsewhere(request) { return }
                return broken(.earned, "absorbed a change of \(contact.uri)", aor: request.aor)
            }
            // A copy may be answered; a refresh would be a promise on what a crash forgets.
            if request.answered == 0, store.isVolatile(contact.uri) {
                broken(
                    .kept, "\(contact.uri) is absorbed and its fact is not durable",
                    aor: request.aor)
            }
            let isSame = entry.acceptances.contains {
                $0.source == request.source && $0.callID == request.callID
            }
            // A copy of one that left nothing bound is told nothing of it.
            let isTold = message.contacts.contains { $0.uri == contact.uri }
            if !isTold, isAnsweredElsewhere(request) { continue }
            guard isSame || entry.wasVolatile else {
                return broken(
                    .earned, "absorbed \(contact.uri) from \(request.source.port)",
                    aor: request.aor)
            }
        }
    }

    /// The same request has come from another address before and was agreed to.
    private func isAnsweredElsewhere(_ request: Asked) -> Bool {
        asked.suffix(200).contains {
            $0 !== request && $0.aor == request.aor && $0.callID == request.callID
                && $0.sequence == request.sequence && $0.acceptedMs != nil
                && $0.source.sameHost(as: request.source)
        }
    }

    private func judgeListed(
        _ request: Asked, _ message: SIPText, isRelayed: Bool, isCopy: Bool
    ) {
        let base = isRelayed ? request.handedMs ?? now : now
        for contact in message.contacts {
            guard let entry = find(request.aor, contact.uri), let seconds = contact.expires,
                !entry.acceptances.isEmpty || entry.wasVolatile
            else {
                return broken(
                    .earned, "\(contact.uri) is listed and nobody agreed to it", aor: request.aor)
            }
            let isOwn = request.contacts.contains { $0.uri == contact.uri && $0.seconds > 0 }
            let untilMs = base + UInt64(seconds) * 1_000
            if isCopy {
                let told = request.told.last { $0.uri == contact.uri }?.untilMs
                if isOwn, request.incarnation == incarnation, !isOvertaken(request), let told,
                    told + 1_000 < untilMs
                {
                    broken(.idempotent, "a copy is told more of \(contact.uri)", aor: request.aor)
                }
                continue
            }
            if let asked = request.contacts.first(where: { $0.uri == contact.uri })?.seconds,
                seconds > max(asked, 60), request.order >= entry.lastConfirmedOrder
            {
                broken(.leased, "\(contact.uri) is granted more than it asked for", aor: entry.aor)
            }
            // Others' remaining time is told in whole seconds, at least one.
            let roundingMs: UInt64 = isOwn && request.order >= entry.floor ? 0 : 1_000
            // What it shortens for another phone while this answer waits for its commit comes later.
            let heldMs = max(
                main.expiry(entry.aor, entry.mainURI, at: now), isRelayed ? request.leaseMs : 0)
            // After a restart nobody knows that a copy is one, and the main registrar's answer to it
            // is as old as its first.
            let isExcused =
                entry.isForgotten || entry.wasVolatile
                // A copy was relayed with another lifetime when the store had come back.
                || (storeWasBad && entry.lastAcceptedOrder != entry.lastConfirmedOrder)
                || (isRelayed && request.incarnation < incarnation
                    && max(heldMs, askedMs(request, contact.uri)) + 32_000 >= untilMs)
                || (isRelayed && (entry.wasHit || entry.lastAcceptedOrder != request.order))
                || (!isOwn && (entry.wasHit || entry.lastAcceptedOrder != entry.lastConfirmedOrder))
            if heldMs + roundingMs < untilMs, !isExcused {
                broken(
                    .leased,
                    "\(contact.uri) is granted until \(untilMs), held until \(heldMs)",
                    aor: request.aor)
            }
        }
    }

    /// Until when the main registrar held at least what a contact asked for, even if that is over.
    private func askedMs(_ request: Asked, _ uri: String) -> UInt64 {
        let seconds = request.contacts.first { $0.uri == uri }?.seconds ?? 0
        return (request.acceptedMs ?? 0) + UInt64(seconds) * 1_000
    }

    /// The main registrar's agreement reaches the phone: it is a promise now.
    private func confirm(_ request: Asked, _ message: SIPText) {
        let base = request.handedMs ?? now
        if request.isWildcard {
            for entry in known
            where entry.aor == request.aor && entry.lastConfirmedOrder < request.order {
                // What was asked for before and is not answered yet may have come after it.
                let confirmed = entry.lastConfirmedOrder
                // Nobody remembers when a late one was asked for: what it names is doubted.
                let isLate =
                    request.incarnation < incarnation || now > request.firstMs + 32_000
                if !isLate {
                    // Of two that came in the same moment either may have been the first.
                    entry.acceptances.removeAll {
                        $0.order <= confirmed && $0.firstMs != request.firstMs
                            && $0.atMs <= request.acceptedMs ?? now
                    }
                }
                (entry.promisedMs, entry.endMs) = (0, now)
                entry.lastConfirmedOrder = max(entry.lastConfirmedOrder, request.order)
            }
            return
        }
        for contact in request.contacts {
            guard let entry = find(request.aor, contact.uri), request.order >= entry.floor else {
                continue
            }
            let isReplaced = known.contains {
                isSameFlow($0, entry) && $0.lastAcceptedOrder > request.order
            }
            guard !isReplaced else { continue }
            settleFloor(entry, request.order)
            // What was agreed to before a restart, and taken back since, is believed for one period.
            entry.wasVolatile = request.incarnation < incarnation && entry.acceptances.isEmpty
            entry.lastConfirmedOrder = request.order
            entry.confirmedCallID = request.callID
            entry.confirmedSequence = request.sequence
            // The phone may have begun again from below.
            removalsSeen["\(request.callID) \(entry.mainURI)"] = nil
            for other in known
            where isSameFlow(entry, other) {
                settleFloor(other, request.order)
                (other.promisedMs, other.endMs) = (0, now)
                other.mainURI = ""
            }
            guard contact.seconds > 0,
                let seconds = message.contacts.first(where: { $0.uri == contact.uri })?.expires
            else {
                (entry.promisedMs, entry.endMs) = (0, now)
                continue
            }
            promise(entry, base + UInt64(seconds) * 1_000, request)
        }
    }

    private func refresh(_ request: Asked, _ message: SIPText) {
        for contact in request.contacts {
            guard let entry = find(request.aor, contact.uri),
                let seconds = message.contacts.first(where: { $0.uri == contact.uri })?.expires
            else { continue }
            promise(entry, now + UInt64(seconds) * 1_000, request)
        }
    }

    private func promise(_ entry: Known, _ untilMs: UInt64, _ request: Asked) {
        entry.endMs = untilMs
        request.told.append((entry.uri, untilMs))
        // A later request may have been agreed to already: then either may hold.
        let isOvertaken =
            entry.lastAcceptedOrder > request.order && request.acceptedMs != nil
            || (voidOrder[entry.aor] ?? -1) > request.order
        entry.promisedMs = isOvertaken ? 0 : untilMs
    }

    private func settleFloor(_ entry: Known, _ order: Int) {
        entry.floor = max(entry.floor, order)
        entry.acceptances.removeAll { $0.order < entry.floor }
    }

    // MARK: Between messages

    /// After every step: a call for one contact, and, as time goes on, whether the main registrar
    /// holds what nobody has any more.
    func judgeTime() {
        guard violation == nil, !known.isEmpty else { return }
        if restartedMs == now {
            for entry in known { judgeCall(entry) }
        } else if chance.happens(isCalm ? 3 : 10) {
            judgeCall(known[chance.below(known.count)])
        }
        guard now >= lastJudgedMs + 1_000 else { return }
        lastJudgedMs = now
        guard case .accepted = plan.ownRemovals else { return }
        let isSettled = isCalm && now > calmMs + 150_000
        let slack =
            (isSettled ? 3_000 : 170_000)
            + UInt64(known.count * 1_000 / plan.removalsPerSecond)
        for entry in known {
            var endMs = entry.endMs
            if plan.mode == .addressOfRecord || plan.mode == .flows {
                // One contact there for all of them here.
                let others = known.filter { $0 === entry || isBehindSame($0, entry) }
                endMs = others.map(\.endMs).max() ?? endMs
                guard
                    others.allSatisfy({
                        $0.lastConfirmedOrder == $0.lastAcceptedOrder && !$0.wasVolatile
                    })
                else { continue }
            }
            // REGISTERs of others hold a removal up, but not for ever.
            let pausedMs = isSettled ? max(endMs, calmMs + 150_000) + 66_000 : .max
            guard entry.lastConfirmedOrder == entry.lastAcceptedOrder, !entry.wasVolatile,
                !entry.mainURI.isEmpty,
                now > min(max(endMs, (relayedMs[entry.aor] ?? 0) + 75_000), pausedMs) + slack,
                main.expiry(entry.aor, entry.mainURI, at: now) > now
            else { continue }
            broken(
                .released, "\(entry.uri) ended at \(endMs) and is still held", aor: entry.aor)
        }
    }

    /// A call from the main registrar for what it was told.
    private func judgeCall(_ entry: Known) {
        guard violation == nil, !entry.mainURI.isEmpty else { return }
        tally.calls += 1
        var text = "INVITE \(entry.mainURI) SIP/2.0\r\n"
        text += "Via: SIP/2.0/UDP 10.0.0.2:5070;branch=z9hG4bKcall\(tally.calls)\r\n"
        text += "Max-Forwards: 70\r\n"
        for path in entry.paths { text += "Route: \(path)\r\n" }
        text += "From: <sip:caller@example.test>;tag=c\r\nTo: <\(SIPText.uri(entry.aor))>\r\n"
        text +=
            "Call-ID: call\(tally.calls)\r\nCSeq: 1 INVITE\r\nContact: <sip:c@10.0.0.2:5070>\r\n"
        text += "Content-Length: 0\r\n\r\n"
        let sent = ask(Array(text.utf8))
        var isFound = false
        var codes = ""
        for message in sent {
            let invite = SIPText(message.bytes)
            guard invite.code == 0 else {
                codes += " \(invite.code)"
                continue
            }
            let target = known.first { $0.aor == entry.aor && $0.uri == invite.requestURI }
            let isAllowed =
                target.map { target in
                    target.wasVolatile || target.acceptances.contains { $0.source == message.to }
                } ?? false
            if !isAllowed {
                broken(
                    .earned,
                    "a call for \(entry.uri) goes to \(invite.requestURI) at :\(message.to.port)",
                    aor: entry.aor)
            }
            // Of the flows of one phone one rings.
            if invite.requestURI == entry.uri || target.map({ isBehindSame($0, entry) }) ?? false {
                isFound = true
            }
        }
        if entry.promisedMs > now, !isFound {
            broken(
                .kept,
                "\(entry.uri) is promised until \(entry.promisedMs), and a call gets\(codes)",
                aor: entry.aor)
        }
    }

    // MARK: At the end

    func judgeRegistered(_ number: Int) {
        let phone = phones[number]
        // It has begun its CSeq again, and nobody may take away what is in its way.
        if phone.wasRefused, case .refused = plan.ownRemovals { return }
        if phone.wasRefused, isInItsOwnWay(phone) { return }
        let entries = phone.uris.compactMap { find(phone.aor, $0) }
        // Nor what the main registrar agreed to in an answer that never came here.
        let isExcused = entries.contains {
            $0.wasVolatile || $0.isForgotten || $0.lastAcceptedOrder != $0.lastConfirmedOrder
        }
        if phone.wasRefused, isExcused { return }
        guard phone.registeredUntil > now else {
            return broken(.live, "phone \(number) is not registered", aor: phone.aor)
        }
        for uri in phone.uris {
            guard let entry = find(phone.aor, uri), entry.promisedMs > now else {
                return broken(.live, "\(uri) is not promised", aor: phone.aor)
            }
            judgeCall(entry)
            let heldMs = main.expiry(entry.aor, entry.mainURI, at: now)
            if heldMs <= now, !entry.isForgotten, !entry.wasVolatile {
                broken(.live, "\(uri) is not at the main registrar", aor: phone.aor)
            }
        }
    }

    /// The one contact of several is there by its own earlier, higher CSeq, and others are reached by
    /// it: the first of them that asks again ends that.
    private func isInItsOwnWay(_ phone: Phone) -> Bool {
        let entries = phone.uris.compactMap { find(phone.aor, $0) }
        let isHeld = main.held[phone.aor].contains {
            $0.expiryMs > now && $0.callID == phone.callID && $0.sequence >= phone.sequence
        }
        return isHeld
            && known.contains { other in
                other.aor == phone.aor && !phone.uris.contains(other.uri) && other.promisedMs > now
                    && (plan.mode == .addressOfRecord
                        || entries.contains { isBehindSame(other, $0) })
            }
    }

    func judgeEmpty() {
        let facts = store.durable.count
        let bindings = gauge(.bindings)
        let owed = gauge(.removalsOwed)
        guard facts + Int(bindings + owed) > 0 else { return }
        broken(.empty, "\(facts) facts, \(bindings) bindings, \(owed) removals are left", aor: 0)
    }
}
