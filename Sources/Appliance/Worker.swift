internal import Bytes
internal import ContactStore
internal import MidRegistrarCore
internal import Registration
internal import Synchronization
internal import Telemetry
internal import Transport

/// A worker thread's own: sockets, element, outbox; and the round it goes over and over.
///
/// wait → receive a batch → decide each → fire timers → hand over facts → send → count.
struct Worker {
    let number: Int
    let options: CoreOptions
    /// File descriptors of all sockets, by socket number.
    let sockets: [Int32]
    /// The numbers of those this worker reads.
    let reads: [Int]
    let store: FactStore
    let switchboard: Switchboard
    let cells: SharedCells
    let reporter: Reporter

    private static let mailboxTag: UInt32 = .max
    /// Kinds of mail.
    private static let plain: UInt8 = 0
    private static let vouched: UInt8 = 1
    /// Datagrams taken from one socket before the others get their turn.
    private static let batchesPerSocket = 4
    /// Room that must be left before another datagram is decided: a relayed copy of the largest.
    private static let roomBytes = 160 * 1_024

    /// Runs until the switchboard says stop; called on the worker's thread.
    func run() {
        let timeline = store.timeline
        var now = timeline.instant(atBootMs: Clock.bootMilliseconds())
        var core = WorkerCore(options, now: now)
        load(&core, now: now)
        var location = store.location(forWorker: number)
        var batch = ReceiveBatch()
        var sender = SendBatch()
        var outbox = Outbox(bytesMax: 4 << 20, messagesMax: 2_048)
        var carried = ByteBuffer(bytesMax: WorkerCore.carriedBytesMax)
        var drops = [KernelDrops](repeating: KernelDrops(), count: sockets.count)
        guard var poll = preparedPoll() else {
            switchboard.noteLoaded(failed: true)
            return
        }
        switchboard.noteLoaded(failed: false)

        var stoppingSince: Instant?
        while true {
            let timeout = timeoutMs(core.nextTimer, now)
            let ready = (try? poll.wait(timeoutMs: core.hasReleasable ? 0 : timeout)) ?? 0
            let roundStartNs = Clock.bootNanoseconds()
            now = timeline.instant(atBootMs: roundStartNs / 1_000_000)
            core.setDate(wallSeconds: Clock.wallMilliseconds() / 1_000)

            // Rung after the wait, it is drained in the next round; the mail is taken in this one.
            var isRung = false
            for event in 0..<ready where poll.tag(of: event) == Self.mailboxTag { isRung = true }
            if switchboard.isStopping {
                // Nothing new; what was promised to the store gets half a second to be answered.
                if stoppingSince == nil { stoppingSince = now }
                if core.heldReplies == 0 || now.millisecondsSince(stoppingSince ?? now) > 500 {
                    break
                }
            } else {
                for event in 0..<ready {
                    let tag = poll.tag(of: event)
                    if tag == Self.mailboxTag { continue }
                    receive(
                        from: Int(tag), &batch, &core, &location, &outbox, &sender, &carried,
                        &drops, arrivedNs: roundStartNs, now: now)
                }
            }
            if isRung { switchboard.wakeups[number].drain() }
            takeMail(&core, &location, &outbox, &sender, &carried, now: now)
            settle(&core, &location, &outbox, now: now)
            follow(&core, now: now)
            core.fire(at: now, location: &location, outbox: &outbox)
            core.finishRound(at: now, location: &location, outbox: &outbox)
            send(&outbox, &sender, &core)
            let endNs = Clock.bootNanoseconds()
            core.recordAbsorbed(sentNs: endNs)
            core.counters.add(.busyMicroseconds, (endNs &- roundStartNs) / 1_000)
            cells.publish(worker: number, from: core.counters)
            location.endRound()
            if !core.events.isEmpty {
                reporter.report(core.events, at: now)
                core.events.removeAll(keepingCapacity: true)
            }
        }
        cells.publish(worker: number, from: core.counters)
    }

    private func preparedPoll() -> EventPoll? {
        do throws(TransportError) {
            let poll = try EventPoll()
            for socket in reads { try poll.add(sockets[socket], tag: UInt32(socket)) }
            try poll.add(switchboard.wakeups[number].fd, tag: Self.mailboxTag)
            return poll
        } catch {
            reporter.failed(error.description)
            return nil
        }
    }

    private func load(_ core: inout WorkerCore, now: Instant) {
        core.resume(store.resync)
        do throws(StoreError) {
            var taken = 0
            // The closure may not change what it borrows from outside twice, so the element goes in.
            let result = try store.forEachFact { record, bytes in
                if core.load(
                    record, bytes, leasesDoubtful: store.timeline.leasesDoubtful, now: now)
                {
                    taken += 1
                }
            }
            _ = switchboard.facts.wrappingAdd(taken, ordering: .relaxed)
            switchboard.damagedFacts.store(result.damaged, ordering: .relaxed)
        } catch {
            // The store is a cache: without it every phone's next REGISTER is relayed.
            reporter.failed(error.description)
        }
    }

    private func timeoutMs(_ next: Instant, _ now: Instant) -> Int {
        min(1_000, Int(next.millisecondsSince(now)))
    }

    // MARK: The steps of a round

    private func receive(
        from socket: Int, _ batch: inout ReceiveBatch, _ core: inout WorkerCore,
        _ location: inout WorkerLocation, _ outbox: inout Outbox, _ sender: inout SendBatch,
        _ carried: inout ByteBuffer, _ drops: inout [KernelDrops], arrivedNs: UInt64, now: Instant
    ) {
        for _ in 0..<Self.batchesPerSocket {
            let count = (try? batch.fill(from: sockets[socket])) ?? 0
            core.counters.add(.kernelDrops, drops[socket].growth(to: batch.kernelDrops))
            for slot in 0..<count {
                if !outbox.hasRoom(for: Self.roomBytes) { send(&outbox, &sender, &core) }
                let length = batch.count(of: slot)
                let source = batch.source(of: slot)
                let disposition = core.receive(
                    batch.bytes(of: slot), length: length, from: source, socket: UInt16(socket),
                    arrivedNs: arrivedNs, now: now, mayHandOver: true, carried: &carried,
                    location: &location, outbox: &outbox)
                handOver(
                    disposition, batch.bytes(of: slot), length, from: source, UInt16(socket),
                    arrivedNs, &core)
            }
            if count < batch.slots { break }
        }
        for row in switchboard.mailboxes { row[number]?.flush() }
    }

    /// Puts what another worker is to decide into its mailbox.
    private func handOver(
        _ disposition: WorkerCore.Disposition, _ bytes: Span<UInt8>, _ length: Int,
        from source: TransportAddress, _ socket: UInt16, _ arrivedNs: UInt64,
        _ core: inout WorkerCore
    ) {
        let (owner, kind) =
            switch disposition {
            case .done: (-1, Self.plain)
            case .handOver(let owner): (owner, Self.plain)
            case .handOverVouched(let owner): (owner, Self.vouched)
            }
        guard owner >= 0 else { return }
        let isPushed = switchboard.mailboxes[owner][number]?.push(
            kind: kind, socket: socket, peer: source, arrivalNs: arrivedNs, bytes: bytes,
            count: length)
        core.counters.add(isPushed == true ? .handedOver : .droppedMailboxFull)
    }

    private func takeMail(
        _ core: inout WorkerCore, _ location: inout WorkerLocation, _ outbox: inout Outbox,
        _ sender: inout SendBatch, _ carried: inout ByteBuffer, now: Instant
    ) {
        for mailbox in switchboard.mailboxes[number] {
            guard let mailbox else { continue }
            var budget = 256
            while budget > 0 {
                if !outbox.hasRoom(for: Self.roomBytes) { send(&outbox, &sender, &core) }
                let isThere = mailbox.withNext { mail, bytes in
                    core.counters.add(.mailboxMessages)
                    let disposition = core.receive(
                        bytes, length: mail.count, from: mail.peer, socket: mail.socket,
                        arrivedNs: mail.arrivalNs, now: now, mayHandOver: false,
                        isVouched: mail.kind == Self.vouched, carried: &carried,
                        location: &location, outbox: &outbox)
                    // Once more only for what is for the phones of a third.
                    handOver(
                        disposition, bytes, mail.count, from: mail.peer, mail.socket,
                        mail.arrivalNs, &core)
                }
                guard isThere else { break }
                budget -= 1
            }
            // More is there than one round takes: come round again at once.
            if budget == 0 { switchboard.wakeups[number].signal() }
        }
        for row in switchboard.mailboxes { row[number]?.flush() }
    }

    private func follow(_ core: inout WorkerCore, now: Instant) {
        for (order, progress) in switchboard.orders[number].take() {
            switch order {
            case .sync(let seconds):
                core.sync(over: seconds, at: now)
                progress.note(Int(core.counters[.bindings]))
            case .syncAddress(let address):
                let bytes = Array(address.utf8)
                progress.note(core.sync(aor: bytes.span))
            }
        }
    }

    private func settle(
        _ core: inout WorkerCore, _ location: inout WorkerLocation, _ outbox: inout Outbox,
        now: Instant
    ) {
        let outcomes = location.takeOutcomes()
        let isDown = store.isDown
        // Also what a full queue refused while the store worked.
        if !isDown, location.restageVolatile() > 0 { core.noteRestaged() }
        core.settle(
            through: outcomes.decidedThrough, failed: outcomes.failed, storeDown: isDown,
            at: now, outbox: &outbox)
    }

    private func send(
        _ outbox: inout Outbox, _ sender: inout SendBatch, _ core: inout WorkerCore
    ) {
        guard outbox.count > 0 else { return }
        let result = sender.send(outbox, sockets: sockets.span)
        core.counters.add(.sentMessages, UInt64(result.sent))
        core.counters.add(.sendFailures, UInt64(result.failed))
        outbox.clear()
    }
}
