public import Bytes
public import SIPMessage

/// How many branches a request may have at the same time, here and further on (RFC 5393 §5): each
/// branch gets its share of what came, and gives it back when it ends.
public struct MaxBreadth: BitwiseCopyable, Sendable {
    /// What counts where the request says nothing, and the most that is believed (§5.3.3).
    public static let most: UInt32 = 60

    /// What the branches that run do not have.
    public private(set) var available: UInt32

    /// Reads what a request may still have.
    ///
    /// - Parameter most: what is taken if it says nothing, or more than that.
    /// - Throws: `.number` if it is none or 0, `.doubledHeader` if there are two.
    public init(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, most: UInt32 = Self.most
    ) throws(SIPParseError) {
        var found: UInt32?
        var number = 0
        while number < index.count {
            let field = index[number]
            number += 1
            guard Self.isIn(field, bytes) else { continue }
            guard found == nil else { throw SIPParseError(.doubledHeader, at: field.line.start) }
            let value = try DeltaSeconds(bytes, field.value).seconds
            guard value > 0 else { throw SIPParseError(.number, at: field.value.start) }
            found = value
        }
        available = min(found ?? most, most)
    }

    /// What each of several branches that begin together gets: all of it, divided.
    public struct Shares: Equatable, BitwiseCopyable, Sendable {
        let each: UInt32
        let larger: UInt32

        /// The share of one of them, numbered from 0, at least 1.
        public subscript(branch: Int) -> UInt32 { branch < Int(larger) ? each + 1 : each }
    }

    /// Divides what is there among branches that begin together.
    ///
    /// - Returns: `nil` if there is less than 1 for each. Then fewer may begin now and the others when
    ///   some have ended (§5.5), or the answer is 440 (Max-Breadth Exceeded).
    public mutating func divide(among branches: Int) -> Shares? {
        precondition(branches > 0, "a branch begins")
        guard UInt64(branches) <= UInt64(available) else { return nil }
        let count = UInt32(branches)
        let shares = Shares(each: available / count, larger: available % count)
        available = 0
        return shares
    }

    /// Takes a share out again for a branch that follows another; `false` if there is not so much.
    public mutating func take(_ share: UInt32) -> Bool {
        guard share <= available else { return false }
        available -= share
        return true
    }

    /// Takes back the share of a branch that has its final response (§5.3.3.1); once for each.
    public mutating func giveBack(_ share: UInt32) { available += share }

    /// Writes the field of a branch.
    public static func write(_ share: UInt32, _ outbox: inout Outbox) {
        outbox.write("Max-Breadth: ")
        outbox.write(decimal: share)
        outbox.write("\r\n")
    }

    /// Whether a field is Max-Breadth.
    public static func isIn(_ field: HeaderField, _ bytes: Span<UInt8>) -> Bool {
        field.isNamed("max-breadth", bytes)
    }
}

extension HeaderField {
    /// Whether it has a name that SIPMessage does not know, given in lower case.
    public func isNamed(_ lowercaseName: StaticString, _ bytes: Span<UInt8>) -> Bool {
        guard name == .other else { return false }
        let end = bytes.endOfToken(from: line.start, to: line.end)
        return bytes.spellsIgnoringCase(lowercaseName, in: ByteRange(line.start, end))
    }
}
