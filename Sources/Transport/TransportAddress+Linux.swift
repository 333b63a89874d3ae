internal import Bytes
internal import CLinux

extension TransportAddress {
    init(_ address: midreg_address) {
        self.init(high: address.high, low: address.low, port: address.port)
    }

    /// The address in the C shim's shape.
    var forLinux: midreg_address { midreg_address(high: high, low: low, port: port) }
}
