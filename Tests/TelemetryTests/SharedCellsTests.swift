import CMallocCount
import Glibc
import MidRegistrarCore
import Testing

@testable import Telemetry

@Suite("What workers show of their counters")
struct SharedCellsTests {
    @Test func `is what each of them counted, cell by cell`() {
        let read = figures(workers: 3) { worker, counters in
            for counter in Counter.allCases {
                counters.add(counter, UInt64(1_000 * worker + counter.rawValue))
            }
            for gauge in Gauge.allCases {
                counters.set(gauge, UInt64(worker + 10 * gauge.rawValue))
            }
        }
        #expect(read.workers == 3)
        for counter in Counter.allCases {
            for worker in 0..<3 {
                #expect(read[counter, worker: worker] == UInt64(1_000 * worker + counter.rawValue))
            }
            #expect(read.total(counter) == UInt64(3_000 + 3 * counter.rawValue))
        }
        for gauge in Gauge.allCases {
            #expect(read.total(gauge) == UInt64(3 + 30 * gauge.rawValue))
            #expect(read.highest(gauge) == UInt64(2 + 10 * gauge.rawValue))
        }
    }

    @Test func `is zero before the first round`() {
        let read = SharedCells(workers: 2).read()
        #expect(Counter.allCases.allSatisfy { read.total($0) == 0 })
    }

    @Test func `is shown without an allocation`() {
        let cells = SharedCells(workers: 1)
        var counters = Counters()
        // The first use of lazy parts of the runtime allocates.
        counters.add(.rounds, 0)
        cells.publish(worker: 0, from: counters)
        let before = midreg_mallocs_of_thread()
        for _ in 0..<1_000 {
            counters.add(.rounds)
            cells.publish(worker: 0, from: counters)
        }
        let after = midreg_mallocs_of_thread()
        #expect(after == before)
        #expect(cells.read().total(.rounds) == 1_000)
    }

    @Test func `can be read while workers go on, and never goes back`() async {
        let cells = SharedCells(workers: 2)
        await withTaskGroup(of: Bool.self) { group in
            for worker in 0..<2 {
                group.addTask {
                    var counters = Counters()
                    for _ in 0..<2_000 {
                        counters.add(.registerAbsorbed)
                        cells.publish(worker: worker, from: counters)
                    }
                    return true
                }
            }
            group.addTask {
                var last: UInt64 = 0
                for _ in 0..<500 {
                    let now = cells.read().total(.registerAbsorbed)
                    guard now >= last else { return false }
                    last = now
                }
                return true
            }
            for await good in group { #expect(good) }
        }
        #expect(cells.read().total(.registerAbsorbed) == 4_000)
    }

    @Test func `comes with what the system says of the process`() throws {
        let first = try #require(ProcessFigures.read())
        #expect(first.residentBytes > 1_000_000)
        let file = open("/dev/null", O_RDONLY)
        defer { close(file) }
        let second = try #require(ProcessFigures.read())
        #expect(second.cpuSeconds >= first.cpuSeconds)
        // Other tests open files at the same time, so more is not said.
        #expect(second.openFiles >= 1)
    }
}
