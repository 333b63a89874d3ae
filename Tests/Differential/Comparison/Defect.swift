/// What is wrong with a generated message: one thing, or nothing.
package enum Defect: String, CaseIterable, Sendable {
    case none
    // Start line
    case twoSpacesInStartLine, leadingSpace, trailingSpaceInStartLine, wrongVersion, noVersion
    case methodNoToken, statusTooLarge, statusTooShort, noReasonSpace
    // Request-URI, and the URI of an address
    case uriBracketed, uriWithSpace, uriNoScheme, uriBadEscape, uriBadIPv6, uriPortTooLarge
    case uriPortZero, uriNoHost, uriNoUser, uriTwoAtSigns, uriEmptyPort, uriEmptyParameter
    // Fields
    case noColon, spaceInName, noName, bareCR, bareLF, controlByte, nulByte, onlyLineFeeds
    case noVia, noFrom, noTo, noCallID, noCSeq
    case twoFroms, twoTos, twoCallIDs, twoCSeqs, twoMaxForwards, twoLengths, differingLengths
    case lengthTooLong, lengthTooShort, lengthNoNumber, lengthNegative, lengthPlus, lengthHuge
    case methodMismatch, cseqTooLarge, cseqHuge, cseqNoNumber, cseqNoMethod
    case forwardsTooLarge, forwardsNoNumber
    case callIDEmpty, callIDTwoWords, fromEmpty
    // Addresses
    case quoteNotClosed, bracketNotClosed, bracketNotOpened, nameUnquoted, twoSemicolons
    case semicolonAtEnd, tagTwice, tagEmpty, questionMarkUnbracketed, textAfterBracket
    // Via
    case viaNoSentBy, viaProtocol, viaBadPort, viaPortTooLarge, viaBranchEmpty, viaBranchTwice
    case viaNoTransport, viaBadIPv6
    // Contact and lists
    case starAndMore, emptyElement, commaAtEnd, contactExpiresNoNumber
    // Anywhere
    case cutShort, byteChanged, byteRemoved, byteAdded
}
