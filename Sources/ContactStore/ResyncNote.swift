internal import Registration
internal import Synchronization

/// What has to be confirmed anew, on its way from the workers to the committer: of theirs, the one
/// that began last, since it takes in what the others do.
final class ResyncNote: Sendable {
    private struct State {
        var resync = Resync()
        var isOwed = false
    }

    private let state = Mutex(State())

    func keep(_ resync: Resync) {
        state.withLock { state in
            state.resync = state.resync.later(resync)
            state.isOwed = true
        }
    }

    /// What has yet to be written.
    var owed: Resync? { state.withLock { $0.isOwed ? $0.resync : nil } }

    /// This was written.
    func settle(_ written: Resync) {
        state.withLock { state in
            if state.resync.words == written.words { state.isOwed = false }
        }
    }
}
