import Bytes
import Glibc
import SIPMessage
import Testing

/// A page of memory with one behind it that nobody may read: whoever reads a byte too far dies.
private struct GuardedPage: ~Copyable {
    static let size = Int(sysconf(Int32(_SC_PAGESIZE)))
    private let base: UnsafeMutableRawPointer

    init() {
        let memory = mmap(
            nil, 2 * Self.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED,
            mprotect(memory + Self.size, Self.size, PROT_NONE) == 0
        else { preconditionFailure("two pages are there, and one can be closed") }
        base = memory
    }

    deinit { munmap(base, 2 * Self.size) }

    /// Calls `body` with bytes that end where the page ends.
    func with(_ bytes: ArraySlice<UInt8>, _ body: (Span<UInt8>) -> Void) {
        let start = base + Self.size - bytes.count
        bytes.withUnsafeBytes { source in
            if let from = source.baseAddress { memcpy(start, from, source.count) }
        }
        body(Span(_unsafeBytes: UnsafeRawBufferPointer(start: start, count: bytes.count)))
    }
}

@Suite("Nothing is read behind the last byte, nor said of what is not all there")
struct PageEndTests {
    /// Whole and cut short at every byte: the parser without padding, all values, all writers, and
    /// the framer, which has the whole of no prefix.
    @Test func `of a torture message, whole or in part, at the end of a page`() throws {
        let page = GuardedPage()
        var reading = WholeReading()
        for row in try TortureTests.rows() {
            let bytes = try file("Torture/\(row.name).sip")
            try #require(bytes.count <= GuardedPage.size)
            for count in 0...bytes.count {
                page.with(bytes[..<count]) { span in
                    var framer = StreamFramer()
                    _ = framer.next(span, count: count)
                    _ = reading.read(span, length: count)
                }
            }
        }
    }

    /// Padding is used where it is there: of every length below that of a vector register, and more.
    @Test(arguments: 0...40)
    func `with padding of any length`(padding: Int) {
        let page = GuardedPage()
        var reading = WholeReading()
        let bytes = StreamFramerTests.invite(body: Array("body".utf8))
        page.with(bytes[...] + Array(repeating: 0x0D, count: padding)) { span in
            let result = reading.read(span, length: bytes.count)
            #expect(result.outcome == .message && result.error == nil)
            var framer = StreamFramer()
            #expect(framer.next(span, count: bytes.count) == .message(length: bytes.count))
        }
    }
}
