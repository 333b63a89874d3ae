internal import Bytes
internal import SIPMessage
internal import SIPTransaction

/// A message out of the pool, read again: its bytes and where everything lies in them.
struct Recalled: ~Copyable {
    /// What the parser may look at behind a message.
    private static let paddingBytes = 64
    static let bytesMax = MessageIndex.messageBytesMax

    private var bytes = ByteBuffer(bytesMax: bytesMax + paddingBytes)
    private(set) var count = 0
    private(set) var index = MessageIndex()

    var span: Span<UInt8> {
        @_lifetime(borrow self)
        get { bytes.span }
    }

    /// `false` if the bytes are no message, which none of the pool's is.
    mutating func read(_ stored: BytesHandle, in pool: borrowing BytePool) -> Bool {
        bytes.clear()
        bytes.append(pool.bytes(of: stored))
        count = bytes.count
        for _ in 0..<(Self.paddingBytes / 8) { bytes.append(eight: 0) }
        return !bytes.overflowed && Self.parse(bytes, count, into: &index)
    }

    private static func parse(
        _ bytes: borrowing ByteBuffer, _ count: Int, into index: inout MessageIndex
    ) -> Bool {
        guard case .message = MessageParser().parse(bytes.span, length: count, into: &index) else {
            return false
        }
        return true
    }
}

extension WorkerCore {
    /// Takes a stored message out and reads it again; to be given back by ``giveBack(_:)``.
    mutating func recall(_ stored: BytesHandle) -> Recalled? {
        guard stored != .none, var room = rooms.take() else { return nil }
        if room.read(stored, in: calls.bytes) { return room }
        rooms.put(room)
        return nil
    }

    mutating func giveBack(_ message: consuming Recalled) { rooms.put(message) }
}

/// Rooms to read messages again in: three, since a response, its request and a challenge beside it may
/// be looked at together.
struct RecallRooms: ~Copyable {
    private var first: Recalled? = Recalled()
    private var second: Recalled? = Recalled()
    private var third: Recalled? = Recalled()

    mutating func take() -> Recalled? {
        if let room = first.take() { return room }
        if let room = second.take() { return room }
        return third.take()
    }

    mutating func put(_ room: consuming Recalled) {
        if first == nil {
            first = consume room
        } else if second == nil {
            second = consume room
        } else {
            third = consume room
        }
    }
}
