import Foundation

/// Asks again and again until the answer is not `nil`, or the deadline is over.
///
/// The programs under test give no other sign that they have done something than what can be read
/// of them, so end-to-end tests poll; a deadline is generous, since a loaded machine is slow.
func eventually<Answer>(
    within limit: Duration = .seconds(20), every step: Duration = .milliseconds(50),
    _ what: String, _ ask: () async throws -> Answer?
) async throws -> Answer {
    let deadline = ContinuousClock.now + limit
    while true {
        if let answer = try await ask() { return answer }
        if ContinuousClock.now >= deadline { throw HarnessError("not within \(limit): \(what)") }
        try await Task.sleep(for: step)
    }
}

/// Waits until `holds` does.
func until(
    within limit: Duration = .seconds(20), _ what: String, _ holds: () async throws -> Bool
) async throws {
    _ = try await eventually(within: limit, what) { try await holds() ? true : nil }
}
