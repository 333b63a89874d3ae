internal import Bytes

/// The contacts in what `opensips-cli -x mi ul_dump` or `kamcmd ul.dump` in JSON print: every object
/// with a contact's URI in it, under the AOR that was named last.
struct JSONReader: Sendable {
    private var row = DumpRow()
    private var line: Int
    private var value: [UInt8] = []
    private var key: [UInt8] = []
    private var addressOfRecord: [UInt8] = []
    private var depth = 0
    /// Where the object at hand began; its own values count, those of objects inside do not.
    private var contactDepth = 0
    private var hasContact = false
    private var inString = false
    private var isEscaped = false
    private var wasString = false
    private var hexDigits = 0
    private var scalar: UInt32 = 0
    private var highHalf: UInt32 = 0
    private var isValue = false

    init(line: Int) { self.line = line }

    mutating func read(_ byte: UInt8, _ sink: (DumpRow) -> Void) {
        if byte == 0x0A { line += 1 }
        if inString {
            row.keep(byte)
            string(byte)
            return
        }
        switch byte {
        case 0x7B:
            depth += 1
            if !hasContact {
                row.begin(line: line)
                contactDepth = depth
            }
            row.keep(byte)
            startKey()
        case 0x7D:
            row.keep(byte)
            endValue()
            if hasContact, depth == contactDepth {
                row.set(.addressOfRecord, addressOfRecord)
                sink(row)
                hasContact = false
            }
            depth -= 1
            startKey()
        case 0x22:
            row.keep(byte)
            value.removeAll(keepingCapacity: true)
            (inString, wasString) = (true, true)
        case 0x3A:
            row.keep(byte)
            key = value
            value.removeAll(keepingCapacity: true)
            (isValue, wasString) = (true, false)
        case 0x2C, 0x5B, 0x5D:
            row.keep(byte)
            endValue()
            startKey()
        case 0x20, 0x09, 0x0A, 0x0D: row.keep(byte)
        default:
            row.keep(byte)
            if value.count < DumpRow.bytesMax { value.append(byte) }
        }
    }

    mutating func finish(_ sink: (DumpRow) -> Void) {
        guard hasContact else { return }
        row.isBroken = true
        sink(row)
    }

    private mutating func startKey() {
        value.removeAll(keepingCapacity: true)
        (isValue, wasString) = (false, false)
    }

    private mutating func endValue() {
        guard isValue else { return }
        isValue = false
        let name = String(decoding: key, as: UTF8.self).lowercased()
        if name == "aor", wasString {
            addressOfRecord = value
            return
        }
        guard depth == contactDepth || !hasContact else { return }
        if !wasString, value == Array("null".utf8) || value.isEmpty { return }
        switch Column(named: key) {
        case .contact where wasString:
            row.set(.contact, value)
            (hasContact, contactDepth) = (true, depth)
        // Live dumps say how long it still lasts; our own export says until when.
        case .expires where name == "expires": row.set(.expiresIn, value)
        case .flowNumber where value == [0x30]: break
        // The name of the table, here.
        case .domain, .username: break
        case let column: row.set(column, value)
        }
    }

    private mutating func string(_ byte: UInt8) {
        if hexDigits > 0 {
            scalar = scalar << 4 | UInt32(byte.hexDigitValue ?? 0)
            hexDigits -= 1
            if hexDigits == 0 { endScalar() }
        } else if isEscaped {
            isEscaped = false
            switch byte {
            case UInt8(ascii: "u"): (hexDigits, scalar) = (4, 0)
            case UInt8(ascii: "b"): append(8)
            case UInt8(ascii: "f"): append(12)
            case UInt8(ascii: "n"): append(10)
            case UInt8(ascii: "r"): append(13)
            case UInt8(ascii: "t"): append(9)
            default: append(byte)
            }
        } else if byte == 0x5C {
            isEscaped = true
        } else if byte == 0x22 {
            inString = false
        } else {
            append(byte)
        }
    }

    private mutating func append(_ byte: UInt8) {
        if value.count < DumpRow.bytesMax { value.append(byte) } else { row.isBroken = true }
    }

    private mutating func endScalar() {
        if scalar & 0xFC00 == 0xD800 {
            highHalf = scalar
            return
        }
        if scalar & 0xFC00 == 0xDC00, highHalf != 0 {
            scalar = 0x1_0000 + (highHalf & 0x3FF) << 10 + (scalar & 0x3FF)
        }
        highHalf = 0
        guard let found = Unicode.Scalar(scalar) else {
            row.isBroken = true
            return
        }
        for byte in String(found).utf8 { append(byte) }
    }
}
