public import Bytes
public import Keys
public import SIPMessage

/// A keyed hash of all that decides where a request goes: equal in a Via of ours that a request
/// brings back and in the request itself, it has come to us again as it was, and will go the same way
/// again (RFC 5393 §4.2).
///
/// Hashed are, as they came: request-URI, all Route, the From URI, Call-ID, CSeq number,
/// Proxy-Require and Proxy-Authorization. Not hashed are the method, which CANCEL and ACK change, the
/// tags, and what each hop changes (Via, Max-Forwards, Max-Breadth, Record-Route).
public struct LoopPart: Equatable, BitwiseCopyable, Sendable {
    public let value: UInt64

    init(value: UInt64) { self.value = value }

    /// - Parameter also: what else decides: who this element is, if others share its keys, and the
    ///   class of the source, since a request means another thing from a phone than from the main
    ///   registrar.
    public init(
        _ bytes: Span<UInt8>, _ index: borrowing MessageIndex, also: UInt64, under keys: KeyRing
    ) {
        var hash = KeyedHash(keys.loop)
        hash.update(word: also)
        Self.update(&hash, bytes, index.requestURI)
        if let from = index.value(.from) {
            let address = try? NameAddress(bytes, from: from.start, to: from.end)
            Self.update(&hash, bytes, address?.uri ?? from)
        }
        Self.update(&hash, bytes, index.value(.callID) ?? .none)
        hash.update(word: UInt64(index.sequenceNumber))
        var number = 0
        while number < index.count {
            let field = index[number]
            number += 1
            switch field.name {
            case .route, .proxyRequire, .proxyAuthorization:
                hash.update(word: UInt64(field.name.rawValue))
                Self.update(&hash, bytes, field.value)
            default: break
            }
        }
        value = hash.finish()
    }

    /// Feeds a part with its length, so that no two parts can pass for others.
    private static func update(
        _ hash: inout KeyedHash, _ bytes: Span<UInt8>, _ range: ByteRange
    ) {
        hash.update(word: UInt64(range.count))
        hash.update(bytes, range)
    }

    /// What the Vias of a request tell of the way it came.
    public enum Finding: Equatable, Sendable {
        /// We have not passed it on.
        case none
        /// We have, when it was another in what decides (§16.3 step 4): it goes on.
        case spiral
        /// We have, as it is now: 482 (Loop Detected).
        case loop
    }

    /// Looks for Vias of ours among all of a request, under the key: whatever another element wrote,
    /// sent-by and branch included, is passed over.
    ///
    /// - Parameter scratch: is overwritten.
    public func find(
        in bytes: Span<UInt8>, _ index: borrowing MessageIndex, under keys: KeyRing,
        scratch: inout ByteBuffer
    ) -> Finding {
        var finding = Finding.none
        var number = index.first(.via) ?? index.count
        while number < index.count {
            let field = index[number]
            number += 1
            guard field.name == .via else { continue }
            var at = field.value.start
            // What stands behind one that cannot be read is a stranger's: ours can be, and hops put
            // theirs before others'.
            while at < field.value.end,
                let via = try? ViaValue(bytes, from: at, to: field.value.end)
            {
                let branch = bytes.extracting(via.branch.start..<via.branch.end)
                if branch.count == ForkedBranch.characters,
                    let seal = SealedVia(branch: branch, under: keys, into: &scratch),
                    let ours = ForkedBranch(seal, in: scratch.span)
                {
                    if ours.loop == self { return .loop }
                    finding = .spiral
                }
                guard via.isFollowed else { break }
                at = bytes.skipSpace(from: via.whole.end, to: field.value.end) + 1
            }
        }
        return finding
    }
}
