/// The rooms of the house and what each may do; `Sources/README.md` draws them.
enum House {
    /// Who may import whom. A target imports only what stands below it; siblings do not import each
    /// other. `Swift` itself needs no line.
    static let mayImport: [String: Set<String>] = {
        let ground: Set = ["Bytes"]
        let grammar: Set = ["Bytes", "Keys", "SIPMessage"]
        // What the standard library and the kernel offer to the rooms at the rim.
        let system: Set = ["Glibc", "Dispatch", "Synchronization"]
        return [
            "Bytes": ["CScan", "Glibc"],
            "Keys": ground,
            "SIPMessage": ground,
            "Registration": grammar,
            "Migration": grammar.union(["Registration"]),
            "Forwarding": grammar,
            "SIPTransaction": grammar,
            "DigestAuth": ["Bytes", "SIPMessage", "COpenSSL"],
            "MidRegistrarCore": grammar.union([
                "Registration", "Forwarding", "SIPTransaction", "DigestAuth",
            ]),
            "Configuration": ground.union(["CTOML", "Forwarding", "Glibc"]),
            "Transport": ground.union(["CLinux"]).union(system),
            "ContactStore": ground.union(["CLMDB", "Registration"]).union(system),
            "Telemetry": ground.union(["MidRegistrarCore", "Logging"]).union(system),
            "Appliance": grammar.union(system).union([
                "Configuration", "Transport", "ContactStore", "Telemetry", "MidRegistrarCore",
                "Migration", "Registration", "Forwarding", "SIPTransaction", "DigestAuth",
                "Logging", "NIOCore",
                "NIOPosix", "NIOHTTP1",
            ]),
            "Demonstration": ground.union(system).union([
                "Transport", "DigestAuth", "SIPMessage",
            ]),
            "midreg": ground.union([
                "Appliance", "Configuration", "Demonstration", "Migration", "Transport",
                "ArgumentParser",
                "Glibc", "Synchronization",
            ]),
        ]
    }()

    /// Modules that belong to the toolchain and so do not stand in Package.swift.
    static let ofTheToolchain: Set = ["Glibc", "Dispatch", "Synchronization"]

    /// Rooms that take bytes, time and chance as arguments, which makes them replayable from a seed.
    static let pure: Set = [
        "SIPMessage", "Keys", "Registration", "Forwarding", "SIPTransaction", "MidRegistrarCore",
        "Migration",
    ]

    /// Rooms where memory that the compiler cannot check is touched, each time under a comment that
    /// says why it holds.
    static let maySayUnsafe: Set = [
        "Bytes", "Transport", "ContactStore", "Telemetry", "Configuration", "DigestAuth",
    ]
}
