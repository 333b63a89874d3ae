internal import Bytes
internal import Keys
internal import Registration
internal import SIPMessage

/// What a REGISTER that goes to the main registrar means for the contacts of its AOR.
struct ContactPlan {
    /// The binding of each contact of the request, if there is one.
    var places = InlineArray<16, BindingIndex?>(repeating: nil)
    /// Contacts that get their first live flow by it, and contacts that lose their last.
    var arriving = 0
    var leaving = 0
    /// Bindings that become live by it, and live ones that it takes away.
    var bindingsAdded = 0
    var bindingsRemoved = 0
    /// What is asked of the main registrar.
    var lifetime = RelayFilter.Lifetime()
}

extension WorkerCore {
    /// Finds the bindings of a request, and decides what to ask for each contact of it.
    ///
    /// - Parameters:
    ///   - known: of a copy, what the first one asked for: it asks for the same, or it would be
    ///     another request.
    ///   - register: gets contact IDs and lifetimes.
    mutating func plan<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, _ aor: AORKey, known: RelayFilter.Lifetime?,
        _ register: inout RelayedRegister, now: Instant, location: inout Location
    ) -> ContactPlan {
        var plan = ContactPlan()
        let sharesFlows = register.contact.placement != .path
        for number in 0..<meaning.count {
            let contact = meaning[number]
            let identity = fingerprints.flowIdentity(bytes, contact)
            let match = find(
                bytes, contact, identity, aor, sharesFlows: sharesFlows, location: &location)
            register.ids[number] =
                match.map { table.id($0) }
                ?? newID(
                    aor, identity: identity,
                    contactIdentity: fingerprints.identity(
                        bytes, contact, separatesFlows: !sharesFlows), sharesFlows: sharesFlows)
            let isLive = match.map { table.isLive($0) } ?? false
            if contact.askedSeconds > 0 {
                if !isLive { plan.bindingsAdded += 1 }
            } else if let match, isLive, !Self.contains(plan.places, number, match) {
                plan.bindingsRemoved += 1
            }
            plan.places[number] = match
            if let match { stopRemoval(match, at: now) }
        }
        let isThrottled = known?.isThrottled ?? (mode != .mirror && !storeIsDown)
        var seconds = known?.seconds ?? (isThrottled ? mainSeconds : 0)
        var kept: UInt32 = 0
        for number in 0..<meaning.count where !isRepeated(number, register) {
            let use = use(of: register.ids[number], plan.places, register)
            if use.isAsked, !use.wasLive { plan.arriving += 1 }
            if use.wasLive, !use.isAsked, !use.stays { plan.leaving += 1 }
            guard sharesFlows, mode != .throttleByAOR, use.isAsked || use.stays else { continue }
            let contact = SharedContact(aor, register.ids[number])
            stopSharedRemoval(of: contact, at: now)
            guard known == nil else { continue }
            seconds = sharedAsk(
                contact, longest: seconds, besides: plan.places, meaning.count, now: now)
            for other in number..<meaning.count
            where register.ids[other] == register.ids[number] && meaning[other].askedSeconds == 0 {
                kept |= 1 << UInt32(other)
            }
        }
        plan.lifetime =
            known ?? RelayFilter.Lifetime(seconds: seconds, isThrottled: isThrottled, kept: kept)
        if mode == .throttleByAOR {
            if meaning.count > 0 {
                askShared(aor, &plan, isCopy: known != nil, &register, now: now)
            }
        } else {
            ask(plan.lifetime, &register)
        }
        return plan
    }

    /// The lifetime of each contact at the main registrar; flows of one contact have one.
    private func ask(_ lifetime: RelayFilter.Lifetime, _ register: inout RelayedRegister) {
        for number in 0..<meaning.count {
            register.seconds[number] =
                lifetime.keeps(number)
                ? lifetime.seconds
                : mainAsk(meaning[number].askedSeconds, atLeast: lifetime.seconds)
        }
        guard register.contact.placement != .path else { return }
        for number in 0..<meaning.count {
            var longest = register.seconds[number]
            for other in 0..<meaning.count where register.ids[other] == register.ids[number] {
                longest = max(longest, register.seconds[other])
            }
            register.seconds[number] = longest
        }
    }

    /// The lifetime of the one contact of an AOR; 0 if its last phone leaves.
    private mutating func askShared(
        _ aor: AORKey, _ plan: inout ContactPlan, isCopy: Bool, _ register: inout RelayedRegister,
        now: Instant
    ) {
        let contact = SharedContact(ofAOR: aor)
        if !isCopy {
            var longest: UInt32 = 0
            for number in 0..<meaning.count {
                longest = max(longest, mainAsk(meaning[number].askedSeconds, atLeast: 0))
            }
            let isLast = longest == 0 && liveCount(of: contact) <= plan.bindingsRemoved
            plan.lifetime = RelayFilter.Lifetime(
                seconds: isLast
                    ? 0
                    : sharedAsk(contact, longest: max(longest, plan.lifetime.seconds), now: now),
                isThrottled: plan.lifetime.isThrottled)
        }
        register.sharedSeconds = plan.lifetime.seconds
        if register.sharedSeconds > 0 { stopSharedRemoval(of: contact, at: now) }
    }

    /// What a request does with a contact: whether it asks for a flow of it, whether one was live,
    /// and whether one that it does not take away is.
    private func use(
        of id: ContactID, _ places: InlineArray<16, BindingIndex?>, _ register: RelayedRegister
    ) -> (isAsked: Bool, wasLive: Bool, stays: Bool) {
        var isAsked = false
        for number in 0..<meaning.count
        where register.ids[number] == id && meaning[number].askedSeconds > 0 {
            isAsked = true
        }
        guard let any = table.find(id) else { return (isAsked, false, false) }
        var wasLive = false
        var stays = false
        var next = table.first(of: table[any].aor)
        while let place = next {
            next = table.next(after: place)
            guard table.id(place) == id, table.isLive(place) else { continue }
            wasLive = true
            var isRemoved = false
            for number in 0..<meaning.count
            where places[number] == place && meaning[number].askedSeconds == 0 {
                isRemoved = true
            }
            if !isRemoved { stays = true }
        }
        return (isAsked, wasLive, stays)
    }

    /// Whether the contact has its ID in common with one before it in the request.
    private func isRepeated(_ number: Int, _ register: RelayedRegister) -> Bool {
        for earlier in 0..<number where register.ids[earlier] == register.ids[number] {
            return true
        }
        return false
    }
}
