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
    enum State { case calling, proceeding, completed, accepted, over }

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

    private func isPaid(_ what: Owed) -> Bool {
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
        case (.calling, ..<300), (.proceeding, ..<300):
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

// What leaves midreg.
extension CallWorld {
    func judge(_ message: CallMessage, to address: TransportAddress, socket: UInt16) {
        if let mischief {
            guard address == mischief, message.code >= 400 else {
                fail(.strangers, "a stranger's message led to \(message.startLine)", about: nil)
                return
            }
            return
        }
        if message.code > 0 {
            judge(response: message, to: address)
        } else {
            judge(request: message, to: address, socket)
        }
    }

    // MARK: Requests

    private func judge(request message: CallMessage, to address: TransportAddress, _ socket: UInt16)
    {
        let known = branchOfVia[message.branch()]
        switch message.method {
        case "ACK":
            if let known {
                judgeAck(message, of: known, to: address)
            } else {
                judgePassed(message, to: address)
            }
        case "CANCEL":
            guard let known else {
                fail(.cancelled, "a CANCEL of no branch", about: nil)
                return
            }
            judgeCancel(message, of: known, to: address)
        default:
            if let known {
                judgeCopy(message, of: known, to: address)
            } else if let number = requestOfBranch[message.branch(1)] {
                if requests[number].isInDialog {
                    judgePassed(message, to: address)
                } else {
                    judgeBranch(message, of: requests[number], to: address, socket)
                }
            } else {
                fail(.sane, "\(message.startLine) was sent by nobody", about: nil)
            }
        }
    }

    private func phone(at address: TransportAddress) -> Int? {
        phones.firstIndex { $0.addresses.contains(address) }
    }

    private func judgePassed(_ message: CallMessage, to address: TransportAddress) {
        guard isPaid(.pass(method: message.method, callID: message["Call-ID"])) else {
            // It need not have been passed on, but may be.
            return
        }
        if address == Self.mainServer { return }
        guard phone(at: address) != nil else {
            fail(.dialog, "\(message.method) goes to \(address)", about: nil)
            return
        }
    }

    private func judgeBranch(
        _ message: CallMessage, of request: CallRequest, to address: TransportAddress,
        _ socket: UInt16
    ) {
        tally.branches += 1
        let phone = address == Self.mainServer ? nil : phone(at: address)
        let number = branches.count
        branchOfVia[message.branch()] = number
        branches.append(
            CallBranch(
                via: message.branch(), request: request.number, phone: phone, address: address,
                socket: socket, bytes: message.bytes, message: message, firstAt: now,
                deadline: now + 32_000, timerC: now + UInt64(plan.timerCMs)))
        request.branches.append(number)
        // There was no room for it, and for its copy there is.
        if request.isTurnedAway { request.isExcused = true }
        guard !request.isExcused else { return }
        if !request.isStateless { openBranches.append(number) }
        guard request.isFromMain == (phone != nil) else {
            fail(.targets, "it goes to the wrong side", about: request.number)
            return
        }
        guard let phone else { return }
        guard request.targets.contains(phone), phones[phone].mayBeBound(at: now) else {
            fail(.targets, "phone \(phone) was not called", about: request.number)
            return
        }
        guard address == phones[phone].address else {
            fail(.targets, "the phone is not at \(address.port) any more", about: request.number)
            return
        }
        if request.isStateless { return }
        guard !request.isClosed, !request.isAnswered else {
            fail(.targets, "a phone is called when the call is over", about: request.number)
            return
        }
        guard
            !request.branches.dropLast().contains(where: { branches[$0].phone == phone })
        else {
            fail(.targets, "phone \(phone) is called twice", about: request.number)
            return
        }
        let running = request.branches.filter { branches[$0].isPending }.count
        guard running <= request.breadth else {
            fail(.order, "\(running) ring and \(request.breadth) may", about: request.number)
            return
        }
        guard plan.isByQ, !plan.isTight else { return }
        for other in request.targets
        where phones[other].q > phones[phone].q && phones[other].isBound(at: now) {
            let before = request.branches.first { branches[$0].phone == other }
            if before.map({ !branches[$0].isPending }) != true {
                fail(
                    .order, "phone \(phone) rings before \(other) has ended", about: request.number)
            }
        }
    }

    private func judgeCopy(_ message: CallMessage, of number: Int, to address: TransportAddress) {
        let branch = branches[number]
        let request = requests[branch.request]
        if request.isExcused || request.isStateless { return }
        guard address == branch.address, message.bytes == branch.bytes else {
            fail(.targets, "a copy of \(message.method) is another", about: request.number)
            return
        }
        let may = request.method == "INVITE" ? branch.state == .calling : branch.isPending
        guard may else {
            fail(
                .targets, "\(message.method) is repeated when an answer is there",
                about: request.number)
            return
        }
    }

    private func judgeAck(_ message: CallMessage, of number: Int, to address: TransportAddress) {
        let branch = branches[number]
        let request = requests[branch.request]
        if request.isExcused { return }
        guard isPaid(.ack(branch: number)) || plan.isTight else {
            fail(.acknowledged, "an ACK of nothing", about: request.number)
            return
        }
        guard address == branch.address, message.toTag == branch.acknowledgedTag,
            message.values("Via").count == 1, message.uri == branch.message.uri,
            message.values("Route") == branch.message.values("Route")
        else {
            fail(.acknowledged, "the ACK is not of the refusal", about: request.number)
            return
        }
    }

    private func judgeCancel(_ message: CallMessage, of number: Int, to address: TransportAddress) {
        let branch = branches[number]
        let request = requests[branch.request]
        if request.isExcused { return }
        if let before = branch.cancel {
            if before != message.bytes || address != branch.address {
                fail(.cancelled, "a second CANCEL is another", about: request.number)
            }
            return
        }
        branches[number].cancel = message.bytes
        branches[number].deadline = now + 32_000
        branches[number].timerC = .max
        tally.cancels += 1
        guard branch.state == .proceeding, request.method == "INVITE" else {
            fail(.cancelled, "a CANCEL while \(branch.state)", about: request.number)
            return
        }
        guard let cause = branch.cause else {
            fail(.cancelled, "a CANCEL without a cause", about: request.number)
            return
        }
        guard address == branch.address, message.uri == branch.message.uri,
            message.values("Via") == Array(branch.message.values("Via").prefix(1)),
            message.values("Route") == branch.message.values("Route"),
            message.sequence == branch.message.sequence, message.toTag.isEmpty,
            message["Call-ID"] == branch.message["Call-ID"]
        else {
            fail(.cancelled, "a CANCEL that is not its INVITE's", about: request.number)
            return
        }
        let expected: [String]
        switch cause {
        case .elsewhere: expected = ["SIP;cause=200;text=\"Call completed elsewhere\""]
        case .noAnswer: expected = ["SIP;cause=480;text=\"NO_ANSWER\""]
        case .refused(let code):
            let phrase =
                [600: "Busy Everywhere", 603: "Decline", 606: "Not Acceptable"][code] ?? ""
            expected = ["SIP;cause=\(code);text=\"\(phrase)\""]
        case .caller:
            let isPassed = request.isFromMain && !request.cancelReasons.isEmpty
            expected =
                isPassed ? request.cancelReasons : ["SIP;cause=487;text=\"ORIGINATOR_CANCEL\""]
        }
        let isReduced = plan.isTight && cause == .caller && !message.reasons.isEmpty
        guard message.reasons == expected || isReduced else {
            fail(.reason, "\(message.reasons), not \(expected)", about: request.number)
            return
        }
    }

    // MARK: Responses

    private func judge(response message: CallMessage, to address: TransportAddress) {
        guard let number = requestOfBranch[message.branch()] else {
            fail(.sane, "\(message.startLine) answers nobody", about: nil)
            return
        }
        let request = requests[number]
        guard address == request.source, message["Call-ID"] == request.callID else {
            fail(.sane, "\(message.startLine) goes to \(address)", about: number)
            return
        }
        if message.method == "CANCEL" {
            if !isPaid(.cancelAnswer(request: number)), message.code == 200,
                request.deliveredAt == nil
            {
                fail(.sane, "a CANCEL of nothing is answered", about: number)
            }
            return
        }
        guard message.method == request.method, message.values("Via").count == 1 else {
            fail(.sane, "\(message.startLine) is not the caller's", about: number)
            return
        }
        if request.isExcused { return }
        let code = message.code
        if code == 100 {
            let isOurs = message.toTag.isEmpty && message["Server"].isEmpty
            guard isOurs || request.isStateless else {
                fail(.provisionals, "a phone's 100 goes back", about: number)
                return
            }
        }
        let isOwed = isPaid(.response(request: number, code: code, tag: message.toTag))
        if request.isInDialog { return }
        if request.isStateless {
            judgeStateless(message, request, isOwed)
            return
        }
        switch code {
        case 100: break
        case ..<200:
            guard request.method == "INVITE", !request.isAnswered else {
                fail(.provisionals, "\(code) after the final response", about: number)
                return
            }
        case ..<300:
            // A copy of a request other than INVITE gets the same again.
            if let success = request.success, success == message.bytes, request.method != "INVITE" {
                return
            }
            guard isOwed else {
                fail(.everySuccess, "a \(code) that no branch sent", about: number)
                return
            }
            request.succeeded += 1
            request.success = message.bytes
            if request.succeeded == 1 { tally.answered += 1 }
            if request.method != "INVITE", request.succeeded > 1 || request.refusal != nil {
                fail(.oneFinal, "a second final response", about: number)
            }
        default: judgeRefusal(message, request)
        }
    }

    private func judgeStateless(_ message: CallMessage, _ request: CallRequest, _ isOwed: Bool) {
        if isOwed || request.targets.isEmpty && message.code >= 400 { return }
        // A copy is judged as things are when it comes.
        if !request.isToMain, message.code >= 400,
            request.targets.allSatisfy({ !phones[$0].isBound(at: now) })
        {
            return
        }
        fail(.sane, "\(message.startLine) of nobody", about: request.number)
    }

    private func judgeRefusal(_ message: CallMessage, _ request: CallRequest) {
        let number = request.number
        let code = message.code
        if let before = request.refusal {
            guard before.bytes == message.bytes || request.isTurnedAway else {
                fail(.oneFinal, "\(code) after \(before.code)", about: number)
                return
            }
            if request.isAcknowledged, request.method == "INVITE", !request.isTurnedAway {
                fail(.oneFinal, "\(code) is repeated after its ACK", about: number)
            }
            return
        }
        guard request.succeeded == 0 else {
            fail(.oneFinal, "\(code) after a 2xx", about: number)
            return
        }
        request.refusal = (code, message.bytes)
        tally.refused += 1
        let isFull = code == 503 && plan.isTight
        if isFull { tally.full += 1 }
        if request.branches.isEmpty {
            request.isTurnedAway = !request.isCancelled
            let isGone = request.targets.allSatisfy { !phones[$0].isBound(at: now) }
            guard isFull || !request.isToMain && isGone || request.isCancelled && code == 487 else {
                fail(.oneFinal, "nobody was tried, and \(code) sent", about: number)
                return
            }
            return
        }
        guard !request.branches.contains(where: { branches[$0].isPending }) else {
            fail(.best, "\(code) while a branch rings", about: number)
            return
        }
        let left = request.targets.filter { !phones[$0].isBound(at: now) }
        guard code == request.best.sent || isFull || code == 480 && !left.isEmpty else {
            fail(.best, "\(code), and \(request.best.sent) was the best", about: number)
            return
        }
        if request.isClosed || plan.isTight || request.targets.count > plan.branchesMax { return }
        if request.method != "INVITE", now >= (request.deliveredAt ?? 0) + 32_000 { return }
        for phone in request.targets where phones[phone].isBound(at: now) {
            guard request.branches.contains(where: { branches[$0].phone == phone }) else {
                fail(.best, "\(code), and phone \(phone) was not tried", about: number)
                return
            }
        }
    }

    // MARK: After each step

    func judgeStep() {
        defer { owed.removeAll(keepingCapacity: true) }
        guard violation == nil else { return }
        if plan.outboxMessages == 256 {
            for what in owed {
                switch what {
                case .response(let request, let code, _):
                    fail(
                        code < 200 ? .provisionals : .everySuccess, "\(code) is not passed on",
                        about: request)
                case .ack(let branch):
                    fail(.acknowledged, "a refusal has no ACK", about: branches[branch].request)
                case .cancelAnswer(let request):
                    fail(.cancelled, "a CANCEL has no answer", about: request)
                case .pass(let method, let callID):
                    let request = requests.first { $0.callID == callID }?.number
                    fail(.dialog, "\(method) is not passed on", about: request)
                }
            }
            for number in openBranches
            where branches[number].state == .proceeding && branches[number].cause != nil
                && branches[number].cancel == nil
            {
                fail(
                    .cancelled, "a branch that is over has no CANCEL",
                    about: branches[number].request)
            }
        }
        for request in requests where isUnfinished(request) {
            if request.branches.contains(where: { branches[$0].isPending }) {
                judgeGroup(request)
            } else if plan.outboxMessages == 256 {
                fail(
                    .oneFinal, "every branch has ended, and nothing was sent", about: request.number
                )
            }
        }
    }

    private func isUnfinished(_ request: CallRequest) -> Bool {
        request.deliveredAt != nil && !request.isAnswered && !request.isExcused
            && request.method == "INVITE" && !request.isInDialog
    }

    /// Those of equal rank ring at once.
    private func judgeGroup(_ request: CallRequest) {
        guard !plan.isTight, request.breadth >= request.targets.count, !request.isClosed,
            plan.branchesMax >= request.targets.count,
            let latest = request.branches.last, branches[latest].firstAt == now,
            let first = branches[latest].phone
        else { return }
        for phone in request.targets where phones[phone].isBound(at: now) {
            if plan.isByQ, phones[phone].q != phones[first].q { continue }
            if !request.branches.contains(where: { branches[$0].phone == phone }) {
                fail(.order, "phone \(phone) does not ring with \(first)", about: request.number)
            }
        }
    }

    func judgeEnd() {
        for request in requests where isUnfinished(request) {
            fail(.oneFinal, "no final response", about: request.number)
        }
        for gauge in [gauge(.callsHeld), gauge(.branchesHeld), gauge(.callBytes)] where gauge > 0 {
            fail(
                .forgets,
                "\(self.gauge(.callsHeld)) calls, \(self.gauge(.branchesHeld)) branches, "
                    + "\(self.gauge(.callBytes)) bytes are left", about: nil)
        }
        guard violation == nil, plan.outboxMessages == 256 else { return }
        let room = roomAtEnd()
        if room.used != room.fresh {
            fail(.forgets, "room for \(room.used), a new worker has \(room.fresh)", about: nil)
        }
    }
}
