//! How the build scripts compile C++: optimised in every profile, because tests run whole networks through it.

/// A compiler with the flags that all of this workspace's C++ is compiled with.
pub(crate) fn compiler() -> cc::Build {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .cpp_link_stdlib(None)
        .opt_level(3)
        .flag("-fno-exceptions")
        .flag("-fno-rtti")
        // Multiply-add in one instruction, which standard C++ leaves to the compiler.
        .flag("-ffp-contract=fast")
        .flag_if_supported("-Wno-psabi")
        // GCC's own headers start from undefined registers on purpose.
        .flag_if_supported("-Wno-uninitialized")
        .flag_if_supported("-Wno-maybe-uninitialized");
    build
}
