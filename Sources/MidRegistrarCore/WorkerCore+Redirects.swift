internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage
internal import SIPTransaction

// Redirects that are followed (RFC 3261 §16.7 step 4): the contacts of a 3xx become targets of the call
// that was redirected, and are tried while whatever else rings goes on ringing. Everything goes to the
// main registrar, whose policy holds for it as for what a phone calls; nothing is looked up here.
extension WorkerCore {
    /// Makes targets of the contacts of the 3xx that has just come on a branch, and keeps what is left of
    /// it as the branch's response.
    ///
    /// - Returns: `false` if none is followed; then it is a response like any other.
    mutating func follow<Location: LocationService & ~Copyable>(
        _ bytes: Span<UInt8>, of branch: SlotHandle, location: inout Location,
        outbox: inout Outbox
    ) -> Bool {
        let handle = calls[branch: branch].call
        guard RedirectPolicy.follows(UInt32(index.statusCode)), options.redirects.followsAny,
            !calls[call: handle].flags.contains(.closed)
        else { return false }
        guard
            options.redirects.follows(
                calls[branch: branch].peer, isMain: calls[branch: branch].flags.contains(.toMain))
        else {
            counters.add(.redirectsUntrusted)
            return false
        }
        guard let request = recall(calls[call: handle].request) else { return false }
        fillTargets(of: handle, request, location: &location)
        giveBack(request)
        var origin = Target.Origin()
        origin.parent = calls[branch: branch].number
        origin.depth = calls[branch: branch].origin.depth + 1
        origin.status = UInt16(index.statusCode)
        redirect.read(bytes, index)
        for number in 0..<redirect.count where namesBinding(bytes, redirect.uri(number)) {
            redirect.deny(number)
        }
        let known = targetSet.count
        redirect.follow(
            bytes, policy: options.redirects, origin, into: &targetSet)
        if options.redirects.cancelsOthers, redirect.count(of: .followed) > 0 {
            calls.dropTargets(of: handle)
        }
        for place in known..<targetSet.count where !add(targetSet[place], to: handle, of: branch) {
            redirect.giveUp(targetSet[place], of: targetSet, bytes)
        }
        let followed = redirect.count(of: .followed)
        counters.add(.redirectsFollowed, UInt64(followed))
        counters.add(.redirectsTooDeep, UInt64(redirect.count(of: .tooDeep)))
        counters.add(
            .redirectsFiltered,
            UInt64(redirect.count(of: .filtered) + redirect.count(of: .tooMany)))
        guard followed > 0 else { return false }
        guard !redirect.isAllGone else { return true }
        outbox.begin()
        redirect.writeRemaining(bytes, index, &outbox)
        if !outbox.overflowed {
            keep(UInt32(index.statusCode), outbox.open, of: branch, handle)
        }
        outbox.abandon()
        return true
    }

    /// Whether a URI is one by which the main registrar calls a phone: those are nobody's to give away.
    private mutating func namesBinding(_ bytes: Span<UInt8>, _ uri: SIPURI) -> Bool {
        guard uri.scheme != .other,
            options.ownAddresses.contains(
                bytes.extracting(uri.host.start..<uri.host.end), port: uri.port)
        else { return false }
        let user = bytes.extracting(uri.user.start..<uri.user.end)
        return MainContact.contactID(bytes, uri, under: options.keys) != nil
            || importedID(bytes, uri) != nil || sharedKey(bytes, uri) != nil
            || TemporaryGRUU(user, under: options.keys, scratch: &scratch) != nil
            || FlowToken(user, under: options.keys, scratch: &scratch) != nil
    }

    private mutating func add(
        _ new: Target, to handle: SlotHandle, of branch: SlotHandle
    ) -> Bool {
        var target = CallTarget(.redirected, nil)
        // A caller that is a phone is found again by its own flow, whoever is called.
        if calls[branch: branch].flags.contains(.toMain) {
            target.hasID = calls[branch: branch].hasID
            target.id = calls[branch: branch].id
        }
        target.origin = new.origin
        if options.forkOrder == .byQ { target.rank = 1_000 - Int16(new.q) }
        target.uri = Self.store(new.uri.whole, of: targetSet, in: &calls.bytes)
        guard !target.uri.isNone else { return false }
        guard calls.add(target, to: handle) else {
            calls.drop(target.uri)
            return false
        }
        return true
    }

    private static func store(
        _ uri: ByteRange, of targets: borrowing TargetSet, in pool: inout BytePool
    ) -> BytesHandle {
        pool.store(targets.bytes.extracting(uri.start..<uri.end)) ?? .none
    }

    // MARK: What was tried

    /// Fills the target set with everything that a call has tried or is going to.
    private mutating func fillTargets<Location: LocationService & ~Copyable>(
        of handle: SlotHandle, _ request: borrowing Recalled, location: inout Location
    ) {
        guard let requestURI = try? SIPURI(request.span, request.index.requestURI) else { return }
        Self.begin(&targetSet, request, requestURI)
        for number in 1...max(1, calls[call: handle].opened) {
            guard let branch = calls.branch(of: handle, numbered: number),
                let sent = recall(calls[branch: branch].sent)
            else { continue }
            Self.add(sent, to: &targetSet, number, calls[branch: branch].origin)
            giveBack(sent)
        }
        var next = calls[call: handle].firstTarget
        while next != .none {
            let target = calls.target(next)
            next = target.next
            switch target.kind {
            case .redirected: Self.add(calls.bytes, target, number: 0, to: &targetSet)
            case .contact:
                guard let place = place(of: target) else { continue }
                _ = location.read(table[place].record) { fact in
                    guard let (_, uri) = Fact.contact(in: fact) else { return }
                    targetSet.add(fact, uri, number: 0, target.origin)
                }
            case .main, .flow: continue
            }
        }
    }

    private static func begin(
        _ targets: inout TargetSet, _ request: borrowing Recalled, _ requestURI: SIPURI
    ) {
        targets.begin(request.span, requestURI: requestURI)
    }

    private static func add(
        _ sent: borrowing Recalled, to targets: inout TargetSet, _ number: UInt16,
        _ origin: Target.Origin
    ) {
        guard let uri = try? SIPURI(sent.span, sent.index.requestURI) else { return }
        targets.add(sent.span, uri, number: number, origin)
    }

    private static func add(
        _ pool: borrowing BytePool, _ target: CallTarget, number: UInt16,
        to targets: inout TargetSet
    ) {
        let text = pool.bytes(of: target.uri)
        guard let uri = try? SIPURI(text, ByteRange(0, target.uri.count)) else { return }
        targets.add(text, uri, number: number, target.origin)
    }

    // MARK: Writing

    /// Writes where a redirect led, as a request-URI.
    static func writeURI(
        _ pool: borrowing BytePool, _ stored: BytesHandle, _ outbox: inout Outbox
    ) {
        let text = pool.bytes(of: stored)
        guard let uri = try? SIPURI(text, ByteRange(0, stored.count)) else { return }
        ForwardedRequest.writeURI(uri, in: text, &outbox)
    }

    /// Writes the fields of such a request, with who redirected it; its end is to follow.
    mutating func writeRetargeted<Location: LocationService & ~Copyable>(
        _ copy: ForwardedRequest, _ target: CallTarget, _ branch: SlotHandle,
        _ request: borrowing Recalled, location: inout Location, _ outbox: inout Outbox
    ) {
        let handle = calls[branch: branch].call
        fillTargets(of: handle, request, location: &location)
        let number = calls[branch: branch].number
        Self.add(calls.bytes, target, number: number, to: &targetSet)
        if options.redirects.writesDiversion {
            var parent = target.origin.parent
            while parent > 0 {
                let above = calls.chain(of: handle, above: parent)
                writeDiversion(of: handle, parent, location: &location, &outbox)
                parent = above
            }
        }
        copy.writeFields(request.span, request.index, &outbox)
        if options.redirects.writesHistory, let place = targetSet.place(ofBranch: number),
            let history = try? HistoryInfo(request.span, request.index)
        {
            history.write(request.span, request.index, target: place, of: targetSet, &outbox)
        }
    }

    /// Names who was called on a branch and redirects: a phone by its address of record, since its
    /// contact means nothing to others.
    private mutating func writeDiversion<Location: LocationService & ~Copyable>(
        of handle: SlotHandle, _ number: UInt16, location: inout Location, _ outbox: inout Outbox
    ) {
        guard let branch = calls.branch(of: handle, numbered: number) else { return }
        if calls[branch: branch].flags.contains(.toMain) {
            guard let place = targetSet.place(ofBranch: number) else { return }
            Diversion.write(targetSet.bytes, targetSet[place].uri.whole, &outbox)
        } else if calls[branch: branch].hasID, let place = table.find(calls[branch: branch].id) {
            _ = location.read(table[place].record) { fact in
                Diversion.write(fact, Fact.range(of: .addressOfRecord, in: fact), &outbox)
            }
        }
    }
}
