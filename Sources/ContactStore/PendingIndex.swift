internal import Bytes

/// Where a worker finds what it staged and the store has not yet made durable.
///
/// Open addressing with linear probing; it grows by doubling and is bounded by what is bounded
/// elsewhere: changes in the queue and volatile bytes.
struct PendingIndex: ~Copyable {
    struct Place: BitwiseCopyable, Equatable {
        /// Which block of the worker, and which change in it.
        let slot: UInt32
        let change: UInt32
    }

    // Not private: the compiler (6.3.1) emits a broken module where a private type is the element of
    // another file's stored property.
    struct Cell: BitwiseCopyable {
        /// 0 in an empty cell; no record has that number.
        var number: UInt64
        var place: Place

        static var empty: Cell { Cell(number: 0, place: Place(slot: 0, change: 0)) }
    }

    private var cells: RigidBuffer<Cell>
    private var bits: Int
    private(set) var count = 0

    init() {
        bits = 8
        cells = RigidBuffer(count: 1 << 8, zeroed: .empty)
    }

    func find(_ number: UInt64) -> Place? {
        let at = position(of: number)
        return cells[at].number == number ? cells[at].place : nil
    }

    /// Sets where `number` is found from now on, and returns where it was.
    mutating func set(_ number: UInt64, _ place: Place) -> Place? {
        if count * 4 >= cells.count * 3 { grow() }
        let at = position(of: number)
        let before = cells[at].number == number ? cells[at].place : nil
        if before == nil { count += 1 }
        cells[at] = Cell(number: number, place: place)
        return before
    }

    mutating func remove(_ number: UInt64) {
        var hole = position(of: number)
        guard cells[hole].number == number else { return }
        count -= 1
        // Cells behind the hole move up unless that would put them before their own first place.
        var at = hole
        while true {
            at = (at + 1) & (cells.count - 1)
            let cell = cells[at]
            if cell.number == 0 { break }
            let home = home(of: cell.number)
            let distance = (at - home) & (cells.count - 1)
            if distance >= (at - hole) & (cells.count - 1) {
                cells[hole] = cell
                hole = at
            }
        }
        cells[hole] = .empty
    }

    private func home(of number: UInt64) -> Int {
        Int(truncatingIfNeeded: (number &* 0x9E37_79B9_7F4A_7C15) &>> UInt64(64 - bits))
    }

    /// The cell of `number`, or the empty one where it belongs.
    private func position(of number: UInt64) -> Int {
        var at = home(of: number)
        while cells[at].number != 0 && cells[at].number != number {
            at = (at + 1) & (cells.count - 1)
        }
        return at
    }

    private mutating func grow() {
        bits += 1
        var old = RigidBuffer<Cell>(count: 1 << bits, zeroed: .empty)
        swap(&old, &cells)
        for index in 0..<old.count where old[index].number != 0 {
            cells[position(of: old[index].number)] = old[index]
        }
    }
}
