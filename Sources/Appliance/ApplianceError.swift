/// Why the appliance does not start, as a sentence for whoever has to mend it.
package struct ApplianceError: Error, CustomStringConvertible, Sendable {
    package let description: String

    package init(_ description: String) { self.description = description }
}
