import Bytes
import Glibc
import SIPMessage

/// A stream as it was cut into messages by a framer that got it in pieces.
struct Cut: Equatable, CustomStringConvertible {
    var messages: [[UInt8]] = []
    var pings = 0
    /// Why no more was taken; the offset counts from the stream's begin.
    var refused: SIPParseError?
    /// Whether nothing was left over.
    var isEven = false
    /// How many bytes had arrived at the last step.
    var seen = 0

    /// - Parameters:
    ///   - arrivals: how many bytes have arrived at each look, growing.
    ///   - isPadded: whether the bytes to come lie behind those that have arrived; they must not
    ///     matter.
    init(
        _ stream: [UInt8], arrivals: [Int], isPadded: Bool = false, messagesMax: Int = .max
    ) {
        var framer = StreamFramer()
        var used = 0
        for arrived in arrivals {
            seen = arrived
            var isWaiting = false
            while !isWaiting, messages.count < messagesMax {
                let bytes = stream.span.extracting(used..<(isPadded ? stream.count : arrived))
                switch framer.next(bytes, count: arrived - used) {
                case .needsMore: isWaiting = true
                case .keepAlive(let length, let pings):
                    self.pings += pings
                    used += length
                case .message(let length):
                    messages.append(Array(stream[used..<used + length]))
                    used += length
                case .bad(let error):
                    refused = SIPParseError(error.reason, at: used + error.offset)
                    return
                }
            }
        }
        isEven = used == stream.count
    }

    init(
        _ stream: [UInt8], bytesAtOnce: Int, isPadded: Bool = false, messagesMax: Int = .max
    ) {
        let arrivals = Array(stride(from: bytesAtOnce, to: stream.count, by: bytesAtOnce))
        self.init(
            stream, arrivals: arrivals + [stream.count], isPadded: isPadded,
            messagesMax: messagesMax)
    }

    /// All of it at once.
    init(_ stream: [UInt8], messagesMax: Int = .max) {
        self.init(stream, arrivals: [stream.count], messagesMax: messagesMax)
    }

    static func == (one: Cut, other: Cut) -> Bool {
        one.messages == other.messages && one.pings == other.pings && one.refused == other.refused
            && one.isEven == other.isEven
    }

    var description: String {
        let texts = messages.map { String(decoding: $0, as: UTF8.self) }
        let error = refused.map { "\($0.reason) at \($0.offset)" } ?? "nothing"
        return "\(texts), \(pings) pings, refused \(error), even \(isEven)"
    }
}

/// Makes well-formed messages with a Content-Length, the same from the same seed.
struct MessageMaker {
    private var generator: RobustnessTests.Generator

    init(seed: UInt64) {
        generator = RobustnessTests.Generator(state: seed &* 0x9E37_79B9_7F4A_7C15)
    }

    mutating func below(_ bound: Int) -> Int { generator.below(bound) }

    mutating func any(_ texts: [String]) -> String { texts[below(texts.count)] }

    mutating func message() -> [UInt8] {
        let method = any(["REGISTER", "INVITE", "OPTIONS", "x-New.Method%41"])
        let start = any(["\(method) sip:u@example.test SIP/2.0", "SIP/2.0 200 O K", "SIP/2.0 100 "])
        let body = self.body()
        let length = any(["Content-Length", "CONTENT-length", "l", "L"])
        let zeros = String(repeating: "0", count: below(3))
        var fields = [
            "\(any(["Via", "v"]))\(colon())SIP/2.0/TCP 192.0.2.7:5062;branch=z9hG4bK\(below(999))",
            "\(any(["From", "f"]))\(colon())\"l: 9\\\u{1}\\\"\" <sip:a@example.test>;tag=1",
            "\(any(["To", "t"]))\(colon())<sip:b@example.test>",
            "\(any(["Call-ID", "i"]))\(colon())\(below(1 << 20))@192.0.2.7",
            "CSeq\(colon())\(below(1 << 30))\(space())\(method)",
            "\(length)\(colon())\(zeros)\(body.count)\(any(["", " ", "\r\n ", "\r\n\t\r\n "]))",
        ]
        for _ in 0..<below(6) {
            let names = ["X", "Subject", "Content-Type", "Lx", "C", "Content-Lengths", "Accept"]
            let values = ["", "a", "l: 7", "\\\\", "\u{41F}\u{E9}", "1\r\n 2\r\n\tl: 5", "\"\\\""]
            let name = "\(any(names))\(below(99))"
            fields.insert("\(name)\(colon())\(any(values))", at: below(fields.count + 1))
        }
        // Any order is as good as any other.
        for at in fields.indices { fields.swapAt(at, below(fields.count)) }
        return Array(Sample.text([start] + fields).utf8) + body
    }

    private mutating func body() -> [UInt8] {
        var body: [UInt8] = []
        for _ in 0..<below(4) {
            switch below(3) {
            case 0: body += [13, 10, 13, 10]
            case 1: body += "REGISTER sip:h SIP/2.0\r\nl: 4\r\n\r\n".utf8
            default: for _ in 0..<below(90) { body.append(UInt8(below(256))) }
            }
        }
        return body
    }

    private mutating func colon() -> String {
        any([":", ": ", " :", "\t : \t", ":\r\n ", ": \r\n\t"])
    }
    private mutating func space() -> String { any([" ", "\t", "  ", "\r\n ", " \r\n\t "]) }
}

/// CPU time of this thread.
func threadNanoseconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}
