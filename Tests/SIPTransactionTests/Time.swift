import Bytes

func at(_ ms: UInt64) -> Instant { Instant(milliseconds: ms) }

/// What a machine does when it is left alone: each time with its action. It is looked at at each
/// moment it names, and a millisecond before, when it must do nothing.
func happenings<Action: Equatable>(
    until end: UInt64, _ first: Instant, _ fire: (Instant) -> Action, _ next: () -> Instant
) -> [String] {
    var list: [String] = []
    var due = first
    while due <= at(end) {
        if due > at(0) {
            let early = fire(at(due.milliseconds - 1))
            if "\(early)" != "nothing" { list.append("early: \(early)") }
        }
        list.append("\(due.milliseconds) \(fire(due))")
        guard next() > due else { return list + ["stands still"] }
        due = next()
    }
    return list
}
