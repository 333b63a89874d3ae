import Bytes
import MidRegistrarCore

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
