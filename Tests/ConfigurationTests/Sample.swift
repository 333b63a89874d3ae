import Glibc

/// The sample file that is delivered, `deploy/midreg.toml`.
let sampleText: String = {
    let folder = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    guard let file = fopen("/" + folder + "/deploy/midreg.toml", "r") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
}()

/// The least that a node needs.
let leastText = """
    [[listen]]
    udp = "192.0.2.1:5060"
    [main]
    server = "sip:192.0.2.9"
    [register]
    max_expires = "10m"

    """
