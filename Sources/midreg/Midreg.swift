@main struct Midreg { static func main() {} }
