import Bytes
import MidRegistrarCore

/// What holds of every call.
enum CallInvariant: String {
    case oneFinal = "K1 a request has one final response from us, or every 2xx of its branches"
    case everySuccess = "K2 every 2xx of every branch goes back at once"
    case provisionals =
        "K3 101 to 199 of every branch go back at once while nothing final has, and no 100"
    case best =
        "K4 of refusals the best goes back, when every branch has ended and every phone was tried"
    case order = "K5 equal q ring together, lower when all higher have ended"
    case cancelled =
        "K6 a branch that rings when its call ends gets one CANCEL, none before a provisional"
    case reason = "K7 a CANCEL says why"
    case acknowledged = "K8 a refusal of a branch gets an ACK, and each copy of it"
    case targets = "K9 nothing goes to anybody but who was called, and copies are the same"
    case dialog = "K10 what is in a dialog reaches its other end"
    case strangers = "K11 what is forged or none of ours changes nothing"
    case forgets = "K12 what is over leaves nothing behind"
    case ends = "K13 every history ends"
    case sane = "K14 every answer has its request"

    var name: String { String(rawValue.prefix { $0 != " " }) }
}

/// Why a branch has to be cancelled.
enum CallCause: Equatable {
    case caller, elsewhere, noAnswer
    case refused(Int)
}

/// The best of the final responses, by RFC 3261 §16.7 step 6 as it is read here.
struct ModelBest {
    private(set) var code = 0
    private var isOwn = false
    var isCancelled = false

    private func rank(_ code: Int, _ isOwn: Bool) -> Int {
        if code >= 600 { return 0 }
        if code == 487, isCancelled { return isOwn ? 2 : 1 }
        if code < 400 { return 3 }
        if let place = [401, 407, 415, 420, 484].firstIndex(of: code) { return 4 + place }
        if code == 408 { return isOwn ? 11 : 10 }
        if code < 500 { return 9 }
        return code == 503 ? 13 : 12
    }

    mutating func offer(_ code: Int, isOwn: Bool = false) {
        guard self.code == 0 || rank(code, isOwn) < rank(self.code, self.isOwn) else { return }
        (self.code, self.isOwn) = (code, isOwn)
    }

    mutating func offerSilence() { offer(isCancelled ? 487 : 408, isOwn: true) }

    var sent: Int { code == 503 ? 500 : code == 0 ? (isCancelled ? 487 : 408) : code }
}

/// A branch as the judge remembers it.
struct CallBranch {
    enum State {
        case calling, proceeding, completed, accepted
        /// Cancelled, silent for 64·T1, and heard all the same for as long again.
        case overdue
        case over
    }

    let via: String
    let request: Int
    /// `nil` for the main registrar.
    let phone: Int?
    let address: TransportAddress
    let socket: UInt16
    let bytes: [UInt8]
    let message: CallMessage
    let firstAt: UInt64
    var state = State.calling
    var deadline: UInt64
    var timerC: UInt64
    var cause: CallCause?
    var cancel: [UInt8]?
    var acknowledgedTag: String?

    var isPending: Bool { state == .calling || state == .proceeding }
}

/// What has to leave in a step.
enum Owed: Equatable {
    case response(request: Int, code: Int, tag: String)
    case ack(branch: Int)
    case cancelAnswer(request: Int)
    case pass(method: String, callID: String)
}

// What comes to midreg, and what has to come of it.
extension CallWorld {
    private func owe(_ what: Owed) { owed.append(what) }

    func isPaid(_ what: Owed) -> Bool {
        guard let place = owed.firstIndex(of: what) else { return false }
        owed.remove(at: place)
        return true
    }

    /// Lets time do to branches what it does.
    func age() {
        guard !openBranches.isEmpty else { return }
        for number in openBranches {
            if branches[number].state == .proceeding, branches[number].cancel == nil,
                branches[number].cause == nil, now >= branches[number].timerC
            {
                branches[number].cause = .noAnswer
            }
            guard now >= branches[number].deadline else { continue }
            if branches[number].isPending {
                let request = requests[branches[number].request]
                if !request.isAnswered { request.best.offerSilence() }
                if request.method == "INVITE", branches[number].state == .proceeding,
                    branches[number].cancel != nil
                {
                    branches[number].state = .overdue
                    branches[number].deadline += 32_000
                    continue
                }
            }
            branches[number].state = .over
        }
        openBranches.removeAll { branches[$0].state == .over }
    }

    /// A message is about to be given to midreg.
    func arrive(_ message: CallMessage, from source: TransportAddress) {
        if message.code == 0 {
            arrive(request: message, from: source)
        } else {
            arrive(response: message, from: source)
        }
    }

    private func arrive(request message: CallMessage, from source: TransportAddress) {
        guard let number = requestOfBranch[message.branch()] else {
            if message.method == "ACK", !message.toTag.isEmpty {
                owePassing(message, from: source)
            }
            return
        }
        let request = requests[number]
        guard source == request.source else { return }
        switch message.method {
        case "ACK": request.isAcknowledged = true
        case "CANCEL":
            guard request.deliveredAt != nil, !request.isExcused, !request.isTurnedAway else {
                return
            }
            // What the transaction has forgotten is unknown again.
            if request.isAnswered { return }
            owe(.cancelAnswer(request: number))
            guard !request.isCancelled else { return }
            request.isCancelled = true
            request.isClosed = true
            request.best.isCancelled = true
            request.cancelReasons = message.reasons
            condemn(request, but: nil, .caller)
        default:
            if request.isInDialog {
                owePassing(message, from: source)
            } else if request.deliveredAt == nil {
                deliver(request)
            }
        }
    }

    private func owePassing(_ message: CallMessage, from source: TransportAddress) {
        // A phone that is bound no more, or elsewhere, is a stranger.
        if source != Self.mainServer {
            let phone = phones.first { $0.address == source }
            guard let phone, phone.isBound(at: now) else { return }
        }
        guard !message.values("Route").isEmpty else { return }
        owe(.pass(method: message.method, callID: message["Call-ID"]))
    }

    private func deliver(_ request: CallRequest) {
        request.deliveredAt = now
        if !request.isFromMain {
            request.isToMain = true
            request.isStateless = request.method != "INVITE"
            let phone = phones[request.phone]
            request.isExcused = !phone.isBound(at: now) || phone.address != request.source
            return
        }
        let called = phones.filter {
            $0.number == request.phone || plan.isForked && $0.aor == phones[request.phone].aor
        }
        request.targets = called.filter { $0.isBound(at: now) }.map(\.number)
        request.isStateless = request.method != "INVITE" && request.targets.count < 2
        // On the edge of an expiry it may be either.
        let some = called.filter { $0.mayBeBound(at: now) }
        request.isExcused = some.count != request.targets.count
    }

    private func arrive(response message: CallMessage, from source: TransportAddress) {
        guard let number = branchOfVia[message.branch()] else { return }
        let request = requests[branches[number].request]
        guard !request.isExcused, message.method == request.method else { return }
        let code = message.code
        if request.isStateless {
            owe(.response(request: request.number, code: code, tag: message.toTag))
            return
        }
        if request.method == "INVITE" {
            arrive(code, message.toTag, on: number, request)
        } else if code >= 200, branches[number].isPending {
            branches[number].state = .over
            openBranches.removeAll { $0 == number }
            // Who asked has given up by then (RFC 4320 §4).
            guard !request.isAnswered, now < (request.deliveredAt ?? 0) + 32_000 else { return }
            request.best.offer(code)
            if code >= 600 { request.isClosed = true }
            if code < 300 {
                owe(.response(request: request.number, code: code, tag: message.toTag))
            }
        }
    }

    private func arrive(_ code: Int, _ tag: String, on number: Int, _ request: CallRequest) {
        switch (branches[number].state, code) {
        case (.calling, ..<200), (.proceeding, ..<200):
            branches[number].state = .proceeding
            if branches[number].cancel == nil { branches[number].deadline = .max }
            if code > 100 {
                if branches[number].cancel == nil {
                    branches[number].timerC = now + UInt64(plan.timerCMs)
                }
                if !request.isAnswered {
                    owe(.response(request: request.number, code: code, tag: tag))
                }
            }
        case (.calling, ..<300), (.proceeding, ..<300), (.overdue, 200..<300):
            branches[number].state = .accepted
            branches[number].deadline = now + 32_000
            owe(.response(request: request.number, code: code, tag: tag))
            request.isClosed = true
            condemn(request, but: number, .elsewhere)
        case (.accepted, 200..<300):
            owe(.response(request: request.number, code: code, tag: tag))
        case (.calling, 300...), (.proceeding, 300...):
            branches[number].state = .completed
            branches[number].deadline = now + 32_000
            branches[number].acknowledgedTag = tag
            owe(.ack(branch: number))
            guard !request.isAnswered else { return }
            if code == 487, branches[number].cause == .noAnswer {
                // Nobody answered in time: that is what the caller is told (§16.8).
                request.best.offerSilence()
                return
            }
            request.best.offer(code)
            if code >= 600 {
                request.isClosed = true
                condemn(request, but: number, .refused(code))
            }
        case (.overdue, 300...):
            branches[number].state = .completed
            branches[number].deadline = now + 32_000
            branches[number].acknowledgedTag = tag
            owe(.ack(branch: number))
        case (.completed, 300...): if !plan.isTight { owe(.ack(branch: number)) }
        default: break
        }
    }

    private func condemn(_ request: CallRequest, but kept: Int?, _ cause: CallCause) {
        for number in request.branches
        where number != kept && branches[number].isPending && branches[number].cause == nil
            && branches[number].cancel == nil
        {
            branches[number].cause = cause
        }
    }

    func noteRestart() {
        for request in requests where request.deliveredAt != nil { request.isExcused = true }
        openBranches = []
        for number in phones.indices where phones[number].mayBeBound(at: now) {
            phones[number].graceUntil = now + phones[number].spanMs
        }
    }

    /// Something that must have no effect, but for an answer to who sent it.
    func disturb(_ bytes: [UInt8], from source: TransportAddress, isAnswered: Bool) {
        let before = (gauge(.callsHeld), gauge(.branchesHeld))
        mischief = source
        give(bytes, from: source, socket: Self.listener)
        mischief = nil
        guard before == (gauge(.callsHeld), gauge(.branchesHeld)) else {
            fail(.strangers, "a stranger opened or closed a call", about: nil)
            return
        }
    }
}
