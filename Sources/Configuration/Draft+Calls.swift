internal import Bytes

// What a call may do, and how many there may be.
extension Draft {
    mutating func readCalls() -> Settings.Calls {
        let strangers: Placed<Settings.Strangers> = reader.read(
            "calls", "strangers", .word(), standard: .refuse,
            flag: ("--strangers", overrides.strangers))
        let fork: Placed<Settings.Fork> = reader.read("calls", "fork", .word(), standard: .byQ)
        let branches = reader.read("calls", "branches", .whole(1...64), standard: 32)
        // Timer C is longer than three minutes (RFC 3261 §16.6 step 11).
        let ring = reader.read("calls", "ring", .seconds(181...3_600), standard: 181)
        let fix = reader.read("calls", "fix_contact", .yesOrNo, standard: false)
        let reasonFromMain: Placed<Settings.Reason> = reader.read(
            "calls", "reason_from_main", .word(), standard: .pass)
        let reasonFromPhones: Placed<Settings.Reason> = reader.read(
            "calls", "reason_from_phones", .word(), standard: .replace)
        let qualify: Placed<Settings.Qualify> = reader.read(
            "calls", "qualify", .word(), standard: .forward)
        return Settings.Calls(
            strangers: strangers.value, fork: fork.value, branchesMax: branches.value,
            ringSeconds: ring.value, fixesContacts: fix.value,
            reasonFromMain: reasonFromMain.value, reasonFromPhones: reasonFromPhones.value,
            local: readLocalMethods(), qualify: qualify.value)
    }

    private mutating func readLocalMethods() -> [Settings.LocalMethod] {
        let countMax = Settings.LocalMethod.allCases.count
        guard let elements = reader.list("calls", "local", countMax: countMax, of: "methods") else {
            return []
        }
        var methods: [Settings.LocalMethod] = []
        for element in elements.prefix(countMax) {
            let item = reader.document.items[element]
            let place = reader.place(item.place)
            let form: Form<Settings.LocalMethod> = .word()
            let method = reader.read(
                .toml(item.value), at: place, named: "calls.local", form, standard: .message)
            guard method.isSound else { continue }
            if methods.contains(method.value) {
                reader.warn(
                    at: place, "calls.local names \(item.shownText) twice",
                    advice: "once is enough")
            } else {
                methods.append(method.value)
            }
        }
        return methods
    }

    mutating func readLimits() -> Settings.Limits {
        let bindings = reader.read(
            "limits", "bindings", .whole(1_000...50_000_000), standard: 1_000_000)
        let calls = reader.read("limits", "calls", .whole(100...5_000_000), standard: 100_000)
        let callBytes = reader.read(
            "limits", "call_memory", .size(16 << 20...64 << 30), standard: 1 << 30)
        return Settings.Limits(
            bindingsMax: bindings.value, callsMax: calls.value, callBytesMax: callBytes.value)
    }
}
