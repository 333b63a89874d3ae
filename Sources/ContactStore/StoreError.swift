internal import CLMDB
internal import Glibc

/// Why the store cannot be used, in words for the person who has to fix it.
package struct StoreError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Reason: Sendable, Equatable {
        case diskFull
        case notWritable
        case notLocal
        /// Another process, or this one, has it open.
        case inUse
        /// There is no store in the folder.
        case notThere
        /// Its bytes are not what a store's bytes are.
        case damaged
        /// Its map, the upper bound of its size, is used up.
        case full
        case failed
    }

    package let reason: Reason
    package let description: String

    init(_ reason: Reason, _ description: String) {
        self.reason = reason
        self.description = description
    }

    /// - Parameters:
    ///   - code: an errno, or one of LMDB's own codes, which are negative.
    ///   - what: what was tried, with the path.
    init(code: Int32, _ what: String) {
        // SAFETY: mdb_strerror returns a string that is there for ever, or a static buffer of libc.
        let text = unsafe String(cString: mdb_strerror(code))
        switch code {
        case ENOSPC, EDQUOT:
            self.init(.diskFull, "\(what): \(text). Free some space; until then nothing is stored.")
        case EACCES, EPERM, EROFS:
            self.init(
                .notWritable,
                "\(what): \(text). The user midreg runs as must be able to write there.")
        case ENOENT, ENOTDIR:
            self.init(.notThere, "\(what): \(text).")
        case MDB_INVALID, MDB_VERSION_MISMATCH, MDB_CORRUPTED, MDB_PAGE_NOTFOUND,
            MDB_INCOMPATIBLE, MDB_BAD_VALSIZE:
            self.init(.damaged, "\(what): \(text).")
        case MDB_MAP_FULL, MDB_TXN_FULL:
            self.init(.full, "\(what): \(text). Give the store a larger map.")
        default:
            self.init(.failed, "\(what): \(text).")
        }
    }
}
