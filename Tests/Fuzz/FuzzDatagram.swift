import Bytes
import SIPMessage

/// libFuzzer's entry: one datagram, read completely (see `WholeReading`). Built only when
/// `MIDREG_FUZZ` is set:
///
///     MIDREG_FUZZ=1 swift build -c release --sanitize=fuzzer --sanitize=address \
///         -Xswiftc -sanitize=fuzzer,address --scratch-path .build-fuzz --product FuzzDatagram
///     SWIFT_BACKTRACE=enable=no .build-fuzz/release/FuzzDatagram -max_len=4096 CORPUS \
///         Tests/SIPMessageTests/Torture
///
/// Without the second flag the rooms are built without coverage and libFuzzer finds its way by luck.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzDatagram(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count > 0 else { return 0 }
    let bytes = Span(_unsafeStart: start, count: count)
    var reading = WholeReading()
    _ = reading.read(bytes, length: count)
    return 0
}
