// swift-tools-version: 6.2
import PackageDescription

let checked: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),  // ~Escapable views returned from inits and getters
    .treatAllWarnings(as: .error),
]
// Sources; tests use `checked`. What is public in one room is inlined into others: the rooms are
// one program, and a call per byte would cost more than its work. (Only `public` is, not `package`;
// so the rooms that are called per byte say `public`. There is no library product to see it.)
let strict =
    checked + [
        .strictMemorySafety(),
        .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
    ]
let careful: [CSetting] = [
    .enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error),
]

/// A room of the house: what it may import stands in `dependencies`; TidyTests holds the same table.
func room(
    _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []
) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

// Fuzzing needs a compiler flag that a dependency may not have, so it is there only when asked for,
// by `Tests/Fuzz/campaign`. What is fuzzed is an ordinary target: its corpus is a test.
let fuzzers: [Target] =
    Context.environment["MIDREG_FUZZ"] == nil
    ? []
    : [
        .executableTarget(
            name: "Fuzz", dependencies: ["FuzzCases"], path: "Tests/Fuzz/Main",
            swiftSettings: checked + [.unsafeFlags(["-parse-as-library"])])
    ]

let package = Package(
    name: "midreg",
    products: [
        .executable(name: "midreg", targets: ["midreg"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(name: "CScan", cSettings: careful),
        .target(name: "CLinux", cSettings: careful),
        .target(name: "CTOML"),

        room("Bytes", ["CScan"]),
        room("Keys", ["Bytes"]),
        room("SIPMessage", ["Bytes"], exclude: ["README.md"]),
        room("Registration", ["SIPMessage", "Keys", "Bytes"]),
        room("Migration", ["Registration", "SIPMessage", "Keys", "Bytes"]),
        room("Forwarding", ["SIPMessage", "Keys", "Bytes"]),
        room("SIPTransaction", ["SIPMessage", "Keys", "Bytes"]),
        room("DigestAuth", ["SIPMessage", "Bytes", "COpenSSL"]),
        room(
            "MidRegistrarCore",
            [
                "Registration", "Forwarding", "SIPTransaction", "DigestAuth", "SIPMessage", "Keys",
                "Bytes",
            ]),
        room("Configuration", ["CTOML", "Bytes", "Forwarding"]),
        room("Transport", ["CLinux", "Bytes"]),
        room("ContactStore", ["CLMDB", "Registration", "Bytes"]),
        room(
            "Telemetry",
            ["MidRegistrarCore", "Bytes", .product(name: "Logging", package: "swift-log")]),
        room(
            "Appliance",
            [
                "Configuration", "Transport", "ContactStore", "Telemetry", "MidRegistrarCore",
                "Migration", "Registration", "Forwarding", "SIPTransaction", "DigestAuth",
                "SIPMessage", "Keys", "Bytes",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ]),
        // It starts midreg through a protocol, so that it can be run against anything.
        room("Demonstration", ["Transport", "DigestAuth", "SIPMessage", "Bytes"]),
        .executableTarget(
            name: "midreg",
            dependencies: [
                "Appliance", "Configuration", "Demonstration", "Migration", "Transport", "Bytes",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: strict),

        .target(name: "CMallocCount", path: "Tests/CMallocCount", cSettings: careful),
        .testTarget(name: "BytesTests", dependencies: ["Bytes"], swiftSettings: checked),
        .testTarget(name: "KeysTests", dependencies: ["Keys", "Bytes"], swiftSettings: checked),
        .testTarget(
            name: "SIPMessageTests", dependencies: ["SIPMessage", "Bytes", "CMallocCount"],
            exclude: ["Torture", "Cases"], swiftSettings: checked),
        .testTarget(
            name: "DigestAuthTests", dependencies: ["DigestAuth", "SIPMessage", "Bytes"],
            swiftSettings: checked),
        .testTarget(
            name: "DemonstrationTests",
            dependencies: ["Demonstration", "Transport", "SIPMessage", "Bytes"],
            swiftSettings: checked),
        .testTarget(
            name: "RegistrationTests",
            dependencies: ["Registration", "SIPMessage", "Keys", "Bytes"],
            swiftSettings: checked),
        .testTarget(
            name: "MigrationTests",
            dependencies: ["Migration", "Registration", "SIPMessage", "Keys", "Bytes"],
            swiftSettings: checked),
        .testTarget(
            name: "ForwardingTests",
            dependencies: ["Forwarding", "SIPMessage", "Keys", "Bytes", "CMallocCount"],
            swiftSettings: checked),
        // The location service without a disk, for all tests that play a worker; optimised in every
        // build like what plays it most.
        .target(
            name: "StoreInMemory", dependencies: ["Registration", "Bytes"],
            path: "Tests/StoreInMemory", swiftSettings: checked + [.unsafeFlags(["-O"])]),
        // One worker between phones and a main registrar that the test plays.
        .target(
            name: "CoreScene",
            dependencies: [
                "StoreInMemory", "MidRegistrarCore", "Registration", "Forwarding", "Keys", "Bytes",
            ], path: "Tests/CoreScene", swiftSettings: checked),
        .testTarget(
            name: "SIPTransactionTests",
            dependencies: ["SIPTransaction", "SIPMessage", "Keys", "Bytes", "CMallocCount"],
            swiftSettings: checked),
        .testTarget(
            name: "MidRegistrarCoreTests",
            dependencies: [
                "CoreScene", "StoreInMemory", "MidRegistrarCore", "Registration", "Forwarding",
                "SIPTransaction", "DigestAuth",
                "SIPMessage", "Keys", "Bytes", "CMallocCount",
            ],
            exclude: ["Peers"], swiftSettings: checked),
        // Plays Tests/Scenarios/*.sipflow.
        .testTarget(
            name: "ScenarioTests",
            dependencies: [
                "CoreScene", "Telemetry", "MidRegistrarCore", "Registration", "Forwarding",
                "Bytes",
            ], swiftSettings: checked),
        .testTarget(
            name: "ConfigurationTests", dependencies: ["Configuration", "Bytes"],
            swiftSettings: checked),
        .testTarget(
            name: "TransportTests", dependencies: ["Transport", "Bytes", "CMallocCount"],
            swiftSettings: checked),
        .testTarget(
            name: "ContactStoreTests",
            dependencies: [
                "ContactStore", "Registration", "SIPMessage", "Keys", "Bytes", "CMallocCount",
            ],
            exclude: ["Previous"], swiftSettings: checked),
        .testTarget(
            name: "TelemetryTests",
            dependencies: [
                "Telemetry", "MidRegistrarCore", "Bytes", "CMallocCount",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: checked),
        .testTarget(
            name: "ApplianceTests",
            dependencies: [
                "Appliance", "Configuration", "ContactStore", "DigestAuth", "Demonstration",
                "SIPMessage", "Transport", "Bytes",
            ],
            swiftSettings: checked),
        // Our parser beside sofia-sip, which is a program of its own and never linked.
        .target(
            name: "Comparing", dependencies: ["SIPMessage", "Bytes"],
            path: "Tests/Differential/Comparison", swiftSettings: checked),
        .executableTarget(
            name: "Differ", dependencies: ["Comparing"], path: "Tests/Differential/Program",
            swiftSettings: checked),
        .testTarget(
            name: "DifferentialTests", dependencies: ["Comparing"], swiftSettings: checked),
        .target(
            name: "FuzzCases",
            dependencies: [
                "MidRegistrarCore", "Registration", "Forwarding", "DigestAuth", "SIPMessage",
                "Keys", "Bytes", "Configuration", "ContactStore", "StoreInMemory",
            ], path: "Tests/Fuzz/Cases", swiftSettings: checked),
        .testTarget(
            name: "FuzzReplayTests", dependencies: ["FuzzCases"], path: "Tests/Fuzz/Replay",
            swiftSettings: checked),
        // What reading a message costs (perf/parse): run by a test and by hand, never shipped.
        .target(name: "CPlainSplit", path: "perf/ParseCost/Reference", cSettings: careful),
        .executableTarget(
            name: "ParseCost",
            dependencies: ["SIPMessage", "Bytes", "CPlainSplit", "CMallocCount"],
            path: "perf/ParseCost/Program", swiftSettings: checked),
        // Optimised in every build: what it plays is the worker, not itself.
        .target(
            name: "Modelling",
            dependencies: [
                "StoreInMemory", "MidRegistrarCore", "Registration", "Forwarding", "Keys", "Bytes",
            ],
            path: "Tests/ModelTests/World", swiftSettings: checked + [.unsafeFlags(["-O"])]),
        .executableTarget(
            name: "Histories", dependencies: ["Modelling"], path: "Tests/ModelTests/Program",
            swiftSettings: checked + [.unsafeFlags(["-parse-as-library"])]),
        .testTarget(
            name: "ModelTests", dependencies: ["Modelling"],
            exclude: ["World", "Program", "Faults", "plant", "README.md"], swiftSettings: checked),
        .testTarget(name: "TidyTests", swiftSettings: checked),
        // SIPMessage for requests that midreg can write and does not send yet.
        .testTarget(
            name: "EndToEndTests", dependencies: ["SIPMessage", "Bytes"], exclude: ["Peers"],
            swiftSettings: checked),
    ] + fuzzers,
    cxxLanguageStandard: .cxx17
)
