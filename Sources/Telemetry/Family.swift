/// A metric family as Prometheus sees it: one name, one type, one help text.
///
/// Cases stand in the order in which they are shown: first what the product is for.
package enum Family: String, CaseIterable, Sendable {
    case absorbedRatio = "midreg_register_absorbed_ratio"
    case registerRequests = "midreg_register_requests_total"
    case registerAbsorbedCopies = "midreg_register_absorbed_copies_total"
    case registerRelayed = "midreg_register_relayed_total"
    case registerRejected = "midreg_register_rejected_total"
    case pathsUnused = "midreg_paths_unused_total"
    case registerDuration = "midreg_register_duration_seconds"

    case mainResponses = "midreg_main_responses_total"
    case mainIrregular = "midreg_main_irregular_responses_total"
    case mainEvents = "midreg_main_events_total"
    case mainDown = "midreg_main_down"
    case mainUnchallenged = "midreg_main_unchallenged_total"

    case addressesOfRecord = "midreg_aors"
    case contacts = "midreg_contacts"
    case contactsAdded = "midreg_contacts_added_total"
    case contactsRefreshedAtMain = "midreg_contacts_refreshed_at_main_total"
    case contactsRemoved = "midreg_contacts_removed_total"
    case contactsExpired = "midreg_contacts_expired_total"
    case contactsReplaced = "midreg_contacts_replaced_total"
    case contactsVolatile = "midreg_contacts_volatile_total"
    case ownRemovalsSent = "midreg_own_removals_sent_total"
    case ownRemovalsAuthorized = "midreg_own_removals_authorized_total"
    case ownRemovals = "midreg_own_removals_total"
    case removalsBraked = "midreg_removals_braked_total"
    case contactsUnreachable = "midreg_contacts_unreachable_total"
    case mainProbes = "midreg_main_probes_total"
    case natPings = "midreg_nat_pings_total"
    case removalsOwed = "midreg_removals_owed"
    case relaysInFlight = "midreg_relays_in_flight"
    case repliesHeld = "midreg_replies_held"

    case calls = "midreg_calls_total"
    case callRequests = "midreg_call_requests_total"
    case callsRefused = "midreg_calls_refused_total"
    case orphanCalls = "midreg_orphan_calls_total"
    case callTransactions = "midreg_call_transactions_total"
    case callBranches = "midreg_call_branches_total"
    case redirects = "midreg_redirects_total"
    case callsHeld = "midreg_calls_held"
    case callBranchesHeld = "midreg_call_branches_held"
    case callBytes = "midreg_call_bytes"
    case acksMissing = "midreg_ack_missing_total"
    case callResponses = "midreg_call_responses_total"
    case optionsAnswered = "midreg_options_answered_total"
    case qualifyAnswered = "midreg_qualify_answered_total"

    case sipReceived = "midreg_sip_received_messages_total"
    case sipReceivedBytes = "midreg_sip_received_bytes_total"
    case sipSent = "midreg_sip_sent_messages_total"
    case sipDropped = "midreg_sip_dropped_messages_total"
    case udpReceiveErrors = "midreg_udp_receive_errors_total"
    case udpSendErrors = "midreg_udp_send_errors_total"

    case workerHandoffs = "midreg_worker_handoffs_total"
    case workerMailboxMessages = "midreg_worker_mailbox_messages_total"
    case workerRounds = "midreg_worker_rounds_total"
    case workerBusySeconds = "midreg_worker_busy_seconds_total"
    case workerFactsStaged = "midreg_worker_facts_staged_total"
    case workerCommits = "midreg_worker_commit_acknowledgements_total"

    case storeDown = "midreg_store_down"
    case storeCommits = "midreg_store_commits_total"
    case storeCommitDuration = "midreg_store_commit_duration_seconds"
    case storeFacts = "midreg_store_facts_total"
    case storeUsedBytes = "midreg_store_used_bytes"
    case storeSizeBytes = "midreg_store_size_bytes"
    case storeCommitterCPU = "midreg_store_committer_cpu_seconds_total"

    case logSuppressed = "midreg_log_suppressed_total"

    case buildInfo = "midreg_build_info"
    case startTime = "midreg_start_time_seconds"
    case processResidentMemory = "process_resident_memory_bytes"
    case processCPU = "process_cpu_seconds_total"
    case processOpenFiles = "process_open_fds"

    package enum Kind: String, Sendable {
        case counter, gauge, histogram
    }

    package var kind: Kind {
        switch self {
        case .absorbedRatio, .addressesOfRecord, .contacts, .removalsOwed,
            .mainDown, .relaysInFlight, .repliesHeld, .storeDown, .storeUsedBytes, .storeSizeBytes,
            .callsHeld, .callBranchesHeld, .callBytes, .buildInfo,
            .startTime, .processResidentMemory, .processOpenFiles:
            .gauge
        case .registerDuration, .storeCommitDuration:
            .histogram
        case .registerRequests, .registerAbsorbedCopies, .registerRelayed, .registerRejected,
            .pathsUnused, .mainResponses, .mainIrregular, .mainEvents, .mainUnchallenged,
            .contactsAdded,
            .contactsRefreshedAtMain, .contactsRemoved, .contactsExpired, .contactsReplaced,
            .contactsVolatile, .ownRemovalsSent, .ownRemovalsAuthorized, .ownRemovals,
            .removalsBraked, .contactsUnreachable, .mainProbes, .natPings, .calls,
            .callRequests, .callsRefused,
            .orphanCalls, .callTransactions, .callBranches, .redirects, .acksMissing,
            .callResponses, .optionsAnswered, .qualifyAnswered, .sipReceived, .sipReceivedBytes,
            .sipSent,
            .sipDropped, .udpReceiveErrors, .udpSendErrors, .workerHandoffs,
            .workerMailboxMessages, .workerRounds, .workerBusySeconds,
            .workerFactsStaged, .workerCommits, .storeCommits, .storeFacts, .storeCommitterCPU,
            .logSuppressed, .processCPU:
            .counter
        }
    }

    /// Whether each worker has its own series, with a label `worker`; else workers are summed.
    package var isPerWorker: Bool {
        switch self {
        case .sipReceived, .sipSent, .udpReceiveErrors, .udpSendErrors, .workerHandoffs,
            .workerMailboxMessages, .workerRounds, .workerBusySeconds,
            .workerFactsStaged, .workerCommits:
            true
        case .absorbedRatio, .registerRequests, .registerAbsorbedCopies, .registerRelayed,
            .registerRejected, .pathsUnused, .registerDuration, .mainResponses, .mainIrregular,
            .mainEvents,
            .mainDown, .mainUnchallenged,
            .addressesOfRecord, .contacts, .contactsAdded, .contactsRefreshedAtMain,
            .contactsRemoved, .contactsExpired, .contactsReplaced, .contactsVolatile,
            .ownRemovalsSent, .ownRemovalsAuthorized, .ownRemovals, .removalsBraked,
            .contactsUnreachable, .mainProbes, .natPings,
            .removalsOwed, .relaysInFlight, .repliesHeld, .calls, .callRequests, .callsRefused,
            .orphanCalls, .callTransactions, .callBranches, .redirects, .callsHeld,
            .callBranchesHeld, .callBytes, .acksMissing, .callResponses, .optionsAnswered,
            .qualifyAnswered, .sipReceivedBytes,
            .sipDropped, .storeDown, .storeCommits, .storeCommitDuration, .storeFacts,
            .storeUsedBytes, .storeSizeBytes, .storeCommitterCPU, .logSuppressed, .buildInfo,
            .startTime, .processResidentMemory, .processCPU, .processOpenFiles:
            false
        }
    }

    /// One line that tells an operator what is counted.
    package var help: String {
        switch self {
        case .absorbedRatio:
            "Share of decided REGISTER requests since start that were answered here (0 to 1)."
        case .registerRequests:
            "REGISTER requests by decision: answered here, relayed to the main registrar, rejected."
        case .registerAbsorbedCopies:
            "Retransmitted refreshes that got the same answer again; no decision of their own."
        case .registerRelayed: "REGISTER requests relayed to the main registrar, by cause."
        case .registerRejected: "Requests answered with an error of our own, by cause."
        case .pathsUnused: "Path fields of REGISTER requests that were not taken, by reason."
        case .registerDuration:
            "Time from receiving a REGISTER to its answer, by decision; each has its own bounds."
        case .mainResponses:
            "Responses of the main registrar; a class such as 4xx is its codes without own series."
        case .mainIrregular:
            "Responses of the main registrar that were set aside or changed what a phone asked."
        case .mainEvents: "What was concluded of the main registrar's state, and resyncs begun."
        case .mainDown: "Whether the main registrar gives no answer at all (1) or does (0)."
        case .mainUnchallenged:
            "REGISTER requests without credentials that the main registrar accepted."
        case .addressesOfRecord: "Addresses of record with at least one contact."
        case .contacts: "Contacts (bindings) held."
        case .contactsAdded: "Contacts that the main registrar accepted for the first time."
        case .contactsRefreshedAtMain: "Contacts whose main expiry was prolonged."
        case .contactsRemoved: "Contacts that a phone or the main registrar took away."
        case .contactsExpired: "Contacts that were not refreshed in time."
        case .contactsReplaced: "Contacts that made room for a new one of the same user."
        case .contactsVolatile: "Contacts kept in memory alone because the store refused them."
        case .ownRemovalsSent: "REGISTER requests of our own that remove a contact, as sent."
        case .ownRemovalsAuthorized:
            "REGISTER requests of our own sent again with credentials, after a challenge."
        case .ownRemovals: "Removals of our own by how they ended at the main registrar."
        case .removalsBraked:
            "Removals of our own that waited for their phones because too many lapsed at once."
        case .contactsUnreachable: "Contacts of which three OPTIONS in a row were lost."
        case .mainProbes: "Probes of the main registrar, by what became of them."
        case .natPings: "Pings of phones behind NAT, by what became of them."
        case .removalsOwed: "Lapsed contacts that the main registrar still has to be told of."
        case .relaysInFlight: "Relayed REGISTER requests without a final answer yet."
        case .repliesHeld: "Answers that wait for the commit of what they promise."
        case .calls: "Requests outside a dialog, by the side they were passed to."
        case .callRequests:
            "Requests beside calls: in dialogs, CANCEL, ACK, of phones to phones here."
        case .callsRefused: "Requests outside a dialog that were refused, by cause."
        case .orphanCalls: "Calls to a genuine contact ID of which no contact is held."
        case .callTransactions: "Calls begun with transactions, and copies of their requests."
        case .callBranches: "Branches of calls by what became of them; one may count twice."
        case .redirects: "Redirects: contacts by what became of them; untrusted and own ones whole."
        case .callsHeld: "Calls with transactions held, until their timers end."
        case .callBranchesHeld: "Branches of calls held, until their timers end."
        case .callBytes: "Bytes of messages held for calls."
        case .acksMissing: "Final responses of calls whose ACK was missing, by who owed it."
        case .callResponses: "Responses passed on for requests other than REGISTER."
        case .optionsAnswered: "OPTIONS requests answered here."
        case .qualifyAnswered: "OPTIONS of the main side answered in a phone's place, by status."
        case .sipReceived: "SIP messages received, by worker, transport, and kind."
        case .sipReceivedBytes: "Bytes of the SIP messages received."
        case .sipSent: "SIP messages sent, by worker and transport."
        case .sipDropped: "SIP messages dropped without an answer, by reason."
        case .udpReceiveErrors: "Datagrams that the kernel dropped before the worker read them."
        case .udpSendErrors: "Datagrams that the kernel did not take."
        case .workerHandoffs: "Messages handed to the worker that owns their address of record."
        case .workerMailboxMessages: "Messages taken from the worker's mailbox."
        case .workerRounds: "Rounds: receive, decide, send."
        case .workerBusySeconds: "Seconds a worker spent outside its wait."
        case .workerFactsStaged: "Facts handed to the store."
        case .workerCommits: "Hand-overs acknowledged by the store, by result."
        case .storeDown: "Whether the contact store takes no facts (1) or works (0)."
        case .storeCommits: "Commits of the contact store, by result."
        case .storeCommitDuration: "Time of one commit of the contact store."
        case .storeFacts: "Facts written to, removed from, and loaded from the contact store."
        case .storeUsedBytes: "Bytes of the contact store in use."
        case .storeSizeBytes: "Bytes that the contact store may grow to."
        case .storeCommitterCPU: "Processor time of the committer thread."
        case .logSuppressed: "Log lines left out by the rate limit, by event."
        case .buildInfo: "Version of the running process; always 1."
        case .startTime: "Start time of the process since unix epoch in seconds."
        case .processResidentMemory: "Resident memory size in bytes."
        case .processCPU: "Total user and system CPU time spent in seconds."
        case .processOpenFiles: "Number of open file descriptors."
        }
    }
}
