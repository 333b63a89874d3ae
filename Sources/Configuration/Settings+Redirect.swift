package import Bytes
internal import Forwarding

extension Settings {
    /// `[redirect]`: what becomes of 3xx, and whether midreg answers with one itself.
    package struct Redirect: Equatable, Sendable {
        package let fromMain: Redirected
        package let fromPhones: Redirected
        /// Hosts whose redirects are followed whatever is said of phones. Port 0 stands for every port.
        package let trusted: [TransportAddress]
        /// Contacts followed for one request, 1…64.
        package let totalMax: Int
        /// Contacts followed of one 3xx, 1…64.
        package let perBranchMax: Int
        /// Redirects one after the other, 1…16.
        package let depthMax: Int
        /// Tried in their order: `deny host=203.0.113.0/24`, `allow user=1900*` …; at most 64.
        package let rules: [String]
        /// What becomes of a contact that no rule fits.
        package let otherwise: Otherwise
        package let when: When
        /// Whether phones that ring beside one that redirects are cancelled.
        package let cancelsOthers: Bool
        package let writesDiversion: Bool
        package let writesHistory: Bool
        package let server: Server
        package let contacts: Contacts
    }

    /// What becomes of the contacts of a 3xx.
    package enum Redirected: String, CaseIterable, Sendable {
        /// They are the caller's.
        case pass
        /// They are called by way of the main registrar.
        case follow
    }

    package enum Otherwise: String, CaseIterable, Sendable {
        case allow, deny
    }

    /// When a followed contact is called.
    package enum When: String, CaseIterable, Sendable {
        case atOnce = "at-once"
        /// When everybody else has ended.
        case afterAll = "after-all"
    }

    /// With what the main side's calls are answered, if midreg is a redirect server.
    package enum Server: String, CaseIterable, Sendable {
        case off
        case multipleChoices = "300"
        case movedPermanently = "301"
        case movedTemporarily = "302"
        case useProxy = "305"
        case alternativeService = "380"
    }

    /// How a redirect server names contacts.
    package enum Contacts: String, CaseIterable, Sendable {
        /// As they are reached by way of us.
        case routed
        case registered
    }

    /// The most rules of `redirect.rules`.
    package static let redirectRulesMax = 64
    /// The most hosts of `redirect.trusted`.
    package static let redirectTrustedMax = 64
}

extension Draft {
    mutating func readRedirect() -> Settings.Redirect {
        let main: Placed<Settings.Redirected> = reader.read(
            "redirect", "from_main", .word(), standard: .pass)
        let phones: Placed<Settings.Redirected> = reader.read(
            "redirect", "from_phones", .word(), standard: .pass)
        let trusted = readMachines("redirect", "trusted", countMax: Settings.redirectTrustedMax)
        let total = reader.read("redirect", "max_total", .whole(1...64), standard: 16)
        let perBranch = reader.read("redirect", "max_per_branch", .whole(1...64), standard: 8)
        let depth = reader.read("redirect", "max_depth", .whole(1...16), standard: 3)
        let rules = readRules()
        let otherwise: Placed<Settings.Otherwise> = reader.read(
            "redirect", "otherwise", .word(), standard: .allow)
        let when: Placed<Settings.When> = reader.read(
            "redirect", "when", .word(), standard: .atOnce)
        let cancels = reader.read("redirect", "cancel_others", .yesOrNo, standard: false)
        let diversion = reader.read("redirect", "diversion", .yesOrNo, standard: false)
        let history = reader.read("redirect", "history_info", .yesOrNo, standard: false)
        let server: Placed<Settings.Server> = reader.read(
            "redirect", "server", .word(), standard: .off)
        let contacts: Placed<Settings.Contacts> = reader.read(
            "redirect", "contacts", .word(), standard: .routed)
        return Settings.Redirect(
            fromMain: main.value, fromPhones: phones.value, trusted: trusted,
            totalMax: total.value, perBranchMax: perBranch.value, depthMax: depth.value,
            rules: rules, otherwise: otherwise.value, when: when.value,
            cancelsOthers: cancels.value, writesDiversion: diversion.value,
            writesHistory: history.value, server: server.value, contacts: contacts.value)
    }

    private mutating func readRules() -> [String] {
        let countMax = Settings.redirectRulesMax
        guard
            let elements = reader.list("redirect", "rules", countMax: countMax, of: "rules")
        else { return [] }
        return elements.prefix(countMax).compactMap { element in
            let item = reader.document.items[element]
            let rule = reader.read(
                .toml(item.value), at: reader.place(item.place), named: "redirect.rules",
                .redirectRule, standard: "")
            return rule.isSound ? rule.value : nil
        }
    }
}

extension Form where Value == String {
    /// One rule of a redirect filter.
    fileprivate static let redirectRule: Form = {
        let words = ["scheme", "host", "transport", "user"]
        let allowed =
            "allowed is \"deny\" or \"allow\", then any of scheme=sip, host=203.0.113.0/24, "
            + "transport=udp, user=1900*"
        return .text(allowed) { text in
            do throws(RedirectFilter.Rule.Fault) {
                _ = try RedirectFilter.Rule(text)
                return .success(text)
            } catch {
                switch error {
                case .noAction(let word):
                    let near = suggestion(for: word, among: ["allow", "deny"])
                    return .failure(
                        Fault(
                            "begins with \(quoted(word))", allowed: allowed,
                            suggesting: near.map { "\"\($0)\"" }))
                case .unknown(let word):
                    let name = String(word.prefix { $0 != "=" })
                    return .failure(
                        Fault(
                            "names \(quoted(word))", allowed: allowed,
                            suggesting: suggestion(for: name, among: words).map { "\($0)=" }))
                case .value(let name, let value):
                    return .failure(Fault("has \(name) \(quoted(value))", allowed: allowed))
                case .twice(let name):
                    return .failure(Fault("names \(name) twice", allowed: allowed))
                }
            }
        }
    }()
}
