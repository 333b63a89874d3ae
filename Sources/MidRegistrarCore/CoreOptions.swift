public import Bytes
public import Forwarding
public import Keys
public import Registration
public import SIPMessage

/// Everything a worker is told at start; the rim translates the configuration into it.
public struct CoreOptions: Sendable {
    /// What a local socket is for.
    public enum Role: Sendable, Equatable {
        /// Phones and the main registrar send here.
        case listener
        /// Relayed requests leave here, and their answers come back.
        case mainSide
        /// Requests of our own leave here; no byte that came from a phone ever does.
        case own
    }

    public struct LocalSocket: Sendable {
        public let role: Role
        public let local: TransportAddress
        /// What others are told to reach it by.
        public let advertised: TransportAddress

        public init(role: Role, local: TransportAddress, advertised: TransportAddress) {
            self.role = role
            self.local = local
            self.advertised = advertised
        }
    }

    /// A domain with a mode of its own.
    public struct Domain: Sendable {
        /// As it stands in a canonical address of record: lower case, a port if there is one.
        let name: [UInt8]
        let mode: RegistrationMode

        public init(_ name: String, _ mode: RegistrationMode) {
            self.name = Array(name.utf8)
            self.mode = mode
        }
    }

    /// What becomes of a new contact when its AOR has as many as it may have.
    public enum Overflow: Sendable, Equatable {
        /// 403, before anything is relayed.
        case refuse
        /// It takes the place of the one that was heard of least lately, once the main registrar has
        /// agreed to it.
        case replaceOldest
    }

    /// What midreg itself is known by at the main registrar; only requests of our own use it.
    public struct Account: Sendable {
        /// Without quotes, backslashes and control characters.
        let user: [UInt8]
        let password: [UInt8]
        /// The only realm that is answered; `nil` for whichever the main registrar names.
        let realm: [UInt8]?

        public init(user: String, password: [UInt8], realm: String? = nil) {
            self.user = Array(user.utf8)
            self.password = password
            self.realm = realm.map { Array($0.utf8) }
        }
    }

    /// What a phone behind NAT gets every 25 s.
    public enum NATPing: Sendable, Equatable, CaseIterable {
        case off
        /// Two line ends, which nobody answers (RFC 5626 §3.5.1 without the pong).
        case crlf
        /// A request that it has to answer, or counts as unreachable.
        case options
    }

    /// Methods of phones' requests that go from here to the phones of an AOR: none of those that can
    /// form a dialog, whose later requests go by way of the main registrar.
    public struct LocalMethods: OptionSet, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        public static let message = LocalMethods(rawValue: 1)
        public static let options = LocalMethods(rawValue: 2)
        public static let publish = LocalMethods(rawValue: 4)

        func includes(_ method: Method) -> Bool {
            switch method {
            case .message: contains(.message)
            case .options: contains(.options)
            case .publish: contains(.publish)
            case .register, .invite, .ack, .cancel, .bye, .subscribe, .notify, .refer, .prack,
                .update, .info, .other:
                false
            }
        }
    }

    /// In which order the phones of an AOR are called.
    public enum ForkOrder: Sendable, Equatable {
        /// Those of the highest `q` at once, the others when these have failed (RFC 3261 §16.6).
        case byQ
        case allAtOnce
    }

    public enum Strangers: Sendable, Equatable {
        case refuse
        case main
    }

    public var worker = 0
    public var workers = 1
    public var keys: KeyRing
    /// All sockets, in the same order for all workers; a socket's number is its place.
    public var sockets: [LocalSocket]
    /// The socket from which this worker relays.
    public var mainSocket: UInt16
    public var ownSocket: UInt16
    public var mainServer: TransportAddress
    public var mainSide: MainSide
    public var edges = Edges([])
    public var ownAddresses: OwnAddresses
    /// How contacts are registered at the main registrar, where each phone has its own.
    public var contact: MainContact
    public var mode = RegistrationMode.throttleByContact
    /// Domains whose mode is another; searched one by one.
    public var domains: [Domain] = []
    public var mainSeconds: UInt32 = 3_600
    public var minSeconds: UInt32 = 60
    public var maxSeconds: UInt32 = 3_600
    public var defaultSeconds: UInt32 = 3_600
    /// Whether a too short expiry is answered with 423, or else raised.
    public var refusesShort = true
    public var jitter = 0.1
    /// Whether phones that ask for GRUUs get some (RFC 5627).
    public var givesGRUUs = false
    public var contactsMax = 10
    public var overflow = Overflow.refuse
    public var inFlightMax = 8
    public var strangers = Strangers.refuse
    /// What phones send to AORs that have a reachable phone here goes there, past the main registrar.
    public var localMethods: LocalMethods = []
    /// Whether the main side's OPTIONS to a phone is answered by what is known of it here.
    public var answersQualify = false
    public var forkOrder = ForkOrder.byQ
    /// Branches a call may open, one after the other or at once.
    public var branchesMax = 32
    /// How long a phone may ring, in milliseconds (Timer C).
    public var timerCMs: UInt64 = 181_000
    /// Whether the Contact of a phone behind a NAT is rewritten to where its packets come from.
    public var fixesContacts = false
    /// With what the main side's requests for phones are answered instead of being forwarded.
    public var redirectServer: RedirectAnswer.Code?
    /// Whether such an answer names contacts as they are reached by way of us, or as registered.
    public var redirectsByUs = true
    /// Which redirects are followed.
    public var redirects = RedirectPolicy()
    /// What CANCELs say. A phone that could say "completed elsewhere" could hide a missed call.
    public var reasons = ReasonPolicy()
    /// Calls this worker holds at a time; each needs a slot until all its timers have ended.
    public var callsMax = 100_000
    /// Bytes of messages kept for calls.
    public var callBytesMax = 512 << 20
    public var removesExpired = true
    public var removalsPerSecond = 200
    /// Milliseconds between two probes of the main registrar; 0 is never.
    public var probeMs: UInt64 = 0
    /// Refreshes that a resync may bring to the main registrar, on top of what comes anyway.
    public var resyncPerSecond = 50
    /// Answers challenges to REGISTERs of our own; without it such a challenge is a refusal.
    public var account: Account?
    /// Tells the main registrar where a request really came from.
    public var sourceHeader: SourceHeader?
    public var natPing = NATPing.crlf
    /// What a phone behind NAT is granted at most, in seconds.
    public var natSeconds = UInt32.max
    /// Bindings this worker's table holds.
    public var bindingsMax = 100_000
    /// Relays within 64·T1 that the filter holds without forgetting.
    public var relaysMax = 65_536
    /// Bytes of answers that wait for the store.
    public var heldBytesMax = 16 << 20

    /// Leads responses on a branch back to this worker.
    var steering: SteeringBits { SteeringBits(ownedBy: worker, among: workers) }

    public init(
        keys: KeyRing, sockets: [LocalSocket], mainSocket: UInt16, ownSocket: UInt16,
        mainServer: TransportAddress, mainSide: MainSide, ownAddresses: OwnAddresses,
        contact: MainContact
    ) {
        self.keys = keys
        self.sockets = sockets
        self.mainSocket = mainSocket
        self.ownSocket = ownSocket
        self.mainServer = mainServer
        self.mainSide = mainSide
        self.ownAddresses = ownAddresses
        self.contact = contact
    }
}

/// Something an operator should hear of; told at most rate-limited, never on the absorbed path.
public struct CoreEvent: Sendable {
    public enum Kind: Sendable {
        case malformed, mainUnchallenged, removalRefused, commitFailed, tableFull, orphanCall
        case mainExpiryLearned, register, mainDown, mainUp, mainForgot, mainOverloaded, resync
        case massLapse
        /// Fetches of our own are refused, or their answers list nothing; the number is the status.
        case fetchRefused, fetchUseless
        /// A 2xx was passed back again and again, and no ACK came; or one came, and was of no use.
        case ackUnsent, ackUnheard
    }

    public let kind: Kind
    public let source: TransportAddress
    /// A status code, a byte offset or a number, by kind.
    public let number: Int
    public let text: StaticString
    /// An address of record, where one is concerned; of a missing ACK, the Contact's URI.
    public let aor: String
    /// Of a call, where one is concerned.
    public let callID: String

    public init(
        _ kind: Kind, source: TransportAddress = .none, number: Int = 0, text: StaticString = "",
        aor: String = "", callID: String = ""
    ) {
        self.kind = kind
        self.source = source
        self.number = number
        self.text = text
        self.aor = aor
        self.callID = callID
    }
}
