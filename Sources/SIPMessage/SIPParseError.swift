/// Why bytes are not a SIP message, and where; a value, since any byte can come from the network.
public struct SIPParseError: Error, Equatable, BitwiseCopyable, Sendable {
    public enum Reason: UInt8, CaseIterable, BitwiseCopyable, Sendable {
        case startLine, version, headerName, noColon, controlByte, bareCarriageReturn, noEnd
        case tooManyHeaders, lineTooLong, doubledHeader, missingHeader
        case number, numberTooLarge, contentLength, messageTooLarge
        case via, address, uri, contact, wildcard, sequence, methodMismatch, callID, parameter
        case tooManyContacts, addressOfRecord
        case uriTooLong, tooManyVias, optionTag, reason

        /// How it is told to an operator and, in the reason phrase, to the peer.
        public var text: StaticString {
            switch self {
            case .startLine: "Bad Start Line"
            case .version: "Version Not Supported"
            case .headerName: "Bad Header Name"
            case .noColon: "Header Without Colon"
            case .controlByte: "Control Byte"
            case .bareCarriageReturn: "Bare CR or LF"
            case .noEnd: "No End of Headers"
            case .lineTooLong: "Header Too Long"
            case .tooManyHeaders: "Too Many Headers"
            case .doubledHeader: "Doubled Header"
            case .missingHeader: "Missing Header"
            case .number: "Bad Number"
            case .numberTooLarge: "Number Too Large"
            case .contentLength: "Bad Content-Length"
            case .messageTooLarge: "Message Too Large"
            case .via: "Bad Via"
            case .address: "Bad Address"
            case .uri: "Bad URI"
            case .contact: "Bad Contact"
            case .wildcard: "Bad Wildcard Contact"
            case .sequence: "Bad CSeq"
            case .methodMismatch: "CSeq Method Mismatch"
            case .callID: "Bad Call-ID"
            case .parameter: "Bad Parameter"
            case .tooManyContacts: "Too Many Contacts"
            case .addressOfRecord: "Bad Address of Record"
            case .uriTooLong: "URI Too Long"
            case .tooManyVias: "Too Many Vias"
            case .optionTag: "Bad Option Tag"
            case .reason: "Bad Reason"
            }
        }
    }

    public let reason: Reason
    /// The offset of the first byte that cannot be right.
    public let offset: Int

    public init(_ reason: Reason, at offset: Int) {
        self.reason = reason
        self.offset = offset
    }
}
