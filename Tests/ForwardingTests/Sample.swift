import Bytes
import SIPMessage
import Testing

/// A message in text, with "\n" for each line end, and where everything of it lies.
struct Sample: ~Copyable {
    let bytes: [UInt8]
    var index = MessageIndex()

    init(_ text: String) throws {
        let message = Array(text.replacing("\n", with: "\r\n").utf8)
        bytes = message
        let span = message.span
        let outcome = MessageParser().parse(span, length: span.count, into: &index)
        try #require(outcome == .message, "\(text)")
    }

    /// The values of the fields called `name`.
    func values(_ name: HeaderName) -> [String] {
        (0..<index.count).filter { index[$0].name == name }.map { number in
            let value = index[number].value
            return String(decoding: bytes[value.start..<value.end], as: UTF8.self)
        }
    }
}

/// What `write` writes, with "\n" for each line end.
func written(bytesMax: Int = 70_000, _ write: (inout Outbox) throws -> Void) rethrows -> String {
    var outbox = Outbox(bytesMax: bytesMax, messagesMax: 1)
    outbox.begin()
    try write(&outbox)
    return outbox.openText.replacing("\r\n", with: "\n")
}
