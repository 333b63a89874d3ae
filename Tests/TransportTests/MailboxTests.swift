import Bytes
import Glibc
import Synchronization
import Testing
import Transport

/// Numbers that look random and are the same in each run (SplitMix64).
private struct Sequence64 {
    var state: UInt64

    mutating func next(below bound: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((z ^ (z >> 31)) % UInt64(bound))
    }
}

@Suite("Mailbox: a ring from one worker to another")
struct MailboxTests {
    let wakeup: Wakeup
    let mailbox: Mailbox
    /// Bytes of which any part differs from its neighbours.
    let pool: [UInt8] = (0..<70_000).map { UInt8(truncatingIfNeeded: ($0 &* $0) >> 3 ^ $0) }

    init() throws {
        wakeup = try Wakeup()
        mailbox = Mailbox(bytes: Mailbox.bytesMin, wakeup: wakeup)
    }

    private func push(_ number: Int, _ count: Int) -> Bool {
        let start = number % 4_000
        return mailbox.push(
            kind: UInt8(truncatingIfNeeded: number), socket: UInt16(truncatingIfNeeded: number),
            peer: TransportAddress(high: UInt64(number), low: 3, port: UInt16(number & 0xFFFF)),
            arrivalNs: UInt64(number) << 20, bytes: pool.span.extracting(start..<(start + count)),
            count: count)
    }

    private enum Taken { case nothing, asPushed, damaged }

    /// Takes the next message and compares it with the one that `push` made of the same numbers.
    private func take(_ number: Int, _ count: Int) -> Taken {
        var matches = false
        let there = mailbox.withNext { mail, bytes in
            let start = number % 4_000
            let peer = TransportAddress(
                high: UInt64(number), low: 3, port: UInt16(number & 0xFFFF))
            matches =
                mail.kind == UInt8(truncatingIfNeeded: number)
                && mail.socket == UInt16(truncatingIfNeeded: number) && mail.peer == peer
                && mail.arrivalNs == UInt64(number) << 20 && mail.count == count
            guard matches, bytes.count == count + 64 else {
                matches = false
                return
            }
            let pushed = ByteRange(start, start + count)
            matches = bytes.same(ByteRange(0, count), as: pool.span, pushed)
            // The padding may hold anything, but reading it is no race with the producer.
            for at in stride(from: count, to: count + 64, by: 8) { _ = bytes.load64(at: at) }
        }
        return there ? (matches ? .asPushed : .damaged) : .nothing
    }

    private func takes(_ number: Int, _ count: Int) -> Bool { take(number, count) == .asPushed }

    @Test func `gives nothing while nothing is in it`() {
        #expect(!mailbox.withNext { _, _ in })
        #expect(push(1, 10))
        #expect(takes(1, 10))
        #expect(!mailbox.withNext { _, _ in })
    }

    @Test func `takes messages of every length up to the largest`() {
        for count in [0, 1, 63, 64, 65, 550, 4_096, 65_534, 65_535] {
            #expect(push(count, count))
            #expect(takes(count, count))
        }
    }

    @Test func `refuses what does not fit and keeps all that it took`() {
        var taken = 0
        while push(taken, 900) { taken += 1 }
        // 64 head, 900 bytes, 64 padding: 1,028 bytes in lines of 64.
        #expect(taken == Mailbox.bytesMin / 1_088)
        #expect(!push(taken, 900))
        for number in 0..<taken { #expect(takes(number, 900)) }
        #expect(!mailbox.withNext { _, _ in })
        #expect(push(5, 900))
        #expect(takes(5, 900))
    }

    @Test func `has room for the largest message when empty, wherever it stands`() {
        for line in 0..<(Mailbox.bytesMin / 64 + 1) {
            guard push(line, 65_535), takes(line, 65_535), push(line, 0), takes(line, 0) else {
                Issue.record("no room at step \(line)")
                return
            }
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `keeps order and bytes over many laps, whatever the lengths`(seed: UInt64) {
        var random = Sequence64(state: seed)
        var waiting: [(number: Int, count: Int)] = []
        var first = 0
        var refused = 0
        for number in 0..<20_000 {
            let large = random.next(below: 10) == 0
            let count = random.next(below: large ? 65_536 : 1_500)
            if push(number, count) {
                waiting.append((number: number, count: count))
            } else {
                refused += 1
            }
            for _ in 0..<random.next(below: 3) where first < waiting.count {
                guard takes(waiting[first].number, waiting[first].count) else {
                    Issue.record("message \(waiting[first]) is not itself")
                    return
                }
                first += 1
            }
        }
        #expect(refused > 0 && first > 1_000)
        for (number, count) in waiting[first...] { #expect(takes(number, count)) }
        #expect(!mailbox.withNext { _, _ in })
    }

    @Test func `rings once per flush, and only for something new`() throws {
        var poll = try EventPoll()
        try poll.add(wakeup.fd, tag: 4)
        mailbox.flush()
        #expect(try poll.wait(timeoutMs: 0) == 0)
        #expect(push(1, 1) && push(2, 1))
        #expect(try poll.wait(timeoutMs: 0) == 0)
        mailbox.flush()
        #expect(try poll.wait(timeoutMs: 0) == 1)
        #expect(poll.tag(of: 0) == 4)
        wakeup.drain()
        mailbox.flush()
        #expect(try poll.wait(timeoutMs: 0) == 0)
    }

    @Test func `carries a million messages between two threads unharmed`() throws {
        let total = 1_000_000
        let length = { @Sendable (number: Int) in
            number % 500 == 0 ? 65_535 : (number &* 7_919) % 1_200
        }
        let taken = Count()
        let over = Count()
        let consumer = try WorkerThread(name: "consumer") {
            defer { over.value.store(1, ordering: .releasing) }
            guard var poll = try? EventPoll(), (try? poll.add(wakeup.fd, tag: 0)) != nil else {
                return
            }
            var number = 0
            while number < total {
                guard let events = try? poll.wait(timeoutMs: 20_000), events > 0 else { return }
                wakeup.drain()
                while number < total {
                    let next = take(number, length(number))
                    if next == .nothing { break }
                    guard next == .asPushed else { return }
                    number += 1
                    taken.value.store(number, ordering: .relaxed)
                }
            }
        }
        let producer = try WorkerThread(name: "producer") {
            for number in 0..<total {
                while !push(number, length(number)) {
                    mailbox.flush()
                    sched_yield()
                    if over.value.load(ordering: .acquiring) > 0 { return }
                }
                if number % 32 == 31 { mailbox.flush() }
            }
            mailbox.flush()
        }
        producer.join()
        consumer.join()
        #expect(taken.value.load(ordering: .acquiring) == total)
    }
}

/// A number that two threads share.
private final class Count: Sendable {
    let value = Atomic<Int>(0)
}
