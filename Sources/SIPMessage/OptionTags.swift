public import Bytes

/// The option tags of Supported, Require, Proxy-Require or Unsupported (RFC 3261 §20.29, §20.32,
/// §20.37, §20.40), of all its fields one after the other.
public struct OptionTags: BitwiseCopyable, Sendable {
    private var cursor: ListCursor
    private let mayBeEmpty: Bool

    /// - Parameter name: `.supported`, which alone may be empty, or one of the other three.
    public init(_ name: HeaderName, of index: borrowing MessageIndex) {
        cursor = ListCursor(name, of: index)
        mayBeEmpty = name == .supported
    }

    /// The next option tag; `nil` after the last.
    ///
    /// - Throws: `.optionTag` at the first byte that belongs to no token, or where a tag is missing.
    public mutating func next(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex
    ) throws(SIPParseError) -> ByteRange? {
        while true {
            let tag: ByteRange?
            do throws(SIPParseError) {
                tag = try cursor.next(bytes, index)
            } catch { throw SIPParseError(.optionTag, at: error.offset) }
            guard let tag else { return nil }
            if tag.isEmpty {
                guard mayBeEmpty else { throw SIPParseError(.optionTag, at: tag.start) }
                continue
            }
            let end = bytes.endOfToken(from: tag.start, to: tag.end)
            guard end == tag.end else { throw SIPParseError(.optionTag, at: end) }
            return tag
        }
    }
}
