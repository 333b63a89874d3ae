public import Bytes
public import SIPMessage

/// What the phone gets to see: the answers to REGISTER, with its own contacts and what is left of
/// them (RFC 3261 §10.3 step 8).
public enum RegisterAnswer {
    /// Writes a Contact field from the phone's own bytes: everything but its old `expires`.
    public static func writeContact(
        _ bytes: Span<UInt8>, element: ByteRange, without expires: ByteRange, seconds: UInt32,
        _ outbox: inout Outbox
    ) {
        beginContact(bytes, element: element, without: expires, seconds: seconds, &outbox)
        outbox.write("\r\n")
    }

    /// ``writeContact(_:element:without:seconds:_:)`` up to where more parameters have a place.
    public static func beginContact(
        _ bytes: Span<UInt8>, element: ByteRange, without expires: ByteRange, seconds: UInt32,
        _ outbox: inout Outbox
    ) {
        outbox.write("Contact: ")
        if expires.isEmpty {
            outbox.write(bytes, element)
        } else {
            outbox.write(bytes, ByteRange(element.start, expires.start))
            outbox.write(bytes, ByteRange(expires.end, element.end))
        }
        outbox.write(";expires=")
        outbox.write(decimal: seconds)
    }

    /// Header fields of a 2xx that later answers repeat.
    public static func isRepeated(_ bytes: Span<UInt8>, _ field: HeaderField) -> Bool {
        switch field.name {
        case .serviceRoute, .pAssociatedURI, .supported, .require, .flowTimer, .featureCaps,
            .allowEvents, .securityServer, .server:
            true
        default: false
        }
    }

    /// Collects the header fields to repeat from a 2xx of the main registrar.
    public static func collectBlock(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ marks: RelayState.Marks,
        scratch: inout Outbox, into block: inout ByteBuffer
    ) {
        block.clear()
        var number = 0
        while number < index.count {
            let field = index[number]
            number += 1
            guard isRepeated(bytes, field),
                block.count + field.line.count <= RegistrationLimits.replyBlockBytesMax
            else { continue }
            if field.name == .supported || field.name == .require, !marks.contains(.path) {
                scratch.begin()
                RelayedRegister.writeOptions(bytes, field, &scratch)
                block.append(scratch.open)
                scratch.abandon()
            } else {
                block.append(bytes, field.line)
            }
        }
    }

    /// Writes the main registrar's answer as it goes to the phone: without our Via, and, if
    /// `rebuilds`, up to where Contacts of ours are to be put in place of its own. A Path that only
    /// we have put in is none of a phone's that does not know Path (RFC 3327 §5.3).
    ///
    /// After this the caller writes Contact fields and calls ``finish(_:_:_:)``.
    public static func writeRelayed(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ marks: RelayState.Marks,
        top: ViaValue, rebuilds: Bool, _ outbox: inout Outbox
    ) {
        outbox.write(bytes, index.startLine)
        writeFields(bytes, index, marks, top: top, rebuilds: rebuilds, &outbox)
    }

    /// The header fields of ``writeRelayed(_:_:_:top:rebuilds:_:)`` without the start line.
    public static func writeFields(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ marks: RelayState.Marks,
        top: ViaValue, rebuilds: Bool, _ outbox: inout Outbox
    ) {
        var isTop = true
        var number = 0
        while number < index.count {
            let field = index[number]
            number += 1
            switch field.name {
            case .via where isTop:
                isTop = false
                if top.isFollowed {
                    let comma = bytes.skipSpace(from: top.whole.end, to: field.value.end)
                    outbox.write("Via: ")
                    outbox.write(bytes, bytes.trimmed(ByteRange(comma + 1, field.value.end)))
                    outbox.write("\r\n")
                }
            case .contact where rebuilds, .expires where rebuilds: break
            case .path where rebuilds && marks.contains(.path) && !marks.contains(.knowsPath): break
            // The main registrar was told of no Path: that of the edge is told by us.
            case .path where rebuilds && marks.contains(.byEdge) && !marks.contains(.path): break
            case .require where rebuilds && !marks.contains(.path),
                .supported where rebuilds && !marks.contains(.path):
                RelayedRegister.writeOptions(bytes, field, &outbox)
            default: outbox.write(bytes, field.line)
            }
        }
    }

    public static func finish(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, _ outbox: inout Outbox
    ) {
        outbox.write(bytes, index.headerEnd)
        outbox.write(bytes, index.body)
    }
}
