/// The word that was probably meant, if one is near enough.
///
/// Near is one slip for a short word and one more for every four letters; letter case does not count.
func suggestion(for word: String, among known: [String]) -> String? {
    let written = Array(word.lowercased().utf8)
    guard !written.isEmpty, written.count <= 64 else { return nil }
    var best: (word: String, slips: Int)?
    for candidate in known {
        let slips = slipsBetween(written, Array(candidate.lowercased().utf8))
        let slipsMax = 1 + min(candidate.utf8.count, written.count) / 4
        // A word of which every letter would have to change is no slip.
        guard slips <= slipsMax, slips < candidate.utf8.count else { continue }
        if slips < best?.slips ?? .max { best = (candidate, slips) }
    }
    return best?.word
}

/// Letters added, left out, changed, or swapped with their neighbour (optimal string alignment).
private func slipsBetween(_ a: [UInt8], _ b: [UInt8]) -> Int {
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    for i in 1...a.count {
        var row = [Int](repeating: i, count: b.count + 1)
        for j in 1...b.count {
            let change = a[i - 1] == b[j - 1] ? 0 : 1
            row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + change)
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                row[j] = min(row[j], beforeLast[j - 2] + 1)
            }
        }
        beforeLast = last
        last = row
    }
    return last[b.count]
}
