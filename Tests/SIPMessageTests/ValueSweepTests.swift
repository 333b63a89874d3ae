import Bytes
import CMallocCount
import SIPMessage
import Testing

/// Each byte in each place of values that have types of their own: read or refused, never a trap, an
/// error at a byte that is there or where one is missing, and no allocation.
@Suite("A value with any byte in any place")
struct ValueSweepTests {
    enum Kind: String, CaseIterable, Sendable {
        case q = "0.250"
        case seconds = "4294967295"
        case retryAfter = "120 (a \\) (b)) ; duration=3600;x=y"
        case reason = "SIP ;cause=200 ;text=\"a, \\\"b\\\"\""
        case global = "tel:+1-201-555;ext=7;isub=a%20"
        case local = "tel:7*#;phone-context=+1-9;x"
        case via = "SIP/2.0/UDP h;ttl=16;maddr=[::1]"

        func read(_ bytes: Span<UInt8>) throws(SIPParseError) {
            let all = ByteRange(0, bytes.count)
            switch self {
            case .q:
                let q = try QValue(bytes, all)
                precondition(q <= .unsaid, "q ends at 1")
            case .seconds: _ = try DeltaSeconds(bytes, all)
            case .retryAfter: _ = try RetryAfter(bytes, all)
            case .reason: _ = try ReasonValue(bytes, all)
            case .global, .local: _ = try TelURI(bytes, all)
            case .via:
                let via = try ViaValue(bytes, from: 0, to: bytes.count)
                _ = try via.ttl(bytes)
                _ = try via.maddr(bytes)
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `is read or refused at a place of it`(kind: Kind) throws {
        let whole = Array(kind.rawValue.utf8)
        // The first time the runtime makes what it needs for the types.
        try kind.read(whole.span)
        let before = midreg_mallocs_of_thread()
        try kind.read(whole.span)
        let after = midreg_mallocs_of_thread()
        #expect(after == before)
        var refused = 0
        var bytes = whole
        for at in whole.indices {
            for byte in UInt8.min...UInt8.max {
                bytes[at] = byte
                do throws(SIPParseError) { try kind.read(bytes.span) } catch {
                    refused += 1
                    if error.offset > bytes.count { refused = .min }
                }
            }
            bytes[at] = whole[at]
        }
        #expect(refused > whole.count * 20)
    }

    @Test(arguments: Kind.allCases)
    func `or cut short at any place`(kind: Kind) {
        let whole = Array(kind.rawValue.utf8)
        for count in 0..<whole.count {
            let bytes = Array(whole[..<count])
            do throws(SIPParseError) { try kind.read(bytes.span) } catch {
                #expect(error.offset <= count)
            }
        }
    }
}
