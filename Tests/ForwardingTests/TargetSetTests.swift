import Bytes
import Forwarding
import SIPMessage
import Testing

@Suite("A target set (RFC 3261 §16.5, §16.6)")
struct TargetSetTests {
    @Test(
        arguments: [
            ([1_000, 1_000, 1_000], ["abc"], ["abc"]),
            ([500, 1_000, 500, 1_000], ["bd", "ac"], ["abcd"]),
            ([0, 1, 1_000], ["c", "b", "a"], ["abc"]),
            ([999, 1_000], ["b", "a"], ["ab"]),
            ([0], ["a"], ["a"]),
        ] as [([UInt16], [String], [String])])
    func `is tried by q, or all at once`(q: [UInt16], byQ: [String], atOnce: [String]) throws {
        for (order, groups) in [(TargetSet.Order.byQ, byQ), (.allAtOnce, atOnce)] {
            var trial = try Trial(order)
            for (place, q) in q.enumerated() { try trial.add(letter(place), q: q) }
            for group in groups {
                #expect(trial.set.isFinished == false)
                #expect(trial.open() == group)
                #expect(trial.open() == "", "while they ring")
                for name in group { trial.finish(String(name)) }
            }
            #expect(trial.open() == "")
            #expect(trial.set.isFinished == true)
        }
    }

    @Test func `waits for the last of a group`() throws {
        var trial = try Trial()
        for (name, q) in [("a", 900), ("b", 900), ("c", 100)] as [(String, UInt16)] {
            try trial.add(name, q: q)
        }
        #expect(trial.open() == "ab")
        trial.finish("b")
        #expect(trial.open() == "")
        trial.finish("a")
        #expect(trial.open() == "c")
    }

    @Test func `takes a redirect at once, by its own q, before what stands lower`() throws {
        var trial = try Trial()
        for (name, q) in [("a", 900), ("b", 900), ("c", 100)] as [(String, UInt16)] {
            try trial.add(name, q: q)
        }
        #expect(trial.open() == "ab")
        // Lower than c in number, but tried at once and while b rings.
        #expect(try trial.follow("d", q: 50, from: "a"))
        #expect(try trial.follow("e", q: 60, from: "a"))
        #expect(try trial.follow("f", q: 60, from: "a"))
        trial.finish("a")
        #expect(trial.open() == "ef")
        trial.finish("b")
        #expect(trial.open() == "")
        // A redirect of a redirect; its chain mates wait for it too.
        #expect(try trial.follow("g", q: 1, from: "e"))
        trial.finish("e")
        trial.finish("f")
        #expect(trial.open() == "g")
        trial.finish("g")
        #expect(trial.open() == "d")
        #expect(trial.open() == "")
        trial.finish("d")
        #expect(trial.open() == "c")
        #expect(trial.depth("c") == 0)
        #expect(trial.depth("d") == 1)
        #expect(trial.depth("g") == 2)
        #expect(trial.set.followedCount == 4)
        trial.finish("c")
        #expect(trial.set.isFinished == true)
    }

    @Test func `takes redirects of two branches beside each other`() throws {
        var trial = try Trial()
        try trial.add("a", q: 1_000)
        try trial.add("b", q: 1_000)
        #expect(trial.open() == "ab")
        #expect(try trial.follow("c", q: 100, from: "a"))
        trial.finish("a")
        #expect(trial.open() == "c")
        #expect(try trial.follow("d", q: 900, from: "b"))
        #expect(try trial.follow("e", q: 800, from: "b"))
        trial.finish("b")
        #expect(trial.open() == "d")
        trial.finish("d")
        #expect(trial.open() == "e")
    }

    @Test(
        arguments: [
            ("sip:b@x.test", .known), ("SIP:b@X.test", .known), ("sip:%62@x.test;k=1", .known),
            ("sip:b@x.test:5060", .added(2)), ("sip:B@x.test", .added(2)),
            ("sips:b@x.test", .added(2)),
            ("sip:b@x.test;transport=tcp", .added(2)),
            ("sip:a@h.test", .known), ("sip:me@own.test", .itself), ("sip:me@own.test;x", .itself),
            ("sip:you@own.test", .added(2)),
        ] as [(String, TargetSet.Addition)])
    func `follows to no URI twice`(uri: String, outcome: TargetSet.Addition) throws {
        var trial = try Trial()
        try trial.add("a", q: 1_000)
        #expect(trial.open() == "a")
        #expect(try trial.follow(uri: "sip:b@x.test", q: 1, from: 0) == .added(1))
        #expect(try trial.follow(uri: uri, q: 1, from: 0) == outcome)
        #expect(trial.set.followedCount == trial.set.count - 1)
    }

    @Test func `has a binding once, and two with one URI`() throws {
        var trial = try Trial()
        let uri = "sip:b@192.168.1.2"
        #expect(try trial.add(uri: uri, q: 1, payload: 7) == .added(0))
        #expect(try trial.add(uri: uri, q: 1, payload: 8) == .added(1))
        #expect(try trial.add(uri: "sip:c@192.168.1.2", q: 1, payload: 7) == .known)
        #expect(trial.set[1].payload == 8)
        #expect(trial.set[1].q == 1)
        // What a redirect led to is no binding, whatever it carries.
        #expect(trial.set.openGroup() == 2)
        _ = trial.set.startNext()
        #expect(try trial.follow(uri: "sip:d@x.test", q: 1, from: 0, payload: 9) == .added(2))
        #expect(try trial.add(uri: uri, q: 1, payload: 9) == .added(3))
        #expect(trial.text(trial.set[2].uri) == "sip:d@x.test")
        #expect(trial.text(trial.set[1].uri) == uri)
    }

    @Test func `stopped, it tries nothing more and takes nothing in`() throws {
        var trial = try Trial()
        for (name, q) in [("a", 900), ("b", 900), ("c", 100)] as [(String, UInt16)] {
            try trial.add(name, q: q)
        }
        #expect(trial.set.openGroup() == 2)
        #expect(trial.set.startNext() == 0)
        trial.set.stop()
        #expect(trial.set.startNext() == nil)
        #expect(trial.set.openGroup() == 0)
        #expect(trial.set.isStopped == true)
        #expect(try trial.follow(uri: "sip:d@x.test", q: 1, from: 0) == .stopped)
        #expect(try trial.add(uri: "sip:e@x.test", q: 1, payload: 999) == .stopped)
        #expect(trial.set.isFinished == false)
        trial.set.finish(0)
        #expect(trial.set.isFinished == true)
    }

    @Test func `has a size, in targets and in bytes`() throws {
        var trial = try Trial(targetsMax: 2)
        #expect(try trial.add(uri: "sip:a@x.test", q: 1, payload: 0) == .added(0))
        #expect(try trial.add(uri: "sip:b@x.test", q: 1, payload: 1) == .added(1))
        #expect(try trial.add(uri: "sip:c@x.test", q: 1, payload: 2) == .full)
        #expect(trial.set.count == 2)
        // 15 bytes of request-URI, 997 of the first, 12 are left.
        var tight = try Trial(bytesMax: 1_024)
        let long = "sip:" + String(repeating: "a", count: 997 - 11) + "@x.test"
        #expect(try tight.add(uri: long, q: 1, payload: 0) == .added(0))
        #expect(try tight.add(uri: "sip:bc@x.test", q: 1, payload: 1) == .full)
        #expect(try tight.add(uri: "sip:b@x.test", q: 1, payload: 1) == .added(1))
        #expect(try tight.add(uri: "sip:b", q: 1, payload: 2) == .full)
    }

    @Test func `is used again, and knows nothing of the request before`() throws {
        var trial = try Trial(targetsMax: 3)
        try trial.add("a", q: 1_000)
        _ = trial.open()
        #expect(try trial.follow("b", q: 1, from: "a"))
        trial.set.stop()
        // Many enough to fill the room for bytes, if it were not given back.
        for _ in 0..<1_000 { try trial.begin("sip:other@own.test", .allAtOnce) }
        #expect(
            trial.set.count == 0 && trial.set.followedCount == 0 && trial.set.isStopped == false)
        #expect(trial.set.isFinished == true)
        #expect(try trial.add(uri: "sip:c@x.test", q: 1, payload: 0) == .added(0))
        #expect(trial.set.openGroup() == 1)
        #expect(trial.set.startNext() == 0)
        #expect(try trial.follow(uri: "sip:b@h.test", q: 1, from: 0) == .added(1))
        #expect(try trial.follow(uri: "sip:me@own.test", q: 1, from: 0) == .added(2))
    }

    @Test func `with 64 bindings has 64 branches`() throws {
        var trial = try Trial(targetsMax: 64, bytesMax: 64 * 128)
        for number in 0..<64 {
            let added = try trial.add(
                uri: "sip:\(number)@x.test", q: UInt16(number / 32), payload: UInt64(number))
            #expect(added == .added(number))
        }
        #expect(trial.set.openGroup() == 32)
        var started = 0
        while let number = trial.set.startNext() {
            #expect(number >= 32)
            trial.set.finish(number)
            started += 1
        }
        #expect(started == 32)
        #expect(trial.set.openGroup() == 32)
    }

    private func letter(_ place: Int) -> String {
        String(decoding: [UInt8(ascii: "a") + UInt8(place)], as: UTF8.self)
    }
}

/// A target set whose targets are called by the user of their URI, which is one letter.
private struct Trial: ~Copyable {
    var set: TargetSet

    init(
        _ order: TargetSet.Order = .byQ, targetsMax: Int = 8, bytesMax: Int = 4_096
    ) throws {
        set = TargetSet(targetsMax: targetsMax, bytesMax: bytesMax)
        try begin("sip:me@own.test", order)
    }

    mutating func begin(_ uri: String, _ order: TargetSet.Order) throws {
        let bytes = Array(uri.utf8)
        let uri = try SIPURI(bytes.span, ByteRange(0, bytes.count))
        set.begin(bytes.span, requestURI: uri, order)
    }

    mutating func add(
        uri: String, q: UInt16, payload: UInt64
    ) throws -> TargetSet.Addition {
        let bytes = Array(("<" + uri + ">").utf8)
        let uri = try SIPURI(bytes.span, ByteRange(1, bytes.count - 1))
        return set.add(bytes.span, uri, q: q, payload: payload)
    }

    mutating func follow(
        uri: String, q: UInt16, from parent: Int, payload: UInt64 = 0
    ) throws -> TargetSet.Addition {
        let bytes = Array(("<" + uri + ">").utf8)
        let uri = try SIPURI(bytes.span, ByteRange(1, bytes.count - 1))
        return set.follow(
            bytes.span, uri, q: q, payload: payload, from: parent, status: 302, .unsaid)
    }

    mutating func add(_ name: String, q: UInt16) throws {
        let payload = UInt64(name.utf8.first ?? 0)
        let added = try add(uri: "sip:\(name)@h.test", q: q, payload: payload)
        #expect(added == .added(set.count - 1))
    }

    mutating func follow(_ name: String, q: UInt16, from parent: String) throws -> Bool {
        let added = try follow(uri: "sip:\(name)@h.test", q: q, from: number(parent) ?? -1)
        return added == .added(set.count - 1)
    }

    /// The names of the next group, all of them started.
    mutating func open() -> String {
        let count = set.openGroup()
        var names = ""
        while let number = set.startNext() { names += name(number) }
        #expect(names.count == count)
        return names
    }

    mutating func finish(_ name: String) {
        guard let number = number(name) else { return }
        set.finish(number)
    }

    func depth(_ name: String) -> UInt16? { number(name).map { set[$0].depth } }

    func text(_ uri: SIPURI) -> String { text(uri.whole) }

    private func text(_ range: ByteRange) -> String {
        let bytes = set.bytes
        return String(decoding: (range.start..<range.end).map { bytes[$0] }, as: UTF8.self)
    }

    private func name(_ number: Int) -> String { text(set[number].uri.user) }

    private func number(_ name: String) -> Int? {
        (0..<set.count).first { self.name($0) == name }
    }
}
