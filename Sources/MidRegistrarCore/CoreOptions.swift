package import Bytes
package import Forwarding
package import Keys
package import Registration

/// Everything a worker is told at start; the rim translates the configuration into it.
package struct CoreOptions: Sendable {
    /// What a local socket is for.
    package enum Role: Sendable, Equatable {
        /// Phones and the main registrar send here.
        case listener
        /// Relayed requests leave here, and their answers come back.
        case mainSide
        /// Requests of our own leave here; no byte that came from a phone ever does.
        case own
    }

    package struct LocalSocket: Sendable {
        package let role: Role
        package let local: TransportAddress
        /// What others are told to reach it by.
        package let advertised: TransportAddress

        package init(role: Role, local: TransportAddress, advertised: TransportAddress) {
            self.role = role
            self.local = local
            self.advertised = advertised
        }
    }

    package enum Strangers: Sendable, Equatable {
        case refuse
        case main
    }

    package var worker = 0
    package var workers = 1
    package var keys: KeyRing
    /// All sockets, in the same order for all workers; a socket's number is its place.
    package var sockets: [LocalSocket]
    /// The socket from which this worker relays.
    package var mainSocket: UInt16
    package var ownSocket: UInt16
    package var mainServer: TransportAddress
    package var mainSide: MainSide
    package var ownAddresses: OwnAddresses
    package var contact: MainContact
    package var mainSeconds: UInt32 = 3_600
    package var minSeconds: UInt32 = 60
    package var maxSeconds: UInt32 = 3_600
    package var defaultSeconds: UInt32 = 3_600
    /// Whether a too short expiry is answered with 423, or else raised.
    package var refusesShort = true
    package var jitter = 0.1
    package var contactsMax = 10
    package var inFlightMax = 8
    package var strangers = Strangers.refuse
    package var removesExpired = true
    package var removalsPerSecond = 200
    /// Bindings this worker's table holds.
    package var bindingsMax = 100_000

    package init(
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
package struct CoreEvent: Sendable {
    package enum Kind: Sendable {
        case malformed, mainUnchallenged, removalRefused, commitFailed, tableFull, orphanCall
        case mainExpiryLearned, register
    }

    package let kind: Kind
    package let source: TransportAddress
    /// A status code, a byte offset or a number, by kind.
    package let number: Int
    package let text: StaticString
    /// An address of record, where one is concerned.
    package let aor: String

    package init(
        _ kind: Kind, source: TransportAddress = .none, number: Int = 0, text: StaticString = "",
        aor: String = ""
    ) {
        self.kind = kind
        self.source = source
        self.number = number
        self.text = text
        self.aor = aor
    }
}
