internal import CLinux
internal import Synchronization

/// A thread of its own for one worker, which takes no signals.
package final class WorkerThread: Sendable {
    package let name: String
    /// Why the thread runs unpinned though a processor was asked for; 0 if it is as asked.
    package let pinErrno: Int32
    private let thread: UInt64
    private let joined = Atomic<Bool>(false)

    /// The deepest call of a worker needs a small part of it.
    package static let stackBytes = 1 << 20

    /// Starts `body` on a new thread.
    ///
    /// - Parameters:
    ///   - name: what `top -H` shows; its first 15 bytes.
    ///   - processor: one of ``Host/allowedProcessors`` to stay on. Failing that, the thread runs
    ///     anywhere and ``pinErrno`` says why.
    /// - Throws: ``TransportError/cannotStartThread(name:errno:)``.
    package init(
        name: String, processor: Int? = nil, _ body: @escaping @Sendable () -> Void
    ) throws(TransportError) {
        let context = unsafe Unmanaged.passRetained(Body(name, body)).toOpaque()
        var thread: UInt64 = 0
        var pinErrno: Int32 = 0
        // SAFETY: the thread takes over the reference that is made above; if there is no thread, it
        // is taken back below. The rest are locals, which the call does not keep.
        let error = unsafe midreg_thread_start(
            { context in
                let body = unsafe Unmanaged<Body>.fromOpaque(context.unsafelyUnwrapped)
                    .takeRetainedValue()
                unsafe midreg_thread_name(body.name)
                body.run()
                return nil
            }, context, Self.stackBytes, processor.map { Int32(clamping: $0) } ?? -1,
            &thread, &pinErrno)
        guard error == 0 else {
            unsafe Unmanaged<Body>.fromOpaque(context).release()
            throw .cannotStartThread(name: name, errno: -error)
        }
        self.name = name
        self.thread = thread
        self.pinErrno = pinErrno
    }

    /// A thread that nobody waits for ends by itself.
    deinit {
        if !joined.load(ordering: .acquiring) { midreg_thread_detach(thread) }
    }

    /// Waits until the body has returned. Only the first call waits.
    package func join() {
        guard !joined.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let error = midreg_thread_join(thread)
        precondition(error == 0, "a thread is joined by another one")
    }

    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void

        init(_ name: String, _ run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }
}
