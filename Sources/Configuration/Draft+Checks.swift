internal import Bytes

// One key against another: what each of them alone may be, and both together may not.
extension Draft {
    /// Two sockets on one address and port: the second could not be bound, or would take the
    /// datagrams of the first.
    mutating func checkSockets(
        listeners: [PlacedListener], own: Placed<TransportAddress>,
        ports: Placed<ClosedRange<UInt16>>
    ) {
        let whole = "every listener, main.own and main.ports want ports of their own"
        for (number, later) in listeners.enumerated() {
            let udp = later.listener.udp
            if let earlier = listeners[..<number].first(where: { overlap($0.listener.udp, udp) }) {
                reader.complain(
                    at: later.place,
                    "\(udp.text) is taken by \(earlier.name) (\(earlier.listener.udp.text))",
                    allowed: whole)
            }
            if ports.isSound, ports.value.contains(udp.port) {
                reader.complain(
                    at: later.place,
                    "port \(udp.port) of a listener is one of main.ports \(text(ports.value))",
                    allowed: whole)
            }
        }
        guard own.isSound else { return }
        let ownPlace = own.place ?? reader.place(ofSection: "main", flag: "--own")
        if let taken = listeners.first(where: { overlap($0.listener.udp, own.value) }) {
            reader.complain(
                at: own.place ?? taken.place,
                "main.own \(own.value.text) is taken by \(taken.name) "
                    + "(\(taken.listener.udp.text))", allowed: whole)
        }
        if ports.isSound, ports.value.contains(own.value.port) {
            reader.complain(
                at: own.place ?? ports.place ?? ownPlace,
                "port \(own.value.port) of main.own is one of main.ports \(text(ports.value))",
                allowed: whole)
        }
    }

    /// A main server that is ourselves: every REGISTER would come back.
    mutating func checkLoop(listeners: [PlacedListener], server: Placed<MainServer>?) {
        guard let server, server.isSound, let place = server.place,
            let address = server.value.address
        else { return }
        let reached = listeners.first {
            reaches(address, $0.listener.udp) || $0.listener.advertise == address
        }
        guard let reached else { return }
        reader.complain(
            at: place, "the main server \(address.text) is our own \(reached.name): a loop",
            allowed: "it is another registrar's address")
    }

    mutating func checkFamily(own: Placed<TransportAddress>, server: Placed<MainServer>?) {
        guard own.isSound, let place = own.place, let server, server.isSound,
            let address = server.value.address, address.isIPv4 != own.value.isIPv4
        else { return }
        reader.complain(
            at: place,
            "main.own \(own.value.text) cannot send to the main server \(address.text)",
            allowed: "both are of one family")
    }

    mutating func checkWorkers(
        _ workers: Placed<Int>, ports: Placed<ClosedRange<UInt16>>
    ) {
        guard workers.isSound, ports.isSound, workers.value > ports.value.count else { return }
        reader.complain(
            at: ports.place ?? workers.place ?? reader.place(ofSection: "node", flag: "--workers"),
            "\(workers.value) workers share the \(ports.value.count) ports of main.ports "
                + text(ports.value),
            allowed: "every worker wants a port of its own")
    }

    mutating func checkAORMode() {
        guard let aorModePlace else { return }
        reader.warn(
            at: aorModePlace, "mode \"aor\" is not for every main registrar",
            advice: "one that tells contacts apart by Call-ID (FreeSWITCH multiple-registrations, "
                + "OpenSIPS matching_mode 1) keeps a row for each phone and calls the one contact "
                + "as often")
    }

    mutating func checkInsertion(
        _ insertion: Placed<Settings.Insertion>, idPlace: Placed<Settings.ContactIDPlace>
    ) {
        guard insertion.isSound, insertion.value == .path, let place = idPlace.place else { return }
        reader.warn(
            at: place, "main.id is of no use beside main.insert \"path\"",
            advice: "the main registrar is given the phone's own Contact, without a contact ID")
    }

    /// What is the main side cannot be an edge too: it is believed as the main registrar.
    mutating func checkEdges(
        _ edges: [TransportAddress], server: Placed<MainServer>?, sources: [TransportAddress]
    ) {
        var main = sources
        if let server, server.isSound, let address = server.value.address {
            main.append(address.withPort(server.value.hasPort ? server.value.port : 0))
        }
        guard let list = reader.item("register", "edges") else { return }
        for edge in edges {
            let isMain = main.contains {
                $0.sameHost(as: edge) && ($0.port == 0 || $0.port == edge.port)
            }
            guard isMain else { continue }
            reader.warn(
                at: reader.place(reader.document.items[list].place),
                "register.edges names \(edge.port == 0 ? edge.hostText : edge.text), "
                    + "which is the main side",
                advice: "what comes from there counts as the main registrar's")
        }
    }

    /// A grant that ends no sooner than the main registrar's lifetime leaves nothing to absorb.
    mutating func checkLead(longest: Placed<UInt32>, main: Placed<UInt32>) {
        let lead = Settings.guardSeconds(mainExpirySeconds: main.value)
        guard longest.value + lead >= main.value else { return }
        let place = longest.place ?? main.place
        reader.warn(
            at: place ?? reader.place(ofSection: "register", flag: "--main"),
            "a phone that asks for register.max_expires \(durationText(seconds: longest.value)) "
                + "is never absorbed",
            advice: "with main.expires \(durationText(seconds: main.value)) a refresh is absorbed "
                + "below \(durationText(seconds: main.value - lead))")
    }

    private func text(_ ports: ClosedRange<UInt16>) -> String {
        "\(ports.lowerBound)-\(ports.upperBound)"
    }
}
