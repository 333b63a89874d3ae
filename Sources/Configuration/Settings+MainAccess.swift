internal import Bytes

extension Settings {
    /// `main.user`, `main.password_file`: what midreg itself is known by at the main registrar.
    package struct Account: Equatable, Sendable {
        package let user: String
        /// The file is read when the daemon starts; its content never stands in the settings.
        package let passwordFile: String
    }

    /// `[nat]`: what phones behind NAT get every 25 s.
    package enum NATPing: String, CaseIterable, Sendable {
        case off
        case crlf
        case options
    }
}

// What stands between us and the main registrar besides its address.
extension SettingsReader {
    /// The account; a user without a password file is none, and neither is the reverse.
    mutating func readAccount() -> Settings.Account? {
        let user = read("main", "user", .accountName, standard: "")
        let file = read("main", "password_file", .secretFile, standard: "")
        guard user.isSound, file.isSound else { return nil }
        if user.value.isEmpty != file.value.isEmpty, let place = user.place ?? file.place {
            complain(
                at: place,
                user.value.isEmpty
                    ? "main.password_file without main.user"
                    : "main.user without main.password_file",
                allowed: "both are given, or none")
        }
        guard !user.value.isEmpty, !file.value.isEmpty else { return nil }
        return Settings.Account(user: user.value, passwordFile: file.value)
    }

    /// The name of the header field; `nil` if none is written.
    mutating func readSourceHeader() -> String? {
        let name = read("main", "source_header", .ownHeaderName, standard: "").value
        return name.isEmpty ? nil : name
    }

    mutating func readNATPing() -> Settings.NATPing {
        read("nat", "ping", .word(), standard: .crlf).value
    }

    /// `nil` if nothing is set.
    mutating func readNATExpiry() -> UInt32? {
        guard item("nat", "max_expires") != nil else { return nil }
        let expiry = read("nat", "max_expires", .seconds(30...3_600), standard: 90)
        return expiry.isSound ? expiry.value : nil
    }
}

extension Form where Value == String {
    /// A user name that stands in a quoted string as it is.
    fileprivate static let accountName: Form = {
        let allowed = "allowed are up to 64 printable characters without quotes and backslashes"
        return .text(allowed) { text in
            let isPlain = text.utf8.allSatisfy {
                (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
            }
            guard isPlain, text.utf8.count <= 64 else {
                return .failure(Fault("is \(quoted(text))", allowed: allowed))
            }
            return .success(text)
        }
    }()

    /// A file; whether it is there, and whether only we can read it, shows when it is opened.
    fileprivate static let secretFile: Form = {
        let allowed = "allowed is a file, such as \"/etc/midreg/main.password\""
        return .text(allowed) { text in
            guard text.utf8.count <= 1_024, text.utf8.allSatisfy({ $0 >= 0x20 }) else {
                return .failure(Fault("is \(quoted(text))", allowed: allowed))
            }
            return .success(text)
        }
    }()

    /// The name of a header field that has no meaning to anybody else, so that taking it out of a
    /// phone's requests breaks nothing.
    fileprivate static let ownHeaderName: Form = {
        let allowed =
            "allowed are \"X-\" and up to 30 letters, digits and \"-\", such as "
            + "\"X-Real-Source\""
        return .text(allowed) { text in
            let isPlain = text.utf8.allSatisfy {
                $0.digitValue != nil || ($0.lowercased >= 0x61 && $0.lowercased <= 0x7A)
                    || $0 == UInt8(ascii: "-")
            }
            let isOwn =
                text.utf8.count > 2 && text.utf8.first?.lowercased == 0x78
                && text.utf8.dropFirst().first == UInt8(ascii: "-")
            guard text.isEmpty || isPlain && isOwn && text.utf8.count <= 32 else {
                return .failure(Fault("is \(quoted(text))", allowed: allowed))
            }
            return .success(text)
        }
    }()
}
