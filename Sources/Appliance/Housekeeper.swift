internal import ContactStore
internal import Logging
internal import Synchronization
internal import Telemetry
internal import Transport

/// A thread that looks once a second after what no worker does: the store's alarm and the log's
/// left-out lines.
final class Housekeeper: Sendable {
    private let thread: WorkerThread
    private let wakeup: Wakeup
    private let stopping: StopWord

    private final class StopWord: Sendable {
        let isSet = Atomic<Bool>(false)
    }

    init(_ store: FactStore, _ reporter: Reporter) throws(ApplianceError) {
        do throws(TransportError) {
            let wakeup = try Wakeup()
            let stopping = StopWord()
            thread = try WorkerThread(name: "housekeeper") {
                Self.run(store, reporter, wakeup, stopping)
            }
            self.wakeup = wakeup
            self.stopping = stopping
        } catch {
            throw ApplianceError(error.description)
        }
    }

    private static func run(
        _ store: FactStore, _ reporter: Reporter, _ wakeup: Wakeup, _ stopping: StopWord
    ) {
        guard var poll = try? EventPoll(), (try? poll.add(wakeup.fd, tag: 0)) != nil else { return }
        var wasDown = false
        while !stopping.isSet.load(ordering: .relaxed) {
            _ = try? poll.wait(timeoutMs: 1_000)
            let isDown = store.isDown
            if isDown != wasDown {
                wasDown = isDown
                reporter.line(
                    isDown ? .error : .info, isDown ? "store_down" : "store_up",
                    isDown
                        ? [
                            ("errno", "\(store.figures.lastError)"),
                            ("hint", "REGISTERs are relayed until the store takes facts again"),
                        ] : [])
            }
            reporter.log.tellSuppressed(
                at: store.timeline.instant(atBootMs: Clock.bootMilliseconds()))
        }
    }

    func stop() {
        stopping.isSet.store(true, ordering: .relaxed)
        wakeup.signal()
        thread.join()
    }
}
