//! Gives the `transom` command the settings of its allocator, however it is built: with an environment variable they
//! would be those of builds in this folder alone, and not of `cargo install`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "cli")]
    allocator();
}

/// jemalloc reads this variable of its own before anything else; environments (`_RJEM_MALLOC_CONF`) override it. It is
/// C, since in Rust a symbol with this name is `unsafe`.
#[cfg(feature = "cli")]
fn allocator() {
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let source = out.join("malloc_conf.c");
    let text = format!("const char *_rjem_malloc_conf = \"{}\";\n", SETTINGS.join(","));
    std::fs::write(&source, text).expect("cargo's OUT_DIR can be written to");
    for object in cc::Build::new().file(&source).compile_intermediates() {
        println!("cargo::rustc-link-arg-bins={}", object.display());
    }
}

/// Memory that uploads used goes back to the system within a second. What a request needs is at hand, for about 64 of
/// them at a time, in the sizes that each asks for. Of others little is kept: what connections at rest have given back
/// would else stay, each piece with its page.
#[cfg(feature = "cli")]
const SETTINGS: [&str; 6] = [
    "background_thread:true",
    "dirty_decay_ms:1000",
    "muzzy_decay_ms:0",
    "narenas:4",
    "tcache_gc_incr_bytes:4194304",
    "tcache_ncached_max:1-128:72|129-160:32|161-448:8|449-512:32|513-896:4|897-1536:72|1537-14336:4",
];
