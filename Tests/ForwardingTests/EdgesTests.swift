import Bytes
import Forwarding
import Testing

@Suite("The edges of a node")
struct EdgesTests {
    @Test(
        arguments: [
            ("192.0.2.20:5060", true), ("192.0.2.20:1", true), ("[::ffff:192.0.2.20]:9", true),
            ("192.0.2.21:5062", true), ("192.0.2.21:5061", false), ("192.0.2.22:5060", false),
            ("[2001:db8::20]:7", true), ("[2001:db8::21]:7", false),
        ])
    func `are known by address, and by port where one is given`(source: String, isOne: Bool) throws
    {
        let edges = Edges(
            try ["192.0.2.20:0", "192.0.2.21:5062", "[2001:db8::20]:0"].map { text in
                let host = text.replacing(":0", with: ":1")
                let address = try #require(TransportAddress(hostPort: host, defaultPort: 1))
                return text.hasSuffix(":0") ? address.withPort(0) : address
            })
        let address = try #require(TransportAddress(hostPort: source, defaultPort: 1))
        #expect(edges.contains(address) == isOne)
        #expect(!Edges([]).contains(address))
    }
}
