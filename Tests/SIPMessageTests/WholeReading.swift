import Bytes
import SIPMessage

/// Reads everything of a datagram that any room reads, and writes what any room writes from it.
struct WholeReading: ~Copyable {
    private var index = MessageIndex()
    private var outbox = Outbox(bytesMax: 1 << 18, messagesMax: 8)
    private var buffer = ByteBuffer(bytesMax: 512)
    private var more = MessageIndex()

    /// The parser's outcome alone decides `parses`; `isWellFormed` wants all values in order too.
    struct Result {
        var outcome = MessageParser.Outcome.keepAlive
        var isRequest = false
        /// The first value that cannot be read.
        var error: SIPParseError?
    }

    mutating func read(_ bytes: Span<UInt8>, length: Int) -> Result {
        var result = Result()
        result.outcome = MessageParser().parse(bytes, length: length, into: &index)
        result.isRequest = index.isRequest
        do throws(SIPParseError) { try readValues(bytes) } catch { result.error = error }
        write(bytes)
        return result
    }

    private mutating func readValues(_ bytes: Span<UInt8>) throws(SIPParseError) {
        var first: SIPParseError?
        if !index.requestURI.isEmpty {
            do throws(SIPParseError) {
                use(bytes, try SIPURI(bytes, index.requestURI))
            } catch { first = first ?? error }
        }
        do throws(SIPParseError) {
            var via: ViaValue? = try index.topVia(bytes)
            if let top = via { via = try index.secondVia(bytes, after: top) }
        } catch { first = first ?? error }
        for name in [
            HeaderName.to, .from, .contact, .route, .recordRoute, .path, .serviceRoute,
        ] {
            var cursor = AddressCursor(name, of: index)
            do throws(SIPParseError) {
                while let element = try cursor.next(bytes, index) {
                    guard element.whole.count > 1 else { continue }
                    use(bytes, try SIPURI(bytes, element.uri))
                    _ = bytes.parameter("tag", in: element.parameters)
                    _ = bytes.parameter("expires", in: element.parameters)
                }
            } catch { first = first ?? error }
        }
        for number in 0..<index.count {
            let value = index[number].value
            if let other = try? SIPURI(bytes, value) { use(bytes, other) }
            _ = try? ViaValue(bytes, from: value.start, to: value.end)
            _ = try? NameAddress(bytes, from: value.start, to: value.end)
            var cursor = ParameterCursor(value)
            while let parameter = try? cursor.next(bytes) { _ = parameter }
            _ = try? bytes.number(in: value, max: 1 << 40)
        }
        if let first { throw first }
    }

    private mutating func use(_ bytes: Span<UInt8>, _ uri: SIPURI) {
        buffer.clear()
        _ = try? AddressOfRecord.write(bytes, uri, to: &buffer)
        precondition(SIPURI.equivalent(uri, in: bytes, uri, in: bytes), "a URI is its own like")
    }

    private mutating func write(_ bytes: Span<UInt8>) {
        outbox.clear()
        guard index.isRequest, let top = try? index.topVia(bytes) else { return }
        outbox.begin()
        ResponseWriter.begin(
            400, "Bad", to: bytes, index,
            source: TransportAddress(ipv4: 0x7F00_0001, port: 5_060), toTag: 1, &outbox)
        ResponseWriter.finish(&outbox)
        var copy = EditedCopy(from: top.whole.start)
        copy.drop(top.received, bytes, &outbox)
        copy.keep(upTo: top.whole.end, bytes, &outbox)
    }
}
