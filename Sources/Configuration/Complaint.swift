/// What is wrong with the settings, where, and what would be right, in words for whoever has to fix it.
package struct Complaint: Equatable, Sendable {
    /// Where the operator wrote it.
    package enum Place: Equatable, Sendable {
        /// Line and column from 1.
        case file(String, line: Int, column: Int)
        /// A flag of the command line, with its dashes.
        case flag(String)
    }

    package let place: Place
    package let what: String
    /// What is allowed there, or what to do.
    package let allowed: String
    /// What was probably meant.
    package let suggestion: String?

    /// `file:line:col: what; what is allowed; did you mean …?`, or `--flag: …`.
    package var text: String {
        let head =
            switch place {
            case .file(let name, let line, let column): "\(name):\(line):\(column): "
            case .flag(let name): "\(name): "
            }
        return head + what + "; " + allowed + (suggestion.map { "; did you mean \($0)?" } ?? "")
    }

    /// Sorted by line and column, the command line last; what stands at one place keeps its order.
    static func sorted(_ complaints: [Complaint]) -> [Complaint] {
        complaints.enumerated()
            .sorted { ($0.element.order, $0.offset) < ($1.element.order, $1.offset) }
            .map(\.element)
    }

    private var order: TextPlace {
        switch place {
        case .file(_, let line, let column): TextPlace(line: line, column: column)
        case .flag: TextPlace(line: .max, column: .max)
        }
    }
}

/// A text as it is quoted to the operator: short, and without what would move the cursor.
func quoted(_ text: String) -> String {
    let shownMax = 48
    let isLonger = text.unicodeScalars.count > shownMax
    return "\"" + printable(text, scalarsMax: shownMax) + (isLonger ? "…\"" : "\"")
}

/// A text of one line, in which nothing moves the cursor.
func printable(_ text: String, scalarsMax: Int = .max) -> String {
    if text.utf8.count <= scalarsMax, text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) {
        return text
    }
    var shown = ""
    for scalar in text.unicodeScalars.prefix(scalarsMax) {
        let category = scalar.properties.generalCategory
        let moves =
            category == .control || category == .format || category == .unassigned
            || category == .lineSeparator || category == .paragraphSeparator
        shown.unicodeScalars.append(moves ? "?" : scalar)
    }
    return shown
}
