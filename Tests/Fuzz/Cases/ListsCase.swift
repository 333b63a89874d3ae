import Bytes
import Registration
import SIPMessage

/// Header lines in the middle of a good message: lists of addresses and of Vias, options, Contacts.
struct ListsCase: FuzzCase, ~Copyable {
    private var index = MessageIndex()
    private var outbox = Outbox(bytesMax: 1 << 17, messagesMax: 2)
    private var meaning = RegisterMeaning()
    private var aor = ByteBuffer(bytesMax: 512)
    private let head = Array(
        ("REGISTER sip:h SIP/2.0\r\nf: <sip:a@h>;tag=1\r\nt: <sip:a@h>\r\ni: 1\r\n"
            + "CSeq: 1 REGISTER\r\nv: SIP/2.0/UDP h;branch=z9hG4bKa\r\n").utf8)

    mutating func run(_ bytes: Span<UInt8>) -> String? {
        outbox.clear()
        outbox.begin()
        let head = head
        outbox.write(head.span)
        outbox.write(bytes)
        outbox.write("\r\n\r\n")
        let copy = outbox.open.array
        let message = copy.span
        guard MessageParser().parse(message, length: message.count, into: &index) == .message
        else { return nil }
        for name in [HeaderName.contact, .route, .recordRoute, .path, .serviceRoute] {
            if let finding = addresses(message, name) { return finding }
        }
        if let finding = vias(message) { return finding }
        aor.clear()
        do throws(SIPParseError) {
            _ = try meaning.read(message, index, defaultSeconds: 600, aor: &aor)
        } catch {
            if let finding = error.finding(in: message.count) { return finding }
        }
        if let finding = values(message) { return finding }
        return options()
    }

    /// What is read lies in its field, and a tag or a protocol is a token.
    private func values(_ bytes: Span<UInt8>) -> String? {
        for name in [HeaderName.supported, .unsupported, .require, .proxyRequire] {
            var tags = OptionTags(name, of: index)
            while let tag = try? tags.next(bytes, index) {
                guard bytes.isToken(tag) else { return "an option tag is no token" }
            }
        }
        var reasons = ReasonCursor(of: index)
        while let reason = try? reasons.next(bytes, index) {
            guard bytes.isToken(reason.namedProtocol), reason.text.lies(in: reason.parameters),
                reason.parameters.lies(in: reason.whole)
            else { return "a part of a reason lies outside" }
        }
        if let value = index.value(.retryAfter), let retry = try? RetryAfter(bytes, value) {
            guard retry.comment.lies(in: value), retry.parameters.lies(in: value) else {
                return "a part of a Retry-After lies outside"
            }
        }
        if let top = try? index.topVia(bytes), let host = try? top.maddr(bytes) {
            guard host.lies(in: top.parameters) else { return "a maddr lies outside" }
        }
        return nil
    }

    /// The elements are those between the commas that stand outside of quotes and brackets.
    private func addresses(_ bytes: Span<UInt8>, _ name: HeaderName) -> String? {
        var cursor = AddressCursor(name, of: index)
        var expected = Elements(name, index)
        do throws(SIPParseError) {
            while let element = try cursor.next(bytes, index) {
                guard let range = expected.next(bytes, index) else { return "an element more" }
                guard range == element.whole else {
                    return "\(name): the element \(element.whole) is \(range)"
                }
            }
        } catch { return nil }
        return expected.next(bytes, index) == nil ? nil : "\(name): an element was passed over"
    }

    private struct Elements {
        let name: HeaderName
        var field: Int
        var at = -1

        init(_ name: HeaderName, _ index: borrowing MessageIndex) {
            self.name = name
            field = index.first(name) ?? index.count
        }

        mutating func next(
            _ bytes: Span<UInt8>, _ index: borrowing MessageIndex
        ) -> ByteRange? {
            while field < index.count {
                let value = index[field].value
                if index[field].name == name, at < value.end || at < 0 {
                    let start = at < 0 ? value.start : at
                    var end = start
                    var isQuoted = false
                    var isBracketed = false
                    while end < value.end {
                        let byte = bytes[end]
                        if isQuoted, byte == 0x5C {
                            end += 1
                        } else if byte == 0x22, !isBracketed {
                            isQuoted.toggle()
                        } else if !isQuoted {
                            if byte == 0x3C { isBracketed = true }
                            if byte == 0x3E { isBracketed = false }
                            if byte == 0x2C, !isBracketed { break }
                        }
                        end += 1
                    }
                    at = end + 1
                    return bytes.trimmed(ByteRange(start, min(end, value.end)))
                }
                field += 1
                at = -1
            }
            return nil
        }
    }

    private func vias(_ bytes: Span<UInt8>) -> String? {
        for number in 0..<index.count where index[number].name == .via {
            let value = index[number].value
            var at = value.start
            while let via = try? ViaValue(bytes, from: at, to: value.end) {
                for part in [via.transport, via.sentBy, via.host, via.parameters] {
                    guard part.lies(in: via.whole) else { return "a part of a Via lies outside" }
                }
                for part in [via.branch, via.received, via.rport] {
                    guard part.isEmpty || part.end <= via.whole.end else {
                        return "a parameter of a Via lies outside"
                    }
                }
                guard via.whole.start >= at, via.whole.lies(in: value) else {
                    return "a Via lies outside"
                }
                at = bytes.skipSpace(from: via.whole.end, to: value.end)
                guard via.isFollowed == (at < value.end) else { return "a Via more or less" }
                guard via.isFollowed else { break }
                at += 1
            }
        }
        return nil
    }

    private func options() -> String? {
        var written = Outbox(bytesMax: 1 << 14, messagesMax: 2)
        for number in 0..<index.count where index[number].name == .supported {
            written.clear()
            written.begin()
            RelayedRegister.writeOptions(outbox.open, index[number], &written)
            let new = written.open
            if let finding = new.rawControl(in: new.everything) { return finding }
            let text = written.openText.lowercased()
            let names = text.dropFirst(10).split(separator: ",").map {
                $0.trimmingWhiteSpace()
            }
            guard !names.contains("outbound"), !names.contains("gruu") else {
                return "an option is passed on: \(text)"
            }
        }
        return nil
    }
}

extension Substring {
    fileprivate func trimmingWhiteSpace() -> Substring {
        let space: Set<Character> = [" ", "\t", "\r", "\n", "\r\n"]
        var rest = self
        while let first = rest.first, space.contains(first) { rest.removeFirst() }
        while let last = rest.last, space.contains(last) { rest.removeLast() }
        return rest
    }
}
