import Bytes
import CoreScene
import Forwarding
import MidRegistrarCore
import Registration

/// Settings by their names in the configuration, as far as scenarios use them.
enum Settings {
    static func change(_ name: String, _ value: String) -> ((inout CoreOptions) -> Void)? {
        let number = UInt32(value)
        switch (name, value) {
        case ("register.mode", "contact"): return { $0.mode = .throttleByContact }
        case ("register.mode", "aor"): return { $0.mode = .throttleByAOR }
        case ("register.mode", "mirror"): return { $0.mode = .mirror }
        case ("main.insert", "contact"): return nil
        case ("main.insert", "path"): return insert(.path)
        case ("main.id", "user"): return insert(.user)
        case ("main.remove_expired", "false"): return { $0.removesExpired = false }
        case ("calls.strangers", "main"): return { $0.strangers = .main }
        case ("calls.fork", "by-q"): return { $0.forkOrder = .byQ }
        case ("calls.fork", "parallel"): return { $0.forkOrder = .allAtOnce }
        case ("redirect.from_main", "follow"): return { $0.redirects.followsMain = true }
        case ("redirect.from_phones", "follow"): return { $0.redirects.followsPhones = true }
        case ("redirect.trusted", _):
            return TransportAddress(hostPort: value, defaultPort: 0).map { host in
                { $0.redirects.trusted = Edges([host]) }
            }
        case ("redirect.max_total", _):
            return number.map { number in { $0.redirects.totalMax = Int(number) } }
        case ("redirect.max_per_branch", _):
            return number.map { number in { $0.redirects.perBranchMax = Int(number) } }
        case ("redirect.max_depth", _):
            return number.map { number in { $0.redirects.depthMax = Int(number) } }
        case ("redirect.rules", _):
            let rules = value.split(separator: ",").compactMap { text in
                try? RedirectFilter.Rule(String(text))
            }
            guard !rules.isEmpty else { return nil }
            return { $0.redirects.filter = RedirectFilter(rules, otherwise: .allow) }
        case ("redirect.when", "after-all"): return { $0.redirects.waits = true }
        case ("redirect.cancel_others", "true"): return { $0.redirects.cancelsOthers = true }
        case ("redirect.diversion", "true"): return { $0.redirects.writesDiversion = true }
        case ("redirect.history_info", "true"): return { $0.redirects.writesHistory = true }
        case ("redirect.server", _):
            return number.flatMap(RedirectAnswer.Code.init).map { code in
                { $0.redirectServer = code }
            }
        case ("redirect.contacts", "registered"): return { $0.redirectsByUs = false }
        case ("calls.local", _):
            let methods = value.split(separator: " ").compactMap { localMethods[String($0)] }
            return { $0.localMethods = CoreOptions.LocalMethods(methods) }
        case ("calls.qualify", "forward"): return { $0.answersQualify = false }
        case ("calls.qualify", "answer"): return { $0.answersQualify = true }
        case ("calls.branches", _):
            return number.map { number in { $0.branchesMax = Int(number) } }
        case ("calls.ring", _):
            return number.map { number in { $0.timerCMs = UInt64(number) * 1_000 } }
        case ("calls.fix_contact", "true"): return { $0.fixesContacts = true }
        case ("calls.reason_from_main", "drop"): return { $0.reasons.fromMain = .drop }
        case ("calls.reason_from_main", "replace"): return { $0.reasons.fromMain = .replace }
        case ("calls.reason_from_phones", "pass"): return { $0.reasons.fromOthers = .pass }
        case ("nat.ping", "options"): return { $0.natPing = .options }
        case ("nat.ping", "crlf"): return { $0.natPing = .crlf }
        case ("register.gruu", "true"): return { $0.givesGRUUs = true }
        case ("register.edges", _):
            return TransportAddress(hostPort: value, defaultPort: 0).map { edge in
                { $0.edges = Edges([edge]) }
            }
        case ("main.expires", _): return number.map { number in { $0.mainSeconds = number } }
        case ("register.min_expires", _): return number.map { number in { $0.minSeconds = number } }
        case ("register.max_expires", _): return number.map { number in { $0.maxSeconds = number } }
        default: return nil
        }
    }

    private static let localMethods: [String: CoreOptions.LocalMethods] = [
        "MESSAGE": .message, "OPTIONS": .options, "PUBLISH": .publish,
    ]

    private static func insert(_ placement: MainContact.Placement) -> (inout CoreOptions) -> Void {
        { $0.contact = Scene.options(placement: placement).contact }
    }
}
