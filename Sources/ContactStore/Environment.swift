internal import Bytes
internal import CLMDB
internal import Glibc
internal import Registration

/// The lock that says whose the store is, for as long as somebody holds this.
final class StoreLock: Sendable {
    private let file: Int32

    init(file: Int32) { self.file = file }

    deinit { _ = close(file) }
}

/// The LMDB environment with its two databases, open as long as somebody holds it.
///
/// Only plain threads touch it: readers have a transaction each that is theirs (MDB_NOTLS), and one
/// thread writes. LMDB itself synchronises what they share.
@safe final class Environment: @unchecked Sendable {
    let handle: OpaquePointer
    let facts: MDB_dbi
    let notes: MDB_dbi
    /// Ours as long as the environment is open; `nil` for readers beside the daemon.
    private let lock: StoreLock?

    /// The keys of `notes`.
    static let schemaKey: UInt64 = 1
    static let timeKey: UInt64 = 2
    static let resyncKey: UInt64 = 4

    /// Takes over an open environment and the lock.
    private init(
        handle: OpaquePointer, facts: MDB_dbi, notes: MDB_dbi, lock: StoreLock?
    ) {
        unsafe self.handle = unsafe handle
        self.facts = facts
        self.notes = notes
        self.lock = lock
    }

    deinit {
        // SAFETY: whoever has a transaction holds this object, so none is left.
        unsafe mdb_env_close(handle)
    }

    /// Opens the environment in `folder`, which is there.
    ///
    /// - Throws: ``StoreError`` of reason `damaged` if what is there is not ours to read.
    static func open(
        folder: String, mapBytes: Int, flags: Int32, readersMax: Int, readOnly: Bool,
        lock: StoreLock?
    ) throws(StoreError) -> Environment {
        try allocateReaderTable(folder, readersMax: readersMax, readOnly: readOnly)
        var created: OpaquePointer?
        var code = unsafe mdb_env_create(&created)
        guard code == 0, let handle = unsafe created else {
            throw StoreError(code: code, "cannot make a store")
        }
        if !readOnly { code = unsafe mdb_env_set_mapsize(handle, mapBytes) }
        if code == 0 { code = unsafe mdb_env_set_maxdbs(handle, 4) }
        if code == 0 { code = unsafe mdb_env_set_maxreaders(handle, UInt32(readersMax)) }
        let flags = UInt32(MDB_NOTLS | flags | (readOnly ? MDB_RDONLY : 0))
        if code == 0 { code = unsafe mdb_env_open(handle, folder, flags, 0o600) }
        guard code == 0 else {
            unsafe mdb_env_close(handle)
            throw StoreError(code: code, "cannot open the store in \(folder)")
        }
        do {
            let (facts, notes) = try unsafe databases(handle, folder, readOnly: readOnly)
            return unsafe Environment(handle: handle, facts: facts, notes: notes, lock: lock)
        } catch {
            unsafe mdb_env_close(handle)
            throw error
        }
    }

    /// Gives LMDB's lock file its blocks before LMDB maps it.
    ///
    /// LMDB makes the file with a hole in it and writes through a map, which on a full disk is a
    /// SIGBUS. A file that is longer than LMDB needs only holds more readers.
    private static func allocateReaderTable(
        _ folder: String, readersMax: Int, readOnly: Bool
    ) throws(StoreError) {
        let path = folder + "/lock.mdb"
        let file = unsafe Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            // Without a lock file LMDB reads from a read-only disk, and says itself what is wrong.
            if readOnly { return }
            throw StoreError(code: errno, "cannot open \(path)")
        }
        // 64 bytes a reader, and a head of less than four of them (LMDB 0.9).
        let code = posix_fallocate(file, 0, max(8_192, (readersMax + 4) * 64))
        _ = close(file)
        guard code == 0 else { throw StoreError(code: code, "cannot make \(path)") }
    }

    /// Opens both databases; makes them in an environment that has nothing at all in it.
    private static func databases(
        _ handle: OpaquePointer, _ folder: String, readOnly: Bool
    ) throws(StoreError) -> (MDB_dbi, MDB_dbi) {
        var stat = MDB_stat()
        let code = unsafe mdb_env_stat(handle, &stat)
        guard code == 0 else { throw StoreError(code: code, "cannot read the store in \(folder)") }
        let isNew = stat.ms_entries == 0
        if isNew && readOnly {
            throw StoreError(.notThere, "there is nothing in the store in \(folder) yet.")
        }
        var transaction: OpaquePointer?
        let begin = unsafe mdb_txn_begin(handle, nil, UInt32(isNew ? 0 : MDB_RDONLY), &transaction)
        guard begin == 0, let transaction = unsafe transaction else {
            throw StoreError(code: begin, "cannot read the store in \(folder)")
        }
        var facts: MDB_dbi = 0
        var notes: MDB_dbi = 0
        let flags = UInt32(MDB_INTEGERKEY | (isNew ? MDB_CREATE : 0))
        var result = unsafe mdb_dbi_open(transaction, "facts", flags, &facts)
        if result == 0 { result = unsafe mdb_dbi_open(transaction, "notes", flags, &notes) }
        if result == 0 && isNew {
            let schema = RecordFrame.framed([], number: schemaKey)
            result = unsafe put(transaction, notes, key: schemaKey, schema)
        }
        if result == 0 && !isNew {
            let schema = unsafe note(transaction, notes, key: schemaKey)
            if schema == nil { result = MDB_VERSION_MISMATCH }
        }
        if result == 0 {
            result = unsafe mdb_txn_commit(transaction)
        } else {
            unsafe mdb_txn_abort(transaction)
        }
        if result == MDB_NOTFOUND { result = MDB_INVALID }
        guard result == 0 else {
            throw StoreError(code: result, "cannot use the store in \(folder)")
        }
        return (facts, notes)
    }

    /// Puts a small value; returns LMDB's code.
    static func put(
        _ transaction: OpaquePointer, _ database: MDB_dbi, key: UInt64, _ value: [UInt8]
    ) -> Int32 {
        var number = key
        var value = value
        // SAFETY: LMDB copies key and value before it returns.
        return unsafe withUnsafeMutableBytes(of: &number) { keyBytes in
            unsafe value.withUnsafeMutableBytes { valueBytes in
                var key = unsafe MDB_val(mv_size: 8, mv_data: keyBytes.baseAddress)
                var data = unsafe MDB_val(
                    mv_size: valueBytes.count, mv_data: valueBytes.baseAddress)
                return unsafe mdb_put(transaction, database, &key, &data, 0)
            }
        }
    }

    /// A note's own bytes; `nil` if there is none or its frame is wrong.
    static func note(
        _ transaction: OpaquePointer, _ database: MDB_dbi, key: UInt64
    ) -> [UInt8]? {
        var number = key
        // SAFETY: the value is copied while the transaction holds it.
        return unsafe withUnsafeMutableBytes(of: &number) { keyBytes in
            var name = unsafe MDB_val(mv_size: 8, mv_data: keyBytes.baseAddress)
            var value = unsafe MDB_val()
            guard unsafe mdb_get(transaction, database, &name, &value) == 0 else { return nil }
            let framed = unsafe bytes(of: value)
            guard let note = RecordFrame.record(in: framed, number: key) else { return nil }
            var copy: [UInt8] = []
            for index in note.indices { copy.append(note[index]) }
            return copy
        }
    }

    /// The bytes an LMDB value names; they hold as long as its transaction.
    @_lifetime(immortal)
    static func bytes(of value: MDB_val) -> Span<UInt8> {
        guard let base = unsafe value.mv_data else { return Span() }
        let typed = unsafe base.assumingMemoryBound(to: UInt8.self)
        let span = unsafe Span(_unsafeStart: typed, count: value.mv_size)
        return unsafe _overrideLifetime(span, copying: ())
    }

    /// What an error of a write really was: LMDB makes an I/O error of a write that a full disk cut
    /// short.
    func cause(of code: Int32) -> Int32 {
        var path: UnsafePointer<CChar>?
        var information = statfs()
        // SAFETY: LMDB's string lives as long as the environment.
        guard code == EIO, unsafe mdb_env_get_path(handle, &path) == 0, let path = unsafe path,
            unsafe statfs(path, &information) == 0
        else { return code }
        return Int(information.f_bavail) * Int(information.f_bsize) < 1 << 20 ? ENOSPC : code
    }

    /// Begins a transaction that only reads.
    func reading() throws(StoreError) -> OpaquePointer {
        var transaction: OpaquePointer?
        let code = unsafe mdb_txn_begin(handle, nil, UInt32(MDB_RDONLY), &transaction)
        guard code == 0, let begun = unsafe transaction else {
            throw StoreError(code: code, "cannot read the store")
        }
        return unsafe begun
    }

    /// What was last noted of time.
    func timeNote() throws(StoreError) -> TimeNote? {
        let transaction = unsafe try reading()
        defer { unsafe mdb_txn_abort(transaction) }
        guard let bytes = unsafe Self.note(transaction, notes, key: Self.timeKey) else {
            return nil
        }
        return TimeNote(bytes.span)
    }

    /// What was last to be confirmed anew; nothing if no such note can be read.
    func resync() throws(StoreError) -> Resync {
        let transaction = unsafe try reading()
        defer { unsafe mdb_txn_abort(transaction) }
        guard let bytes = unsafe Self.note(transaction, notes, key: Self.resyncKey),
            bytes.count == 32,
            let resync = Resync(words: (0..<4).map { bytes.span.load64(at: 8 * $0) })
        else { return Resync() }
        return resync
    }

    /// The highest record number there is, and how many records there are.
    func extent() throws(StoreError) -> (highest: UInt64, entries: Int) {
        let transaction = unsafe try reading()
        defer { unsafe mdb_txn_abort(transaction) }
        var stat = MDB_stat()
        var code = unsafe mdb_stat(transaction, facts, &stat)
        var cursor: OpaquePointer?
        if code == 0 { code = unsafe mdb_cursor_open(transaction, facts, &cursor) }
        guard code == 0 else { throw StoreError(code: code, "cannot read the store") }
        defer { unsafe mdb_cursor_close(cursor) }
        var key = unsafe MDB_val()
        var value = unsafe MDB_val()
        code = unsafe mdb_cursor_get(cursor, &key, &value, MDB_LAST)
        if code == MDB_NOTFOUND { return (0, 0) }
        guard code == 0, let number = unsafe Self.number(key) else {
            throw StoreError(
                code: code == 0 ? MDB_CORRUPTED : code, "cannot read the store's last record")
        }
        return (number, Int(stat.ms_entries))
    }

    /// Calls `body` with each fact whose frame is right, from `first` on, in the order of numbers.
    ///
    /// - Parameter countMax: how many records are looked at.
    /// - Returns: the numbers of damaged records, and where to go on; `nil` at the end.
    func facts(
        from first: UInt64, atMost countMax: Int,
        _ body: (RecordNumber, Span<UInt8>) -> Void
    ) throws(StoreError) -> (sound: Int, damaged: [RecordNumber], next: UInt64?) {
        let transaction = unsafe try reading()
        defer { unsafe mdb_txn_abort(transaction) }
        var cursor: OpaquePointer?
        var code = unsafe mdb_cursor_open(transaction, facts, &cursor)
        guard code == 0 else { throw StoreError(code: code, "cannot read the store") }
        defer { unsafe mdb_cursor_close(cursor) }
        var start = first
        var value = unsafe MDB_val()
        // SAFETY: LMDB reads the key during the call, and then points `name` into its own map.
        var name = unsafe MDB_val()
        code = unsafe withUnsafeMutableBytes(of: &start) { bytes in
            unsafe name = unsafe MDB_val(mv_size: 8, mv_data: bytes.baseAddress)
            return unsafe mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE)
        }
        var sound = 0
        var damaged: [RecordNumber] = []
        while code == 0 {
            guard let number = unsafe Self.number(name) else {
                throw StoreError(code: MDB_CORRUPTED, "cannot read the store")
            }
            if sound + damaged.count == countMax { return (sound, damaged, number) }
            let framed = unsafe Self.bytes(of: value)
            if let fact = RecordFrame.record(in: framed, number: number) {
                sound += 1
                body(RecordNumber(number), fact)
            } else {
                damaged.append(RecordNumber(number))
            }
            code = unsafe mdb_cursor_get(cursor, &name, &value, MDB_NEXT)
        }
        guard code == MDB_NOTFOUND else { throw StoreError(code: code, "cannot read the store") }
        return (sound, damaged, nil)
    }

    private static func number(_ key: MDB_val) -> UInt64? {
        guard unsafe key.mv_size == 8, let data = unsafe key.mv_data else { return nil }
        return unsafe data.loadUnaligned(as: UInt64.self)
    }
}
