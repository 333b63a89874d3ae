internal import Telemetry

/// Lines for the person at the terminal, on standard error.
package enum Complain {
    package static func line(_ text: String) { StandardError().write(text + "\n") }
}
