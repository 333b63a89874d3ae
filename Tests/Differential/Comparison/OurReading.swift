import Bytes
import SIPMessage

/// What midreg's parser reads in a message, in the words of `sofia.c`.
package struct OurReading: ~Copyable {
    private var index = MessageIndex()

    package init() {}

    /// Fields by name; without `verdict=good` only those that could be read.
    package mutating func read(_ message: [UInt8]) -> [String: String] {
        let bytes = message.span
        var fields: [String: String] = [:]
        func text(_ range: ByteRange) -> String { escaped(message[range.start..<range.end]) }
        switch MessageParser().parse(bytes, length: bytes.count, into: &index) {
        case .message: break
        case .keepAlive: return ["verdict": "bad", "why": "keepAlive"]
        case .bad(let error):
            return [
                "verdict": "bad", "why": "\(error.reason)", "near": near(error, message),
            ]
        }
        func value(_ range: ByteRange) throws(SIPParseError) -> String {
            let uri = try SIPURI(bytes, range)
            guard uri.scheme != .other else { return text(range) }
            let scheme = ByteRange(range.start, range.start + (uri.scheme == .sip ? 3 : 4))
            let port = uri.port == 0 ? "" : "\(uri.port)"
            return [
                text(scheme), text(uri.user), text(uri.password), text(uri.host), port,
                text(uri.parameters), text(uri.headers),
            ].joined(separator: "|")
        }
        var why: [String] = []
        fields["start"] = index.isRequest ? text(index.methodName) : "\(index.statusCode)"
        do throws(SIPParseError) {
            fields["uri"] = index.isRequest ? try value(index.requestURI) : ""
        } catch {
            why.append("requestURI.\(error.reason)")
            fields["near"] = near(error, message)
        }
        do throws(SIPParseError) {
            let via = try index.topVia(bytes)
            let port = via.port == 0 ? "" : "\(via.port)"
            fields["via"] = "\(text(via.host))|\(port)|\(text(via.branch))"
        } catch {
            why.append("via.\(error.reason)")
            fields["near"] = near(error, message)
        }
        for (key, name) in [("from", HeaderName.from), ("to", .to)] {
            do throws(SIPParseError) {
                let range = index.value(name) ?? .none
                let address = try NameAddress(bytes, from: range.start, to: range.end)
                guard address.whole.end == range.end else {
                    throw SIPParseError(.address, at: address.whole.end)
                }
                let tag = bytes.parameter("tag", in: address.parameters).map(text) ?? ""
                fields[key] = try value(address.uri) + " " + tag
            } catch {
                why.append("\(key).\(error.reason)")
                fields["near"] = near(error, message)
            }
        }
        for (key, name) in [("contacts", HeaderName.contact), ("routes", .route)] {
            var list = ""
            var cursor = AddressCursor(name, of: index)
            do throws(SIPParseError) {
                while let address = try cursor.next(bytes, index) {
                    list += text(address.whole) == "*" ? "*" : try value(address.uri)
                    list += " "
                    guard name == .contact else { continue }
                    list += bytes.parameter("expires", in: address.parameters).map(text) ?? ""
                    list += " "
                }
                fields[key] = list
            } catch {
                why.append("\(key).\(error.reason)")
                fields["near"] = near(error, message)
            }
        }
        fields["callid"] = index.value(.callID).map(text) ?? ""
        fields["cseq"] = "\(index.sequenceNumber) \(text(index.sequenceMethod))"
        for (key, name) in [("forwards", HeaderName.maxForwards), ("length", .contentLength)] {
            let number = index.value(name).flatMap { try? bytes.number(in: $0, max: 1 << 40) }
            fields[key] = number.map { "\($0)" } ?? ""
        }
        fields["body"] = "\(index.body.count)"
        fields["verdict"] = why.isEmpty ? "good" : "bad"
        fields["why"] = why.joined(separator: ",")
        return fields
    }
}

private func near(_ error: SIPParseError, _ message: [UInt8]) -> String {
    let (start, end) = (max(0, error.offset - 24), min(message.count, error.offset + 12))
    return escaped(message[min(start, end)..<end])
}

/// As `sofia.c` puts it, so that a line and a field stay one.
func escaped(_ bytes: some Sequence<UInt8>) -> String {
    var text: [UInt8] = []
    for byte in bytes {
        switch byte {
        case 0x09: text += [0x5C, 0x74]
        case 0x0D: text += [0x5C, 0x72]
        case 0x0A: text += [0x5C, 0x6E]
        case 0x5C: text += [0x5C, 0x5C]
        default: text.append(byte)
        }
    }
    return String(decoding: text, as: UTF8.self)
}
