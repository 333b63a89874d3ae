public import Bytes

/// `qvalue` (RFC 3261 §25.1): a preference from 0 to 1 with at most three decimals.
public struct QValue: BitwiseCopyable, Comparable, Sendable {
    /// 0 to 1,000.
    public let thousandths: UInt16

    /// What counts where no `q` is given (§20.10 leaves it open; §16.6 and §10.3 order by it): 1.
    public static var unsaid: QValue { QValue(thousandths: 1_000) }

    private init(thousandths: UInt16) { self.thousandths = thousandths }

    /// Reads all of `range`: `"0" [ "." 0*3DIGIT ]` or `"1" [ "." 0*3("0") ]`.
    ///
    /// - Throws: `.number` at the first byte that cannot belong to it.
    public init(_ bytes: Span<UInt8>, _ range: ByteRange) throws(SIPParseError) {
        guard !range.isEmpty, let whole = bytes[range.start].digitValue, whole <= 1 else {
            throw SIPParseError(.number, at: range.start)
        }
        var total = UInt16(whole) * 1_000
        var at = range.start + 1
        if at < range.end {
            guard bytes[at] == UInt8(ascii: ".") else { throw SIPParseError(.number, at: at) }
            at += 1
        }
        var unit: UInt16 = 100
        while at < range.end {
            guard unit > 0, let digit = bytes[at].digitValue, whole == 0 || digit == 0 else {
                throw SIPParseError(.number, at: at)
            }
            total += UInt16(digit) * unit
            unit /= 10
            at += 1
        }
        thousandths = total
    }

    public static func < (one: QValue, other: QValue) -> Bool {
        one.thousandths < other.thousandths
    }
}
