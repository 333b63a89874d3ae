internal import CLinux

/// Waits for any of several descriptors to have something to read, level triggered.
@safe package struct EventPoll: ~Copyable {
    private let poll: Int32
    private let events: UnsafeMutablePointer<midreg_event>
    /// How many events the last wait brought.
    package private(set) var count = 0

    /// Events that one wait brings at most; what is left over comes with the next.
    package static let eventsMax = 64

    /// - Throws: ``TransportError/pollFailed(errno:)``.
    package init() throws(TransportError) {
        let poll = midreg_poll_open()
        guard poll >= 0 else { throw .pollFailed(errno: -poll) }
        self.poll = poll
        unsafe events = .allocate(capacity: Self.eventsMax)
    }

    deinit {
        _ = midreg_close(poll)
        unsafe events.deallocate()
    }

    /// Watches a descriptor, whose events carry `tag`. Closing it ends that.
    ///
    /// - Throws: ``TransportError/pollFailed(errno:)``.
    package func add(_ fd: Int32, tag: UInt32) throws(TransportError) {
        let error = midreg_poll_add(poll, fd, tag)
        guard error >= 0 else { throw .pollFailed(errno: -error) }
    }

    /// - Throws: ``TransportError/pollFailed(errno:)``, as for a descriptor that is not watched.
    package func remove(_ fd: Int32) throws(TransportError) {
        let error = midreg_poll_remove(poll, fd)
        guard error >= 0 else { throw .pollFailed(errno: -error) }
    }

    /// Waits for events, `timeoutMs` milliseconds at most or for ever, and returns their number.
    ///
    /// - Throws: ``TransportError/pollFailed(errno:)``.
    package mutating func wait(timeoutMs: Int?) throws(TransportError) -> Int {
        count = 0
        let timeout = timeoutMs.map { Int32(clamping: max(0, $0)) } ?? -1
        // SAFETY: there is room for as many events as the call is told.
        let found = unsafe midreg_poll_wait(poll, events, Int32(Self.eventsMax), timeout)
        guard found >= 0 else { throw .pollFailed(errno: -found) }
        count = Int(found)
        return count
    }

    /// The tag of the descriptor that an event is about.
    package func tag(of index: Int) -> UInt32 {
        precondition(index >= 0 && index < count, "the event is there")
        // SAFETY: the check above.
        return unsafe events[index].tag
    }
}

extension EventPoll: @unchecked Sendable {}
