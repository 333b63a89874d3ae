import Bytes
import Forwarding
import SIPMessage
import Testing

@Suite("A target set (RFC 3261 §16.5)")
struct TargetSetTests {
    private static let own = Array("sip:me@own.test".utf8)

    private static func set(targetsMax: Int = 8, bytesMax: Int = 4_096) throws -> TargetSet {
        var set = TargetSet(targetsMax: targetsMax, bytesMax: bytesMax)
        set.begin(own.span, requestURI: try SIPURI(own.span, ByteRange(0, own.count)))
        return set
    }

    private static func followed(_ depth: UInt8 = 1, by parent: UInt16 = 1) -> Target.Origin {
        var origin = Target.Origin()
        (origin.parent, origin.depth, origin.status) = (parent, depth, 302)
        return origin
    }

    @discardableResult
    private func add(
        _ text: String, _ set: inout TargetSet, number: UInt16 = 0
    ) throws -> Bool {
        let bytes = Array(text.utf8)
        let uri = try SIPURI(bytes.span, ByteRange(0, bytes.count))
        return set.add(bytes.span, uri, number: number, Target.Origin())
    }

    private func follow(_ text: String, _ set: inout TargetSet) throws -> TargetSet.Addition {
        let bytes = Array(text.utf8)
        let uri = try SIPURI(bytes.span, ByteRange(0, bytes.count))
        return set.follow(bytes.span, uri, q: 500, Self.followed())
    }

    @Test func `takes bindings as they are, and of redirects no URI twice`() throws {
        var set = try Self.set()
        try add("sip:b@192.0.2.1:5060", &set, number: 1)
        try add("sip:b@192.0.2.1:5060", &set, number: 2)
        #expect(set.count == 2 && set.followedCount == 0)
        let steps: [(String, TargetSet.Addition)] = [
            ("sip:c@x.test", .added), ("sip:c@x.test", .known), ("sip:%63@X.test", .known),
            ("sip:%62@192.0.2.1:5060", .known), ("sip:me@own.test", .itself),
            ("sip:c@x.test;transport=tcp", .added), ("sip:c@x.test:5061", .added),
        ]
        for (text, outcome) in steps {
            #expect(try follow(text, &set) == outcome, "\(text)")
        }
        #expect(set.count == 5 && set.followedCount == 3)
        #expect(set[2].q == 500 && set[2].origin.status == 302 && set[2].number == 0)
    }

    @Test func `finds a target by its branch`() throws {
        var set = try Self.set()
        try add("sip:a@x.test", &set)
        try add("sip:b@x.test", &set, number: 7)
        #expect(set.place(ofBranch: 7) == 1)
        #expect(set.place(ofBranch: 1) == nil)
        #expect(set.place(ofBranch: 0) == nil)
    }

    @Test func `has a size, in targets and in bytes`() throws {
        var set = try Self.set(targetsMax: 2)
        #expect(try follow("sip:a@x.test", &set) == .added)
        #expect(try add("sip:b@x.test", &set))
        #expect(try follow("sip:c@x.test", &set) == .full)
        #expect(try follow("sip:a@x.test", &set) == .known)
        #expect(try add("sip:d@x.test", &set) == false)

        var narrow = try Self.set(bytesMax: MessageIndex.uriBytesMax)
        let long = MessageIndex.uriBytesMax - Self.own.count
        let host = "sip:" + String(repeating: "a", count: long - 4)
        #expect(try follow(host + "a", &narrow) == .full)
        #expect(try follow(host, &narrow) == .added)
        #expect(try follow("sip:b", &narrow) == .full)
    }

    @Test func `is used again, and knows nothing of the request before`() throws {
        var set = try Self.set()
        #expect(try follow("sip:a@x.test", &set) == .added)
        let other = Array("sip:you@own.test".utf8)
        set.begin(other.span, requestURI: try SIPURI(other.span, ByteRange(0, other.count)))
        #expect(set.count == 0 && set.followedCount == 0)
        #expect(try follow("sip:a@x.test", &set) == .added)
        #expect(try follow("sip:me@own.test", &set) == .added)
        #expect(try follow("sip:you@own.test", &set) == .itself)
    }
}
