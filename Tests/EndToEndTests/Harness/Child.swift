import Foundation
import Synchronization

/// How a program ended.
enum Ending: Equatable, CustomStringConvertible {
    case exit(Int32)
    case signal(Int32)

    init(status: Int32) {
        let signal = status & 0x7f
        self = signal == 0 ? .exit((status >> 8) & 0xff) : .signal(signal)
    }

    var description: String {
        switch self {
        case .exit(let code): "exit status \(code)"
        case .signal(let number): "signal \(number)"
        }
    }
}

/// A program that a test started, with its output in a file.
///
/// It runs in a process group of its own and is ended by its process ID: asked by `stop`, and
/// killed when the test lets go of it. Should the tests themselves be killed, `Guard` ends it.
final class Child {
    let pid: pid_t
    let logPath: String
    private(set) var ending: Ending?

    init(
        _ command: [String], log logPath: String, input: String = "/dev/null",
        environment changes: [String: String?] = [:]
    ) throws {
        self.logPath = logPath
        pid = try spawn(
            command, output: logPath, input: input, environment: changes)
        Guard.shared.watch(pid)
    }

    deinit {
        guard !hasEnded else { return }
        kill(-pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        Guard.shared.forget(pid)
    }

    var log: String {
        guard let data = FileManager.default.contents(atPath: logPath) else { return "" }
        return String(decoding: data, as: UTF8.self)
    }

    var hasEnded: Bool {
        if ending != nil { return true }
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return false }
        ending = Ending(status: status)
        Guard.shared.forget(pid)
        return true
    }

    func signal(_ number: Int32) {
        if !hasEnded { kill(pid, number) }
    }

    /// Waits for the program to end by itself.
    @discardableResult
    func end(within limit: Duration = .seconds(20)) async throws -> Ending {
        try await eventually(within: limit, every: .milliseconds(10), "the end of process \(pid)") {
            self.hasEnded ? self.ending : nil
        }
    }

    /// Asks the program to end; kills it, and its group, if it has not within the limit.
    @discardableResult
    func stop(within limit: Duration = .seconds(5)) async -> Ending? {
        signal(SIGTERM)
        if let ending = try? await end(within: limit) { return ending }
        kill(-pid, SIGKILL)
        return try? await end(within: .seconds(5))
    }
}

/// What a program that ran to its end said.
struct Outcome {
    let ending: Ending
    let output: String
    var succeeded: Bool { ending == .exit(0) }
}

/// Runs a program to its end; its output is small.
@discardableResult
func run(
    _ command: [String], within limit: Duration = .seconds(30),
    environment changes: [String: String?] = [:]
) async throws -> Outcome {
    let folder = try Folder()
    let child = try Child(command, log: folder("output"), environment: changes)
    do {
        let ending = try await child.end(within: limit)
        return Outcome(ending: ending, output: child.log)
    } catch {
        throw HarnessError(
            "\(command.joined(separator: " ")) did not end within \(limit); it said:\n\(child.log)")
    }
}

/// Where a program stands; system programs are found although a user's PATH may lack /usr/sbin.
func findProgram(_ name: String) -> String? {
    if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
    let path =
        (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
}

private func spawn(
    _ command: [String], output: String, input: String, environment changes: [String: String?],
    inheriting inherited: Int32? = nil
) throws -> pid_t {
    guard let program = findProgram(command[0]) else {
        throw HarnessError("no program \(command[0]): deploy/test installs the test peers")
    }
    var environment = ProcessInfo.processInfo.environment
    environment["LC_ALL"] = "C.UTF-8"
    for (name, value) in changes { environment[name] = value }

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let inherited {
        posix_spawn_file_actions_adddup2(&actions, inherited, 0)
    } else {
        // A fifo opened for reading alone would wait for its writer and end with it.
        let mode = input == "/dev/null" ? O_RDONLY : O_RDWR
        posix_spawn_file_actions_addopen(&actions, 0, input, mode, 0)
    }
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    // Whatever else this process has open is none of the child's business.
    for open in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
        if let descriptor = Int32(open), descriptor > 2 {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
    }

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // The pool's threads block signals, and a child would inherit that: it could not be stopped.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
        &attributes,
        Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    var arguments = command.map { strdup($0) } + [nil]
    var variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer {
        for text in arguments + variables { free(text) }
        arguments = []
        variables = []
    }
    var pid: pid_t = 0
    let error = posix_spawn(&pid, program, &actions, &attributes, arguments, variables)
    guard error == 0 else {
        throw HarnessError("\(program): \(String(cString: strerror(error)))")
    }
    return pid
}

/// Ends what is still running when the tests are killed before they could.
///
/// A shell that is told each process ID and kills the rest when the pipe to it closes, which the
/// kernel does however the tests ended.
final class Guard: Sendable {
    static let shared = Guard()
    private let pipeEnd: Mutex<Int32>

    private init() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            pipeEnd = Mutex(-1)
            return
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let script = """
            trap '' INT TERM HUP
            running=' '
            while read -r verb pid; do
                case $verb in
                    watch) running="$running$pid " ;;
                    forget) running="${running%% $pid *} ${running#* $pid }" ;;
                esac
            done
            for pid in $running; do kill -9 "-$pid" 2>/dev/null; done
            """
        _ = try? spawn(
            ["sh", "-c", script], output: "/dev/null", input: "/dev/null", environment: [:],
            inheriting: ends[0])
        close(ends[0])
        pipeEnd = Mutex(ends[1])
    }

    func watch(_ pid: pid_t) { tell("watch \(pid)\n") }
    func forget(_ pid: pid_t) { tell("forget \(pid)\n") }

    private func tell(_ line: String) {
        let bytes = Array(line.utf8)
        pipeEnd.withLock { end in _ = write(end, bytes, bytes.count) }
    }
}
