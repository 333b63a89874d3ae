internal import Bytes

/// What a column of a location table means to us; columns that mean nothing have none.
public enum Column: Int, CaseIterable, Sendable {
    case contactID, username, domain, addressOfRecord, contact, received, path, expires, expiresIn
    case callID, sequence, socket, instance, flowNumber, asked, granted

    /// The column of a name as OpenSIPS, Kamailio, their JSON dumps or our own export write it.
    public init?(named name: [UInt8]) {
        let folded = String(decoding: name, as: UTF8.self).lowercased()
        guard let column = Self.names[folded] else { return nil }
        self = column
    }

    private static let names: [String: Column] = [
        "contact_id": .contactID, "contactid": .contactID, "username": .username,
        "domain": .domain, "aor": .addressOfRecord, "contact": .contact, "address": .contact,
        "received": .received, "path": .path, "expires": .expires, "expires_at": .expires,
        "expires_in": .expiresIn,
        "callid": .callID, "call-id": .callID, "cseq": .sequence, "socket": .socket,
        "sip_instance": .instance, "instance": .instance, "reg_id": .flowNumber,
        "reg-id": .flowNumber, "asked": .asked, "granted": .granted,
    ]

    /// The name that a refusal gives.
    public var name: String {
        switch self {
        case .contactID: "contact_id"
        case .addressOfRecord: "aor"
        case .expiresIn: "expires"
        case .callID: "callid"
        case .sequence: "cseq"
        case .instance: "sip_instance"
        case .flowNumber: "reg_id"
        case .username, .domain, .contact, .received, .path, .expires, .socket, .asked, .granted:
            "\(self)"
        }
    }
}

/// One contact of a dump: its columns unescaped, and the text it was read from.
public struct DumpRow: Sendable {
    /// The longest row that is read, in bytes; the rest of a longer one is dropped and it is refused.
    public static let bytesMax = 65_536

    public internal(set) var line = 1
    /// The row as it stands in the dump.
    public private(set) var raw: [UInt8] = []
    /// The values one after the other.
    public private(set) var bytes: [UInt8] = []
    private var values = [ByteRange?](repeating: nil, count: Column.allCases.count)
    /// Values that were read, those without a column too.
    public internal(set) var fields = 0
    /// Longer than ``bytesMax``, cut off by the end of the file, or of a wrong number of fields.
    public internal(set) var isBroken = false

    mutating func begin(line: Int) {
        self.line = line
        raw.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
        for index in values.indices { values[index] = nil }
        fields = 0
        isBroken = false
    }

    mutating func keep(_ byte: UInt8) {
        guard raw.count < Self.bytesMax else {
            isBroken = true
            return
        }
        raw.append(byte)
    }

    mutating func set(_ column: Column?, _ value: [UInt8]) {
        guard let column else { return }
        guard bytes.count + value.count <= Self.bytesMax else {
            isBroken = true
            return
        }
        values[column.rawValue] = ByteRange(bytes.count, bytes.count + value.count)
        bytes += value
    }

    /// A value; `nil` where the column is absent, NULL, empty, or what a dump writes for unset.
    public subscript(column: Column) -> [UInt8]? {
        guard let range = values[column.rawValue], !range.isEmpty else { return nil }
        let value = Array(bytes[range.start..<range.end])
        return value == Self.notSet ? nil : value
    }

    private static let notSet = Array("[not set]".utf8)
}

/// Whose layout a dump has.
public enum DumpSource: String, CaseIterable, Sendable {
    case opensips, kamailio, csv

    /// The columns of a table whose dump does not name them, as the newest schema orders them.
    var columns: [Column?] {
        let names =
            switch self {
            case .opensips, .csv:
                "contact_id username domain contact received path expires q callid cseq "
                    + "last_modified flags cflags user_agent socket methods sip_instance kv_store attr"
            case .kamailio:
                "id ruid username domain contact received path expires q callid cseq last_modified "
                    + "flags cflags user_agent socket methods instance reg_id server_id "
                    + "connection_id keepalive partition"
            }
        return names.split(separator: " ").map { Column(named: Array($0.utf8)) }
    }
}
