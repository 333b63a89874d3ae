import FuzzCases
import Glibc

/// libFuzzer's entry: the case that the environment variable `FUZZ_CASE` names, on one input.
/// `Tests/Fuzz/campaign` builds and runs it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count > 0 else { return 0 }
    if let finding = chosen.run(Span(_unsafeStart: start, count: count)) {
        fatalError(finding)
    }
    return 0
}

private nonisolated(unsafe) let chosen: Fuzzed = {
    let name = getenv("FUZZ_CASE").map { String(cString: $0) } ?? ""
    guard let found = FuzzCaseName(rawValue: name) else {
        fatalError("FUZZ_CASE names a case: \(FuzzCaseName.allCases.map(\.rawValue))")
    }
    return found.make()
}()
