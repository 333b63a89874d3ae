import Foundation
import Synchronization

/// Ports for the programs under test, from one range, each handed out once while it is free.
///
/// `MIDREG_TEST_PORTS=FIRST-LAST` names another range.
enum Ports {
    private static let range: ClosedRange<UInt16> = {
        let parts = (ProcessInfo.processInfo.environment["MIDREG_TEST_PORTS"] ?? "33000-33999")
            .split(separator: "-").compactMap { UInt16($0) }
        return parts.count == 2 && parts[0] < parts[1] ? parts[0]...parts[1] : 33_000...33_999
    }()
    private static let next = Mutex(range.lowerBound)

    /// The first of `count` neighbouring free ports.
    static func take(_ count: UInt16 = 1) throws -> UInt16 {
        try next.withLock { next in
            var wrapped = false
            while true {
                if UInt32(next) + UInt32(count) > UInt32(range.upperBound) + 1 {
                    guard !wrapped else { throw HarnessError("no free ports in \(range)") }
                    wrapped = true
                    next = range.lowerBound
                }
                let first = next
                next += count
                if (first..<first + count).allSatisfy(isFree) { return first }
            }
        }
    }

    private static func isFree(_ port: UInt16) -> Bool {
        [SOCK_DGRAM, SOCK_STREAM].allSatisfy { kind in
            let descriptor = socket(AF_INET6, Int32(kind.rawValue), 0)
            guard descriptor >= 0 else { return true }
            defer { close(descriptor) }
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            return withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) == 0
                }
            }
        }
    }
}
