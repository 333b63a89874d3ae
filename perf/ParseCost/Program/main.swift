import Bytes
import CMallocCount
import CPlainSplit
import Glibc
import SIPMessage

// ParseCost SAMPLE WORK COUNT: does the work on the sample COUNT times and prints
// `bytes nanoseconds-of-CPU mallocs check`. perf/parse runs it by the clock and under callgrind.

enum Work: String {
    /// The index, and the values that every request must have (RFC 3261 §8.1.1), typed and validated.
    case mandatory
    /// These, and a REGISTER's Contact and Expires.
    case read
    /// The index alone.
    case index
    /// The plain C splitter on the same bytes.
    case plain
}

@inline(never)
func index(
    _ bytes: Span<UInt8>, _ length: Int, _ parser: MessageParser, _ index: inout MessageIndex
) -> Int {
    parser.parse(bytes, length: length, into: &index) == .message ? index.count : 0
}

/// Via, From, To, Call-ID, CSeq and Max-Forwards as numbers and ranges.
@inline(never)
func mandatory(
    _ bytes: Span<UInt8>, _ length: Int, _ parser: MessageParser, _ index: inout MessageIndex
) throws(SIPParseError) -> Int {
    guard parser.parse(bytes, length: length, into: &index) == .message,
        let fromValue = index.value(.from), let toValue = index.value(.to),
        let callID = index.value(.callID), let forwards = index.value(.maxForwards)
    else { return 0 }
    let via = try index.topVia(bytes)
    var check = via.branch.count + via.host.count + Int(via.port) + (via.hasRport ? 1 : 0)

    let from = try NameAddress(bytes, from: fromValue.start, to: fromValue.end)
    let fromURI = try SIPURI(bytes, from.uri)
    let to = try NameAddress(bytes, from: toValue.start, to: toValue.end)
    let toURI = try SIPURI(bytes, to.uri)
    check += fromURI.user.count + fromURI.host.count + toURI.user.count + toURI.host.count
    check += from.tag.count + to.tag.count

    check += callID.count + Int(index.sequenceNumber)
    check += Int(try bytes.number(in: forwards, max: 255))
    return check
}

/// The mandatory values, and Contact and Expires.
@inline(never)
func read(
    _ bytes: Span<UInt8>, _ length: Int, _ parser: MessageParser, _ index: inout MessageIndex
) throws(SIPParseError) -> Int {
    var check = try mandatory(bytes, length, parser, &index)
    var contacts = AddressCursor(.contact, of: index)
    while let contact = try contacts.next(bytes, index) {
        let uri = try SIPURI(bytes, contact.uri)
        check += uri.user.count + uri.host.count + Int(uri.port)
        if let expires = contact.expires {
            check += Int(try bytes.number(in: expires, max: 1 << 32))
        }
    }
    if let expires = index.value(.expires) {
        check += Int(try bytes.number(in: expires, max: 1 << 32))
    }
    return check
}

@inline(never)
func plain(_ bytes: Span<UInt8>, _ length: Int, _ fields: inout [plain_field]) -> Int {
    bytes.withUnsafeBufferPointer { bytes in
        guard let base = bytes.baseAddress else { return 0 }
        return midreg_plain_split(base, length, &fields, fields.count)
    }
}

func nanosecondsOfCPU() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
}

let arguments = CommandLine.arguments
guard arguments.count == 4, let sample = Sample(rawValue: arguments[1]),
    let work = Work(rawValue: arguments[2]), let count = Int(arguments[3])
else {
    print("usage: ParseCost register|invite read|mandatory|index|plain COUNT")
    exit(2)
}

func run(_ sample: Sample, _ work: Work, _ count: Int) {
    let text = Array(sample.text.utf8)
    // A slot of the receive buffer is longer than its message too.
    let slot = text + Array(repeating: 0, count: 64)
    let parser = MessageParser()
    var messageIndex = MessageIndex()
    var fields = Array(repeating: plain_field(), count: MessageIndex.headersMax)
    var check = 0

    let mallocsBefore = midreg_mallocs_of_thread()
    let before = nanosecondsOfCPU()
    let bytes = slot.span
    do throws(SIPParseError) {
        switch work {
        case .mandatory:
            for _ in 0..<count {
                check &+= try mandatory(bytes, text.count, parser, &messageIndex)
            }
        case .read:
            for _ in 0..<count { check &+= try read(bytes, text.count, parser, &messageIndex) }
        case .index:
            for _ in 0..<count { check &+= index(bytes, text.count, parser, &messageIndex) }
        case .plain: for _ in 0..<count { check &+= plain(bytes, text.count, &fields) }
        }
    } catch {
        print("\(sample) is refused: \(error.reason) at \(error.offset)")
        exit(1)
    }
    let spent = nanosecondsOfCPU() - before
    let mallocs = midreg_mallocs_of_thread() - mallocsBefore
    guard count == 0 || check > 0 else {
        print("\(sample) is refused")
        exit(1)
    }
    print(text.count, spent, mallocs, check)
}

run(sample, work, count)
