/// What the command line says instead of the file, each as it was typed; `nil` where it is silent.
package struct SettingsOverrides: Equatable, Sendable {
    /// `--listen udp:ADDR:PORT`, repeatable; any of them replaces every listener of the file.
    package var listen: [String] = []
    /// `--main sip:HOST[:PORT]`
    package var main: String?
    /// `--state DIR`
    package var state: String?
    /// `--counters ADDR:PORT`
    package var counters: String?
    /// `--mode contact|aor|mirror`
    package var mode: String?
    /// `--workers N`
    package var workers: String?
    /// `--strangers refuse|main`
    package var strangers: String?
    /// `--own udp:ADDR:PORT`
    package var own: String?
    /// `--main-ports FIRST-LAST`
    package var mainPorts: String?

    package init() {}
}
