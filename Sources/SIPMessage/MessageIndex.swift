public import Bytes

/// One header field of a message: what it is and where it lies.
public struct HeaderField: BitwiseCopyable, Sendable {
    public let name: HeaderName
    /// The whole field with its line end, folds included.
    public let line: ByteRange
    /// The value without white space at its ends; folds stay inside.
    public let value: ByteRange
}

/// Where everything of one message lies: offsets into the caller's bytes, in a fixed room that is
/// used again for the next message. Filled by ``MessageParser``.
public struct MessageIndex: ~Copyable {
    /// More header fields than any phone or registrar sends.
    public static let headersMax = 128
    /// Longest header field with its folds and its line break, in bytes: far more than any phone
    /// sends, and a bound on what one field can make the main registrar put together from fragments.
    public static let lineBytesMax = 8_192

    public internal(set) var isRequest = false
    /// The method of the request, or of the CSeq of a response.
    public internal(set) var method = Method.other
    public internal(set) var methodName = ByteRange.none
    public internal(set) var requestURI = ByteRange.none
    public internal(set) var statusCode = 0
    /// Start line with its line end.
    public internal(set) var startLine = ByteRange.none
    public internal(set) var count = 0
    /// The empty line that ends the header, with its line end.
    public internal(set) var headerEnd = ByteRange.none
    public internal(set) var body = ByteRange.none

    public internal(set) var sequenceNumber: UInt32 = 0
    public internal(set) var sequenceMethod = ByteRange.none
    /// The CSeq number's digits, for copies.
    public internal(set) var sequenceDigits = ByteRange.none
    /// How many Via fields there are; several values may stand in one.
    public internal(set) var viaFields = 0

    // In buffers of their own: an element of an inline array is read by copying the array.
    var fields = RigidBuffer<HeaderField>(
        count: headersMax, zeroed: HeaderField(name: .via, line: .none, value: .none))
    /// The index after that of the first field of each known name; 0 if there is none.
    var firsts = RigidBuffer<UInt8>(count: Int(HeaderName.other.rawValue), zeroed: 0)

    public init() {}

    public subscript(index: Int) -> HeaderField {
        precondition(index < count, "the field is there")
        return fields[index]
    }

    /// The index of the first field called `name`.
    @inline(__always) public func first(_ name: HeaderName) -> Int? {
        precondition(name != .other, "a name is asked for")
        let past = firsts[Int(name.rawValue)]
        return past == 0 ? nil : Int(past) - 1
    }

    /// The value of the first field called `name`.
    @inline(__always) public func value(_ name: HeaderName) -> ByteRange? {
        guard let index = first(name) else { return nil }
        return fields[index].value
    }

    public func has(_ name: HeaderName) -> Bool { first(name) != nil }

    mutating func reset() {
        isRequest = false
        method = .other
        methodName = .none
        requestURI = .none
        statusCode = 0
        startLine = .none
        count = 0
        headerEnd = .none
        body = .none
        sequenceNumber = 0
        sequenceMethod = .none
        sequenceDigits = .none
        viaFields = 0
        firsts.clear()
    }

    /// Adds a field; `false` if a name that may stand once stands there again.
    @inline(__always) mutating func add(_ field: HeaderField) -> Bool {
        fields[count] = field
        count += 1
        guard field.name != .other else { return true }
        let slot = Int(field.name.rawValue)
        if firsts[slot] == 0 {
            firsts[slot] = UInt8(truncatingIfNeeded: count)
            return true
        }
        return !field.name.isSingle
    }
}
