public import Keys

/// The ways to a contact: its live flows, the one whose phone was heard of last first (RFC 5626 §7
/// wants no two of them tried at once).
public struct LiveFlows: BitwiseCopyable, Sendable {
    private var places = InlineArray<4, BindingIndex>(repeating: BindingIndex(0))
    public private(set) var count = 0

    /// - Precondition: `number` is below ``count``.
    public subscript(number: Int) -> BindingIndex {
        precondition(number < count, "the flow is there")
        return places[number]
    }

    /// The one to try first.
    public var newest: BindingIndex? { count > 0 ? places[0] : nil }

    /// Puts a place at a rank; the last one makes room if there are too many.
    fileprivate mutating func insert(_ place: BindingIndex, at rank: Int) {
        guard rank < RegistrationLimits.flowsPerContactMax else { return }
        count = min(count + 1, RegistrationLimits.flowsPerContactMax)
        var at = count - 1
        while at > rank {
            places[at] = places[at - 1]
            at -= 1
        }
        places[rank] = place
    }
}

extension BindingTable {
    /// The flows by which the contact with an ID is reached, newest first; of two that were heard of
    /// at the same moment, the one bound later.
    ///
    /// - Parameter includingUnreachable: those too whose phone has stopped to answer pings.
    public func liveFlows(
        of id: ContactID, includingUnreachable: Bool = false
    ) -> LiveFlows {
        var flows = LiveFlows()
        guard let any = find(id) else { return flows }
        var next = first(of: self[any].aor)
        while let place = next {
            next = self.next(after: place)
            guard self.id(place) == id, isLive(place) else { continue }
            let binding = self[place]
            guard includingUnreachable || !binding.isUnreachable else { continue }
            var rank = 0
            while rank < flows.count {
                let other = self[flows[rank]]
                guard
                    (other.lastHeard, other.arrival, other.record)
                        >= (binding.lastHeard, binding.arrival, binding.record)
                else { break }
                rank += 1
            }
            flows.insert(place, at: rank)
        }
        return flows
    }
}
