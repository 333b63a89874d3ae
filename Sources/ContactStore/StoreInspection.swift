internal import Bytes
internal import CLMDB
internal import Glibc

/// Reads a store's file before LMDB maps it, and says what is wrong with its structure.
///
/// LMDB trusts its file: a shortened one is a SIGBUS and a scrambled page a SIGSEGV, again at each
/// start. So every page that the newest commit can reach is looked at here first, by reads that
/// return an error where a map would kill. What is wrong inside a record, its checksum shows later.
@safe struct StoreInspection: ~Copyable {
    private let file: Int32
    private let pageBytes: Int
    /// Pages that lie wholly inside the file.
    private let pages: UInt64
    /// Pages the newest commit counts; free ones at the end need not be in the file.
    private let pagesCounted: UInt64
    private var page: [UInt8]
    /// The last number seen in the tree that is being looked at.
    private var lastKey: UInt64?
    private var seen: [UInt64]

    /// Looks at the file; returns what is wrong in a few words, `nil` if nothing is.
    ///
    /// A file that is missing or empty is a new store and has nothing wrong with it.
    static func problem(inFile path: String) throws(StoreError) -> String? {
        let file = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw StoreError(code: errno, "cannot read \(path)")
        }
        defer { _ = close(file) }
        let bytes = lseek(file, 0, SEEK_END)
        guard bytes != 0 else { return nil }
        do {
            let newest = try newestMeta(file, bytes: bytes)
            var inspection = StoreInspection(file: file, bytes: bytes, meta: newest)
            try inspection.tree(newest.free, .freeList)
            try inspection.tree(newest.main, .main)
            return nil
        } catch {
            return error.text
        }
    }

    private struct Problem: Error {
        let text: String
    }

    private struct Tree {
        /// 0x08 says that keys are numbers; nothing else is ours.
        let flags: UInt16
        let depth: Int
        let root: UInt64

        /// Reads an MDB_db of 48 bytes.
        init(_ bytes: Span<UInt8>, at offset: Int) {
            flags = word16(bytes, offset + 4)
            depth = Int(word16(bytes, offset + 6))
            root = bytes.load64(at: offset + 40)
        }
    }

    private enum Kind {
        case freeList
        /// The tree of named trees.
        case main
        case named
    }

    private struct Meta {
        let pageBytes: Int
        let free: Tree
        let main: Tree
        let lastPage: UInt64
        let transaction: UInt64
    }

    private static func newestMeta(_ file: Int32, bytes: Int) throws(Problem) -> Meta {
        let first = try meta(file, at: 0)
        let second = try meta(file, at: first.pageBytes)
        guard second.pageBytes == first.pageBytes else {
            throw Problem(text: "its two heads differ")
        }
        return second.transaction > first.transaction ? second : first
    }

    private static func meta(_ file: Int32, at offset: Int) throws(Problem) -> Meta {
        var head = [UInt8](repeating: 0, count: 152)
        // SAFETY: the kernel writes at most the array's bytes.
        let count = unsafe head.withUnsafeMutableBytes {
            unsafe pread(file, $0.baseAddress, 152, offset)
        }
        guard count == 152 else { throw Problem(text: "it ends inside its head") }
        let span = head.span
        guard word16(span, 10) & 0x08 != 0, word32(span, 16) == 0xBEEF_C0DE, word32(span, 20) == 1
        else { throw Problem(text: "its head is not that of an LMDB file") }
        let pageBytes = Int(word32(span, 40))
        guard pageBytes >= 512, pageBytes <= 65_536, pageBytes.nonzeroBitCount == 1 else {
            throw Problem(text: "its page size is \(pageBytes)")
        }
        return Meta(
            pageBytes: pageBytes, free: Tree(span, at: 40), main: Tree(span, at: 88),
            lastPage: span.load64(at: 136), transaction: span.load64(at: 144))
    }

    private init(file: Int32, bytes: Int, meta: Meta) {
        self.file = file
        pageBytes = meta.pageBytes
        pages = UInt64(bytes / meta.pageBytes)
        pagesCounted = meta.lastPage == .max ? .max : meta.lastPage + 1
        page = [UInt8](repeating: 0, count: meta.pageBytes)
        seen = [UInt64](repeating: 0, count: bytes / meta.pageBytes / 64 + 1)
    }

    private mutating func tree(_ tree: Tree, _ kind: Kind) throws(Problem) {
        guard tree.flags == (kind == .main ? 0 : 0x08) else {
            throw Problem(text: "a tree with flags \(tree.flags)")
        }
        if tree.root == .max { return }
        guard tree.depth >= 1, tree.depth <= 32 else {
            throw Problem(text: "a tree of depth \(tree.depth)")
        }
        lastKey = nil
        try visit(tree.root, depth: tree.depth, kind)
    }

    private mutating func visit(_ number: UInt64, depth: Int, _ kind: Kind) throws(Problem) {
        try reach(number)
        try load(number)
        let flags = word16(page.span, 10) & 0x6F
        guard flags == (depth > 1 ? 0x01 : 0x02) else {
            throw Problem(text: "page \(number) is not of its kind")
        }
        let lower = Int(word16(page.span, 12))
        let upper = Int(word16(page.span, 14))
        guard lower >= 16, lower <= upper, upper <= pageBytes, lower % 2 == 0 else {
            throw Problem(text: "page \(number) has no valid bounds")
        }
        let nodes = (lower - 16) / 2
        guard nodes >= (depth > 1 ? 2 : 1) else { throw Problem(text: "page \(number) is empty") }
        var children: [UInt64] = []
        var named: [Tree] = []
        var long: [(UInt64, Int)] = []
        var lists: [[UInt8]] = []
        var places: [Range<Int>] = []
        for node in 0..<nodes {
            let at = Int(word16(page.span, 16 + 2 * node))
            guard at >= upper, at <= pageBytes - 8 else {
                throw Problem(text: "page \(number) has a node outside")
            }
            let low = UInt64(word32(page.span, at))
            let nodeFlags = word16(page.span, at + 4)
            let keyBytes = Int(word16(page.span, at + 6))
            let data = at + 8 + keyBytes
            let inPage = depth > 1 ? 0 : nodeFlags & 0x01 != 0 ? 8 : Int(low)
            guard data + inPage <= pageBytes else {
                throw Problem(text: "page \(number) has a node outside")
            }
            places.append(at..<(data + inPage + (keyBytes + inPage) % 2))
            if depth > 1 {
                children.append(low | UInt64(nodeFlags) << 32)
                guard keyBytes == 8 || kind == .main || node == 0 else {
                    throw Problem(text: "page \(number) has a key that is no number")
                }
                continue
            }
            guard keyBytes > 0 else { throw Problem(text: "page \(number) has an empty key") }
            if kind != .main {
                guard keyBytes == 8 else {
                    throw Problem(text: "page \(number) has a key that is no number")
                }
                let key = page.span.load64(at: at + 8)
                if let lastKey, lastKey >= key {
                    throw Problem(text: "page \(number) is out of order")
                }
                lastKey = key
            }
            switch (nodeFlags, kind) {
            case (0x00, .named): break
            case (0x00, .freeList): lists.append(Array(page[data..<(data + inPage)]))
            case (0x01, .named), (0x01, .freeList):
                long.append((page.span.load64(at: data), Int(low)))
            case (0x02, .main) where inPage == 48: named.append(Tree(page.span, at: data))
            case (_, .main), (_, .named), (_, .freeList):
                throw Problem(text: "page \(number) has a value of a wrong kind")
            }
        }
        // Nodes lie side by side up to the page's end; LMDB moves them by that.
        places.sort { $0.lowerBound < $1.lowerBound }
        var reached = upper
        for place in places {
            guard place.lowerBound == reached else {
                throw Problem(text: "page \(number) has nodes that overlap")
            }
            reached = place.upperBound
        }
        guard reached == pageBytes else {
            throw Problem(text: "page \(number) has nodes that overlap")
        }
        for child in children { try visit(child, depth: depth - 1, kind) }
        for tree in named { try self.tree(tree, .named) }
        for list in lists { try free(list.span) }
        for (first, bytes) in long { try run(from: first, bytes: bytes, kind) }
    }

    /// A value too long for a page: pages that follow each other, the first with a head.
    private mutating func run(from first: UInt64, bytes: Int, _ kind: Kind) throws(Problem) {
        let count = UInt64((bytes + 16 + pageBytes - 1) / pageBytes)
        for offset in 0..<count { try reach(first &+ offset) }
        try load(first)
        guard word16(page.span, 10) & 0x6F == 0x04, UInt64(word32(page.span, 12)) >= count else {
            throw Problem(text: "page \(first) is not of its kind")
        }
        guard kind == .freeList else { return }
        var value = [UInt8](repeating: 0, count: bytes)
        // SAFETY: the kernel writes at most the array's bytes.
        let got = unsafe value.withUnsafeMutableBytes {
            unsafe pread(file, $0.baseAddress, bytes, Int(first) * pageBytes + 16)
        }
        guard got == bytes else { throw Problem(text: "it is shorter than its own count of pages") }
        try free(value.span)
    }

    /// A list of free pages: their count, then their numbers. None of them may be in use.
    private mutating func free(_ list: Span<UInt8>) throws(Problem) {
        guard list.count >= 8 else { throw Problem(text: "a list of free pages is cut off") }
        let count = list.load64(at: 0)
        guard count <= UInt64(list.count / 8 - 1) else {
            throw Problem(text: "a list of free pages is cut off")
        }
        for index in 0..<Int(count) {
            let number = list.load64(at: 8 + 8 * index)
            guard number >= 2, number < pagesCounted else {
                throw Problem(text: "a free page lies outside")
            }
            if number < pages { try mark(number) }
        }
    }

    private mutating func reach(_ number: UInt64) throws(Problem) {
        guard number < pages else {
            throw Problem(text: "it is shorter than its own count of pages")
        }
        guard number >= 2, number < pagesCounted else {
            throw Problem(text: "page \(number) cannot be in use")
        }
        try mark(number)
    }

    private mutating func mark(_ number: UInt64) throws(Problem) {
        let bit: UInt64 = 1 << (number % 64)
        guard seen[Int(number / 64)] & bit == 0 else {
            throw Problem(text: "page \(number) is used twice")
        }
        seen[Int(number / 64)] |= bit
    }

    private mutating func load(_ number: UInt64) throws(Problem) {
        let bytes = pageBytes
        let file = file
        // SAFETY: the kernel writes at most the array's bytes.
        let count = unsafe page.withUnsafeMutableBytes {
            unsafe pread(file, $0.baseAddress, bytes, Int(number) * bytes)
        }
        guard count == bytes else { throw Problem(text: "page \(number) cannot be read") }
        guard page.span.load64(at: 0) == number else {
            throw Problem(text: "page \(number) has another number")
        }
    }
}

private func word16(_ bytes: Span<UInt8>, _ at: Int) -> UInt16 {
    UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8
}

private func word32(_ bytes: Span<UInt8>, _ at: Int) -> UInt32 {
    UInt32(word16(bytes, at)) | UInt32(word16(bytes, at + 2)) << 16
}
