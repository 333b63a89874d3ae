internal import Bytes
internal import DigestAuth
internal import SIPMessage

/// A main registrar in a page: it asks for a password (MD5, `qop=auth`), keeps bindings, and grants
/// what is asked. The password of user U is `pw-U`.
struct ToyRegistrar: ~Copyable {
    /// REGISTERs that arrived, copies included.
    private(set) var registers: UInt64 = 0
    /// Requests answered 401.
    private(set) var challenges: UInt64 = 0
    /// What it could not make sense of.
    private(set) var malformed: UInt64 = 0

    private var computer: DigestComputer
    private var index = MessageIndex()
    private var accounts: [String: Account] = [:]
    private let trusted: TransportAddress

    private struct Account {
        var nonce: [UInt8] = []
        /// How often the nonce was used; 0 if nobody has yet.
        var nonceCount: UInt32 = 0
        var bindings: [Binding] = []
    }

    private struct Binding {
        let uri: [UInt8]
        var callID: [UInt8]
        var sequence: UInt32
        var deadlineMs: UInt64
    }

    /// - Parameter trusted: who may remove bindings without a password.
    /// - Throws: `DigestError.unavailable`.
    init(trusted: TransportAddress) throws(DigestError) {
        computer = try DigestComputer()
        self.trusted = trusted
    }

    /// Users that are registered, and their bindings in all.
    func registered(nowMs: UInt64) -> (users: Int, bindings: Int) {
        var users = 0
        var bindings = 0
        for account in accounts.values {
            let live = account.bindings.count { $0.deadlineMs > nowMs }
            users += live > 0 ? 1 : 0
            bindings += live
        }
        return (users, bindings)
    }

    /// Takes one datagram and answers it.
    mutating func receive(
        _ bytes: Span<UInt8>, length: Int, from source: TransportAddress, nowMs: UInt64,
        _ outbox: inout Outbox
    ) {
        guard MessageParser().parse(bytes, length: length, into: &index) == .message,
            index.isRequest
        else {
            malformed += 1
            return
        }
        guard index.method == .register else {
            if index.method != .ack { answer(405, "Method Not Allowed", bytes, source, &outbox) }
            return
        }
        registers += 1
        guard let change = try? Change(bytes, index) else {
            malformed += 1
            answer(400, "Bad Request", bytes, source, &outbox)
            return
        }
        var account = accounts[change.user] ?? Account()
        defer { accounts[change.user] = account }
        account.bindings.removeAll { $0.deadlineMs <= nowMs }
        let isOwnRemoval = source == trusted && change.contacts.allSatisfy { $0.seconds == 0 }
        guard isOwnRemoval || proves(bytes, change, &account) else {
            challenge(bytes, source, &account, &outbox)
            return
        }
        guard apply(change, to: &account, nowMs: nowMs) else {
            answer(500, "Server Internal Error", bytes, source, &outbox)
            return
        }
        begin(200, "OK", bytes, source, &outbox)
        for binding in account.bindings {
            outbox.write("Contact: <")
            outbox.write(binding.uri.span)
            outbox.write(">;expires=")
            outbox.write(decimal: (binding.deadlineMs - nowMs) / 1_000)
            outbox.write("\r\n")
        }
        finish(source, &outbox)
    }

    /// What a REGISTER asks for.
    private struct Change {
        var user = ""
        var callID: [UInt8] = []
        var sequence: UInt32 = 0
        var contacts: [(uri: [UInt8], seconds: UInt32)] = []

        init(_ bytes: Span<UInt8>, _ index: borrowing MessageIndex) throws(SIPParseError) {
            guard let to = index.value(.to), let callID = index.value(.callID) else {
                throw SIPParseError(.missingHeader, at: 0)
            }
            let address = try NameAddress(bytes, from: to.start, to: to.end)
            user = String(decoding: bytes.copy(try SIPURI(bytes, address.uri).user), as: UTF8.self)
            self.callID = bytes.copy(callID)
            sequence = index.sequenceNumber
            let common = try index.expires(bytes)?.seconds ?? 3_600
            var cursor = AddressCursor(.contact, of: index)
            while let contact = try cursor.next(bytes, index) {
                var seconds = common
                if let own = bytes.parameter("expires", in: contact.parameters) {
                    seconds = try DeltaSeconds(bytes, own).seconds
                }
                contacts.append((bytes.copy(contact.uri), seconds))
            }
        }
    }

    /// Whether the request knows the password and was not heard before, or is a copy of the last.
    private mutating func proves(
        _ bytes: Span<UInt8>, _ change: Change, _ account: inout Account
    ) -> Bool {
        guard let value = index.value(.authorization),
            let credentials = try? DigestCredentials(bytes, value),
            let protection = credentials.protection, !account.nonce.isEmpty,
            bytes.copy(credentials.nonce) == account.nonce,
            bytes.copy(credentials.username) == Array(change.user.utf8)
        else { return false }
        let isCopy =
            protection.count == account.nonceCount
            && account.bindings.contains {
                $0.callID == change.callID && $0.sequence == change.sequence
            }
        guard protection.count > account.nonceCount || isCopy else { return false }
        let user = Array(change.user.utf8)
        let password = Array(("pw-" + change.user).utf8)
        let realm = Array(DemoDomain.name.utf8)
        let secret = computer.secret(
            credentials.algorithm, user: user.span, realm: realm.span, password: password.span)
        guard computer.verifies(credentials, in: bytes, secret: secret, method: index.methodName)
        else { return false }
        account.nonceCount = protection.count
        return true
    }

    /// - Returns: `false`, with nothing changed, for a request that a later one overtook.
    private func apply(_ change: Change, to account: inout Account, nowMs: UInt64) -> Bool {
        let isOvertaken = account.bindings.contains { binding in
            binding.callID == change.callID && binding.sequence > change.sequence
                && change.contacts.contains { $0.uri == binding.uri }
        }
        guard !isOvertaken else { return false }
        for (uri, seconds) in change.contacts {
            account.bindings.removeAll { $0.uri == uri }
            guard seconds > 0 else { continue }
            account.bindings.append(
                Binding(
                    uri: uri, callID: change.callID, sequence: change.sequence,
                    deadlineMs: nowMs + UInt64(seconds) * 1_000))
        }
        return true
    }

    // MARK: Answers

    private mutating func challenge(
        _ bytes: Span<UInt8>, _ source: TransportAddress, _ account: inout Account,
        _ outbox: inout Outbox
    ) {
        challenges += 1
        // One that nobody used yet stays good, so that a copy of the request does not void it.
        if account.nonce.isEmpty || account.nonceCount > 0 {
            account.nonce = Array(
                (String(UInt64.random(in: .min ... .max), radix: 36)
                    + String(UInt64.random(in: .min ... .max), radix: 36)).utf8)
            account.nonceCount = 0
        }
        begin(401, "Unauthorized", bytes, source, &outbox)
        outbox.write("WWW-Authenticate: Digest realm=\"")
        outbox.write(string: DemoDomain.name)
        outbox.write("\", nonce=\"")
        outbox.write(account.nonce.span)
        outbox.write("\", algorithm=MD5, qop=\"auth\"\r\n")
        finish(source, &outbox)
    }

    private func answer(
        _ code: UInt32, _ reason: StaticString, _ bytes: Span<UInt8>, _ source: TransportAddress,
        _ outbox: inout Outbox
    ) {
        begin(code, reason, bytes, source, &outbox)
        finish(source, &outbox)
    }

    private func begin(
        _ code: UInt32, _ reason: StaticString, _ bytes: Span<UInt8>, _ source: TransportAddress,
        _ outbox: inout Outbox
    ) {
        outbox.begin()
        ResponseWriter.begin(
            code, reason, to: bytes, index, source: source,
            toTag: UInt64.random(in: .min ... .max), &outbox)
    }

    private func finish(_ source: TransportAddress, _ outbox: inout Outbox) {
        ResponseWriter.finish(&outbox)
        outbox.end(to: source, from: 0)
    }
}

/// The domain that the phones register in.
enum DemoDomain {
    static let name = "example.test"
}

extension Span<UInt8> {
    /// The bytes of `range`, copied.
    func copy(_ range: ByteRange) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        for offset in range.start..<range.end { bytes.append(self[offset]) }
        return bytes
    }
}
