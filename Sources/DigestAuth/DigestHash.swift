internal import Bytes
internal import COpenSSL

/// One running hash over OpenSSL's EVP, used again and again.
@safe struct DigestHash: ~Copyable {
    private let context: OpaquePointer
    private let md5: OpaquePointer
    private let sha256: OpaquePointer
    private var hashBytes = 0

    /// - Throws: ``DigestError/unavailable(_:)`` where OpenSSL is not allowed an algorithm.
    init() throws(DigestError) {
        // SAFETY: the names are constant; what is fetched is owned here and freed at the end.
        guard let md5 = unsafe EVP_MD_fetch(nil, "MD5", nil) else { throw .unavailable(.md5) }
        guard let sha256 = unsafe EVP_MD_fetch(nil, "SHA256", nil) else {
            unsafe EVP_MD_free(md5)
            throw .unavailable(.sha256)
        }
        guard let context = unsafe EVP_MD_CTX_new() else {
            preconditionFailure("memory for a hash is there")
        }
        unsafe self.md5 = md5
        unsafe self.sha256 = sha256
        unsafe self.context = context
    }

    deinit {
        unsafe EVP_MD_CTX_free(context)
        unsafe EVP_MD_free(md5)
        unsafe EVP_MD_free(sha256)
    }

    mutating func begin(_ algorithm: DigestAlgorithm) {
        hashBytes = algorithm.hexDigits / 2
        // SAFETY: the context and the algorithms live as long as `self`.
        let done = unsafe EVP_DigestInit_ex(context, algorithm == .md5 ? md5 : sha256, nil)
        precondition(done == 1, "a fetched algorithm starts")
    }

    mutating func add(_ bytes: Span<UInt8>) {
        // SAFETY: the bytes are borrowed for the call, which reads `count` of them.
        let done = unsafe bytes.withUnsafeBufferPointer { all in
            unsafe EVP_DigestUpdate(context, all.baseAddress, all.count)
        }
        precondition(done == 1, "a hash takes any bytes")
    }

    mutating func add(_ digest: HexDigest) {
        var text = InlineArray<64, UInt8>(repeating: 0)
        for index in 0..<digest.count { text[index] = digest[index] }
        add(text.span.extracting(0..<digest.count))
    }

    mutating func addColon() {
        let colon: InlineArray<1, UInt8> = [UInt8(ascii: ":")]
        add(colon.span)
    }

    mutating func finish() -> HexDigest {
        var raw = InlineArray<64, UInt8>(repeating: 0)
        var span = raw.mutableSpan
        // SAFETY: EVP_MAX_MD_SIZE is 64, and that is the room there is.
        let done = unsafe span.withUnsafeMutableBufferPointer { room in
            unsafe EVP_DigestFinal_ex(context, room.baseAddress, nil)
        }
        precondition(done == 1, "a hash that was begun ends")
        return HexDigest(raw, bytes: hashBytes)
    }
}

extension DigestHash: @unchecked Sendable {}
