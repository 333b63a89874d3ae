package import Bytes

/// What the demonstration asks of the midreg that it starts; every port was free a moment ago.
package struct DemoPlan: Sendable {
    /// Where the phones send.
    package let listen: TransportAddress
    /// The toy main registrar.
    package let main: TransportAddress
    /// Towards the main registrar, one port for each worker at least.
    package let mainPorts: ClosedRange<UInt16>
    /// From where midreg's own removals leave; the toy registrar believes this address unasked.
    package let own: TransportAddress
    /// TCP, for the counters.
    package let counters: TransportAddress
    /// Empty, and gone with all it holds when the demonstration ends.
    package let stateFolder: String
    /// What the phones ask for, to be granted as it is.
    package let phoneExpirySeconds: UInt32
    /// What is to be asked of the main registrar.
    package let mainExpirySeconds: UInt32
}

/// The midreg that was started, as far as the demonstration deals with it.
package protocol RunningMidreg {
    func counters() -> DemoCounters
    func stop()
}

/// What midreg has counted since its start.
package struct DemoCounters: Equatable, Sendable {
    /// REGISTERs that were decided.
    package var registersIn: UInt64
    package var relayed: UInt64
    package var absorbed: UInt64
    package var rejected: UInt64
    /// Answers of the main registrar.
    package var mainAnswers: UInt64

    package init(
        registersIn: UInt64 = 0, relayed: UInt64 = 0, absorbed: UInt64 = 0, rejected: UInt64 = 0,
        mainAnswers: UInt64 = 0
    ) {
        self.registersIn = registersIn
        self.relayed = relayed
        self.absorbed = absorbed
        self.rejected = rejected
        self.mainAnswers = mainAnswers
    }
}

/// How large and how long the demonstration is.
package struct DemoOptions: Sendable {
    /// 20 phones share an address and port.
    package var phones = 1_000
    /// From the first REGISTER to the measured line, in seconds.
    package var durationSeconds = 20
    /// How often each phone refreshes, in milliseconds; phones of ours would do it every minute.
    package var refreshMs: UInt64 = 3_000
    /// How long it all goes on after the measured line, for somebody to look at the counters.
    package var keepSeconds = 0
    /// Where the figure is written as SVG; `nil` for none.
    package var figurePath: String?

    package init() {}

    static let phonesPerFlow = 20
    /// One phone in so many comes and goes all the time.
    static let phonesPerVisitor = 100
    static let phoneExpirySeconds: UInt32 = 60
    static let mainExpirySeconds: UInt32 = 3_600

    /// The phones register spread over this time, and are measured afterwards.
    var rampMs: UInt64 { min(refreshMs, UInt64(durationSeconds) * 1_000 / 3) }
}

/// One second of the demonstration, or a little more.
package struct DemoSample: Equatable, Sendable {
    /// Its end, in seconds after the first REGISTER.
    package var seconds: Double
    /// REGISTERs per second.
    package var registersIn: Double
    package var toMain: Double
    package var absorbed: Double

    package init(seconds: Double, registersIn: Double, toMain: Double, absorbed: Double) {
        self.seconds = seconds
        self.registersIn = registersIn
        self.toMain = toMain
        self.absorbed = absorbed
    }
}
