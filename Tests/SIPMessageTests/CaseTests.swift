import Bytes
import Foundation
import SIPMessage
import Testing

/// Grammar cases as a person reads them: `Cases/*.md` holds prose, a message, and the events that
/// reading it gives. A new case needs no Swift.
///
/// In a message ␍, ␊ and ␀ stand for a bare CR, a bare LF and a NUL; line ends are CRLF. A reading
/// that fails says where by line and column of the message as it stands in the page.
@Suite("The grammar, by its written cases (RFC 3261 §7, §19.1, §20, §25)")
struct CaseTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var title: String
        var message: String
        var events: [String]
        var testDescription: String { title }
    }

    static let cases: [Case] = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Cases")
        let pages = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return pages.filter { $0.hasSuffix(".md") }.sorted().flatMap { page in
            let text = try? String(contentsOf: folder.appendingPathComponent(page), encoding: .utf8)
            return read(text ?? "")
        }
    }()

    private static func read(_ page: String) -> [Case] {
        var found: [Case] = []
        var title = ""
        var block: String?
        var lines: [String] = []
        var message = ""
        for line in page.components(separatedBy: "\n") {
            if let kind = block {
                guard line == "```" else {
                    lines.append(line)
                    continue
                }
                if kind == "sip" { message = lines.joined(separator: "\n") + "\n" }
                if kind == "events" {
                    found.append(Case(title: title, message: message, events: lines))
                }
                block = nil
            } else if line.hasPrefix("```") {
                block = String(line.dropFirst(3))
                lines = []
            } else if line.hasPrefix("## ") {
                title = String(line.dropFirst(3))
            }
        }
        return found
    }

    @Test func `are there`() { #expect(Self.cases.count >= 20) }

    @Test(arguments: cases)
    func `give the events that are written down`(example: Case) {
        #expect(events(example.message) == example.events)
    }

    // MARK: Reading

    private func events(_ message: String) -> [String] {
        var bytes: [UInt8] = []
        for scalar in message.unicodeScalars {
            switch scalar {
            case "\n": bytes += [0x0D, 0x0A]
            case "␍": bytes.append(0x0D)
            case "␊": bytes.append(0x0A)
            case "␀": bytes.append(0)
            default: bytes += Array(String(scalar).utf8)
            }
        }
        let span = bytes.span
        var index = MessageIndex()
        switch MessageParser().parse(span, length: bytes.count, into: &index) {
        case .keepAlive: return ["keep-alive"]
        case .bad(let error): return [bad(error, bytes)]
        case .message: break
        }
        func text(_ range: ByteRange) -> String {
            String(decoding: bytes[range.start..<range.end], as: UTF8.self)
                .replacing("\r\n", with: "⏎")
        }
        var events = [
            index.isRequest
                ? "request \(text(index.methodName)) \(text(index.requestURI))"
                : "response \(index.statusCode) to \(text(index.sequenceMethod))"
        ]
        do throws(SIPParseError) {
            var via: ViaValue? = try index.topVia(span)
            while let value = via {
                let port = value.port == 0 ? "" : " port \(value.port)"
                let branch = value.branch.isEmpty ? "" : " branch \(text(value.branch))"
                let ttl = try value.ttl(span).map { " ttl \($0)" } ?? ""
                let maddr = try value.maddr(span).map { " maddr \(text($0))" } ?? ""
                events.append(
                    "via \(text(value.transport)) \(text(value.host))\(port)\(branch)\(ttl)\(maddr)"
                )
                via = try events.count > 2 ? nil : index.secondVia(span, after: value)
            }
            for (name, label) in [
                (HeaderName.from, "from"), (.to, "to"), (.contact, "contact"), (.route, "route"),
            ] {
                if name == .contact, let value = index.value(.contact), text(value) == "*" {
                    events.append("contact *")
                    continue
                }
                var cursor = AddressCursor(name, of: index)
                while let element = try cursor.next(span, index) {
                    let uri = try SIPURI(span, element.uri)
                    let user = uri.hasUser ? " user \(text(uri.user))" : ""
                    let port = uri.port == 0 ? "" : " port \(uri.port)"
                    let host =
                        uri.scheme == .other ? " \(text(uri.whole))" : " host \(text(uri.host))"
                    if uri.scheme == .other, text(uri.whole).lowercased().hasPrefix("tel:") {
                        let tel = try TelURI(span, uri.whole)
                        let parts = [("context", tel.context), ("ext", tel.extension)]
                            .filter { !$1.isEmpty }.map { " \($0) \(text($1))" }
                        events.append("\(label) tel \(text(tel.number))" + parts.joined())
                        continue
                    }
                    let more =
                        element.parameters.isEmpty ? "" : " with \(text(element.parameters))"
                    events.append("\(label) \(uri.scheme)\(user)\(host)\(port)\(more)")
                }
            }
            events += try typed(span, index, text)
        } catch {
            return [bad(error, bytes)]
        }
        events.append("cseq \(index.sequenceNumber) \(text(index.sequenceMethod))")
        for number in 0..<index.count where index[number].name == .other {
            let line = index[number].line
            let name = text(line).prefix { $0 != ":" && $0 != " " }
            events.append("other \(name): \(text(index[number].value))")
        }
        if !index.body.isEmpty { events.append("body \(index.body.count) bytes") }
        return events
    }

    /// What stands in the fields that have types of their own.
    private func typed(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ text: (ByteRange) -> String
    ) throws(SIPParseError) -> [String] {
        var events: [String] = []
        if let value = try index.expires(bytes) { events.append("expires \(value.seconds)") }
        if let value = try index.minExpires(bytes) { events.append("min-expires \(value.seconds)") }
        if let value = try index.retryAfter(bytes) {
            let comment = value.comment.isEmpty ? "" : " comment \(text(value.comment))"
            let duration = value.duration.map { " duration \($0)" } ?? ""
            events.append("retry-after \(value.seconds)\(comment)\(duration)")
        }
        for (name, label) in [
            (HeaderName.supported, "supported"), (.unsupported, "unsupported"),
            (.require, "require"), (.proxyRequire, "proxy-require"),
        ] {
            var tags = OptionTags(name, of: index)
            while let tag = try tags.next(bytes, index) { events.append("\(label) \(text(tag))") }
        }
        var reasons = ReasonCursor(of: index)
        while let reason = try reasons.next(bytes, index) {
            let cause = reason.cause.map { " cause \($0)" } ?? ""
            let words = reason.text.isEmpty ? "" : " text \(text(reason.text))"
            events.append("reason \(text(reason.namedProtocol))\(cause)\(words)")
        }
        return events
    }

    private func bad(_ error: SIPParseError, _ bytes: [UInt8]) -> String {
        let before = bytes.prefix(error.offset)
        let line = before.count { $0 == 0x0A } + 1
        let column = error.offset - (before.lastIndex(of: 0x0A) ?? -1)
        return "bad \(error.reason) at \(line):\(column)"
    }
}
