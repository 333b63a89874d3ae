import Bytes
import Keys

/// A binding as the table keeps it: 128 bytes, two cache lines.
///
/// Every field of ``Binding`` is kept whole but these: the record number and the deadline have 48
/// bits; the other times are kept as milliseconds from the deadline and reach 24 days to either
/// side (one farther away reads as 24 days away: phones are granted a day at most); the ticket has
/// 32 bits (see ``ticket(near:)``); the twelve bytes that only an IPv6 address needs stand beside it.
struct PackedBinding: BitwiseCopyable, Sendable {
    /// How a peer's address is kept; all zero bytes are ``TransportAddress/none``.
    enum PeerForm: UInt8 {
        /// The upper twelve bytes are 0.
        case low = 0
        case ipv4
        /// The upper twelve bytes stand in a ``WidePeer``.
        case wide
    }

    /// The upper twelve bytes of an address.
    struct WidePeer: BitwiseCopyable, Sendable {
        var first: UInt32 = 0
        var second: UInt32 = 0
        var third: UInt32 = 0
    }

    private static let low13: UInt16 = 0x1FFF
    private static let low48: UInt64 = 0xFFFF_FFFF_FFFF

    // What finds it and what an absorbed refresh asks first come first.
    private(set) var aor = AORKey(high: 0, low: 0)
    private var idHigh: UInt64 = 0
    /// The last 56 bits of the ID; above them the state (lower four bits) and the peer's form.
    private var idLow: UInt64 = 0
    private(set) var contact: UInt64 = 0
    /// 48 bits of milliseconds; above them 13 bits of flags and three of what was not answered.
    private var deadlineAndFlags: UInt64 = 0
    private var callID: UInt32 = 0
    private var transaction: UInt32 = 0
    private var peerLow: UInt32 = 0
    private var peerPort: UInt16 = 0
    private var socket: UInt16 = 0
    private var sequenceHeard: UInt32 = 0
    private var ticketLow: UInt32 = 0
    private var unanswered: UInt32 = 0
    private var mainExpiry: Int32 = 0
    private var lastHeard: Int32 = 0
    private var arrival: Int32 = 0
    private var dirtyUntil: Int32 = 0
    private var sequenceRelayed: UInt32 = 0
    private(set) var identity: UInt64 = 0
    /// 48 bits; above them the block's number.
    private var recordAndBlock: UInt64 = 0
    private var grantedSeconds: UInt32 = 0
    var next: UInt32 = 0
    var wheelNext: UInt32 = 0
    var wheelPrevious: UInt32 = 0

    init() {}

    /// - Precondition: the block's number has 16 bits (``ReplyBlocks/blocksMax`` is less).
    init(_ binding: Binding) {
        precondition(binding.block <= UInt32(UInt16.max), "a block's number has 16 bits")
        let peer = binding.flow.peer
        let form: PeerForm =
            peer.isIPv4 ? .ipv4 : peer.high == 0 && peer.low >> 32 == 0 ? .low : .wide
        let marks = UInt64(form.rawValue) << 4 | UInt64(binding.state.rawValue)
        let deadline = min(binding.deadline.milliseconds, Self.low48)
        aor = binding.aor
        idHigh = binding.id.high
        idLow = marks << 56 | binding.id.low
        contact = binding.contact
        // Of a live one its pings count, of any other its removals; more than seven are as seven.
        let unheard = binding.state == .live ? binding.unansweredPings : binding.unansweredRemovals
        let upper = UInt64(min(unheard, 7)) << 13 | UInt64(binding.flags.rawValue & Self.low13)
        deadlineAndFlags = upper << 48 | deadline
        callID = binding.callID
        transaction = binding.transaction
        peerLow = UInt32(truncatingIfNeeded: peer.low)
        peerPort = peer.port
        socket = binding.flow.socket
        sequenceHeard = binding.sequenceHeard
        ticketLow = UInt32(truncatingIfNeeded: binding.ticket.value)
        unanswered = binding.unanswered
        mainExpiry = Self.offset(binding.mainExpiry, from: deadline)
        lastHeard = Self.offset(binding.lastHeard, from: deadline)
        arrival = Self.offset(binding.arrival, from: deadline)
        dirtyUntil = Self.offset(binding.dirtyUntil, from: deadline)
        sequenceRelayed = binding.sequenceRelayed
        identity = binding.identity
        recordAndBlock = UInt64(binding.block) << 48 | binding.record.value & Self.low48
        grantedSeconds = binding.grantedSeconds
    }

    /// - Parameters:
    ///   - wide: of its place; read if ``peerForm`` says so.
    ///   - newest: the largest ticket given to any binding of the table.
    func unpacked(_ wide: WidePeer, newest: UInt64) -> Binding {
        var binding = Binding()
        binding.aor = aor
        binding.id = id
        binding.identity = identity
        binding.contact = contact
        binding.callID = callID
        binding.transaction = transaction
        binding.record = RecordNumber(recordAndBlock & Self.low48)
        binding.ticket = ticket(near: newest)
        let from = deadline.milliseconds
        binding.deadline = deadline
        binding.mainExpiry = Self.time(mainExpiry, from: from)
        binding.lastHeard = Self.time(lastHeard, from: from)
        binding.arrival = Self.time(arrival, from: from)
        binding.dirtyUntil = Self.time(dirtyUntil, from: from)
        binding.flow = Flow(peer: peer(wide), socket: socket)
        binding.state = state
        binding.flags = flags
        let unheard = UInt8(truncatingIfNeeded: deadlineAndFlags >> 61)
        if state == .live {
            binding.unansweredPings = unheard
        } else {
            binding.unansweredRemovals = unheard
        }
        binding.sequenceRelayed = sequenceRelayed
        binding.sequenceHeard = sequenceHeard
        binding.grantedSeconds = grantedSeconds
        binding.block = UInt32(recordAndBlock >> 48)
        binding.unanswered = unanswered
        return binding
    }

    var id: ContactID { ContactID(high: idHigh, low: idLow) }
    var deadline: Instant { Instant(milliseconds: deadlineAndFlags & Self.low48) }
    var flags: Binding.Flags {
        Binding.Flags(rawValue: UInt16(truncatingIfNeeded: deadlineAndFlags >> 48) & Self.low13)
    }
    var isPinged: Bool { state == .live && flags.contains(.behindNAT) }
    var state: Binding.State {
        Binding.State(rawValue: UInt8(truncatingIfNeeded: idLow >> 56) & 0xF) ?? .free
    }
    var peerForm: PeerForm {
        PeerForm(rawValue: UInt8(truncatingIfNeeded: idLow >> 60)) ?? .low
    }

    /// The last ticket up to `newest` that ends in the bits kept here; so a hand-over counts as
    /// answered, as it was, until 2^32 others have followed it, and then as a newer one that was
    /// answered too, or at worst waits for the store once.
    private func ticket(near newest: UInt64) -> CommitTicket {
        let behind = UInt32(truncatingIfNeeded: newest) &- ticketLow
        return CommitTicket(newest >= UInt64(behind) ? newest - UInt64(behind) : UInt64(ticketLow))
    }

    private func peer(_ wide: WidePeer) -> TransportAddress {
        switch peerForm {
        case .low: TransportAddress(high: 0, low: UInt64(peerLow), port: peerPort)
        case .ipv4: TransportAddress(ipv4: peerLow, port: peerPort)
        case .wide:
            TransportAddress(
                high: UInt64(wide.first) << 32 | UInt64(wide.second),
                low: UInt64(wide.third) << 32 | UInt64(peerLow), port: peerPort)
        }
    }

    private static func offset(_ time: Instant, from deadline: UInt64) -> Int32 {
        Int32(clamping: Int64(min(time.milliseconds, low48)) - Int64(deadline))
    }

    private static func time(_ offset: Int32, from deadline: UInt64) -> Instant {
        Instant(milliseconds: UInt64(max(0, Int64(deadline) + Int64(offset))))
    }
}

extension PackedBinding.WidePeer {
    init(_ peer: TransportAddress) {
        first = UInt32(truncatingIfNeeded: peer.high >> 32)
        second = UInt32(truncatingIfNeeded: peer.high)
        third = UInt32(truncatingIfNeeded: peer.low >> 32)
    }
}
