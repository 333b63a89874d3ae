import CoreScene
import MidRegistrarCore
import Registration
import Testing

/// A phone's grant, its interval between refreshes and the lifetime at the main registrar, all in
/// seconds; and of how many refreshes one is relayed, `ceil((lifetime - grant - guard) / interval)`.
struct AbsorbRow: CustomTestStringConvertible, Sendable {
    let grant: Int
    let interval: Int
    let lifetime: UInt32
    let cycle: Int
    /// Thousandths of all messages of the phone that are absorbed, without and with challenges.
    let share: Int
    let challengedShare: Int

    var testDescription: String { "\(grant) s every \(interval) s against \(lifetime) s" }

    static let all = [
        AbsorbRow(
            grant: 60, interval: 50, lifetime: 3_600, cycle: 68, share: 985, challengedShare: 971),
        AbsorbRow(
            grant: 60, interval: 50, lifetime: 7_200, cycle: 136, share: 993, challengedShare: 985),
        AbsorbRow(
            grant: 300, interval: 270, lifetime: 3_600, cycle: 12, share: 917, challengedShare: 846),
        AbsorbRow(
            grant: 600, interval: 540, lifetime: 3_600, cycle: 6, share: 833, challengedShare: 714),
        AbsorbRow(
            grant: 3_600, interval: 3_240, lifetime: 3_600, cycle: 1, share: 0, challengedShare: 0),
    ]
}

@Suite("The share of REGISTERs that the main registrar never sees")
struct AbsorbShareTests {
    /// What a phone sent, and what of it went where.
    struct Tally: Equatable {
        var absorbed = 0
        var relayed = 0
    }

    /// Refreshes of one phone over whole cycles; its first registration is not counted.
    private func tally(
        _ row: AbsorbRow, _ mode: RegistrationMode, isChallenged: Bool, cycles: Int
    ) -> Tally {
        let scene = Scene(
            Scene.options { options in
                options.mode = mode
                options.mainSeconds = row.lifetime
                options.maxSeconds = UInt32(row.grant)
            })
        var phone = Phone()
        scene.register(&phone, expires: row.grant)
        var tally = Tally()
        for _ in 0..<row.cycle * cycles {
            scene.advance(ms: UInt64(row.interval) * 1_000, step: 10_000)
            var sent = scene.send(
                phone.register(expires: row.grant, authorized: !isChallenged), from: phone.from)
            if isChallenged, let relayed = sent.first, relayed.to == mainServer {
                tally.relayed += 1
                let refusal = answer(relayed, 401, reason: "Unauthorized")
                let told = scene.send(refusal, from: mainServer, socket: mainSocket)
                #expect(told.first?.code == 401)
                sent = scene.send(phone.register(expires: row.grant), from: phone.from)
            }
            if let relayed = sent.first, relayed.to == mainServer {
                tally.relayed += 1
                sent = scene.send(answer(relayed), from: mainServer, socket: mainSocket)
            } else {
                tally.absorbed += 1
            }
            #expect(sent.count == 1)
            #expect(sent.first?.code == 200)
            #expect(sent.first?.expires("alice@192.0.2.1") == row.grant)
        }
        return tally
    }

    private func thousandths(_ tally: Tally) -> Int {
        let sum = tally.absorbed + tally.relayed
        return (tally.absorbed * 2_000 + sum) / (2 * sum)
    }

    @Test(arguments: AbsorbRow.all, [RegistrationMode.throttleByContact, .throttleByAOR])
    func `is all but one of a cycle`(row: AbsorbRow, mode: RegistrationMode) {
        let tally = tally(row, mode, isChallenged: false, cycles: 3)
        #expect(tally == Tally(absorbed: 3 * (row.cycle - 1), relayed: 3))
        #expect(thousandths(tally) == row.share)
    }

    @Test(arguments: AbsorbRow.all, [RegistrationMode.throttleByContact, .throttleByAOR])
    func `costs one message more a cycle where the main registrar challenges`(
        row: AbsorbRow, mode: RegistrationMode
    ) {
        let tally = tally(row, mode, isChallenged: true, cycles: 3)
        #expect(tally == Tally(absorbed: 3 * (row.cycle - 1), relayed: 6))
        #expect(thousandths(tally) == row.challengedShare)
    }

    @Test func `is nothing where everything is mirrored`() {
        let row = AbsorbRow.all[0]
        #expect(
            tally(row, .mirror, isChallenged: false, cycles: 1)
                == Tally(absorbed: 0, relayed: row.cycle))
    }
}
