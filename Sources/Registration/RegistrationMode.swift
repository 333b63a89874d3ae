/// How much of registering is kept from the main registrar.
public enum RegistrationMode: UInt8, CaseIterable, Sendable {
    /// Every REGISTER is relayed, with the phone's own expiry.
    case mirror
    /// Each contact is registered at the main registrar, for longer than its phone asks.
    case throttleByContact
    /// The main registrar has one contact for all phones of an AOR.
    case throttleByAOR
}
