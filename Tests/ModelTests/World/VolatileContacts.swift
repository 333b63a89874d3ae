import Bytes
import Keys
import Registration
import StoreInMemory

extension MemoryStore {
    /// Whether a fact of this contact was promised without being durable.
    func isVolatile(_ uri: String) -> Bool {
        volatile.contains { number in
            visible[number].map { Self.contactURI($0) == uri } ?? false
        }
    }

    /// The URI of the contact of a fact.
    static func contactURI(_ bytes: [UInt8]) -> String {
        let span = bytes.span
        let range = Fact.range(of: .contact, in: span)
        let text = bytes[range.start..<range.end]
        let inner = text.drop { $0 != UInt8(ascii: "<") }.dropFirst()
        return String(decoding: inner.prefix { $0 != UInt8(ascii: ">") }, as: UTF8.self)
    }
}
