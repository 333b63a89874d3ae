package import MidRegistrarCore

/// A label of a series.
package struct Label: Hashable, Sendable {
    package let name: String
    package let value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// Where a counter's cell is shown.
package enum Place: Hashable, Sendable {
    /// A series of its own; `divisor` cell units make one unit of the family.
    case series(Family, [Label], divisor: UInt64 = 1)
    /// What fell into one bucket alone, up to `microseconds`; `nil` for the last, which has no end.
    case bucket(Family, [Label], upTo: UInt64?)
    /// A histogram's sum; `divisor` cell units make a second.
    case sum(Family, [Label], divisor: UInt64)

    package var family: Family {
        switch self {
        case .series(let family, _, _), .bucket(let family, _, _), .sum(let family, _, _): family
        }
    }

    package var labels: [Label] {
        switch self {
        case .series(_, let labels, _), .bucket(_, let labels, _), .sum(_, let labels, _): labels
        }
    }
}

extension Counter {
    /// The family and the labels under which an operator sees this counter.
    package var place: Place {
        switch self {
        case .receivedRequests: received("request")
        case .receivedResponses: received("response")
        case .receivedKeepAlives: received("keepalive")
        case .sentMessages: .series(.sipSent, [Label("transport", "udp")])
        case .receivedBytes: .series(.sipReceivedBytes, [Label("transport", "udp")])
        case .kernelDrops: .series(.udpReceiveErrors, [])
        case .sendFailures: .series(.udpSendErrors, [])
        case .handedOver: .series(.workerHandoffs, [])

        case .droppedMalformed: dropped("malformed")
        case .droppedNoVia: dropped("no_via")
        case .droppedForeignResponse: dropped("foreign_response")
        case .droppedSealBroken: dropped("seal_broken")
        case .droppedMailboxFull: dropped("mailbox_full")
        case .droppedOutboxFull: dropped("outbox_full")
        case .droppedCopyTooSoon: dropped("copy_too_soon")
        case .droppedCopyCommitting: dropped("copy_committing")
        case .droppedAck: dropped("ack")
        case .droppedNoRoute: dropped("no_route")
        case .droppedBadAddress: dropped("bad_address")
        case .droppedStrayResponse: dropped("stray_response")

        case .registerAbsorbed: decided("absorbed")
        case .registerRelayed: decided("relayed")
        case .registerRejected: decided("rejected")
        case .registerAbsorbedCopy: .series(.registerAbsorbedCopies, [])
        case .relayNewContact: relayed("new_contact")
        case .relayMainDue: relayed("main_due")
        case .relayFlowChanged: relayed("flow_changed")
        case .relayCallIDChanged: relayed("call_id_changed")
        case .relaySequence: relayed("sequence")
        case .relayContactChanged: relayed("contact_changed")
        case .relayRemoval: relayed("removal")
        case .relayFetch: relayed("fetch")
        case .relayDirty: relayed("dirty")
        case .relaySeveralVias: relayed("several_vias")
        case .relayStoreDown: relayed("store_down")
        case .relayMirror: relayed("mirror")
        case .relayResync: relayed("resync")
        case .relayCopy: relayed("copy")
        case .rejectMalformed: rejected("malformed")
        case .rejectIntervalTooBrief: rejected("interval_too_brief")
        case .rejectExtension: rejected("extension")
        case .rejectTooManyContacts: rejected("too_many_contacts")
        case .rejectTableFull: rejected("table_full")
        case .rejectInFlight: rejected("in_flight")
        case .rejectReordered: rejected("reordered")
        case .rejectMaxForwards: rejected("max_forwards")
        case .rejectScheme: rejected("scheme")
        case .rejectNotFound: rejected("not_found")
        case .rejectFlowFailed: rejected("flow_failed")
        case .rejectVersion: rejected("version")
        case .rejectTooLarge: rejected("too_large")
        case .rejectURITooLong: rejected("uri_too_long")
        case .rejectTooManyVias: rejected("too_many_vias")
        case .rejectTooManyHeaders: rejected("too_many_headers")
        case .rejectHeaderTooLong: rejected("header_too_long")

        case .pathFromNoEdge: unusedPath("no_edge")
        case .pathMalformed: unusedPath("malformed")
        case .pathTooLong: unusedPath("too_long")
        case .pathOfFormerEdge: unusedPath("former_edge")

        case .mainAnswer1xx: answered("1xx")
        case .mainAnswer200: answered("200")
        case .mainAnswer2xx: answered("2xx")
        case .mainAnswer3xx: answered("3xx")
        case .mainAnswer401: answered("401")
        case .mainAnswer403: answered("403")
        case .mainAnswer404: answered("404")
        case .mainAnswer407: answered("407")
        case .mainAnswer423: answered("423")
        case .mainAnswer4xx: answered("4xx")
        case .mainAnswer500: answered("500")
        case .mainAnswer503: answered("503")
        case .mainAnswer5xx: answered("5xx")
        case .mainAnswer6xx: answered("6xx")
        case .mainDuplicate: irregular("duplicate")
        case .mainStale: irregular("stale")
        case .mainWithoutEntry: irregular("without_entry")
        case .mainDroppedContact: irregular("contact_dropped")
        case .mainMissing: irregular("missing")
        case .mainWentDown: mainEvent("down")
        case .mainForgot: mainEvent("forgot")
        case .mainOverloaded: mainEvent("overloaded")
        case .resyncs: mainEvent("resync")
        case .rejectBackOff: rejected("main_overloaded")
        case .mainShortened: irregular("expiry_shortened")
        case .mainUnchallenged: .series(.mainUnchallenged, [])

        case .bindingsAdded: .series(.contactsAdded, [])
        case .bindingsRefreshedAtMain: .series(.contactsRefreshedAtMain, [])
        case .bindingsRemoved: .series(.contactsRemoved, [])
        case .bindingsExpired: .series(.contactsExpired, [])
        case .bindingsReplaced: .series(.contactsReplaced, [])
        case .bindingsVolatile: .series(.contactsVolatile, [])
        case .ownRemovalSent: .series(.ownRemovalsSent, [])
        case .ownRemovalAuthorized: .series(.ownRemovalsAuthorized, [])
        case .ownRemovalBraked: .series(.removalsBraked, [])
        case .probesSent: probe("sent")
        case .probesAnswered: probe("answered")
        case .probesMissed: probe("missed")
        case .pingsSent: ping("sent")
        case .pingsAnswered: ping("answered")
        case .pingsLost: ping("lost")
        case .bindingsUnreachable: .series(.contactsUnreachable, [])
        case .ownRemovalDone: removal("done")
        case .ownRemovalRefused: removal("refused")
        case .ownRemovalUnanswered: removal("unanswered")
        case .ownRemovalGivenUp: removal("given_up")
        case .ownRemovalStopped: removal("stopped")

        case .callsToPhone: .series(.calls, [Label("to", "phone")])
        case .callsToMain: .series(.calls, [Label("to", "main")])
        case .callsInDialog: .series(.callRequests, [Label("kind", "in_dialog")])
        case .callsCancel: .series(.callRequests, [Label("kind", "cancel")])
        case .callsAck: .series(.callRequests, [Label("kind", "ack")])
        case .callsForbidden: .series(.callsRefused, [Label("cause", "forbidden")])
        case .callsUnknownID: .series(.callsRefused, [Label("cause", "unknown_contact_id")])
        case .callsGone: .series(.callsRefused, [Label("cause", "gone")])
        case .callsOrphan: .series(.orphanCalls, [])
        case .callsOpened: .series(.callTransactions, [Label("kind", "opened")])
        case .callsCopies: .series(.callTransactions, [Label("kind", "copy")])
        case .callsPoolFull: .series(.callsRefused, [Label("cause", "pool_full")])
        case .callsUnknownTransaction:
            .series(.callsRefused, [Label("cause", "unknown_transaction")])
        case .callsLooped: .series(.callsRefused, [Label("cause", "loop")])
        case .branchesOpened: .series(.callBranches, [Label("result", "opened")])
        case .branchesCancelled: .series(.callBranches, [Label("result", "cancelled")])
        case .branchesSilent: .series(.callBranches, [Label("result", "silent")])
        case .redirectsFollowed: .series(.redirects, [Label("result", "followed")])
        case .redirectsFiltered: .series(.redirects, [Label("result", "filtered")])
        case .redirectsTooDeep: .series(.redirects, [Label("result", "depth_exceeded")])
        case .redirectsUntrusted: .series(.redirects, [Label("result", "untrusted")])
        case .redirectsAnswered: .series(.redirects, [Label("result", "answered")])
        case .acksMissing: .series(.acksMissing, [Label("side", "refused_caller")])
        case .acksUnsent: .series(.acksMissing, [Label("side", "caller")])
        case .acksUnheard: .series(.acksMissing, [Label("side", "callee")])
        case .callsLocal: .series(.callRequests, [Label("kind", "local")])
        case .qualifyReachable: .series(.qualifyAnswered, [Label("code", "200")])
        case .qualifyGone: .series(.qualifyAnswered, [Label("code", "480")])
        case .callResponses: .series(.callResponses, [])
        case .optionsAnswered: .series(.optionsAnswered, [])

        case .factsStaged: .series(.workerFactsStaged, [])
        case .commitsAcknowledged: .series(.workerCommits, [Label("result", "done")])
        case .commitsFailed: .series(.workerCommits, [Label("result", "failed")])

        case .absorbedUnder50us: absorbedBucket(50)
        case .absorbedUnder100us: absorbedBucket(100)
        case .absorbedUnder250us: absorbedBucket(250)
        case .absorbedUnder500us: absorbedBucket(500)
        case .absorbedUnder1ms: absorbedBucket(1_000)
        case .absorbedUnder2500us: absorbedBucket(2_500)
        case .absorbedUnder5ms: absorbedBucket(5_000)
        case .absorbedUnder10ms: absorbedBucket(10_000)
        case .absorbedUnder25ms: absorbedBucket(25_000)
        case .absorbedUnder100ms: absorbedBucket(100_000)
        case .absorbedUnder1s: absorbedBucket(1_000_000)
        case .absorbedSlower: absorbedBucket(nil)
        case .absorbedMicroseconds:
            .sum(.registerDuration, [Label("decision", "absorbed")], divisor: 1_000_000)
        case .relayedUnder1ms: relayedBucket(1_000)
        case .relayedUnder2500us: relayedBucket(2_500)
        case .relayedUnder5ms: relayedBucket(5_000)
        case .relayedUnder10ms: relayedBucket(10_000)
        case .relayedUnder25ms: relayedBucket(25_000)
        case .relayedUnder50ms: relayedBucket(50_000)
        case .relayedUnder100ms: relayedBucket(100_000)
        case .relayedUnder250ms: relayedBucket(250_000)
        case .relayedUnder500ms: relayedBucket(500_000)
        case .relayedUnder1s: relayedBucket(1_000_000)
        case .relayedUnder4s: relayedBucket(4_000_000)
        case .relayedSlower: relayedBucket(nil)
        case .relayedMilliseconds:
            .sum(.registerDuration, [Label("decision", "relayed")], divisor: 1_000)

        case .rounds: .series(.workerRounds, [])
        case .busyMicroseconds: .series(.workerBusySeconds, [], divisor: 1_000_000)
        case .mailboxMessages: .series(.workerMailboxMessages, [])
        }
    }
}

private func received(_ kind: String) -> Place {
    .series(.sipReceived, [Label("transport", "udp"), Label("kind", kind)])
}

private func dropped(_ reason: String) -> Place { .series(.sipDropped, [Label("reason", reason)]) }

private func decided(_ decision: String) -> Place {
    .series(.registerRequests, [Label("decision", decision)])
}

private func relayed(_ cause: String) -> Place {
    .series(.registerRelayed, [Label("cause", cause)])
}

private func rejected(_ cause: String) -> Place {
    .series(.registerRejected, [Label("cause", cause)])
}

private func unusedPath(_ reason: String) -> Place {
    .series(.pathsUnused, [Label("reason", reason)])
}

private func answered(_ code: String) -> Place {
    .series(.mainResponses, [Label("method", "REGISTER"), Label("code", code)])
}

private func irregular(_ kind: String) -> Place { .series(.mainIrregular, [Label("kind", kind)]) }

private func mainEvent(_ event: String) -> Place {
    .series(.mainEvents, [Label("kind", event)])
}

private func removal(_ result: String) -> Place { .series(.ownRemovals, [Label("result", result)]) }

private func probe(_ result: String) -> Place { .series(.mainProbes, [Label("result", result)]) }

private func ping(_ result: String) -> Place { .series(.natPings, [Label("result", result)]) }

private func absorbedBucket(_ microseconds: UInt64?) -> Place {
    .bucket(.registerDuration, [Label("decision", "absorbed")], upTo: microseconds)
}

private func relayedBucket(_ microseconds: UInt64?) -> Place {
    .bucket(.registerDuration, [Label("decision", "relayed")], upTo: microseconds)
}

extension Gauge {
    /// How the figures of several workers become one.
    package enum Combination: Sendable {
        case sum, highest
    }

    /// The family under which an operator sees this gauge; it has no labels.
    package var place: (family: Family, combination: Combination) {
        switch self {
        case .bindings: (.contacts, .sum)
        case .addressesOfRecord: (.addressesOfRecord, .sum)
        case .removalsOwed: (.removalsOwed, .sum)
        case .relaysInFlight: (.relaysInFlight, .sum)
        case .repliesHeld: (.repliesHeld, .sum)
        case .callsHeld: (.callsHeld, .sum)
        case .branchesHeld: (.callBranchesHeld, .sum)
        case .callBytes: (.callBytes, .sum)
        case .storeDown: (.storeDown, .highest)
        case .mainDown: (.mainDown, .highest)
        }
    }
}
