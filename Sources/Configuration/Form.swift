internal import Bytes

/// What is wrong with a value, before it is known where it stands.
struct Fault: Error {
    let what: String
    let allowed: String
    let suggestion: String?

    init(_ what: String, allowed: String, suggesting suggestion: String? = nil) {
        self.what = what
        self.allowed = allowed
        self.suggestion = suggestion
    }
}

/// A value as it was written: in the file with its type, or as the text of a flag.
enum Written {
    case toml(TOMLDocument.Value)
    case flag(String)

    /// The text, where text is wanted.
    var text: String? {
        switch self {
        case .toml(.string(let text)), .flag(let text): text
        case .toml: nil
        }
    }

    /// How it is named in a complaint.
    var shown: String {
        switch self {
        case .flag(let text), .toml(.string(let text)): quoted(text)
        case .toml(.integer(let value)): String(value)
        case .toml(.number(let value)): "\(value)"
        case .toml(.boolean(let value)): String(value)
        case .toml(.dateTime): "a date or time"
        case .toml(.array): "a list"
        case .toml(.table): "a section"
        }
    }
}

/// How a kind of value is written, what of it is allowed, and how it is read.
struct Form<Value: Sendable>: Sendable {
    let read: @Sendable (Written) -> Result<Value, Fault>

    /// A value that is written as text.
    static func text(
        _ allowed: String, _ parse: @escaping @Sendable (String) -> Result<Value, Fault>
    ) -> Form {
        Form { written in
            if let text = written.text { return parse(text) }
            var meant: String?
            if case .toml(.integer(let value)) = written { meant = "\"\(value)\"" }
            if let candidate = meant,
                case .failure = parse(String(candidate.dropFirst().dropLast()))
            {
                meant = nil
            }
            let what = "is \(written.shown), not text in quotes"
            return .failure(Fault(what, allowed: allowed, suggesting: meant))
        }
    }
}

extension Form where Value == Int {
    /// A whole number within bounds.
    static func whole(_ range: ClosedRange<Int>) -> Form {
        let allowed = "allowed are \(range.lowerBound) to \(range.upperBound)"
        return Form { written in
            switch written {
            case .toml(.integer(let value)):
                if let value = Int(exactly: value), range.contains(value) { return .success(value) }
                return .failure(Fault("is \(value)", allowed: allowed))
            case .flag(let text):
                if let value = Int(text), range.contains(value) { return .success(value) }
                return .failure(Fault("is \(quoted(text))", allowed: allowed))
            case .toml(let value):
                var meant: String?
                if case .string(let text) = value, let number = Int(text), range.contains(number) {
                    meant = String(number)
                }
                return .failure(
                    Fault(
                        "is \(written.shown), not a whole number", allowed: allowed,
                        suggesting: meant))
            }
        }
    }
}

extension Form where Value == Double {
    /// A share of something, as a number within bounds.
    static func share(_ range: ClosedRange<Double>) -> Form {
        let allowed = "allowed are \(range.lowerBound) to \(range.upperBound)"
        return Form { written in
            let value: Double
            switch written {
            case .toml(.number(let number)): value = number
            case .toml(.integer(let number)): value = Double(number)
            case .toml, .flag:
                return .failure(Fault("is \(written.shown), not a number", allowed: allowed))
            }
            // A NaN lies in no range.
            guard range.contains(value) else {
                return .failure(Fault("is \(written.shown)", allowed: allowed))
            }
            return .success(value)
        }
    }
}

extension Form where Value == Bool {
    static let yesOrNo = Form { written in
        if case .toml(.boolean(let value)) = written { return .success(value) }
        var meant: String?
        if let text = written.text, text == "true" || text == "false" { meant = text }
        return .failure(
            Fault(
                "is \(written.shown), not a truth value", allowed: "allowed are true and false",
                suggesting: meant))
    }
}

extension Form where Value: CaseIterable & RawRepresentable, Value.RawValue == String {
    /// One of a few words.
    static func word() -> Form {
        let words = Value.allCases.map(\.rawValue)
        let list = words.map { "\"\($0)\"" }.joined(separator: ", ")
        let allowed = "allowed are \(list)"
        return .text(allowed) { text in
            if let value = Value(rawValue: text) { return .success(value) }
            let near = suggestion(for: text, among: words).map { "\"\($0)\"" }
            return .failure(Fault("is \(quoted(text))", allowed: allowed, suggesting: near))
        }
    }
}

extension Form where Value == UInt32 {
    /// A duration of whole seconds within bounds.
    static func seconds(_ range: ClosedRange<UInt32>) -> Form {
        let bounds =
            "\(durationText(seconds: range.lowerBound)) to "
            + durationText(seconds: range.upperBound)
        let allowed = "allowed are \(bounds), such as \"90s\", \"10m\" or \"1h\""
        return Form { written in
            guard let text = written.text else {
                var meant: String?
                if case .toml(.integer(let value)) = written,
                    let seconds = UInt32(exactly: value), range.contains(seconds)
                {
                    meant = "\"\(durationText(seconds: seconds))\""
                }
                return .failure(
                    Fault(
                        "is \(written.shown), not a duration", allowed: allowed, suggesting: meant))
            }
            guard let amount = Amount(text), let ms = amount.milliseconds else {
                return .failure(Fault("is \(quoted(text)), not a duration", allowed: allowed))
            }
            guard ms % 1_000 == 0 else {
                return .failure(Fault("is \(quoted(text)), not whole seconds", allowed: allowed))
            }
            guard let seconds = UInt32(exactly: ms / 1_000), range.contains(seconds) else {
                return .failure(Fault("is \(quoted(text))", allowed: allowed))
            }
            return .success(seconds)
        }
    }
}

extension Form where Value == UInt64 {
    /// A number of bytes within bounds.
    static func size(_ range: ClosedRange<UInt64>) -> Form {
        let bounds =
            "\(sizeText(bytes: range.lowerBound)) to "
            + sizeText(bytes: range.upperBound)
        let allowed = "allowed are \(bounds), such as \"64MiB\" or \"4GiB\""
        return .text(allowed) { text in
            guard let amount = Amount(text) else {
                return .failure(Fault("is \(quoted(text)), not a size", allowed: allowed))
            }
            guard let bytes = amount.bytes else {
                let unit = suggestion(
                    for: amount.unit, among: ["KiB", "MiB", "GiB", "TiB"])
                return .failure(
                    Fault(
                        "is \(quoted(text)), not a size", allowed: allowed,
                        suggesting: unit.map { "\"\(amount.number)\($0)\"" }))
            }
            guard range.contains(bytes) else {
                return .failure(Fault("is \(quoted(text))", allowed: allowed))
            }
            return .success(bytes)
        }
    }
}
