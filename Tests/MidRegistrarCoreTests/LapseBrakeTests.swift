import Bytes
import CoreScene
import MidRegistrarCore
import Registration
import Testing

@Suite("When many phones fall silent at once")
struct LapseBrakeTests {
    /// Phones that stay, and phones that lapse 600 s after `start`, or one each `spacing` ms later.
    private func scene(
        staying: Int, lapsing: Int, spacing: UInt64 = 0
    ) -> (scene: Scene, phones: [Phone]) {
        let scene = Scene()
        for number in 0..<staying {
            var phone = Self.phone("s\(number)", 1_000 + number)
            scene.register(&phone, expires: 3_000)
        }
        var phones: [Phone] = []
        for number in 0..<lapsing {
            var phone = Self.phone("l\(number)", 10_000 + number)
            scene.register(&phone, expires: 600)
            phones.append(phone)
            scene.now += spacing
        }
        scene.advance(ms: 599_000 - spacing * UInt64(lapsing), step: 10_000)
        #expect(scene.counter(.bindingsExpired) == 0)
        return (scene, phones)
    }

    private static func phone(_ user: String, _ port: Int) -> Phone {
        Phone(user: user, contact: "<sip:\(user)@192.0.2.1:\(port)>", callID: "\(user)@p")
    }

    @Test(arguments: [
        // Five per cent are 20 of 400; fewer than 20 never are too many.
        (380, 20, false), (379, 20, true), (81, 19, false), (0, 19, false), (0, 20, true),
        (380, 21, true),
    ])
    func `removals wait beyond five per cent, and twenty`(
        staying: Int, lapsing: Int, waits: Bool
    ) {
        let scene = scene(staying: staying, lapsing: lapsing).scene
        scene.advance(ms: 5_000, step: 250)
        #expect(scene.counter(.bindingsExpired) == UInt64(lapsing))
        #expect((scene.counter(.ownRemovalSent) == 0) == waits)
        #expect(scene.events.filter { $0.kind == .massLapse }.count == (waits ? 1 : 0))
        #expect(scene.counter(.ownRemovalBraked) == (waits ? UInt64(lapsing) : 0))
        // A minute later whoever has not come back is removed.
        scene.advance(ms: 50_000, step: 500)
        #expect((scene.counter(.ownRemovalSent) == 0) == waits)
        scene.advance(ms: 12_000, step: 500)
        #expect(scene.counter(.ownRemovalSent) >= UInt64(lapsing))
    }

    @Test func `a phone that comes back is not removed`() {
        var (scene, phones) = scene(staying: 0, lapsing: 30)
        scene.advance(ms: 2_000, step: 250)
        for number in 0..<29 { scene.register(&phones[number]) }
        #expect(scene.gauge(.bindings) == 29)
        let sent = scene.advance(ms: 70_000, step: 500)
        #expect(Set(sent.map { $0.first("To") }) == ["<sip:l29@example.test>"])
        #expect(scene.counter(.ownRemovalBraked) == 30)
    }

    @Test func `lapses that are further apart than ten seconds are not many`() {
        // Nineteen in any ten seconds.
        let scene = scene(staying: 0, lapsing: 60, spacing: 530).scene
        scene.advance(ms: 40_000, step: 250)
        #expect(scene.counter(.bindingsExpired) == 60)
        #expect(scene.counter(.ownRemovalBraked) == 0)
        #expect(scene.counter(.ownRemovalSent) == 60)
    }

    @Test func `what lapses later waits its own minute, and all are one event`() {
        let scene = scene(staying: 0, lapsing: 60, spacing: 400).scene
        // All have lapsed after 24 s, the first of them is due for removal after 69 s.
        var removed = Set(scene.advance(ms: 60_000, step: 250).map { $0.first("To") })
        #expect(scene.counter(.bindingsExpired) == 60)
        #expect(removed.count < 20)
        #expect(scene.counter(.ownRemovalBraked) == UInt64(60 - removed.count))
        removed.formUnion(scene.advance(ms: 30_000, step: 250).map { $0.first("To") })
        #expect(removed.count == 60)
        #expect(scene.events.filter { $0.kind == .massLapse }.count == 1)
    }

    @Test func `keeps the worker asleep meanwhile`() {
        let scene = scene(staying: 0, lapsing: 30).scene
        scene.advance(ms: 3_000, step: 250)
        #expect(scene.nextTimer > scene.now)
    }

    @Test func `a contact that makes room for another has not fallen silent`() {
        let scene = Scene(
            Scene.options {
                $0.overflow = .replaceOldest
                $0.contactsMax = 1
            })
        for number in 0..<40 {
            var phone = Self.phone("u", 1_000 + number)
            phone.callID = "c\(number)@p"
            scene.register(&phone)
        }
        #expect(scene.counter(.bindingsReplaced) == 39)
        #expect(!scene.events.contains { $0.kind == .massLapse })
        #expect(scene.counter(.ownRemovalBraked) == 0)
    }
}
