internal import ArgumentParser

struct Demo: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the main job: a toy registrar, midreg, and 1,000 phones on loopback.")

    func run() throws {
        throw ValidationError("the demonstration is not built in yet")
    }
}
