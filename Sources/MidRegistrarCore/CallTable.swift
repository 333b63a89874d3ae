internal import Bytes
internal import Forwarding
internal import Keys
internal import Registration
internal import SIPMessage
internal import SIPTransaction

/// All calls of a worker, their branches, targets and bytes: bounded pools, found by key or by number.
struct CallTable: ~Copyable {
    private var calls: SlotPool<Call>
    private var branches: SlotPool<Branch>
    private var targets: SlotPool<CallTarget>
    private var keys: TransactionIndex
    private var ackKeys: TransactionIndex
    private var callTimers: TimerWheel
    private var branchTimers: TimerWheel
    var bytes: BytePool
    /// Calls there are.
    var count: Int { calls.count }
    var branchCount: Int { branches.count }

    init(callsMax: Int, bytesMax: Int, now: Instant) {
        // Most calls have one branch; those of forks borrow from them.
        let branchesMax = callsMax * 2
        calls = SlotPool(capacity: callsMax, zeroed: Call())
        branches = SlotPool(capacity: branchesMax, zeroed: Branch())
        targets = SlotPool(capacity: callsMax, zeroed: CallTarget())
        keys = TransactionIndex(capacity: callsMax)
        ackKeys = TransactionIndex(capacity: callsMax)
        callTimers = TimerWheel(capacity: callsMax, now: now)
        branchTimers = TimerWheel(capacity: branchesMax, now: now)
        bytes = BytePool(bytesMax: bytesMax)
    }

    // MARK: Calls

    /// - Precondition: the call is there.
    subscript(call handle: SlotHandle) -> Call {
        _read {
            precondition(calls.isLive(handle), "the call is there")
            yield calls[handle.slot]
        }
        _modify {
            precondition(calls.isLive(handle), "the call is there")
            yield &calls[handle.slot]
        }
    }

    /// - Precondition: the branch is there.
    subscript(branch handle: SlotHandle) -> Branch {
        _read {
            precondition(branches.isLive(handle), "the branch is there")
            yield branches[handle.slot]
        }
        _modify {
            precondition(branches.isLive(handle), "the branch is there")
            yield &branches[handle.slot]
        }
    }

    func isLive(branch handle: SlotHandle) -> Bool { branches.isLive(handle) }

    /// A new call under `key`; `nil` if there are as many as may be.
    mutating func open(key: TransactionKey) -> SlotHandle? {
        guard let handle = calls.take() else { return nil }
        guard keys.insert(key, handle) else {
            calls.release(handle)
            return nil
        }
        calls[handle.slot] = Call()
        calls[handle.slot].key = key
        return handle
    }

    func find(_ key: TransactionKey) -> SlotHandle? { keys.find(key) }

    func find(ackKey: TransactionKey) -> SlotHandle? { ackKeys.find(ackKey) }

    /// Lets the ACK of a call's 2xx be found; of the first only, and not if another call's has the same
    /// key, which nothing but its sender's word keeps apart.
    mutating func note(ackKey: TransactionKey, of handle: SlotHandle) {
        guard calls[handle.slot].ackKey.value == 0, ackKeys.find(ackKey) == nil,
            ackKeys.insert(ackKey, handle)
        else { return }
        calls[handle.slot].ackKey = ackKey
    }

    /// Forgets a call that has no branches.
    mutating func close(_ handle: SlotHandle) {
        precondition(calls[handle.slot].branches == 0, "a call with branches goes on")
        callTimers.cancel(handle.slot)
        keys.remove(calls[handle.slot].key)
        if calls[handle.slot].ackKey.value != 0 { ackKeys.remove(calls[handle.slot].ackKey) }
        dropTargets(of: handle)
        releaseRequest(of: handle)
        setResponse(of: handle, .none)
        setCancel(of: handle, .none)
        calls.release(handle)
    }

    /// Gives stored bytes back, if there are any.
    mutating func drop(_ stored: BytesHandle) {
        if !stored.isNone { bytes.release(stored) }
    }

    mutating func releaseRequest(of handle: SlotHandle) {
        drop(calls[handle.slot].request)
        calls[handle.slot].request = .none
    }

    mutating func setResponse(of handle: SlotHandle, _ stored: BytesHandle) {
        drop(calls[handle.slot].response)
        calls[handle.slot].response = stored
    }

    mutating func setCancel(of handle: SlotHandle, _ stored: BytesHandle) {
        drop(calls[handle.slot].cancel)
        calls[handle.slot].cancel = stored
    }

    // MARK: Targets

    /// Adds a target behind those of lower and equal rank; `false` if there is no room for it.
    @discardableResult
    mutating func add(_ target: CallTarget, to handle: SlotHandle) -> Bool {
        guard let new = targets.take() else { return false }
        targets[new.slot] = target
        var before = SlotHandle.none
        var at = calls[handle.slot].firstTarget
        while at != .none, targets[at.slot].rank <= target.rank {
            before = at
            at = targets[at.slot].next
        }
        targets[new.slot].next = at
        if before == .none {
            calls[handle.slot].firstTarget = new
        } else {
            targets[before.slot].next = new
        }
        return true
    }

    /// How many of a chain's waiting targets are to be tried next, at the same time: those of the
    /// lowest rank.
    func nextGroup(of handle: SlotHandle, in chain: UInt16) -> Int {
        var at = calls[handle.slot].firstTarget
        var rank: Int16?
        var count = 0
        while at != .none {
            let target = targets[at.slot]
            at = target.next
            guard target.origin.parent == chain else { continue }
            if let rank, target.rank != rank { break }
            rank = target.rank
            count += 1
        }
        return count
    }

    /// The first chain that has waiting targets, redirects before the location service.
    func waitingChain(of handle: SlotHandle) -> UInt16? {
        var at = calls[handle.slot].firstTarget
        guard at != .none else { return nil }
        while at != .none {
            if targets[at.slot].origin.parent > 0 { return targets[at.slot].origin.parent }
            at = targets[at.slot].next
        }
        return 0
    }

    /// Takes the next target of a chain; its URI becomes the caller's.
    mutating func takeTarget(of handle: SlotHandle, in chain: UInt16) -> CallTarget? {
        var before = SlotHandle.none
        var at = calls[handle.slot].firstTarget
        while at != .none, targets[at.slot].origin.parent != chain {
            before = at
            at = targets[at.slot].next
        }
        guard at != .none else { return nil }
        let target = targets[at.slot]
        if before == .none {
            calls[handle.slot].firstTarget = target.next
        } else {
            targets[before.slot].next = target.next
        }
        targets.release(at)
        return target
    }

    /// The waiting target that a list of them goes on with.
    func target(_ handle: SlotHandle) -> CallTarget { targets[handle.slot] }

    mutating func dropTargets(of handle: SlotHandle) {
        while let chain = waitingChain(of: handle),
            let target = takeTarget(of: handle, in: chain)
        {
            drop(target.uri)
        }
    }

    // MARK: Branches

    /// A new branch of a call; `nil` if there are as many as may be.
    mutating func openBranch(of handle: SlotHandle) -> SlotHandle? {
        guard let new = branches.take() else { return nil }
        branches[new.slot] = Branch()
        branches[new.slot].call = handle
        branches[new.slot].next = calls[handle.slot].firstBranch
        calls[handle.slot].firstBranch = new
        calls[handle.slot].branches += 1
        calls[handle.slot].opened += 1
        calls[handle.slot].unanswered += 1
        branches[new.slot].number = calls[handle.slot].opened
        if calls[handle.slot].flags.contains(.keepsBranches) {
            branches[new.slot].flags.insert(.kept)
        }
        return new
    }

    /// Forgets a branch.
    mutating func close(branch handle: SlotHandle) {
        branchTimers.cancel(handle.slot)
        let call = branches[handle.slot].call
        if calls[call.slot].firstBranch == handle {
            calls[call.slot].firstBranch = branches[handle.slot].next
        } else {
            var at = calls[call.slot].firstBranch
            while branches[at.slot].next != handle { at = branches[at.slot].next }
            branches[at.slot].next = branches[handle.slot].next
        }
        if !branches[handle.slot].flags.contains(.answered) { calls[call.slot].unanswered -= 1 }
        calls[call.slot].branches -= 1
        setSent(of: handle, .none)
        setSentCancel(of: handle, .none)
        setResponse(ofBranch: handle, .none)
        branches.release(handle)
    }

    /// Notes that the final response of a branch is in; `false` if it was before.
    @discardableResult
    mutating func noteAnswered(branch handle: SlotHandle) -> Bool {
        guard !branches[handle.slot].flags.contains(.answered) else { return false }
        branches[handle.slot].flags.insert(.answered)
        let call = branches[handle.slot].call.slot
        calls[call].unanswered -= 1
        calls[call].breadth?.giveBack(branches[handle.slot].breadth)
        return true
    }

    /// Notes that a final response has been sent: nothing is tried any more.
    mutating func noteAnswered(call handle: SlotHandle) {
        calls[handle.slot].flags.insert(.answered)
        guard calls[handle.slot].flags.contains(.keepsBranches) else { return }
        calls[handle.slot].flags.remove(.keepsBranches)
        var at = calls[handle.slot].firstBranch
        while at != .none {
            branches[at.slot].flags.remove(.kept)
            reschedule(branch: at)
            at = branches[at.slot].next
        }
    }

    mutating func setSent(of handle: SlotHandle, _ stored: BytesHandle) {
        drop(branches[handle.slot].sent)
        branches[handle.slot].sent = stored
    }

    mutating func setSentCancel(of handle: SlotHandle, _ stored: BytesHandle) {
        drop(branches[handle.slot].sentCancel)
        branches[handle.slot].sentCancel = stored
    }

    mutating func setResponse(ofBranch handle: SlotHandle, _ stored: BytesHandle) {
        drop(branches[handle.slot].response)
        branches[handle.slot].response = stored
    }

    /// The branch of a call that has a number; `nil` if there is none, or none any more.
    func branch(of handle: SlotHandle, numbered number: UInt16) -> SlotHandle? {
        var next = calls[handle.slot].firstBranch
        while next != .none, branches[next.slot].number != number {
            next = branches[next.slot].next
        }
        return next == .none ? nil : next
    }

    /// Whether a branch of a chain, or of one that came of it, has not been answered.
    func isActive(_ chain: UInt16, of handle: SlotHandle) -> Bool {
        guard chain > 0 else { return calls[handle.slot].unanswered > 0 }
        var next = calls[handle.slot].firstBranch
        while next != .none {
            if !branches[next.slot].flags.contains(.answered) {
                var parent = branches[next.slot].origin.parent
                while parent > 0, parent != chain { parent = self.chain(of: handle, above: parent) }
                if parent == chain { return true }
            }
            next = branches[next.slot].next
        }
        return false
    }

    /// The chain to which a branch, by its number, belongs.
    func chain(of handle: SlotHandle, above number: UInt16) -> UInt16 {
        branch(of: handle, numbered: number).map { branches[$0.slot].origin.parent } ?? 0
    }

    // MARK: Timers

    mutating func reschedule(call handle: SlotHandle) {
        let due = calls[handle.slot].nextTimer
        if due == .never {
            callTimers.cancel(handle.slot)
        } else {
            callTimers.schedule(handle.slot, at: due)
        }
    }

    mutating func reschedule(branch handle: SlotHandle) {
        let due = branches[handle.slot].nextTimer
        if due == .never {
            branchTimers.cancel(handle.slot)
        } else {
            branchTimers.schedule(handle.slot, at: due)
        }
    }

    var nextTimer: Instant { min(callTimers.nextDue, branchTimers.nextDue) }

    mutating func dueCall(at now: Instant) -> SlotHandle? {
        callTimers.popDue(at: now).flatMap { calls.handle(at: $0) }
    }

    mutating func dueBranch(at now: Instant) -> SlotHandle? {
        branchTimers.popDue(at: now).flatMap { branches.handle(at: $0) }
    }
}
