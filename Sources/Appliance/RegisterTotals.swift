internal import MidRegistrarCore
internal import Telemetry

/// What became of all REGISTERs since the start.
package struct RegisterTotals: Equatable, Sendable {
    package let absorbed: UInt64
    package let relayed: UInt64
    package let rejected: UInt64
    /// Responses that arrived, whatever they answer.
    package let responses: UInt64

    /// Those that were decided; copies of what was heard last are not among them.
    package var decided: UInt64 { absorbed &+ relayed &+ rejected }
}

extension RunningAppliance {
    package var registerTotals: RegisterTotals {
        let workers = figures
        return RegisterTotals(
            absorbed: workers.total(.registerAbsorbed), relayed: workers.total(.registerRelayed),
            rejected: workers.total(.registerRejected),
            responses: workers.total(.receivedResponses))
    }
}
