package import Bytes

/// Everything an operator can set, validated: the one value that the appliance is built from.
///
/// It comes from a TOML text and from flags (``load(toml:file:overrides:)``), and nowhere else.
package struct Settings: Equatable, Sendable {
    package let node: Node
    /// At least one, at most ``listenersMax``; no two of them overlap.
    package let listeners: [Listener]
    package let main: Main
    package let register: Register
    /// Domains with a mode of their own, at most ``domainsMax``; no two of one name.
    package let domains: [Domain]
    package let calls: Calls
    package let redirect: Redirect
    package let store: Store
    package let natPing: NATPing
    /// What a phone behind NAT is granted at most; `nil` for as much as others.
    package let natExpirySeconds: UInt32?
    package let limits: Limits
    package let counters: Counters
    package let log: Log

    /// `[node]`
    package struct Node: Equatable, Sendable {
        /// Letters, digits, `-`, `_` and `.`; at most 32 of them.
        package let name: String
        /// 0: one per core. At most ``workersMax``, and at most as many as `main.ports` has ports.
        package let workers: Int
    }

    /// `[[listen]]`: where phones reach us.
    package struct Listener: Equatable, Sendable {
        package let udp: TransportAddress
        /// What phones and the main registrar are told, never a wildcard; `nil` if nothing is set:
        /// then the listener's own address, or for a wildcard the one towards the main registrar.
        package let advertise: TransportAddress?
    }

    /// `[main]`: the main registrar and our side towards it.
    package struct Main: Equatable, Sendable {
        package let server: MainServer
        /// The lifetime asked of it, 60…86,400 s.
        package let expirySeconds: UInt32
        /// Where our own requests leave from; no byte of a phone is ever sent from there.
        package let own: TransportAddress
        /// One port for each worker's socket towards the main registrar; at most 256.
        package let ports: ClosedRange<UInt16>
        /// Who else counts as the main side. Port 0 stands for every port of the address.
        package let sources: [TransportAddress]
        package let insertion: Insertion
        /// Of no use where the insertion is a Path.
        package let contactIDPlace: ContactIDPlace
        /// Between two probes of each worker, up to 3,600 s; 0 is never.
        package let probeSeconds: UInt32
        /// Whether bindings of silent phones are removed at the main registrar.
        package let removesExpired: Bool
        package let removalsPerSecondMax: Int
        /// Refreshes that a resync may bring to it on top of the usual ones, 1…10,000.
        package let resyncPerSecond: Int
        /// Answers challenges to our own removals and fetches.
        package let account: Account?
        /// The header field that names a request's source to the main registrar.
        package let sourceHeader: String?
    }

    /// How the main registrar's calls find back to us, where each phone has a contact there.
    package enum Insertion: String, CaseIterable, Sendable {
        /// Our Contact in place of the phone's.
        case contact
        /// The phone's own Contact, and a Path (RFC 3327).
        case path
    }

    /// Where the contact ID stands in the Contact that the main registrar is given.
    package enum ContactIDPlace: String, CaseIterable, Sendable {
        case parameter
        case user
    }

    /// `[register]`: what phones are granted.
    package struct Register: Equatable, Sendable {
        package let mode: Mode
        /// Not above ``maxExpirySeconds``.
        package let minExpirySeconds: UInt32
        package let maxExpirySeconds: UInt32
        /// Granted to a REGISTER that names no expiry; between the other two.
        package let defaultExpirySeconds: UInt32
        package let short: ShortExpiry
        /// The largest share taken off a grant, 0…0.5.
        package let jitter: Double
        /// Per address of record, 1…32.
        package let contactsMax: Int
        package let whenFull: WhenFull
        /// Relayed REGISTERs of one address of record without an answer yet, 1…64.
        package let inFlightMax: Int
        /// Whether phones that ask for GRUUs get some.
        package let givesGRUUs: Bool
        /// Proxies between phones and us whose Path is kept. Port 0 stands for every port.
        package let edges: [TransportAddress]
    }

    /// How much of registering is kept from the main registrar.
    package enum Mode: String, CaseIterable, Sendable {
        /// Refreshes, contact by contact.
        case contact
        /// Refreshes, and all contacts but one for each address of record.
        case aor
        /// Nothing: every REGISTER is relayed.
        case mirror
    }

    /// What becomes of a new contact when its address of record has as many as it may have.
    package enum WhenFull: String, CaseIterable, Sendable {
        /// 403 Forbidden.
        case refuse
        /// It takes the place of the contact that was heard of least lately.
        case replace
    }

    /// `[[domain]]`
    package struct Domain: Equatable, Sendable {
        /// As it stands in a canonical address of record: lower case, with a port if one is written.
        package let name: String
        package let mode: Mode
    }

    /// What becomes of a REGISTER that asks for less than the shortest expiry.
    package enum ShortExpiry: String, CaseIterable, Sendable {
        /// 423 Interval Too Brief.
        case refuse
        /// Granted the shortest expiry.
        case raise
    }

    /// `[calls]`
    package struct Calls: Equatable, Sendable {
        package let strangers: Strangers
        package let fork: Fork
        /// Phones that one call may reach, at once or one after the other: 1…64.
        package let branchesMax: Int
        /// How long a phone may ring (Timer C): more than 3 min (RFC 3261 §16.6 step 11).
        package let ringSeconds: UInt32
        /// Whether the Contact of a phone behind a NAT is rewritten to where its packets come from.
        package let fixesContacts: Bool
        package let reasonFromMain: Reason
        package let reasonFromPhones: Reason
        /// Methods of phones' requests to phones here that do not go by way of the main registrar.
        package let local: [LocalMethod]
        package let qualify: Qualify
    }

    /// What cannot form a dialog: what can goes by way of the main registrar, from its first request.
    package enum LocalMethod: String, CaseIterable, Sendable {
        case message = "MESSAGE"
        case options = "OPTIONS"
        case publish = "PUBLISH"
    }

    /// What becomes of the main side's OPTIONS to a phone.
    package enum Qualify: String, CaseIterable, Sendable {
        case forward
        /// By what is known of the phone here.
        case answer
    }

    /// In which order the phones of an address of record are called.
    package enum Fork: String, CaseIterable, Sendable {
        /// Those of the highest `q` first (RFC 3261 §16.6).
        case byQ = "by-q"
        case parallel
    }

    /// What becomes of the Reason fields of a CANCEL (RFC 3326).
    package enum Reason: String, CaseIterable, Sendable {
        case pass, replace, drop
    }

    /// What becomes of a stranger's request that is no REGISTER.
    package enum Strangers: String, CaseIterable, Sendable {
        case refuse
        case main
    }

    /// `[store]`
    package struct Store: Equatable, Sendable {
        package let path: String
        /// The most that the store may occupy, 16 MiB…16 TiB.
        package let bytesMax: UInt64
        package let durability: Durability
    }

    package enum Durability: String, CaseIterable, Sendable {
        /// Survives power loss.
        case commit
        /// Survives the end of the process, not power loss.
        case process
    }

    /// `[limits]`
    package struct Limits: Equatable, Sendable {
        /// Bindings of this node, over all workers.
        package let bindingsMax: Int
        /// Calls held at a time: 100…5,000,000.
        package let callsMax: Int
        /// Bytes of messages held for calls: 16 MiB…64 GiB, of which a worker uses 4 GiB at most.
        package let callBytesMax: UInt64
    }

    /// `[counters]`
    package struct Counters: Equatable, Sendable {
        /// A loopback address; `nil` if they are switched off.
        package let http: TransportAddress?
    }

    /// `[log]`
    package struct Log: Equatable, Sendable {
        package let format: LogFormat
        package let level: LogLevel
    }

    package enum LogFormat: String, CaseIterable, Sendable {
        case logfmt
        case json
    }

    package enum LogLevel: String, CaseIterable, Sendable {
        case debug
        case info
        case warn
        case error
    }
}

extension Settings {
    /// Listeners that one node may have.
    package static let listenersMax = 8
    /// Domains that may have a mode of their own.
    package static let domainsMax = 256
    /// Workers that one node may have.
    package static let workersMax = 64
    /// Ports towards the main registrar: more than workers, so that their number may change.
    package static let mainPortsMax = 256
    /// Additional main-side sources.
    package static let mainSourcesMax = 64
    /// Edges that one node may have.
    package static let edgesMax = 64

    /// The listener that a datagram to this address would reach: to be asked for what the main
    /// registrar's name resolves to, since a listener that relays to itself is a loop.
    package func listener(reachedAt address: TransportAddress) -> Listener? {
        listeners.first { reaches(address, $0.udp) || $0.advertise == address }
    }

    /// The time by which the main registrar's lifetime must exceed a grant for a refresh to be
    /// absorbed: a full failed round (64·T1), or 5 % of the lifetime.
    package static func guardSeconds(mainExpirySeconds: UInt32) -> UInt32 {
        max(32, mainExpirySeconds / 20)
    }
}

/// Whether a datagram to `address` reaches a socket that is bound to `bound` on this machine.
func reaches(_ address: TransportAddress, _ bound: TransportAddress) -> Bool {
    guard address.port == bound.port else { return false }
    // That a wildcard covers an address of ours can be told for loopback addresses only.
    return address.sameHost(as: bound) || (bound.isWildcard && address.isLoopback)
}

/// Whether two sockets would want the same address and port; `::` covers its own family only.
func overlap(_ a: TransportAddress, _ b: TransportAddress) -> Bool {
    guard a.port == b.port else { return false }
    if a.sameHost(as: b) { return true }
    return (a.isWildcard || b.isWildcard) && a.isIPv4 == b.isIPv4
}
