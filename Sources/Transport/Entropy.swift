internal import CLinux

/// Random bytes from the kernel, fit for keys.
package enum Entropy {
    package static func bytes(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        // SAFETY: the call writes `count` bytes into an array of that many.
        let error = unsafe bytes.withUnsafeMutableBufferPointer { room in
            unsafe midreg_random(room.baseAddress, room.count)
        }
        precondition(error == 0, "the kernel gives random bytes")
        return bytes
    }
}
