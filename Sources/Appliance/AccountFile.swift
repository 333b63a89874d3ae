internal import Configuration
internal import DigestAuth
internal import MidRegistrarCore
internal import Transport

/// The password with which midreg answers challenges to its own requests: one line in a file that
/// nobody else can read.
enum AccountFile {
    private static let passwordBytesMax = 256

    /// - Throws: if the file is not to be read, can be read by others, or holds no password; never
    ///   with anything of its content.
    static func load(_ account: Settings.Account) throws(ApplianceError) -> CoreOptions.Account {
        let path = account.passwordFile
        var password: [UInt8]
        do throws(TransportError) {
            password = try Files.read(path, bytesMax: passwordBytesMax + 2, private: true)
        } catch {
            throw ApplianceError("main.password_file: \(error.description)")
        }
        if password.last == 0x0A { password.removeLast() }
        if password.last == 0x0D { password.removeLast() }
        guard (1...passwordBytesMax).contains(password.count),
            password.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else {
            throw ApplianceError(
                "main.password_file: \(path) does not hold one line of 1 to \(passwordBytesMax) "
                    + "bytes")
        }
        do throws(DigestError) {
            _ = try DigestComputer()
        } catch {
            throw ApplianceError(
                "main.user: OpenSSL does not offer here what digest authentication needs (\(error))"
            )
        }
        return CoreOptions.Account(user: account.user, password: password)
    }
}
