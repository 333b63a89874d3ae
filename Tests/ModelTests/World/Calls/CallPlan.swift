import Forwarding
import Registration

/// What kind of history of calls a seed makes.
struct CallPlan {
    enum Mode: String, CaseIterable { case contact, user, addressOfRecord, path }

    let mode: Mode
    let isByQ: Bool
    /// Phones of each AOR.
    let phones: [Int]
    let calls: Int
    /// Calls begin within this time.
    let spanMs: Int
    let lossPercent: Int
    let doublePercent: Int
    let reorderPercent: Int
    let quantumMs: Int
    let restarts: Int
    let moves: Int
    let leaves: Int
    let mischiefs: Int
    let callsMax: Int
    let callBytesMax: Int
    let branchesMax: Int
    let outboxMessages: Int
    /// Phones are called again until they cannot be left ringing.
    let timerCMs: Int
    /// In percent.
    let cancels: Int
    let deafPhones: Int
    let deafCallers: Int

    init(_ chance: inout Chance) {
        mode = chance.pick([.contact, .user, .addressOfRecord, .addressOfRecord, .path])
        isByQ = chance.happens(50)
        let aors = chance.between(1, 2)
        var phones: [Int] = []
        for _ in 0..<aors { phones.append(chance.pick([1, 2, 2, 3, 4, 6])) }
        self.phones = phones
        calls = chance.pick([1, 2, 3, 5, 8, 12])
        spanMs = chance.pick([10, 2_000, 20_000, 120_000])
        lossPercent = chance.pick([0, 0, 0, 2, 10, 30])
        doublePercent = chance.pick([0, 0, 5, 20])
        reorderPercent = chance.pick([0, 0, 5, 20])
        quantumMs = chance.pick([10, 10, 50])
        restarts = chance.pick([0, 0, 0, 0, 1, 2])
        moves = chance.pick([0, 0, 1, 3])
        leaves = chance.pick([0, 0, 0, 1, 2])
        mischiefs = chance.pick([0, 2, 6])
        callsMax = chance.pick([64, 64, 64, 64, 8, 3, 1])
        callBytesMax = chance.pick([1 << 20, 1 << 20, 1 << 20, 1 << 20, 16 << 10, 4 << 10])
        branchesMax = chance.pick([32, 32, 32, 32, 2, 1])
        outboxMessages = chance.pick([256, 256, 256, 256, 256, 10, 3, 2, 1])
        timerCMs = chance.pick([181_000, 181_000, 181_000, 200_000])
        cancels = chance.pick([0, 20, 20, 60])
        deafPhones = chance.pick([0, 5, 20])
        deafCallers = chance.pick([0, 5, 20])
    }

    /// Whether a pool may be full: then a call may be refused, and what could not be kept not repeated.
    var isTight: Bool { callsMax < 64 || callBytesMax < 1 << 20 || outboxMessages < 256 }
    var isForked: Bool { mode == .addressOfRecord }

    var registration: RegistrationMode {
        mode == .addressOfRecord ? .throttleByAOR : .throttleByContact
    }
    var placement: MainContact.Placement {
        switch mode {
        case .contact: .parameter
        case .user: .user
        case .addressOfRecord: .addressOfRecord
        case .path: .path
        }
    }
}
