/// Reads single keys of a document and of the command line, and collects what is wrong with them.
struct SettingsReader {
    let document: TOMLDocument
    let file: String
    private(set) var errors: [Complaint] = []
    private(set) var warnings: [Complaint] = []
    /// The table of each section that stands once.
    private var sections: [String: Int] = [:]
    /// The tables of the others, in their order.
    private var tables: [String: [Int]] = [:]

    /// A value with the place it was read from.
    struct Placed<Value> {
        var value: Value
        /// `nil` if nobody wrote it: the standard.
        var place: Complaint.Place?
        /// Whether it is what the operator wrote; the standard stands in for a faulty one, and no
        /// conclusion may be drawn from it.
        var isSound = true
    }

    init(document: TOMLDocument, faults: [TOMLDocument.Fault], file: String) {
        self.document = document
        self.file = file
        for fault in faults { complain(about: fault) }
        findSections()
    }

    /// Reads one key of a section that stands once; the flag, if there is one, overrides it.
    mutating func read<Value>(
        _ section: String, _ key: String, _ form: Form<Value>, standard: Value,
        flag: (name: String, text: String?)? = nil
    ) -> Placed<Value> {
        var placed = Placed(value: standard, place: nil)
        if let table = sections[section] {
            placed = read(key, of: table, named: "\(section).\(key)", form, standard: standard)
        }
        guard let flag, let text = flag.text else { return placed }
        return read(.flag(text), at: .flag(flag.name), named: "", form, standard: standard)
    }

    /// Reads one key of a table.
    mutating func read<Value>(
        _ key: String, of table: Int, named name: String, _ form: Form<Value>, standard: Value
    ) -> Placed<Value> {
        guard let index = document.child(key, of: table) else {
            return Placed(value: standard, place: nil)
        }
        let item = document.items[index]
        return read(
            .toml(item.value), at: place(item.place), named: name, form, standard: standard)
    }

    /// Reads a value that stands in the file or on the command line.
    mutating func read<Value>(
        _ written: Written, at place: Complaint.Place, named name: String, _ form: Form<Value>,
        standard: Value
    ) -> Placed<Value> {
        switch form.read(written) {
        case .success(let value):
            return Placed(value: value, place: place)
        case .failure(let fault):
            let what = name.isEmpty ? fault.what : "\(name) \(fault.what)"
            complain(at: place, what, allowed: fault.allowed, suggesting: fault.suggestion)
            return Placed(value: standard, place: place, isSound: false)
        }
    }

    /// The elements of a list in a section; `nil` if the key is not there or is no list.
    mutating func list(_ section: String, _ key: String, countMax: Int, of what: String) -> [Int]? {
        guard let index = item(section, key) else { return nil }
        let item = document.items[index]
        guard item.value == .array else {
            var meant: String?
            if case .string(let text) = item.value { meant = "[\(quoted(text))]" }
            complain(
                at: place(item.place),
                "\(section).\(key) is \(Written.toml(item.value).shown), not a list",
                allowed: "allowed is a list of \(what) in brackets", suggesting: meant)
            return nil
        }
        let elements = document.children(of: index)
        if elements.count > countMax {
            complain(
                at: place(document.items[elements[countMax]].place),
                "\(section).\(key) has \(elements.count) entries",
                allowed: "allowed are at most \(countMax)")
        }
        return elements
    }

    /// The tables of a section that may repeat.
    func tables(_ section: String) -> [Int] { tables[section] ?? [] }

    /// The index of a key's value in a section that stands once.
    func item(_ section: String, _ key: String) -> Int? {
        sections[section].flatMap { document.child(key, of: $0) }
    }

    func place(_ place: TextPlace) -> Complaint.Place {
        .file(file, line: place.line, column: place.column)
    }

    /// Where to point for what is not written: the section's head, the start of the file, or, if
    /// there is no file, the flag.
    func place(ofSection section: String, flag: String) -> Complaint.Place {
        if file.isEmpty { return .flag(flag) }
        guard let table = sections[section] else { return place(.start) }
        return place(document.items[table].place)
    }

    mutating func complain(
        at place: Complaint.Place, _ what: String, allowed: String, suggesting: String? = nil
    ) {
        errors.append(
            Complaint(place: place, what: what, allowed: allowed, suggestion: suggesting))
    }

    mutating func warn(at place: Complaint.Place, _ what: String, advice: String) {
        warnings.append(Complaint(place: place, what: what, allowed: advice, suggestion: nil))
    }
}

// MARK: - What stands in the file

extension SettingsReader {
    private mutating func complain(about fault: TOMLDocument.Fault) {
        let isTwice = holds(fault.what, "cannot redefine")
        complain(
            at: place(fault.place), printable(fault.what),
            allowed: isTwice
                ? "each key and section stands once, only [[listen]] and [[domain]] repeat"
                : "a line is [section], key = value or # comment, with text in quotes")
    }

    private mutating func findSections() {
        for index in document.children(of: nil) {
            let item = document.items[index]
            let name = item.key
            guard KnownKeys.sectionNames.contains(name) else {
                complain(aboutUnknownSection: item)
                continue
            }
            switch item.value {
            case .table where KnownKeys.repeated.contains(name):
                complain(
                    at: place(item.place), "[\(name)] stands once",
                    allowed: ownSection(name), suggesting: KnownKeys.header(name))
                tables[name] = [index]
            case .table:
                sections[name] = index
            case .array where KnownKeys.repeated.contains(name):
                findTables(of: name, in: index)
            default:
                let header = KnownKeys.header(name)
                let shown = item.value == .array ? "repeats" : "is no section"
                complain(
                    at: place(item.keyPlace), "\(name) \(shown)",
                    allowed: KnownKeys.repeated.contains(name)
                        ? ownSection(name) : "it stands once, as \(header)", suggesting: header)
            }
        }
        for (name, table) in sections { checkKeys(of: table, in: name) }
        for (name, tables) in tables {
            for table in tables { checkKeys(of: table, in: name) }
        }
    }

    private func ownSection(_ name: String) -> String {
        "every \(name == "listen" ? "listener" : name) is a \(KnownKeys.header(name)) of its own"
    }

    private mutating func findTables(of name: String, in array: Int) {
        for element in document.children(of: array) {
            let item = document.items[element]
            if item.value == .table {
                tables[name, default: []].append(element)
            } else {
                complain(
                    at: place(item.place), "\(name) holds \(Written.toml(item.value).shown)",
                    allowed: ownSection(name), suggesting: KnownKeys.header(name))
            }
        }
    }

    private mutating func complain(aboutUnknownSection item: TOMLDocument.Item) {
        let name = item.key
        // A list of values is a key that lost its section; one of tables is a section.
        let isList =
            item.value == .array
            && KnownKeys.sections.contains { $0.keys.contains(name) }
        let isSection = item.value == .table || item.value == .array && !isList
        if isSection, let reason = KnownKeys.laterSections[name] {
            complain(at: place(item.keyPlace), "[\(name)]: not yet", allowed: reason)
            return
        }
        let sectionList = KnownKeys.sectionNames.map(KnownKeys.header).joined(separator: ", ")
        guard isSection else {
            let section = KnownKeys.sections.first { $0.keys.contains(name) }
            complain(
                at: place(item.keyPlace), "key \(keyText(name)) outside of any section",
                allowed: "sections are \(sectionList)",
                suggesting: section.map { "\(name) in \(KnownKeys.header($0.name))" })
            return
        }
        let near =
            KnownKeys.renamedSections[name]
            ?? suggestion(for: name, among: KnownKeys.sectionNames)
        complain(
            at: place(item.keyPlace), "unknown section [\(keyText(name))]",
            allowed: "sections are \(sectionList)", suggesting: near.map(KnownKeys.header))
    }

    private mutating func checkKeys(of table: Int, in section: String) {
        let known = KnownKeys.keys(of: section)
        for index in document.children(of: table) {
            let item = document.items[index]
            if known.contains(item.key) { continue }
            let path = "\(section).\(keyText(item.key))"
            if let reason = KnownKeys.later["\(section).\(item.key)"] {
                complain(at: place(item.keyPlace), "\(path): not yet", allowed: reason)
                continue
            }
            let elsewhere = KnownKeys.sections.first { $0.keys.contains(item.key) }
            let near =
                suggestion(for: item.key, among: known).map { "\(section).\($0)" }
                ?? elsewhere.map { "\(item.key) in \(KnownKeys.header($0.name))" }
            complain(
                at: place(item.keyPlace), "unknown key \(path)",
                allowed:
                    "keys of \(KnownKeys.header(section)) are \(known.joined(separator: ", "))",
                suggesting: near)
        }
    }
}

/// A key as it stands in the file: quoted if it is not of letters, digits, `-` and `_`.
private func keyText(_ key: String) -> String {
    let isBare = key.utf8.allSatisfy {
        ($0 >= 0x30 && $0 <= 0x39) || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || $0 == 0x2D
            || $0 == 0x5F
    }
    return isBare && !key.isEmpty && key.utf8.count <= 48 ? key : quoted(key)
}

/// Whether a part stands in a text, byte by byte; characters, which are slow to find, are not asked for.
private func holds(_ text: String, _ part: String) -> Bool {
    let first = part.utf8.first
    return text.utf8.indices.contains {
        text.utf8[$0] == first && text.utf8[$0...].starts(with: part.utf8)
    }
}

/// The parser's words without what would break the line.
private func printable(_ text: String) -> String {
    if text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) { return text }
    var line = ""
    for scalar in text.unicodeScalars {
        line.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7F ? "?" : scalar)
    }
    return line
}
