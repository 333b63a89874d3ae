import Bytes
import StoreInMemory

/// A REGISTER that midreg has heard, with all that became of it.
final class Asked {
    let order: Int
    let source: TransportAddress
    let aor: Int
    let callID: String
    let sequence: Int
    let contacts: [(uri: String, seconds: Int, flow: String)]
    let isWildcard: Bool
    /// It takes something away.
    let removes: Bool
    let firstMs: UInt64
    let incarnation: Int
    /// What the main registrar is told in place of each contact.
    var mainURIs: [String] = []
    /// Our Via on its relay.
    var relayed = ""
    var relayedIn = -1
    /// When the main registrar agreed.
    var acceptedMs: UInt64?
    /// When its 2xx came to midreg.
    var handedMs: UInt64?
    var handedIn = -1
    /// Until when the main registrar held the AOR's one contact then.
    var leaseMs: UInt64 = 0
    /// When it was refused last.
    var refusedIn = -1
    /// The first final answer that left midreg.
    var answered = 0
    var answeredIn = -1
    var told: [(uri: String, untilMs: UInt64)] = []

    init(
        order: Int, _ request: SIPText, aor: Int, from source: TransportAddress, at now: UInt64,
        incarnation: Int
    ) {
        self.order = order
        self.source = source
        self.aor = aor
        self.incarnation = incarnation
        callID = request.callID
        sequence = request.sequence
        contacts = request.contacts.map {
            (
                $0.uri, $0.expires ?? request.expires ?? 3_600,
                SIPText.parameter("reg-id", of: $0.parameters)
            )
        }
        isWildcard = request.isWildcard
        removes = isWildcard || contacts.contains { $0.seconds == 0 }
        firstMs = now
    }
}

/// A contact of an AOR, and what is known of it from outside.
final class Known {
    struct Acceptance {
        let order: Int
        let source: TransportAddress
        let callID: String
        /// When midreg heard of the request, and the main registrar agreed.
        let firstMs: UInt64
        let atMs: UInt64
    }

    let aor: Int
    let uri: String
    /// Until when it is to be found; 0 if nothing is promised.
    var promisedMs: UInt64 = 0
    /// When its local binding ends, as far as the outside can know.
    var endMs: UInt64 = 0
    /// What the main registrar agreed to and midreg may hold: none older than what it has confirmed.
    var acceptances: [Acceptance] = []
    var floor = -1
    var lastAcceptedOrder = -1
    var lastConfirmedOrder = -1
    /// The newest request for it that was answered with a 2xx.
    var lastAnsweredOrder = -1
    var mainURI = "" { didSet { if !mainURI.isEmpty { lastMainURI = mainURI } } }
    /// The same, when it has made way for another address too.
    private(set) var lastMainURI = ""
    /// Which flow of its instance it is (RFC 5626); empty for the only one.
    var flow = ""
    /// The way to it that the main registrar was told (RFC 3327).
    var paths: [String] = []
    /// The main registrar has forgotten it since it agreed.
    var isForgotten = false
    /// A removal, of ours or a phone's of all contacts, came to the main registrar later than the
    /// binding it took away came to midreg.
    var wasHit = false
    /// Its newest fact was promised without being durable, and then came a restart.
    var wasVolatile = false
    var confirmedSequence = -1
    var confirmedCallID = ""

    init(aor: Int, uri: String) {
        self.aor = aor
        self.uri = uri
    }
}

struct OwnRemoval {
    var callID: String
    var sequence: Int
}

// What the judge remembers of what it sees.
extension World {
    func key(branch: String, port: UInt16) -> String { "\(branch):\(port)" }

    /// The request that a relayed message, or an answer on its way to midreg, belongs to.
    func askedBySecondVia(_ message: SIPText) -> Asked? {
        guard message.vias.count > 1 else { return nil }
        let via = message.vias[1]
        let branch = SIPText.parameter("branch", of: via)
        return askedByKey["\(branch):\(SIPText.parameter("rport", of: via))"].map { asked[$0] }
    }

    func aor(of message: SIPText) -> Int? {
        guard let aor = message.aor, ladders.indices.contains(aor) else {
            return nil
        }
        return aor
    }

    func find(_ aor: Int, _ uri: String) -> Known? {
        knownByKey["\(aor) \(uri)"].map { known[$0] }
    }

    /// Whether two addresses are of one contact ID and one flow, so that either takes the other's place.
    func isSameFlow(_ a: Known, _ b: Known) -> Bool {
        plan.mode.isByID && a.aor == b.aor && a !== b && a.mainURI == b.mainURI && a.flow == b.flow
    }

    /// Whether two stand behind one contact at the main registrar.
    func isBehindSame(_ a: Known, _ b: Known) -> Bool {
        guard a.aor == b.aor else { return false }
        return plan.mode == .addressOfRecord
            || plan.mode == .flows && !a.lastMainURI.isEmpty && a.lastMainURI == b.lastMainURI
    }

    private func findOrAdd(_ aor: Int, _ uri: String) -> Known {
        if let old = find(aor, uri) { return old }
        let new = Known(aor: aor, uri: uri)
        knownByKey["\(aor) \(uri)"] = known.count
        known.append(new)
        return new
    }

    /// A datagram is about to come to midreg.
    func notice(_ bytes: [UInt8], from source: TransportAddress, socket: UInt16) {
        let message = SIPText(bytes)
        guard let aor = aor(of: message) else { return }
        if source == Self.mainServer {
            ladders[aor].add(now, .mainToMidreg, port: socket, bytes)
            guard (200..<300).contains(message.code), socket == Self.mainSocket,
                let request = askedBySecondVia(message),
                !(200..<300).contains(request.answered) || request.answeredIn != incarnation
            else { return }
            if request.handedIn != incarnation { request.handedMs = now }
            request.handedIn = incarnation
            if request.removes { removedMs[aor] = now }
            if plan.mode == .addressOfRecord || plan.mode == .flows,
                let uri = request.mainURIs.first
            {
                request.leaseMs = main.expiry(aor, uri, at: now)
            }
            if request.incarnation < incarnation {
                noteLateRemoval(request)
                noteLateBinding(request)
            }
            return
        }
        ladders[aor].add(now, .phoneToMidreg, port: source.port, bytes)
        let branch = SIPText.parameter("branch", of: message.vias[0])
        let name = key(branch: branch, port: source.port)
        guard askedByKey[name] == nil else { return }
        tally.registers += 1
        if phones.contains(where: { $0.isHostile && $0.address == source }) { tally.hostile += 1 }
        askedByKey[name] = asked.count
        asked.append(
            Asked(
                order: asked.count, message, aor: aor, from: source, at: now,
                incarnation: incarnation))
    }

    /// After a restart nobody remembers when a removal was asked for: it may take away what was
    /// registered after it.
    private func noteLateRemoval(_ request: Asked) {
        for entry in known where entry.aor == request.aor {
            let isNamed = request.contacts.contains { $0.uri == entry.uri && $0.seconds == 0 }
            guard isNamed || request.isWildcard else { continue }
            entry.promisedMs = 0
            entry.wasVolatile = true
        }
    }

    /// Nobody remembers either when a binding was asked for: it is believed for one period at most,
    /// whatever has happened to its contacts since.
    private func noteLateBinding(_ request: Asked) {
        for entry in known
        where entry.aor == request.aor
            && (entry.floor > request.order || entry.acceptances.isEmpty)
            && request.contacts.contains(where: { $0.uri == entry.uri && $0.seconds > 0 })
        {
            entry.wasVolatile = true
            entry.promisedMs = 0
        }
    }

    /// The main registrar agrees to a request, this moment.
    func noteAcceptance(_ message: SIPText, isOwn: Bool) {
        guard let aor = aor(of: message) else { return }
        ladders[aor].add(now, .atMain, port: 0, message.bytes)
        if isOwn {
            for contact in message.contacts {
                for entry in known
                where entry.aor == aor && entry.mainURI == contact.uri {
                    entry.wasHit = true
                }
            }
            return
        }
        guard let request = askedBySecondVia(message) else { return }
        request.acceptedMs = now
        if request.removes { removedMs[aor] = now }
        if request.isWildcard {
            voidOrder[aor] = max(voidOrder[aor] ?? -1, request.order)
            for entry in known where entry.aor == aor {
                entry.promisedMs = 0
                entry.wasHit = true
            }
            return
        }
        // It agrees to one phone and drops what it had agreed to for all of its AOR.
        if plan.mode == .addressOfRecord, let uri = request.mainURIs.first,
            main.expiry(aor, uri, at: now) == 0
        {
            for entry in known where entry.aor == aor {
                entry.promisedMs = 0
                entry.wasHit = true
            }
        }
        // The same for all flows of a contact.
        for uri in request.mainURIs where plan.mode == .flows && main.expiry(aor, uri, at: now) == 0
        {
            for entry in known where entry.aor == aor && entry.mainURI == uri {
                guard !request.contacts.contains(where: { $0.flow == entry.flow }) else { continue }
                entry.promisedMs = 0
                entry.wasHit = true
            }
        }
        for (number, contact) in request.contacts.enumerated() {
            let entry = findOrAdd(aor, contact.uri)
            entry.flow = contact.flow
            entry.lastAcceptedOrder = request.order
            guard contact.seconds > 0 else {
                entry.promisedMs = 0
                continue
            }
            entry.acceptances.append(
                .init(
                    order: request.order, source: request.source, callID: request.callID,
                    firstMs: request.firstMs, atMs: now)
            )
            if number < request.mainURIs.count { entry.mainURI = request.mainURIs[number] }
            entry.paths = message.paths
            entry.isForgotten = false
            entry.wasHit = false
            let heldMs = main.expiry(aor, entry.mainURI, at: now)
            entry.promisedMs = min(entry.promisedMs, heldMs)
            // Another address of the same instance takes the old one's place.
            for other in known
            where isSameFlow(entry, other) {
                other.promisedMs = 0
                other.lastAcceptedOrder = request.order
            }
        }
    }

    func noteAmnesia() {
        for entry in known { entry.isForgotten = true }
        for aor in ladders.indices {
            ladders[aor].add(now, .note, port: 0, Array("the main registrar forgets all".utf8))
        }
    }

    func noteRestart(lost: [[UInt8]]) {
        incarnation += 1
        restartedMs = now
        tally.restarts += 1
        for aor in ladders.indices {
            ladders[aor].add(now, .note, port: 0, Array("midreg restarts".utf8))
        }
        let uris = lost.map(MemoryStore.contactURI)
        let grace = UInt64(max(60, plan.lifetimes.max() ?? 0, plan.mainLeast)) * 1_000
        for entry in known {
            entry.endMs = max(entry.endMs, now + grace)
            // What the main registrar did and had not been heard, or was heard and not committed, is
            // known to nobody now.
            if entry.wasHit || entry.lastAcceptedOrder != entry.lastConfirmedOrder {
                entry.isForgotten = true
            }
            guard uris.contains(entry.uri) else { continue }
            entry.promisedMs = 0
            entry.wasVolatile = true
        }
    }
}
