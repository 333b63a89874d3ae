/// Why a test could not be carried out: said in a whole sentence, since it stands alone in CI's output.
struct HarnessError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
