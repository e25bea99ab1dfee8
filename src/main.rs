//! The `transom` command.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Not for speed: it gives memory back that uploads used. Its settings are in `build.rs`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    transom::cli::main()
}
