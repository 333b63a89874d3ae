internal import Bytes
internal import Logging
internal import MidRegistrarCore
internal import Synchronization
internal import Telemetry

/// Turns what the workers noticed into log lines (each kind at most ten a second).
final class Reporter: Sendable {
    let log: EventLog
    let missingAcks = MissingAcks()
    private let timeline: @Sendable () -> Instant
    private let toldUnchallenged = Atomic<Bool>(false)

    init(_ log: EventLog, timeline: @escaping @Sendable () -> Instant) {
        self.log = log
        self.timeline = timeline
    }

    func line(_ level: Logger.Level, _ event: String, _ fields: [(String, String)] = []) {
        log.log(level, event: event, fields: fields, at: timeline())
    }

    func failed(_ what: String) { line(.error, "failed", [("what", what)]) }

    func report(_ events: [CoreEvent], at now: Instant) {
        for event in events { report(event, at: now) }
    }

    private func report(_ event: CoreEvent, at now: Instant) {
        switch event.kind {
        case .malformed:
            log.log(
                .warning, event: "malformed",
                fields: [
                    ("src", "udp:" + event.source.text), ("at", "byte:\(event.number)"),
                    ("what", "\(event.text)"),
                ], at: now)
        case .mainUnchallenged:
            // Once: it is a matter of the main registrar's configuration, not of one message.
            guard !toldUnchallenged.exchange(true, ordering: .relaxed) else { return }
            log.log(
                .warning, event: "main_unchallenged",
                fields: [
                    ("main", event.source.text),
                    (
                        "hint",
                        "the main registrar accepted a REGISTER without credentials; it must go on "
                            + "challenging everything that midreg relays"
                    ),
                ], at: now)
        case .removalRefused:
            log.log(
                .warning, event: "removal_refused",
                fields: [
                    ("aor", event.aor), ("main", event.source.text), ("code", "\(event.number)"),
                    (
                        "hint",
                        "trust exactly main.own on the main registrar, only for REGISTER with "
                            + "expires 0 or without Contact, never the host; or give main.user and "
                            + "main.password_file"
                    ),
                ], at: now)
        case .commitFailed:
            log.log(
                .error, event: "commit_failed", fields: [("ticket", "\(event.number)")], at: now)
        case .tableFull:
            log.log(
                .error, event: "table_full",
                fields: [("bindings", "\(event.number)"), ("hint", "raise limits.bindings")],
                at: now)
        case .ackUnsent, .ackUnheard:
            let isHeard = event.kind == .ackUnheard
            let isPrivate = event.number == 1
            missingAcks.note(
                MissingAck(
                    time: .now(), side: isHeard ? .callee : .caller, peer: event.source,
                    contact: event.aor, isPrivate: isPrivate, callID: event.callID))
            log.log(
                .warning, event: "ack_missing",
                fields: [
                    ("side", isHeard ? "callee" : "caller"), ("peer", event.source.text),
                    ("contact", event.aor), ("private", isPrivate ? "yes" : "no"),
                    ("call_id", event.callID),
                    (
                        "what",
                        isHeard
                            ? "the ACK was passed on, and the callee still repeats its 2xx"
                            : "2xx were passed to the caller, and no ACK came by"
                    ),
                ], at: now)
        case .orphanCall:
            log.log(
                .info, event: "orphan_call", fields: [("src", event.source.text)], at: now)
        case .mainExpiryLearned:
            log.log(
                .warning, event: "main_expiry_learned",
                fields: [("seconds", "\(event.number)"), ("hint", "set main.expires to it")],
                at: now)
        case .mainDown:
            log.log(
                .error, event: "main_down",
                fields: [("hint", "it answers neither what is relayed nor probes")], at: now)
        case .mainUp: log.log(.notice, event: "main_up", fields: [], at: now)
        case .mainForgot:
            log.log(
                .warning, event: "main_forgot",
                fields: [("hint", "the main registrar does not list what it agreed to")], at: now)
        case .mainOverloaded:
            log.log(
                .warning, event: "main_overloaded", fields: [("seconds", "\(event.number)")],
                at: now)
        case .resync:
            log.log(.notice, event: "resync", fields: [("over", "\(event.number)s")], at: now)
        case .massLapse:
            log.log(
                .error, event: "mass_lapse",
                fields: [
                    ("lapsed", "\(event.number)"),
                    (
                        "hint",
                        "so many phones do not fall silent at once: look at the network; their "
                            + "removal waits 60 s"
                    ),
                ], at: now)
        case .fetchRefused:
            log.log(
                .notice, event: "fetch_refused",
                fields: [
                    ("main", event.source.text), ("code", "\(event.number)"),
                    (
                        "hint",
                        "probes ask by OPTIONS for an hour, which does not show what it has lost; "
                            + "trust exactly main.own there, only for REGISTER with expires 0 or "
                            + "without Contact, or give main.user and main.password_file"
                    ),
                ], at: now)
        case .fetchUseless:
            log.log(
                .notice, event: "fetch_useless",
                fields: [
                    ("main", event.source.text), ("code", "\(event.number)"),
                    (
                        "hint",
                        "it lists nothing to a REGISTER without Contact: probes ask by OPTIONS for "
                            + "an hour"
                    ),
                ], at: now)
        case .register:
            log.log(.debug, event: "register", fields: [("aor", event.aor)], at: now)
        }
    }
}
