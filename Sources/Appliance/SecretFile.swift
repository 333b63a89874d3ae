internal import Keys
internal import Transport

/// The file that holds the installation's secret: outside the store's folder, so that setting a
/// broken store aside renames no contact.
enum SecretFile {
    /// Reads the secret of a state folder, or makes one for a new state folder.
    ///
    /// - Parameter makesNew: make a new one even if a store is there; every contact ID changes.
    /// - Throws: if the secret is missing beside a store, or is not to be read or written.
    static func load(state: String, makesNew: Bool) throws(ApplianceError) -> KeyRing {
        let path = state + "/keys"
        let secret = try saying {
            () throws(TransportError) -> [UInt8]? in
            try Files.createFolders(state)
            return try Files.exists(path) ? try Files.read(path) : nil
        }
        if let secret {
            guard secret.count == KeyRing.secretBytes else {
                throw ApplianceError(
                    "\(path): holds \(secret.count) bytes and not \(KeyRing.secretBytes)")
            }
            return KeyRing(secret: secret.span)
        }
        let hasStore = try saying {
            () throws(TransportError) -> Bool in
            try Files.exists(state + "/contacts/data.mdb")
        }
        guard makesNew || !hasStore else {
            throw ApplianceError(
                "\(path) is missing, but \(state)/contacts is there. Without its keys every "
                    + "contact ID changes and the main registrar rings phones that are gone. "
                    + "Restore the file, or start once with --new-keys")
        }
        let fresh = Entropy.bytes(KeyRing.secretBytes)
        try saying { () throws(TransportError) in try Files.write(fresh, to: path, mode: 0o400) }
        return KeyRing(secret: fresh.span)
    }

    private static func saying<Result>(
        _ body: () throws(TransportError) -> Result
    ) throws(ApplianceError) -> Result {
        do throws(TransportError) {
            return try body()
        } catch {
            throw ApplianceError(error.description)
        }
    }
}
