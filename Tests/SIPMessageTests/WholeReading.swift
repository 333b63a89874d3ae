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
        /// What contradicts itself.
        var finding: String?
    }

    mutating func read(_ bytes: Span<UInt8>, length: Int) -> Result {
        var result = Result()
        result.outcome = MessageParser().parse(bytes, length: length, into: &index)
        result.isRequest = index.isRequest
        do throws(SIPParseError) { try readValues(bytes) } catch { result.error = error }
        if case .bad(let error) = result.outcome {
            result.finding = error.finding(in: length)
            write(bytes, error.reason.text)
        } else {
            result.finding = misnamed(bytes)
            write(bytes, "Bad")
        }
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
            if let top = via {
                try index.checkViaCount(bytes, top: top)
                _ = try? top.ttl(bytes)
                _ = try? top.maddr(bytes)
                _ = top.hasMagicCookie(bytes)
                via = try index.secondVia(bytes, after: top)
            }
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
        do throws(SIPParseError) { try readTypedFields(bytes) } catch { first = first ?? error }
        for number in 0..<index.count {
            let value = index[number].value
            if let other = try? SIPURI(bytes, value) { use(bytes, other) }
            _ = try? ViaValue(bytes, from: value.start, to: value.end)
            _ = try? NameAddress(bytes, from: value.start, to: value.end)
            var cursor = ParameterCursor(value)
            while let parameter = try? cursor.next(bytes) { _ = parameter }
            _ = try? bytes.number(in: value, max: 1 << 40)
            _ = try? QValue(bytes, value)
            _ = try? DeltaSeconds(bytes, value)
            _ = try? RetryAfter(bytes, value)
            _ = try? ReasonValue(bytes, value)
            if let tel = try? TelURI(bytes, value) { use(bytes, tel) }
        }
        if let first { throw first }
    }

    private func readTypedFields(_ bytes: Span<UInt8>) throws(SIPParseError) {
        _ = try index.expires(bytes)
        _ = try index.minExpires(bytes)
        _ = try index.retryAfter(bytes)
        for name in [HeaderName.supported, .unsupported, .require, .proxyRequire] {
            var tags = OptionTags(name, of: index)
            while let tag = try tags.next(bytes, index) {
                precondition(bytes.isToken(tag), "an option tag is a token")
            }
        }
        var reasons = ReasonCursor(of: index)
        while let reason = try reasons.next(bytes, index) {
            precondition(bytes.isToken(reason.namedProtocol), "a reason has a protocol")
        }
    }

    private func use(_ bytes: Span<UInt8>, _ tel: TelURI) {
        precondition(tel.isGlobal == tel.context.isEmpty, "a local number has a context")
        precondition(TelURI.equivalent(tel, in: bytes, tel, in: bytes), "a number is its own like")
    }

    private mutating func use(_ bytes: Span<UInt8>, _ uri: SIPURI) {
        buffer.clear()
        _ = try? AddressOfRecord.write(bytes, uri, to: &buffer)
        precondition(SIPURI.equivalent(uri, in: bytes, uri, in: bytes), "a URI is its own like")
        if uri.scheme == .other, let tel = try? TelURI(bytes, uri.whole) { use(bytes, tel) }
    }

    /// A field or a method that is known is spelled as its name says, but for compact forms.
    private func misnamed(_ bytes: Span<UInt8>) -> String? {
        for number in 0..<index.count {
            let field = index[number]
            let name = field.name.lowercaseName
            let start = field.line.start
            let end = bytes.endOfToken(from: start, to: field.line.end)
            guard end - start > 1, field.name != .other else { continue }
            guard bytes.spellsIgnoringCase(name, in: ByteRange(start, end)) else {
                return "\(field.name) is spelled otherwise"
            }
        }
        let name = index.method.name
        guard index.isRequest, index.method != .other else { return nil }
        return bytes.spells(name, in: index.methodName) ? nil : "another method"
    }

    private mutating func write(_ bytes: Span<UInt8>, _ reason: StaticString) {
        outbox.clear()
        guard index.isRequest else { return }
        // Either family, by something that inputs differ in.
        let source =
            index.count & 1 == 0
            ? TransportAddress(ipv4: 0x7F00_0001, port: 5_060)
            : TransportAddress(high: 0x2001_0DB8_0000_0A0F, low: 0x10, port: 5_060)
        outbox.begin()
        ResponseWriter.begin(
            400, reason, to: bytes, index, source: source, toTag: 0x0123_89AB_CDEF_4567, &outbox)
        ResponseWriter.finish(&outbox)
        guard let top = try? index.topVia(bytes) else { return }
        var copy = EditedCopy(from: top.whole.start)
        copy.drop(top.received, bytes, &outbox)
        copy.keep(upTo: top.whole.end, bytes, &outbox)
        if let route = index.first(.route) { TopRoute.writeRest(bytes, of: index[route], &outbox) }
        writeForBranch(bytes)
    }

    /// A CANCEL and an ACK of a request that was taken are messages themselves.
    private mutating func writeForBranch(_ bytes: Span<UInt8>) {
        guard case .message = MessageParser().parse(bytes, length: bytes.count, into: &more),
            more.isRequest, more.method != .ack, more.method != .cancel
        else { return }
        outbox.clear()
        outbox.begin()
        guard (try? BranchRequest.beginCancel(of: bytes, more, &outbox)) != nil else { return }
        ReasonWriter.copy(bytes, more, &outbox)
        BranchRequest.finish(&outbox)
        var cancel = MessageIndex()
        let written = outbox.open
        precondition(
            MessageParser().parse(written, length: written.count, into: &cancel) == .message
                && cancel.method == .cancel && cancel.viaFields == 1
                && cancel.sequenceNumber == more.sequenceNumber,
            "a CANCEL is a message")
    }
}

extension SIPParseError {
    /// What an error must have: a place among the bytes or right behind them, and words.
    func finding(in length: Int) -> String? {
        guard (0...length) ~= offset else { return "\(self) lies outside" }
        return reason.text.utf8CodeUnitCount > 0 ? nil : "\(self) has no words"
    }
}
