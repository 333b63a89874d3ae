import Foundation

/// sipp with one of the scenarios in Peers.
enum Sipp {
    /// Registers users `u1` to `u<count>` of users.csv; exit 0 only if every call went by the book.
    static func phones(
        _ scenario: String, count: Int = 3, at server: Endpoint, in folder: Folder
    ) async throws -> Outcome {
        try await run(
            base(scenario, server, host: "127.0.0.1", in: folder) + [
                "-inf", Peers.path("users.csv"), "-m", "\(count)", "-r", "10",
            ], within: .seconds(40))
    }

    /// Starts a call of a second to `user` at the registrar; it hangs up by itself.
    ///
    /// A response that the scenario does not await is passed over: Kamailio's two processes may let
    /// the 200 overtake the 180, and sipp would end such a call with a BYE to the Request-URI of its
    /// INVITE instead of the phone's Contact. What is awaited and never comes ends it after 20 s.
    static func startCall(
        to user: String, at registrar: Endpoint, host: String = "127.0.0.1", prefix: [String] = [],
        in folder: Folder
    ) throws -> Child {
        let media = try Ports.take(4)
        return try Child(
            prefix + base("call.xml", registrar, host: host, in: folder) + [
                "-s", user, "-mi", host, "-mp", "\(media)", "-m", "1",
                "-default_behaviors", "all,-abortunexp",
            ], log: folder("sipp-call-\(user).log"))
    }

    private static func base(
        _ scenario: String, _ server: Endpoint, host: String, in folder: Folder
    ) throws -> [String] {
        [
            "sipp", "\(server)", "-sf", Peers.path(scenario), "-i", host, "-p",
            "\(try Ports.take())", "-nostdin", "-timeout", "20s", "-timeout_error",
            "-trace_err", "-error_file", folder("\(scenario).err"),
        ]
    }
}
