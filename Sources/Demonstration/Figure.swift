extension Demo {
    /// Draws what came in and what went on to the main registrar, second by second, as SVG.
    ///
    /// - Parameter samples: in the order of time; none give an empty frame.
    package static func figure(_ samples: [DemoSample]) -> String {
        let frame = Frame(samples)
        var svg = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 400" width="760" height="400" \
            role="img" font-family="sans-serif" font-size="13" fill="#222">
            <title>REGISTER requests per second: from the phones and to the main registrar</title>
            <rect width="760" height="400" fill="#ffffff"/>
            <text x="70" y="28" font-size="16" font-weight="bold">\
            REGISTER/s: what the phones send, and what the main registrar sees</text>

            """
        for step in 0...frame.steps {
            let value = Double(step) * frame.step
            let y = frame.y(value)
            svg += """
                <line x1="70" y1="\(text(y))" x2="730" y2="\(text(y))" stroke="#e3e3e3"/>
                <text x="62" y="\(text(y + 4))" text-anchor="end">\
                \(Numbers.grouped(UInt64(value)))</text>

                """
        }
        for second in stride(from: 0, through: frame.secondsMax, by: frame.secondStep) {
            svg += """
                <text x="\(text(frame.x(second)))" y="362" text-anchor="middle">\
                \(Numbers.decimal(second, 0))</text>

                """
        }
        svg += """
            <text x="400" y="386" text-anchor="middle">seconds after the first REGISTER</text>
            <text x="20" y="197" text-anchor="middle" transform="rotate(-90 20 197)">\
            REGISTER per second</text>

            """
        if let last = samples.last {
            let upper = samples.map { frame.point($0.seconds, $0.registersIn) }
            let lower = samples.map { frame.point($0.seconds, $0.toMain) }
            let area = (upper + lower.reversed()).joined(separator: " ")
            svg += """
                <polygon points="\(area)" fill="#2a7f62" fill-opacity="0.15"/>
                <polyline points="\(upper.joined(separator: " "))" fill="none" \
                stroke="#2a7f62" stroke-width="2.5"/>
                <polyline points="\(lower.joined(separator: " "))" fill="none" \
                stroke="#b3471f" stroke-width="2.5"/>
                <text x="726" y="\(text(max(64, frame.y(last.registersIn) - 8)))" \
                text-anchor="end" fill="#1c5c46">from the phones</text>
                <text x="726" y="\(text(frame.y(last.toMain) - 8))" text-anchor="end" \
                fill="#8f3515">to the main registrar</text>
                <text x="\(text(frame.x(frame.secondsMax * 0.6)))" \
                y="\(text((frame.y(last.registersIn) + frame.y(last.toMain)) / 2))" \
                text-anchor="middle" font-size="18" fill="#1c5c46">\(share(samples))</text>

                """
        }
        return svg + """
            <path d="M70 50 V340 H730" fill="none" stroke="#222"/>
            </svg>

            """
    }

    /// The share absorbed over the second half, when the phones have registered, and over all.
    private static func share(_ samples: [DemoSample]) -> String {
        func percent(_ samples: some Sequence<DemoSample>) -> String {
            let registersIn = samples.reduce(0) { $0 + $1.registersIn }
            let absorbed = samples.reduce(0) { $0 + $1.absorbed }
            return Numbers.percent(UInt64(absorbed), of: UInt64(registersIn))
        }
        return "absorbed: \(percent(samples.dropFirst(samples.count / 2)))"
            + " in the second half, \(percent(samples)) in all"
    }

    private static func text(_ value: Double) -> String { Numbers.decimal(value, 1) }

    /// Where values lie on the sheet.
    private struct Frame {
        let secondsMax: Double
        let secondStep: Double
        let step: Double
        let steps: Int

        init(_ samples: [DemoSample]) {
            secondsMax = max(1, samples.map(\.seconds).max() ?? 1)
            secondStep = Self.round(secondsMax / 10)
            let valueMax = max(1, samples.map { max($0.registersIn, $0.toMain) }.max() ?? 1)
            step = Self.round(valueMax / 5)
            steps = Int((valueMax / step).rounded(.up))
        }

        func x(_ seconds: Double) -> Double { 70 + 660 * seconds / secondsMax }

        func y(_ value: Double) -> Double { 340 - 290 * value / (step * Double(steps)) }

        func point(_ seconds: Double, _ value: Double) -> String {
            "\(Demo.text(x(seconds))),\(Demo.text(y(value)))"
        }

        /// The next of 1, 2, 5, 10, 20, 50, … from `value` on.
        private static func round(_ value: Double) -> Double {
            var unit = 1.0
            while unit * 10 < value { unit *= 10 }
            return value <= unit
                ? unit
                : value <= unit * 2
                    ? unit * 2
                    : value <= unit * 5
                        ? unit * 5 : unit * 10
        }
    }
}
