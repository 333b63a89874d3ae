internal import Bytes

/// What a worker counts: each case is one cell, only ever added to.
///
/// The names and labels under which an operator sees them stand in Telemetry's catalogue.
public enum Counter: Int, CaseIterable, Sendable {
    // Messages in and out.
    case receivedRequests, receivedResponses, receivedKeepAlives, sentMessages, receivedBytes
    case kernelDrops, sendFailures, handedOver

    // Dropped without an answer.
    case droppedMalformed, droppedNoVia, droppedForeignResponse, droppedSealBroken
    case droppedMailboxFull, droppedOutboxFull, droppedCopyTooSoon, droppedCopyCommitting
    case droppedAck, droppedNoRoute, droppedStrayResponse
    case droppedBadAddress

    // REGISTER by decision.
    case registerAbsorbed, registerAbsorbedCopy, registerRelayed, registerRejected
    case relayNewContact, relayMainDue, relayFlowChanged, relayCallIDChanged, relaySequence
    case relayContactChanged, relayRemoval, relayFetch, relayDirty, relaySeveralVias
    case relayStoreDown, relayMirror, relayResync, relayCopy
    case rejectMalformed, rejectIntervalTooBrief, rejectExtension, rejectTooManyContacts
    case rejectTableFull, rejectInFlight, rejectReordered, rejectMaxForwards, rejectScheme
    case rejectNotFound, rejectFlowFailed
    case rejectVersion, rejectTooLarge, rejectBackOff, rejectURITooLong, rejectTooManyVias
    case rejectTooManyHeaders, rejectHeaderTooLong

    // Path fields that were not taken.
    case pathFromNoEdge, pathMalformed, pathTooLong, pathOfFormerEdge

    // Answers of the main registrar to REGISTER.
    case mainAnswer1xx, mainAnswer200, mainAnswer2xx, mainAnswer3xx, mainAnswer401, mainAnswer403
    case mainAnswer404, mainAnswer407, mainAnswer423, mainAnswer4xx, mainAnswer500
    case mainAnswer503, mainAnswer5xx, mainAnswer6xx
    case mainDuplicate, mainStale, mainWithoutEntry, mainUnchallenged, mainDroppedContact
    case mainShortened, mainMissing, mainWentDown, mainForgot, mainOverloaded, resyncs

    // Bindings.
    case bindingsAdded, bindingsRefreshedAtMain, bindingsRemoved, bindingsExpired
    case bindingsReplaced, bindingsVolatile
    case ownRemovalSent, ownRemovalDone, ownRemovalRefused, ownRemovalUnanswered
    case ownRemovalStopped, ownRemovalAuthorized, ownRemovalBraked
    case ownRemovalGivenUp
    case probesSent, probesAnswered, probesMissed
    case pingsSent, pingsAnswered, pingsLost, bindingsUnreachable

    // Requests other than REGISTER.
    case callsToPhone, callsToMain, callsInDialog, callsCancel, callsAck, callsForbidden
    case callsUnknownID, callsOrphan, callsGone, callResponses, optionsAnswered
    case callsOpened, callsCopies, callsPoolFull, callsUnknownTransaction, callsLooped
    case branchesOpened, branchesCancelled, branchesSilent
    case redirectsFollowed, redirectsFiltered, redirectsTooDeep, redirectsUntrusted
    case redirectsAnswered
    case acksMissing, acksUnsent, acksUnheard
    case callsLocal, qualifyReachable, qualifyGone

    // Commits, as the worker sees them.
    case factsStaged, commitsAcknowledged, commitsFailed

    // Time from receiving a REGISTER to its answer, in buckets; Telemetry has the bounds.
    case absorbedUnder50us, absorbedUnder100us, absorbedUnder250us, absorbedUnder500us
    case absorbedUnder1ms, absorbedUnder2500us, absorbedUnder5ms, absorbedUnder10ms
    case absorbedUnder25ms, absorbedUnder100ms, absorbedUnder1s, absorbedSlower
    case absorbedMicroseconds
    case relayedUnder1ms, relayedUnder2500us, relayedUnder5ms, relayedUnder10ms
    case relayedUnder25ms, relayedUnder50ms, relayedUnder100ms, relayedUnder250ms
    case relayedUnder500ms, relayedUnder1s, relayedUnder4s, relayedSlower
    case relayedMilliseconds

    // Work.
    case rounds, busyMicroseconds, mailboxMessages
}

/// What a worker has at the moment, told once a round.
public enum Gauge: Int, CaseIterable, Sendable {
    case bindings, addressesOfRecord, removalsOwed, relaysInFlight, repliesHeld
    case callsHeld, branchesHeld, callBytes
    case storeDown, mainDown
}

/// The counters and gauges of one worker: plain cells, written by nobody else.
public struct Counters: ~Copyable {
    private var cells: RigidBuffer<UInt64>
    private var gauges: RigidBuffer<UInt64>

    public init() {
        cells = RigidBuffer(count: Counter.allCases.count, zeroed: 0)
        gauges = RigidBuffer(count: Gauge.allCases.count, zeroed: 0)
    }

    public mutating func add(_ counter: Counter, _ amount: UInt64 = 1) {
        cells[counter.rawValue] &+= amount
    }

    public mutating func set(_ gauge: Gauge, _ value: UInt64) { gauges[gauge.rawValue] = value }

    /// All counters, each at its case's raw value.
    public var counterCells: Span<UInt64> {
        @_lifetime(borrow self)
        get { cells.span(ByteRange(0, cells.count)) }
    }

    /// All gauges, each at its case's raw value.
    public var gaugeCells: Span<UInt64> {
        @_lifetime(borrow self)
        get { gauges.span(ByteRange(0, gauges.count)) }
    }

    public subscript(counter: Counter) -> UInt64 { cells[counter.rawValue] }
    public subscript(gauge: Gauge) -> UInt64 { gauges[gauge.rawValue] }
}
