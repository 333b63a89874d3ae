internal import Bytes

extension Settings {
    /// The effective value of every key, in the order of the sections and spelled as in the file.
    package func describe() -> [(key: String, value: String)] {
        var lines: [(key: String, value: String)] = [
            ("node.name", node.name),
            ("node.workers", String(node.workers)),
        ]
        for (number, listener) in listeners.enumerated() {
            lines.append(("listen[\(number)].udp", listener.udp.text))
            lines.append(("listen[\(number)].advertise", listener.advertise?.text ?? ""))
        }
        lines += [
            ("main.server", main.server.text),
            ("main.expires", durationText(seconds: main.expirySeconds)),
            ("main.own", "udp:" + main.own.text),
            ("main.ports", "\(main.ports.lowerBound)-\(main.ports.upperBound)"),
            ("main.sources", main.sources.map(Settings.sourceText).joined(separator: " ")),
            ("main.insert", main.insertion.rawValue),
            ("main.id", main.contactIDPlace.rawValue),
            ("main.probe", durationText(seconds: main.probeSeconds)),
            ("main.remove_expired", String(main.removesExpired)),
            ("main.removals_per_second", String(main.removalsPerSecondMax)),
            ("main.resync_per_second", String(main.resyncPerSecond)),
            ("main.user", main.account?.user ?? ""),
            ("main.password_file", main.account?.passwordFile ?? ""),
            ("main.source_header", main.sourceHeader ?? ""),
            ("register.mode", register.mode.rawValue),
            ("register.min_expires", durationText(seconds: register.minExpirySeconds)),
            ("register.max_expires", durationText(seconds: register.maxExpirySeconds)),
            ("register.default_expires", durationText(seconds: register.defaultExpirySeconds)),
            ("register.short", register.short.rawValue),
            ("register.jitter", "\(register.jitter)"),
            ("register.max_contacts", String(register.contactsMax)),
            ("register.when_full", register.whenFull.rawValue),
            ("register.in_flight", String(register.inFlightMax)),
            ("register.gruu", String(register.givesGRUUs)),
            ("register.edges", register.edges.map(Settings.sourceText).joined(separator: " ")),
        ]
        for (number, domain) in domains.enumerated() {
            lines.append(("domain[\(number)].name", domain.name))
            lines.append(("domain[\(number)].mode", domain.mode.rawValue))
        }
        lines += [
            ("calls.strangers", calls.strangers.rawValue),
            ("calls.fork", calls.fork.rawValue),
            ("calls.branches", String(calls.branchesMax)),
            ("calls.ring", durationText(seconds: calls.ringSeconds)),
            ("calls.fix_contact", String(calls.fixesContacts)),
            ("calls.reason_from_main", calls.reasonFromMain.rawValue),
            ("calls.reason_from_phones", calls.reasonFromPhones.rawValue),
            ("calls.local", calls.local.map(\.rawValue).joined(separator: " ")),
            ("calls.qualify", calls.qualify.rawValue),
            ("redirect.from_main", redirect.fromMain.rawValue),
            ("redirect.from_phones", redirect.fromPhones.rawValue),
            (
                "redirect.trusted",
                redirect.trusted.map(Settings.sourceText).joined(separator: " ")
            ),
            ("redirect.max_total", String(redirect.totalMax)),
            ("redirect.max_per_branch", String(redirect.perBranchMax)),
            ("redirect.max_depth", String(redirect.depthMax)),
            ("redirect.rules", redirect.rules.joined(separator: ", ")),
            ("redirect.otherwise", redirect.otherwise.rawValue),
            ("redirect.when", redirect.when.rawValue),
            ("redirect.cancel_others", String(redirect.cancelsOthers)),
            ("redirect.diversion", String(redirect.writesDiversion)),
            ("redirect.history_info", String(redirect.writesHistory)),
            ("redirect.server", redirect.server.rawValue),
            ("redirect.contacts", redirect.contacts.rawValue),
            ("nat.ping", natPing.rawValue),
            ("nat.max_expires", natExpirySeconds.map { durationText(seconds: $0) } ?? ""),
            ("store.path", store.path),
            ("store.size", sizeText(bytes: store.bytesMax)),
            ("store.durability", store.durability.rawValue),
            ("limits.bindings", String(limits.bindingsMax)),
            ("limits.calls", String(limits.callsMax)),
            ("limits.call_memory", sizeText(bytes: limits.callBytesMax)),
            ("counters.http", counters.http?.text ?? ""),
            ("log.format", log.format.rawValue),
            ("log.level", log.level.rawValue),
        ]
        return lines
    }

    private static func sourceText(_ source: TransportAddress) -> String {
        source.port == 0 ? source.hostText : source.text
    }
}
