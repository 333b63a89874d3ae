import Testing

/// The real binary among real peers, over real sockets.
///
/// One after the other: the programs share ports, namespaces and two processor cores. Each test has
/// its own folder and its own ports, and ends what it started.
@Suite("End to end", .serialized)
struct EndToEnd {}
