//! Compiles `src/shim.c` with the header of the libx264 that is installed, and links that.

fn main() {
    println!("cargo::rerun-if-changed=src/shim.c");
    let x264 = match pkg_config::Config::new().atleast_version("0.155").cargo_metadata(false).probe("x264") {
        Ok(library) => library,
        Err(why) => panic!("expected libx264 with its header (Debian: libx264-dev): {why}"),
    };
    cc::Build::new()
        .file("src/shim.c")
        .includes(&x264.include_paths)
        .warnings_into_errors(true)
        .compile("lectern_x264");
    // After the shim, which needs it.
    for path in &x264.link_paths {
        println!("cargo::rustc-link-search=native={}", path.display());
    }
    for library in &x264.libs {
        println!("cargo::rustc-link-lib={library}");
    }
}
