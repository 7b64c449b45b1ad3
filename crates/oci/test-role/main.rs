//! The runtime alone, as a binary of its own.
#![forbid(unsafe_code)]

fn main() {
    let mut args = std::env::args_os();
    args.next();
    std::process::exit(hull_oci::main(args.collect()));
}
