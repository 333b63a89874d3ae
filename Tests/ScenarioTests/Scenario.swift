/// One `.sipflow` file, read: what it shows and what happens in it.
struct Scenario: Sendable {
    let file: String
    /// The points that it shows: the title up to its colon.
    let points: String
    let title: String
    /// Why it cannot pass yet.
    let pending: String?
    let statements: [Statement]
}

/// What one line says, with the lines under it.
struct Statement: Sendable {
    let line: Int
    let action: Action
}

enum Action: Sendable {
    case setting(name: String, value: String)
    case peer(name: String, source: String, claimed: String?)
    case registered(peer: String, user: String, contact: String?, parts: [Part], edits: [Edit])
    /// Messages with this start that nobody need expect.
    case ignoring(Kind)
    case send(peer: String, Outgoing)
    case expect(When, peer: String, Incoming)
    case wait(ms: UInt64)
    case silence(ms: UInt64)
    case nothingMore
    case restart
    case store(works: Bool)
    case figure(series: String, is: UInt64)
    case define(name: String, value: String)
}

/// `name=value` of a registration.
struct Part: Sendable {
    let name: String
    let value: String
}

/// When a message is expected, from the present moment on.
enum When: Sendable {
    case now
    /// At this moment, and nothing before it.
    case after(ms: UInt64)
    /// At any moment up to this one.
    case within(ms: UInt64)
}

/// What a message is: a method or a status code.
enum Kind: Sendable, Equatable, CustomStringConvertible {
    case request(String)
    case response(Int)

    init?(_ word: String) {
        if word.count == 3, let code = Int(word), 100..<700 ~= code {
            self = .response(code)
        } else if !word.isEmpty, word.allSatisfy({ $0.isUppercase && $0.isASCII }) {
            self = .request(word)
        } else {
            return nil
        }
    }

    var description: String {
        switch self {
        case .request(let method): method
        case .response(let code): String(code)
        }
    }
}

/// A message that a peer sends.
struct Outgoing: Sendable {
    enum What: Sendable {
        case message(Kind)
        case raw
    }

    let what: What
    /// After a code: words of the reason phrase.
    var reason: String?
    /// `to`: a peer or a URI of a request; a method or a label for a response or CANCEL.
    var to: String?
    var isAgain = false
    var isInDialog = false
    /// The peer at the other end of the dialog.
    var with: String?
    var label: String?
    var call: String?
    var edits: [Edit] = []
}

/// A change to the message that would be sent.
enum Edit: Sendable {
    case set(String, String)
    case add(String, String)
    case remove(String)
    case text(String)
    case bytes([UInt8])
    case fill(Int)
    case noBody
}

/// A message that a peer gets.
struct Incoming: Sendable {
    let kind: Kind
    /// The method that a response answers.
    var to: String?
    var isAgain = false
    var label: String?
    var call: String?
    private(set) var checks: [Check] = []

    /// Several lines with values of one header are one check of all its values.
    mutating func add(_ check: Check) {
        let same = checks.firstIndex { $0.field == check.field && $0.values != nil }
        if let values = check.values, let same, let before = checks[same].values {
            checks[same] = Check(
                line: checks[same].line, field: check.field, test: .equals(before + values))
        } else {
            checks.append(check)
        }
    }
}

/// Something that holds for a message.
struct Check: Sendable {
    enum Test: Sendable {
        /// The values of the header, one for each line that says so.
        case equals([String])
        case contains(String)
        case lacks(String)
        case matches(String)
        case absent
        case present
        case count(Int)
        case asSent
        case asIn(String)
        case capture(name: String, pattern: String?)
    }

    let line: Int
    let field: String
    let test: Test

    var values: [String]? {
        if case .equals(let values) = test { return values }
        return nil
    }
}

/// A scenario that cannot be read, or that did not go as it says.
struct Complaint: Error, Equatable, CustomStringConvertible {
    let file: String
    let line: Int
    let text: String

    var description: String { "\(file):\(line): \(text)" }
}
