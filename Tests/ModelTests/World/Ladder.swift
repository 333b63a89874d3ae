/// The messages of an AOR, drawn as they went.
struct Ladder {
    enum Way: String {
        case phoneToMidreg = "phone ---> midreg          main"
        case midregToPhone = "phone <--- midreg          main"
        case midregToMain = "phone      midreg --------> main"
        case ownToMain = "phone      midreg =own====> main"
        case mainToMidreg = "phone      midreg <-------- main"
        case atMain = "phone      midreg            MAIN"
        case note = "                                "
    }

    struct Rung {
        let ms: UInt64
        let way: Way
        let port: UInt16
        let bytes: [UInt8]
    }

    private var rungs: [Rung] = []
    private static let rungsMax = 400

    mutating func add(_ ms: UInt64, _ way: Way, port: UInt16, _ bytes: [UInt8]) {
        if rungs.count >= Self.rungsMax { rungs.removeFirst(Self.rungsMax / 2) }
        rungs.append(Rung(ms: ms, way: way, port: port, bytes: bytes))
    }

    func text(last: Int, full: Bool) -> String {
        var text = ""
        for rung in rungs.suffix(last) {
            let line =
                rung.way == .note
                ? String(decoding: rung.bytes, as: UTF8.self) : SIPText(rung.bytes).summary
            text += "\(rung.ms) \(rung.way.rawValue) :\(rung.port) \(line)\n"
            if full, rung.way != .note { text += String(decoding: rung.bytes, as: UTF8.self) }
        }
        return text
    }
}
